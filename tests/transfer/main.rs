//! Task `transfer`, from two models trained in the same spec to the matrix, its figures and its faults.

mod ensembles;
mod outside;
mod search;

use std::path::Path;
use std::process::{Command, Output};

use runner::experiment::plan;
use runner::spec::Request;

const SPEC: &str = r#"
name = "t"
seed = 1
data = { kind = "digits", train_limit = 2000, test_limit = 60, batch_size = 50, eval_batch_size = 25 }
optimizer = { lr = 0.05, momentum = 0.9 }
train = { epochs = 1 }
attack = { kind = "pgd", epsilon = 0.2, step_size = 0.05, k = 5 }
[[stage]]
id = "lenet"
task = "train"
model = { arch = "lenet5" }
[[stage]]
id = "mlp"
task = "train"
model = { arch = "mlp" }
[[stage]]
id = "matrix"
task = "transfer"
[stage.transfer]
attacks = ["fgsm", "pgd"]
[stage.transfer.models.conv]
arch = "lenet5"
weights = "@lenet"
[stage.transfer.models.dense]
arch = "mlp"
weights = "@mlp"
"#;

fn run(folder: &Path) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder)
        .args(["t.toml", "--results", "results"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The one file of that name under a folder.
fn find(folder: &Path, name: &str) -> std::path::PathBuf {
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|found| found == name) {
                return path;
            }
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    panic!("there is no {name}");
}

#[test]
fn judges_that_are_no_surrogates_need_not_have_the_linear_layers() {
    let folder = tempfile::tempdir().unwrap();
    let text = SPEC.replace(
        "attacks = [\"fgsm\", \"pgd\"]",
        "attacks = [\"pgd\", { kind = \"square\", n_queries = 5 }]\nsurrogates = [\"conv\"]",
    );
    let layers = "[[stage]]\nid = \"matrix\"\nlinbp = { layers = [\"relu4\"] }";
    let text = text.replace("[[stage]]\nid = \"matrix\"", layers);
    std::fs::write(folder.path().join("t.toml"), &text).unwrap();
    run(folder.path());
    let table = std::fs::read_to_string(find(folder.path(), "transfer.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    // Without gradients there is nothing for LinBP to change.
    let is_square = |row: &&Vec<&str>| row[2] == "square";
    assert!(rows.iter().filter(is_square).all(|row| row[3] == "false"));
    assert_eq!(rows.iter().filter(is_square).count(), 2, "{table}");
    assert_eq!(rows.len(), 2 * 2 + 2, "{table}");
    for row in rows {
        assert_eq!(row[0], "conv");
        let number = |text: &str| text.parse::<f64>().unwrap();
        // The images that both models have right are some of those that the judge has right.
        assert!(
            (0.0..=1.0).contains(&number(row[7])) && !row[6].is_empty(),
            "{table}"
        );
    }
    let strange = text.replace("surrogates = [\"conv\"]", "surrogates = [\"conf\"]");
    std::fs::write(folder.path().join("t.toml"), strange).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder.path())
        .args(["check", "t.toml"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.contains("surrogates: expected names of transfer.models, each once: they are [\"conv\", \"dense\"]"),
        "{words}"
    );
}

#[test]
fn the_matrix_of_two_trained_models() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.toml"), SPEC).unwrap();
    run(folder.path());
    let table = std::fs::read_to_string(find(folder.path(), "transfer.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(
        rows[0],
        [
            "from",
            "to",
            "attack",
            "linbp",
            "accuracy",
            "accuracy_8bit",
            "success_rate",
            "common_success_rate",
            "examples",
            "success_examples",
            "common_examples",
            "white_box"
        ]
    );
    assert_eq!(rows.len(), 1 + 2 * 2 * 2 * 2, "{table}");
    let number = |text: &str| text.parse::<f64>().unwrap();
    let mean = |from: &str, to: &str| {
        let rows = rows[1..]
            .iter()
            .filter(|row| row[0] == from && row[1] == to);
        let values: Vec<f64> = rows.map(|row| number(row[4])).collect();
        assert_eq!(values.len(), 4);
        values.iter().sum::<f64>() / 4.0
    };
    for (one, other) in [("conv", "dense"), ("dense", "conv")] {
        assert!(
            mean(one, one) < mean(one, other),
            "an attack hits the model that it was made on hardest:\n{table}"
        );
    }
    for row in &rows[1..] {
        for value in &row[4..8] {
            assert!((0.0..=1.0).contains(&number(value)), "{table}");
        }
        assert_eq!(row[8], "60");
        assert!(number(row[10]) <= number(row[9]), "{table}");
    }
    for figure in ["transfer-fgsm", "transfer-pgd"] {
        let svg =
            std::fs::read_to_string(find(folder.path(), &format!("{figure}-matrix.svg"))).unwrap();
        assert!(svg.contains("conv") && svg.contains("dense"), "{figure}");
    }
}

/// A model says nothing twice: what the stage that trains it says counts, its own words first.
#[test]
fn a_model_of_a_stage_is_built_as_there() {
    let models = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, text).unwrap();
        let request = Request {
            spec: file,
            ..Request::default()
        };
        let planned = plan(&request).unwrap_or_else(|error| panic!("{error}"));
        let task = &planned.runs[0].spec.stages[2].task;
        let models = task.models().into_iter().map(|(_, model)| model.clone());
        models.collect::<Vec<_>>()
    };
    let widths = SPEC.replace(
        "model = { arch = \"mlp\" }",
        "model = { arch = \"mlp\", widths = [30, 20] }",
    );
    let (before, after) = widths.split_once("[stage.transfer.models.conv]").unwrap();
    let said = after.replace("arch = \"mlp\"", "arch = \"mlp\"\nwidths = [30, 20]");
    let unsaid = after
        .replace("arch = \"lenet5\"\n", "")
        .replace("arch = \"mlp\"\n", "");
    let with = |after: &str| models(&format!("{before}[stage.transfer.models.conv]{after}"));
    assert_eq!(with(&unsaid), with(&said));
    let other = with(&said.replace("[30, 20]", "[30, 10]"));
    assert_ne!(with(&unsaid), other, "its own words count");
}

fn remarks(text: &str) -> Result<Vec<String>, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, text).unwrap();
    let prefix = format!("{}/", folder.path().display());
    let lines = |text: &str| -> Vec<String> {
        text.replace(&prefix, "")
            .lines()
            .map(str::to_owned)
            .collect()
    };
    match plan(&Request {
        spec: file,
        ..Request::default()
    }) {
        Ok(plan) => Ok(lines(&plan.warnings.join("\n"))),
        Err(error) => Err(lines(&error.to_string())),
    }
}

