//! Weights and data that change between two starts.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{run, runner, runs};

/// Evaluates the weights in `w.safetensors`.
const JUDGE: &str = "name = \"judge\"\ntask = \"evaluate\"\ndata = { kind = \"digits\", test_limit = 50 }\n\
                     model = { arch = \"mlp\", weights = \"w.safetensors\" }\n";
/// Learns the images in `images`, as often as it is let.
const LEARN: &str = "name = \"learn\"\ntask = \"train\"\ndata = { kind = \"image-folder\", dir = \"images\" }\n\
                     model = { arch = \"mlp\", widths = [8] }\noptimizer = { lr = 0.1 }\ntrain = { epochs = 100000 }\n\
                     checkpoint = { every = \"1 step\" }\n";

/// Trains with a seed and puts the weights where the evaluation takes them from.
fn put_weights(folder: &Path, seed: u64) {
    let spec = "name = \"t\"\ntask = \"train\"\ndata = { kind = \"digits\", train_limit = 50, test_limit = 20 }\n\
                model = { arch = \"mlp\" }\noptimizer = { lr = 0.1 }\ntrain = { epochs = 1 }\n";
    std::fs::write(folder.join("t.toml"), spec).unwrap();
    let (code, out, err) = run(folder, &["t.toml", &format!("seed={seed}")]);
    assert_eq!(code, 0, "{err}");
    let trained = out.split(": ").next().unwrap();
    let weights = folder.join(trained).join("checkpoints/final.safetensors");
    std::fs::copy(weights, folder.join("w.safetensors")).unwrap();
}

fn draw(path: &Path, colour: [u8; 3]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::ImageBuffer::from_pixel(8, 8, image::Rgb(colour))
        .save(path)
        .unwrap();
}

/// Two classes of two images.
fn put_images(folder: &Path) {
    for split in ["train", "test"] {
        for (class, value) in [("dark", 10), ("light", 200)] {
            for number in 0..2u8 {
                let path = folder.join(format!("images/{split}/{class}/{number}.png"));
                draw(&path, [value, value + number, value]);
            }
        }
    }
}

