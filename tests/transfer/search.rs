//! The search for linear activations.

use std::path::Path;
use std::process::Command;

use crate::{SPEC, find, run};

fn spec(settings: &str) -> String {
    let text = SPEC.replace(
        "attacks = [\"fgsm\", \"pgd\"]",
        &format!("attacks = [\"pgd\"]\nsurrogates = [\"conv\"]\n{settings}"),
    );
    let searched = "[[stage]]\nid = \"matrix\"\nlinbp = { layers = \"search\" }";
    // Models that have learned something: others have no image right together.
    let text = text.replace("lr = 0.05, momentum = 0.9", "kind = \"adam\", lr = 0.003");
    text.replace("[[stage]]\nid = \"matrix\"", searched)
}

fn rows(folder: &Path) -> Vec<Vec<String>> {
    let table = std::fs::read_to_string(find(folder, "layer_search.csv")).unwrap();
    let header = "surrogate,attack,layers,depth,images,success_rate,loss,chosen";
    assert_eq!(table.lines().next(), Some(header));
    let rows = table.lines().skip(1);
    rows.map(|line| line.split(',').map(str::to_owned).collect())
        .collect()
}

#[test]
fn the_choice_is_the_best_of_the_curve_and_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "search = { images = 40, depth = 3 }";
    std::fs::write(folder.path().join("t.toml"), spec(settings)).unwrap();
    let said = run(folder.path());
    let found = rows(folder.path());
    let layers: Vec<&str> = found.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(layers, ["", "from:relu4", "from:relu3", "from:relu2"]);
    let rate = |row: &[String]| row[5].parse::<f64>().unwrap();
    let best = found[1..].iter().map(|row| rate(row)).fold(0.0, f64::max);
    let chosen: Vec<&Vec<String>> = found.iter().filter(|row| row[7] == "true").collect();
    assert_eq!(chosen.len(), 1, "{found:?}");
    assert_eq!(rate(chosen[0]), best, "{found:?}");
    let said = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.contains(&format!("linbp.layers = {} for pgd", chosen[0][2])),
        "{said}"
    );
    find(folder.path(), "layers-conv-pgd-matrix.svg");

    // The same by hand is the same images.
    let table = |folder: &Path| std::fs::read_to_string(find(folder, "transfer.csv")).unwrap();
    let by_hand = tempfile::tempdir().unwrap();
    let named = spec("").replace("\"search\"", &format!("\"{}\"", chosen[0][2]));
    std::fs::write(by_hand.path().join("t.toml"), named).unwrap();
    run(by_hand.path());
    assert_eq!(table(folder.path()), table(by_hand.path()));

    let again = tempfile::tempdir().unwrap();
    let single = settings.replace("depth = 3", "range = \"single\", judges = [\"dense\"]");
    std::fs::write(again.path().join("t.toml"), spec(&single)).unwrap();
    run(again.path());
    let singles = rows(again.path());
    // The last one alone is the same choice in both.
    assert_eq!(singles[1][2], "\"[\"\"relu4\"\"]\"", "{singles:?}");
    assert_eq!(
        [&singles[0][5], &singles[1][5]],
        [&found[0][5], &found[1][5]]
    );

    // Without another model the loss of its own decides.
    let alone = tempfile::tempdir().unwrap();
    let text = spec("eight_bit = false\nsearch = { images = 40, judges = [] }");
    std::fs::write(alone.path().join("t.toml"), text).unwrap();
    run(alone.path());
    let found = rows(alone.path());
    let loss = |row: &[String]| row[6].parse::<f64>().unwrap();
    let most = found[1..].iter().map(|row| loss(row)).fold(0.0, f64::max);
    let chosen = found.iter().find(|row| row[7] == "true").unwrap();
    assert_eq!(loss(chosen), most, "{found:?}");
    let judged = table(alone.path());
    assert!(
        judged
            .lines()
            .skip(1)
            .all(|line| line.split(',').nth(5) == Some("")),
        "{judged}"
    );
}

/// Networks of one epoch on a few images may have none right together, and a trial run ends all the same.
#[test]
fn a_trial_run_searches_little() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.toml"), spec("")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder.path())
        .args(["t.toml", "--smoke"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found = rows(folder.path());
    assert_eq!(found.len(), 3, "{found:?}");
    let images = |row: &[String]| row[4].parse::<usize>().unwrap();
    assert!(found.iter().all(|row| images(row) <= 64), "{found:?}");
}

#[test]
fn the_training_images_belong_to_the_data_of_a_search() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mnist");
    std::fs::create_dir(&data).unwrap();
    let idx = |shape: &[u32], values: Vec<u8>| {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        shape.iter().for_each(|n| bytes.extend(n.to_be_bytes()));
        bytes.extend(values);
        bytes
    };
    let images = idx(&[2, 28, 28], vec![7; 2 * 784]);
    std::fs::write(data.join("t10k-images-idx3-ubyte"), images).unwrap();
    std::fs::write(data.join("t10k-labels-idx1-ubyte"), idx(&[2], vec![3, 4])).unwrap();
    let described = |layers: &str| {
        let text = format!(
            "task = \"transfer\"\nattack = {{ kind = \"fgsm\", epsilon = 0.1 }}\nlinbp.layers = \"{layers}\"\n\
             data = {{ kind = \"mnist\", dir = \"mnist\" }}\n\
             [transfer.models]\na = {{ arch = \"lenet5\", weights = \"w.safetensors\" }}\n"
        );
        std::fs::write(folder.path().join("t.toml"), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(folder.path())
            .args(["data", "info", "t.toml"])
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (sound, said) = described("search");
    assert!(!sound && said.contains("train-images-idx3-ubyte"), "{said}");
    let (sound, said) = described("all");
    assert!(sound, "{said}");
}
