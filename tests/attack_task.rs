//! The task `attack` from a spec to its files: what counts as success, names of images, models that cannot be attacked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use runner::models::{self, ModelConfig};
use runner::run::{ExampleOutcome, ExampleRow, table};
use runner::weights::save_safetensors;

/// A model that is trained for a moment, and attacked.
const TRAINED: &str = r#"
name = "a"
seed = 3
data = { kind = "digits", train_limit = 2000, test_limit = 80, batch_size = 50, eval_batch_size = 40 }
optimizer = { lr = 0.05, momentum = 0.9 }
train = { epochs = 1 }
[[stage]]
id = "train"
task = "train"
model = { arch = "mlp", widths = [40] }
[[stage]]
id = "craft"
task = "attack"
model = { weights = "@train" }
"#;

/// Runs `a.toml` in a folder; the exit code and standard error.
fn run(folder: &Path, spec: &str) -> (i32, String) {
    std::fs::write(folder.join("a.toml"), spec).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder)
        .args(["a.toml", "--results", "results"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), words)
}

/// The one folder under `folder` with a file of that name.
fn holding(folder: &Path, name: &str) -> PathBuf {
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        if folder.join(name).exists() {
            return folder;
        }
        let entries = std::fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        open.extend(paths.filter(|path| path.is_dir()));
    }
    panic!("there is no {name}");
}

fn metrics(stage: &Path) -> BTreeMap<String, f64> {
    let record = std::fs::read(stage.join("stage.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    serde_json::from_value(record["metrics"].clone()).unwrap()
}

#[test]
fn a_targeted_attack_succeeds_by_its_class_alone_on_floats_and_in_8_bits() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than for a moment, so that some images of the wanted class are right.
    let trained = TRAINED.replace("epochs = 1", "epochs = 5");
    let spec = format!(
        "{trained}attack = {{ kind = \"pgd\", epsilon = 0.05, step_size = 0.03, k = 5, target = 3 }}\n"
    );
    let (code, err) = run(folder.path(), &spec);
    assert_eq!(code, 0, "{err}");
    let stage = holding(folder.path(), "examples.csv");
    let rows: Vec<ExampleRow> = table::read(&stage.join("examples.csv")).unwrap();
    let attacked = rows
        .iter()
        .filter(|row| row.adversarial_prediction.is_some());
    let attacked: Vec<&ExampleRow> = attacked.collect();
    assert!(attacked.iter().all(|row| row.label != 3));
    // What became of an image is never an empty cell: broken, withstood, wrong before, or of the wanted class already.
    for row in &rows {
        let expected = match (row.adversarial_prediction, row.clean_prediction) {
            (Some(3), _) => ExampleOutcome::Broken,
            (Some(_), _) => ExampleOutcome::Withstood,
            (None, clean) if clean == row.label => ExampleOutcome::NotAttacked,
            (None, _) => ExampleOutcome::Misclassified,
        };
        assert_eq!(row.outcome, expected, "{row:?}");
        assert_eq!(
            row.broken_by.is_some(),
            expected == ExampleOutcome::Broken,
            "{row:?}"
        );
        // A digit's name must not be read as a number.
        assert_eq!(row.label_name, format!("class {}", row.label));
        let answer = row
            .adversarial_prediction
            .map(|class| format!("class {class}"));
        assert_eq!(row.adversarial_prediction_name, answer);
        assert!(row.name.starts_with(&format!("{}/test-", row.label)));
    }
    let outcomes: BTreeSet<ExampleOutcome> = rows.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes.len(), 4, "the test wants all of them");
    let share = |wanted: &dyn Fn(&ExampleRow) -> bool| {
        let count = attacked.iter().filter(|row| wanted(row)).count();
        count as f64 / attacked.len() as f64
    };
    let wrong = share(&|row| row.adversarial_prediction_8bit != Some(row.label));
    let reached = share(&|row| row.adversarial_prediction_8bit == Some(3));
    assert!(
        reached > 0.0 && reached < wrong,
        "the test wants both kinds: {reached} {wrong}"
    );
    let found = metrics(&stage);
    assert_eq!(found["success_rate_8bit"], reached);
    assert_eq!(
        found["success_rate"],
        share(&|row| row.adversarial_prediction == Some(3))
    );
}

/// A folder with `images`, a data set of two classes; some names differ only in what follows a dot.
fn image_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pixels = |shade: u8| {
        image::ImageBuffer::from_fn(16, 16, |x, y| {
            image::Rgb([shade, 16 * x as u8, 16 * y as u8])
        })
    };
    for split in ["train", "test"] {
        for (class, files) in [
            ("cat", &["a.png", "a.jpg", "img.1.png", "img.2.png"][..]),
            ("dog", &["b.png"]),
        ] {
            let class = folder.path().join("images").join(split).join(class);
            std::fs::create_dir_all(&class).unwrap();
            for (shade, file) in files.iter().enumerate() {
                pixels(60 * shade as u8).save(class.join(file)).unwrap();
            }
        }
    }
    folder
}