fn record(folder: &Path, name: &str, run: &str) -> Value {
    let path = folder.join("results").join(name).join(run).join("run.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Starts the training, kills it once rows stand, and gives its folder.
fn killed(folder: &Path) -> PathBuf {
    let mut child = runner(folder, &["learn.toml"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let named = folder.join("results/learn");
    let rows = |path: &Path| {
        std::fs::read_to_string(path.join("metrics.csv")).is_ok_and(|text| text.lines().count() > 4)
    };
    loop {
        let entries = std::fs::read_dir(&named).into_iter().flatten().flatten();
        if let Some(found) = entries.map(|entry| entry.path()).find(|path| rows(path)) {
            child.kill().unwrap();
            child.wait().unwrap();
            return found;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn other_weights_behind_the_same_path_give_a_new_run_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("judge.toml"), JUDGE).unwrap();
    put_weights(folder, 1);
    let first = std::fs::read(folder.join("w.safetensors")).unwrap();
    let (code, out, err) = run(folder, &["judge.toml"]);
    assert_eq!(code, 0, "{err}");
    let one = runs(folder, "judge").remove(0);
    let input = record(folder, "judge", &one)["inputs"][0].clone();
    assert_eq!(
        (&input["what"], &input["path"]),
        (&"weights".into(), &"w.safetensors".into())
    );
    assert_eq!(input["hash"], blake3::hash(&first).to_hex().as_str());

    put_weights(folder, 2);
    let (code, shown, _) = run(folder, &["judge.toml", "--dry-run"]);
    assert!(
        code == 0 && shown.contains(&format!("{one}.2: new, weights of w.safetensors changed")),
        "{shown}"
    );
    let (code, again, err) = run(folder, &["judge.toml"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        again.starts_with(&format!("results/judge/{one}.2: finished\n")),
        "{again}"
    );
    assert_ne!(
        out.lines().nth(1),
        again.lines().nth(1),
        "other weights, other numbers"
    );
    let because = format!(
        "run anew: weights of w.safetensors changed (content {}",
        &blake3::hash(&first).to_hex()[..8]
    );
    assert!(err.contains(&because), "{err}");
    let log =
        std::fs::read_to_string(folder.join(format!("results/judge/{one}.2/log.jsonl"))).unwrap();
    assert!(log.contains(&because), "{log}");
    let (_, again, _) = run(folder, &["judge.toml"]);
    assert!(
        again.starts_with(&format!("results/judge/{one}.2: finished before")),
        "{again}"
    );

    // What was there before was evaluated before.
    std::fs::write(folder.join("w.safetensors"), &first).unwrap();
    let (_, again, _) = run(folder, &["judge.toml"]);
    assert!(
        again.starts_with(&format!("results/judge/{one}: finished before")),
        "{again}"
    );
    assert_eq!(out.lines().nth(1), again.lines().nth(1));
    // --fresh takes the place of that run and leaves the other one.
    let (_, again, _) = run(folder, &["judge.toml", "--fresh"]);
    assert!(
        again.starts_with(&format!("results/judge/{one}: finished\n")),
        "{again}"
    );
    assert_eq!(runs(folder, "judge"), [one.clone(), format!("{one}.2")]);
    let (code, listed, _) = run(folder, &["list", "judge"]);
    assert!(
        code == 0 && listed.contains(&format!("{one}.2 ")),
        "{listed}"
    );
    let (code, _, err) = run(folder, &["report", "judge"]);
    assert_eq!(code, 0, "{err}");
    let summary = std::fs::read_to_string(folder.join("results/judge/summary.csv")).unwrap();
    assert!(
        summary.contains(&format!("\njudge/{one}.2,finished")),
        "{summary}"
    );
}

#[test]
fn a_stage_that_reads_changed_weights_gets_another_folder_and_others_are_reused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let stage = |id: &str, model: &str| {
        format!("[[stage]]\nid = \"{id}\"\nmodel = {{ arch = \"mlp\"{model} }}\n")
    };
    let text =
        "name = \"two\"\ntask = \"evaluate\"\ndata = { kind = \"digits\", test_limit = 20 }\n"
            .to_owned()
            + &stage("loaded", ", weights = \"w.safetensors\"")
            + &stage("random", "");
    std::fs::write(folder.join("two.toml"), text).unwrap();
    put_weights(folder, 1);
    assert_eq!(run(folder, &["two.toml"]).0, 0);
    put_weights(folder, 2);
    let (code, _, err) = run(folder, &["two.toml"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("random: finished before, 20") && !err.contains("loaded: finished before"),
        "{err}"
    );
    let stages = std::fs::read_dir(folder.join("results/two/stages")).unwrap();
    let names: Vec<String> = stages
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let count = |id: &str| names.iter().filter(|name| name.starts_with(id)).count();
    assert_eq!((count("loaded-"), count("random-")), (2, 1), "{names:?}");
}

#[test]
fn an_unfinished_run_does_not_go_on_with_other_images() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("learn.toml"), LEARN).unwrap();
    put_images(folder);
    let path = killed(folder);
    let rows = std::fs::read(path.join("metrics.csv")).unwrap();
    let replaced = folder.join("images/train/dark/0.png");
    let before = std::fs::read(&replaced).unwrap();
    draw(&replaced, [11, 13, 17]);
    assert_eq!(
        std::fs::metadata(&replaced).unwrap().len(),
        before.len() as u64,
        "the same size"
    );
    let (code, _, err) = run(folder, &["learn.toml"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("training images of images changed (content "),
        "{err}"
    );
    assert!(
        err.contains("put back what was there to go on, or start again with --fresh"),
        "{err}"
    );
    assert!(!err.contains("test images"), "{err}");
    assert_eq!(
        std::fs::read(path.join("metrics.csv")).unwrap(),
        rows,
        "nothing was mixed"
    );
    let (_, shown, _) = run(folder, &["learn.toml", "--dry-run"]);
    assert!(
        shown.contains(": interrupted, training images of images changed"),
        "{shown}"
    );

    // With the old image it goes on, in the same folder.
    std::fs::write(&replaced, before).unwrap();
    assert_eq!(killed(folder), path);
    // An image more is another set too; --fresh begins with it.
    draw(&folder.join("images/test/light/9.png"), [1, 2, 3]);
    let (code, _, err) = run(folder, &["learn.toml"]);
    assert!(
        code == 1 && err.contains("test images of images changed"),
        "{err}"
    );
    let mut child = runner(folder, &["learn.toml", "--fresh"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let moved = folder.join("results/learn/earlier");
    // The folder is there before the old run is in it.
    let count = || std::fs::read_dir(&moved).map_or(0, Iterator::count);
    while count() == 0 || !path.join("metrics.csv").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(count(), 1);
}

/// A run that came to nothing because of its data may be started again with better data.
#[test]
fn mended_data_need_no_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("learn.toml"), LEARN.replace("100000", "1")).unwrap();
    put_images(folder);
    let bad = folder.join("images/train/light/1.png");
    std::fs::write(&bad, "no image").unwrap();
    let (code, _, err) = run(folder, &["learn.toml"]);
    assert!(code == 1 && err.contains("light/1.png"), "{err}");
    let path = folder.join("results/learn").join(&runs(folder, "learn")[0]);
    assert!(
        !path.join("metrics.csv").exists(),
        "a failed run has no table of no rows"
    );
    let log = std::fs::read_to_string(path.join("log.jsonl")).unwrap();
    let error = err.lines().last().unwrap().strip_prefix("error: ").unwrap();
    assert!(
        log.contains("\"level\":\"ERROR\"") && log.contains(error),
        "{log}"
    );
    draw(&bad, [1, 2, 3]);
    let (code, _, err) = run(folder, &["learn.toml"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(runs(folder, "learn").len(), 1);
}

/// A run of a version that did not record inputs is taken to have had the present ones.
#[test]
fn a_record_without_inputs_matches() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("judge.toml"), JUDGE).unwrap();
    put_weights(folder, 1);
    assert_eq!(run(folder, &["judge.toml"]).0, 0);
    let one = runs(folder, "judge").remove(0);
    let mut old = record(folder, "judge", &one);
    let fields = old.as_object_mut().unwrap();
    for key in ["inputs", "programs", "figures_missing"] {
        fields.remove(key).unwrap();
    }
    std::fs::write(
        folder.join(format!("results/judge/{one}/run.json")),
        old.to_string(),
    )
    .unwrap();
    put_weights(folder, 2);
    let (code, out, err) = run(folder, &["judge.toml"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.starts_with(&format!("results/judge/{one}: finished before")),
        "{out}"
    );
}
