//! Tables, checkpoints and folders that are damaged between two starts, or while the run goes on.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::program::{SPEC, command, fail, finish, folder, left, run_folder};

/// A run that failed after its last checkpoint: its final weights could not be written. Also what to remove so that the
/// same command goes on.
fn unfinished() -> (tempfile::TempDir, std::path::PathBuf) {
    let broken = folder(SPEC);
    finish(broken.path());
    let run = run_folder(broken.path());
    for file in ["run.json", "stage.json", "checkpoints/final.safetensors"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    (broken, run)
}

/// What becomes of the text of `metrics.csv`, and the line that says so.
type Damage = (fn(&str) -> String, &'static str);

const DAMAGES: [Damage; 5] = [
    (|_| String::new(), "6 of 6 rows were missing"),
    (
        |text| text[..text.len() / 2].to_owned(),
        " of 6 rows were missing",
    ),
    (
        |text| text[..text.len() - 3].to_owned(),
        "1 of 6 rows were missing",
    ),
    (
        |text| text.to_owned() + text.split_once('\n').unwrap().1,
        "6 rows stood twice",
    ),
    (without_third_row, "1 of 6 rows were missing"),
];

fn without_third_row(text: &str) -> String {
    let lines = text.lines().enumerate().filter(|(i, _)| *i != 3);
    lines.map(|(_, line)| format!("{line}\n")).collect()
}

#[test]
fn rows_that_are_lost_between_two_starts_are_restored_with_a_line() {
    let whole = folder(SPEC);
    finish(whole.path());
    for (damage, line) in DAMAGES {
        let (broken, run) = unfinished();
        let path = run.join("metrics.csv");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, damage(&text)).unwrap();
        let said = finish(broken.path());
        assert!(
            said.contains("metrics.csv: ") && said.contains(line),
            "{said}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(left(broken.path()), left(whole.path()));
        let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
        assert!(log.contains(line), "{log}");
    }
    let (broken, run) = unfinished();
    fs::remove_file(run.join("metrics.csv")).unwrap();
    let said = finish(broken.path());
    assert!(said.contains("6 of 6 rows were missing"), "{said}");
    assert_eq!(left(broken.path()), left(whole.path()));
}

#[test]
fn a_changed_row_is_refused() {
    let (broken, run) = unfinished();
    let path = run.join("metrics.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(",100,", ",101,")).unwrap();
    let said = fail(broken.path());
    assert!(
        said.contains("metrics.csv: stage main, epoch 1, ")
            && said.contains("examples is 101, and 100 in the checkpoint"),
        "{said}"
    );
    // As it advises.
    fs::remove_file(&path).unwrap();
    finish(broken.path());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_finished_run_that_lost_rows_is_not_finished() {
    let broken = folder(SPEC);
    finish(broken.path());
    assert!(finish(broken.path()).contains("finished before"));
    let run = run_folder(broken.path());
    let path = run.join("metrics.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, without_third_row(&text)).unwrap();
    let said = fail(broken.path());
    assert!(
        said.contains("metrics.csv: has 6 lines, and had 7 when its stage finished; remove "),
        "{said}"
    );
    // As it advises.
    fs::remove_file(run.join("run.json")).unwrap();
    finish(broken.path());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

/// Also where the rows are those of a stage with a folder of its own.
#[test]
fn a_finished_experiment_that_lost_rows_is_not_finished() {
    let text = SPEC.replace("task = \"train\"\n", "");
    let (top, sections) = text.split_once("[data]").unwrap();
    let stage = "[[stage]]\nid = \"a\"\ntask = \"train\"\n";
    let broken = folder(&format!("{top}[data]{sections}{stage}"));
    finish(broken.path());
    let run = run_folder(broken.path());
    let stages = fs::read_dir(run.parent().unwrap().join("stages")).unwrap();
    let stage = stages.map(|entry| entry.unwrap().path()).next().unwrap();
    let tables = [&stage, &run].map(|folder| folder.join("metrics.csv"));
    let text = fs::read_to_string(&tables[0]).unwrap();
    for (table, line) in tables
        .iter()
        .zip(["metrics.csv: has 6 lines", "metrics.csv: lacks 1 rows of"])
    {
        fs::write(table, without_third_row(&text)).unwrap();
        let said = fail(broken.path());
        assert!(said.contains(line) && !said.contains(".."), "{said}");
        fs::remove_file(run.join("run.json")).unwrap();
        finish(broken.path());
    }
    assert_eq!(fs::read_to_string(&tables[0]).unwrap(), text);
    assert_eq!(fs::read_to_string(&tables[1]).unwrap().lines().count(), 7);
}

#[test]
fn a_finished_attack_or_simulation_that_lost_rows_is_not_finished() {
    let attack = "name = \"run\"\ntask = \"attack\"\ndata = { kind = \"digits\", test_limit = 20 }\n\
                  model = { arch = \"mlp\", weights = \"w.safetensors\" }\nattack = { kind = \"fgsm\", epsilon = 0.1 }\n";
    let simulation = "name = \"run\"\ntask = \"simulate\"\n[simulate]\nkind = \"two-layer-attack\"\nrepeats = 3\n\
                      steps = 5\n";
    for (spec, table) in [(attack, "examples.csv"), (simulation, "simulation.csv")] {
        let broken = folder(spec);
        if table == "examples.csv" {
            let trained = folder(&SPEC.replace("widths = [16]\n", ""));
            finish(trained.path());
            let weights = run_folder(trained.path()).join("checkpoints/final.safetensors");
            fs::copy(weights, broken.path().join("w.safetensors")).unwrap();
        }
        finish(broken.path());
        let run = run_folder(broken.path());
        let text = fs::read_to_string(run.join(table)).unwrap();
        fs::write(run.join(table), without_third_row(&text)).unwrap();
        let said = fail(broken.path());
        assert!(said.contains(&format!("{table}: has ")), "{said}");
        fs::remove_file(run.join("run.json")).unwrap();
        if table == "examples.csv" {
            finish(broken.path());
            assert_eq!(fs::read_to_string(run.join(table)).unwrap(), text);
        } else {
            // A gap in the middle cannot have come of a kill, and is named.
            let said = fail(broken.path());
            assert!(said.contains("simulation.csv: found the line"), "{said}");
        }
    }
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    let byte = bit / 8 % bytes.len();
    bytes[byte] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_bit_in_a_checkpoint_changes_no_result() {
    let spec = SPEC.replace("keep = 1", "keep = 3");
    let whole = folder(&spec);
    finish(whole.path());
    for bit in [5, 4_003, 20_011, 300_001, 1_000_001] {
        let broken = folder(&spec);
        finish(broken.path());
        let run = run_folder(broken.path());
        for file in ["run.json", "stage.json", "checkpoints/final.safetensors"] {
            fs::remove_file(run.join(file)).unwrap();
        }
        flip(&run.join("checkpoints/e0003-s00000012.safetensors"), bit);
        let said = finish(broken.path());
        assert!(
            said.contains("e0003-s00000012.safetensors: ")
                && said.contains("going on from e0002-s00000008.safetensors instead"),
            "{said}"
        );
        assert_eq!(left(broken.path()), left(whole.path()));
    }
    let bit = 1_000_001;
    let path = run_folder(whole.path()).join("checkpoints/final.safetensors");
    flip(&path, bit);
    let (weights, spec) = (path.display(), whole.path().join("spec.toml"));
    fs::write(
        spec,
        format!(
            "name = \"judge\"\ntask = \"evaluate\"\ndata = {{ kind = \"digits\", test_limit = 20 }}\n\
             model = {{ arch = \"mlp\", widths = [16], weights = \"{weights}\" }}\n"
        ),
    )
    .unwrap();
    let output = command(whole.path()).output().unwrap();
    let said = crate::program::said(&output);
    assert!(
        !output.status.success() && said.contains("does not fit its checksum"),
        "{said}"
    );
}

#[test]
fn a_checkpoint_of_another_spec_is_named_and_an_older_one_taken() {
    let spec = SPEC.replace("keep = 1", "keep = 3");
    let other = folder(&spec.replace("[16]", "[8]"));
    finish(other.path());
    let (whole, broken) = (folder(&spec), folder(&spec));
    finish(whole.path());
    finish(broken.path());
    let run = run_folder(broken.path());
    for file in ["run.json", "stage.json", "checkpoints/final.safetensors"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    let name = "checkpoints/e0003-s00000012.safetensors";
    fs::copy(run_folder(other.path()).join(name), run.join(name)).unwrap();
    let said = finish(broken.path());
    assert!(
        said.contains("e0003-s00000012.safetensors: does not belong to this spec: tensor ")
            && said.contains("going on from e0002-s00000008.safetensors instead"),
        "{said}"
    );
    assert_eq!(left(broken.path()), left(whole.path()));
}

/// A folder that is removed, or removed and made again, while the run goes on.
#[test]
fn a_run_whose_folder_was_removed_is_not_finished() {
    for made_again in [false, true] {
        let broken = folder(&SPEC.replace("epochs = 3", "epochs = 3000"));
        let child = command(broken.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let results = broken.path().join("results/run");
        let begun = || {
            let runs = fs::read_dir(&results).into_iter().flatten().flatten();
            let mut last = runs.map(|run| run.path().join("checkpoints/last"));
            last.any(|last| last.exists())
        };
        while !begun() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let run = run_folder(broken.path());
        fs::rename(&run, broken.path().join("gone")).unwrap();
        if made_again {
            fs::create_dir(&run).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let said = crate::program::said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("was removed, moved or replaced while the run went on"),
            "{said}"
        );
        let left = fs::read_dir(&run).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing is written into another folder");
    }
}
