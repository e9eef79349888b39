//! Surrogates of several models.

use std::process::Command;

use crate::{SPEC, find, run};

const ENSEMBLES: &str = "{ both = [\"conv\", \"dense\"], losses = { models = [\"conv\", \"dense\"], mean = \"losses\" } }";

#[test]
fn an_ensemble_is_attacked_and_its_members_judge_what_is_white_box() {
    let folder = tempfile::tempdir().unwrap();
    let text = SPEC.replace("lr = 0.05, momentum = 0.9", "kind = \"adam\", lr = 0.003");
    let text = text.replace("epochs = 1", "epochs = 5");
    let text = text.replace(
        "epsilon = 0.2, step_size = 0.05",
        "epsilon = 0.06, step_size = 0.015",
    );
    let text = text.replace(
        "attacks = [\"fgsm\", \"pgd\"]",
        &format!("attacks = [\"mi-fgsm\"]\nensembles = {ENSEMBLES}\nsurrogates = [\"conv\", \"both\", \"losses\"]"),
    );
    std::fs::write(folder.path().join("t.toml"), &text).unwrap();
    run(folder.path());
    let table = std::fs::read_to_string(find(folder.path(), "transfer.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(rows.len(), 3 * 2 * 2, "{table}");
    let rate = |from: &str, to: &str| {
        let of = |row: &&Vec<&str>| row[..4] == [from, to, "mi-fgsm", "false"];
        rows.iter().find(of).unwrap()[6].parse::<f64>().unwrap()
    };
    for row in &rows {
        let expected = row[0] != "conv" || row[0] == row[1];
        assert_eq!(row[11], expected.to_string(), "{table}");
    }
    // What deceives both together deceives the second far more often than what was made on the first alone.
    for ensemble in ["both", "losses"] {
        assert!(
            rate(ensemble, "dense") > rate("conv", "dense") + 0.1,
            "{table}"
        );
    }

    for (ensembles, expected) in [
        (
            "{ both = [\"conv\"] }",
            "both: expected two or more of transfer.models, each once",
        ),
        (
            "{ both = [\"conv\", \"cnv\"] }",
            "both: expected two or more of transfer.models, each once",
        ),
        (
            "{ conv = [\"conv\", \"dense\"] }",
            "\"conv\" is one of transfer.models",
        ),
        (
            "{ both = { models = [\"conv\", \"dense\"], mean = \"loss\" } }",
            "a list of models, or { models = [",
        ),
    ] {
        let strange = text.replace(ENSEMBLES, ensembles);
        std::fs::write(folder.path().join("t.toml"), strange).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(folder.path())
            .args(["check", "t.toml"])
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(words.contains(expected), "{words}");
    }
}