#[test]
fn bad_specs_and_their_words() {
    let base = "task = \"transfer\"\ndata = { kind = \"digits\" }\nattack = { kind = \"fgsm\", epsilon = 0.1 }\n";
    for (text, expected) in [
        (
            "[transfer]\nadversarial = { a = \"x.npz\" }\nmodels.a = { arch = \"lenet5\", weights = \"w\" }\n",
            "a.toml:5: transfer.adversarial: \"a\" is a model or an ensemble; give these images another name",
        ),
        (
            "[transfer]\nadversarial = { b = \"@c\" }\nmodels.a = { arch = \"lenet5\", weights = \"w\" }\n",
            "a.toml:5: transfer.adversarial.b: refers to the stage \"c\", and this spec lists no [[stage]]",
        ),
        (
            "[transfer]\nimages = \"all\"\nmodels.a = { arch = \"lenet5\", weights = \"w\" }\n",
            "a.toml:5: transfer.images: expected one of \"right-for-surrogate\", \"right-for-all\", found \"all\"",
        ),
        (
            "",
            "a.toml: transfer.models: missing; The models, each a table with the keys of `[model]` under its name: \
             transfer.models.NAME.arch and so on",
        ),
        (
            "[transfer]\nmodels = [\"a\"]\n",
            "a.toml:5: transfer.models: expected at least one table NAME = { arch = ..., weights = ... }, found [\"a\"]",
        ),
        (
            "[transfer.models.a]\narch = \"resnet5\"\nweights = \"w\"\n",
            "a.toml:5: transfer.models.a.arch: expected an architecture that `runner models` lists, found \"resnet5\"; did you mean \
             \"resnet50\"?",
        ),
        (
            "[transfer.models.a]\narch = \"lenet5\"\nweight = \"w\"\n",
            "a.toml:6: transfer.models.a.weight: unknown key; did you mean \"weights\"?",
        ),
        (
            "[transfer.models.a]\narch = \"lenet5\"\nweights = \"@b\"\n",
            "a.toml:6: transfer.models.a.weights: refers to the stage \"b\", and this spec lists no [[stage]]",
        ),
        (
            "[transfer]\nlinbp = []\nmodels.a = { arch = \"lenet5\", weights = \"w\" }\n",
            "a.toml:5: transfer.linbp: expected [false], [true] or [false, true]",
        ),
        (
            "[transfer]\nattacks = [\"fgsm\", \"fgsm\"]\nmodels.a = { arch = \"lenet5\", weights = \"w\" }\n",
            "a.toml:5: transfer.attacks: expected each attack at most once; a table { name = ..., kind = ... } can give it another \
             name",
        ),
    ] {
        let faults = remarks(&format!("{base}{text}")).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault == expected),
            "{faults:#?}\n{expected}"
        );
    }
    let sound = format!("{base}[transfer.models.a]\narch = \"lenet5\"\nweights = \"w\"\n");
    assert_eq!(remarks(&sound), Ok(vec![]));
    let idle = format!("{sound}[linbp]\nattack = true\n");
    assert_eq!(
        remarks(&idle),
        Ok(vec![
            "a.toml:8: linbp.attack: has no effect: transfer.linbp says with and without, or which"
                .into()
        ])
    );
    let queries = sound.replace("\"fgsm\"", "\"square\"");
    assert_eq!(remarks(&queries), Ok(vec![]));
    assert_eq!(
        remarks(&format!("{queries}[transfer]\nlinbp = [true]\n").replace(
            "[transfer.models.a]\narch = \"lenet5\"\nweights = \"w\"\n[transfer]\n",
            "[transfer]\nmodels.a = { arch = \"lenet5\", weights = \"w\" }\n"
        )),
        Ok(vec![
            "a.toml:6: transfer.linbp: has no effect: square asks for logits alone, and LinBP changes gradients"
                .into()
        ])
    );
    let staged = SPEC.replace("@mlp", "@matrix");
    let faults = remarks(&staged).unwrap_err();
    assert!(
        faults[0].ends_with(
            "stage.matrix.transfer.models.dense.weights: refers to its own stage \"matrix\""
        ),
        "{faults:?}"
    );
}