#[test]
fn every_image_keeps_its_name_and_the_figure_shows_the_originals() {
    let folder = image_folder();
    let spec = "name = \"a\"\ntask = \"attack\"\ndata = { kind = \"image-folder\", dir = \"images\", image_size = [16, 16] }\n\
                model = { arch = \"mlp\" }\nattack = { kind = \"fgsm\", epsilon = 0.1 }\n";
    let (code, err) = run(folder.path(), spec);
    assert_eq!(code, 0, "{err}");
    let stage = holding(folder.path(), "examples.csv");
    let rows: Vec<ExampleRow> = table::read(&stage.join("examples.csv")).unwrap();
    for row in &rows {
        let image = format!("adversarial/{}.png", row.name);
        assert!(stage.join(&image).is_file(), "{image}");
        assert_eq!(row.label_name, ["cat", "dog"][row.label as usize]);
        assert_eq!(
            row.clean_prediction_name,
            ["cat", "dog"][row.clean_prediction as usize]
        );
    }
    // What the files alone say of the classes is known before anything runs.
    let (code, err) = run(folder.path(), &spec.replace("\"fgsm\"", "\"auto-attack\""));
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("apgd-t: takes a model of at least 4 classes, and the data has 2"),
        "{err}"
    );
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(
        names,
        ["cat/a", "cat/a.png", "cat/img.1", "cat/img.2", "dog/b"]
    );
    let figures = std::fs::read_dir(holding(folder.path(), "figures").join("figures")).unwrap();
    let figures = figures.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    assert!(
        figures
            .into_iter()
            .any(|figure| figure.contains(">original, change ")),
        "there is no grid with originals"
    );
}

/// 0.05 is 12.75 of the 255 levels: the nearest one, 13, would be outside.
#[test]
fn image_files_are_inside_the_ball() {
    let folder = image_folder();
    let spec = "name = \"a\"\ntask = \"attack\"\ndata = { kind = \"image-folder\", dir = \"images\", image_size = [16, 16] }\n\
                model = { arch = \"mlp\" }\nattack = { kind = \"fgsm\", epsilon = 0.05 }\n";
    let (code, err) = run(folder.path(), spec);
    assert_eq!(code, 0, "{err}");
    let stage = holding(folder.path(), "examples.csv");
    let rows: Vec<ExampleRow> = table::read(&stage.join("examples.csv")).unwrap();
    let pixels = |path: PathBuf| image::open(path).unwrap().to_rgb8().into_raw();
    let mut largest = 0;
    for row in rows.iter().filter(|row| row.name != "cat/a.png") {
        let file = format!("{}.png", row.name);
        // What had the name first of two files is the JPEG.
        let original = match row.name.as_str() {
            "cat/a" => "cat/a.jpg",
            _ => file.as_str(),
        };
        let made = pixels(stage.join("adversarial").join(&file));
        let original = pixels(folder.path().join("images/test").join(original));
        for (made, original) in made.into_iter().zip(original) {
            largest = largest.max(made.abs_diff(original));
        }
    }
    assert_eq!(largest, 12);
}

/// Weights of a small mlp for digits, none of which is a number.
fn damaged_weights(path: &Path) {
    let config = ModelConfig {
        widths: Some(vec![4]),
        ..ModelConfig::new([1, 28, 28], 10)
    };
    let mut state = models::build("mlp", &config).unwrap().state().unwrap();
    for tensor in state.values_mut() {
        *tensor = (&*tensor * f64::NAN).unwrap();
    }
    save_safetensors(path, &state, HashMap::new()).unwrap();
}

#[test]
fn a_model_without_answers_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    damaged_weights(&folder.path().join("w.safetensors"));
    let data = "data = { kind = \"digits\", test_limit = 20, eval_batch_size = 8 }\n";
    let settings = "attack = { kind = \"fgsm\", epsilon = 0.1 }\n";
    let weights = "arch = \"mlp\", widths = [4], weights = \"w.safetensors\"";
    for (lines, expected) in [
        (
            format!("task = \"attack\"\n{data}{settings}model = {{ {weights} }}\n"),
            "mlp with w.safetensors: its logits of image 0 are not finite (NaN)",
        ),
        (
            format!(
                "task = \"transfer\"\n{data}{settings}transfer.models.a = {{ arch = \"mlp\" }}\n\
                 transfer.models.b = {{ {weights} }}\ntransfer.linbp = [false]\n"
            ),
            "transfer.models.b: mlp with w.safetensors: its logits of image 0 are not finite (NaN)",
        ),
        (
            format!(
                "task = \"evaluate\"\n{data}{settings}model = {{ {weights} }}\nevaluate.attacks = [\"fgsm\"]\n"
            ),
            "mlp with w.safetensors: its loss under fgsm is NaN",
        ),
    ] {
        let (code, err) = run(folder.path(), &format!("name = \"a\"\n{lines}"));
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(expected), "{err}");
    }
}

#[test]
fn images_made_of_files_are_judged_by_the_classes_of_the_files() {
    let folder = image_folder();
    let spec = r#"
name = "a"
data = { kind = "image-folder", dir = "images", image_size = [16, 16] }
model = { arch = "mlp" }
attack = { kind = "fgsm", epsilon = 0.1 }
[[stage]]
id = "craft"
task = "attack"
[[stage]]
id = "judge"
task = "evaluate"
data = { adversarial = "@craft" }
"#;
    let (code, err) = run(folder.path(), spec);
    assert_eq!(code, 0, "{err}");
}
