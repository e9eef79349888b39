//! Networks that the spec writes down, from the check to the weights that they leave.

use std::fs;
use std::path::Path;

use crate::program::{repository, run, runs};

const TRAIN: &str = "\
task = \"train\"
optimizer.lr = 0.05
train.epochs = 2
[data]
kind = \"digits\"
train_limit = 64
test_limit = 16
batch_size = 16
[model]
layers = [
    \"conv 4 3x3 stride=2 pad=1\", \"batch-norm\", \"relu\",
    { residual = [\"conv 4 3x3 pad=1\", \"relu\", \"conv 4 3x3 pad=1\"] },
    \"relu\", \"max-pool 2\", \"flatten\", \"dropout 0.1\", \"linear 10\",
]
";

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn shapes_are_checked_before_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = TRAIN
        .replace("\"flatten\", ", "")
        .replace("\"conv 4 3x3 pad=1\"]", "\"conv 4 3x3\"]")
        .replace("linear 10", "linear 9");
    write(folder, "t.toml", &text);
    let expected = [
        "t.toml: model.layers[3]: expected a residual branch and a shortcut of one shape, found 4x12x12 and 4x14x14 where \
         4x14x14 enters",
        "t.toml: model.layers[7] \"linear 9\": expected a flat input, found 4x6x6; put \"flatten\" before it",
        "t.toml: model.layers[7] \"linear 9\": expected 10 numbers after the last layer, one a class of the data, found 9 \
         numbers; end with \"linear 10\"",
    ];
    let (code, out, err) = run(folder, &["check", "t.toml"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err.replace("error: ", "").lines().collect::<Vec<_>>(),
        expected
    );
    let (code, _, err) = run(folder, &["t.toml"]);
    assert_eq!(code, 2);
    assert!(err.contains("model.layers[7]"), "{err}");
    assert!(!folder.join("results").exists(), "nothing has begun");

    write(folder, "t.toml", TRAIN);
    assert_eq!(run(folder, &["check", "t.toml"]).0, 0);
    let (code, _, err) = run(folder, &["check", "t.toml", "linbp.train=true"]);
    assert_eq!(code, 2);
    assert!(
        err.contains(
            "makes none of this sequential's activations linear (2, 3.body.1, 4): name some"
        ),
        "{err}"
    );
    let named = [
        "check",
        "t.toml",
        "linbp.train=true",
        "linbp.layers=from:3.body.1",
    ];
    assert_eq!(run(folder, &named).0, 0);
    let branch = [&named[..], &["linbp.variant=rescaled"]].concat();
    assert_eq!(run(folder, &branch).0, 0);
}

#[test]
fn what_a_file_remarks_of_its_network_is_said_before_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = repository().join("tests/fixtures/onnx/digits.onnx");
    let text = format!(
        "task = \"evaluate\"\n[data]\nkind = \"digits\"\ntest_limit = 20\nnormalize = {{ mean = [0.1], std = [0.3] }}\n\
         [model]\narch = \"onnx:{}\"\n",
        file.display()
    );
    write(folder.path(), "t.toml", &text);
    for args in [&["check", "t.toml"][..], &["t.toml"]] {
        let (code, _, err) = run(folder.path(), args);
        assert_eq!(code, 0, "{err}");
        assert_eq!(
            err.matches("standardises its images itself").count(),
            1,
            "{err}"
        );
    }
    let text = text.replace("normalize", "# normalize");
    write(folder.path(), "t.toml", &text);
    let (_, _, err) = run(folder.path(), &["check", "t.toml"]);
    assert_eq!(err, "");
}

#[test]
fn classes_that_the_files_tell_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for class in ["a", "b"] {
        for split in ["train", "test"] {
            let path = folder.join("images").join(split).join(class);
            fs::create_dir_all(&path).unwrap();
            image::RgbImage::new(8, 8).save(path.join("0.png")).unwrap();
        }
    }
    let text = "task = \"evaluate\"\ndata = { kind = \"image-folder\", dir = \"images\", image_size = [8, 8] }\n\
                model.layers = [\"flatten\", \"linear 3\"]\n";
    write(folder, "e.toml", text);
    let (code, _, err) = run(folder, &["check", "e.toml"]);
    assert_eq!(code, 1);
    let fault = "error: e.toml: model.layers[1] \"linear 3\": expected 2 numbers after the last layer, one a class of the data";
    assert!(err.contains(fault), "{err}");
    write(folder, "e.toml", &text.replace("linear 3", "linear 2"));
    let (code, _, err) = run(folder, &["check", "e.toml"]);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn weights_know_their_layers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "t.toml", TRAIN);
    let (code, _, err) = run(folder, &["t.toml"]);
    assert_eq!(code, 0, "{err}");
    let results = folder.join("results/t").join(&runs(folder, "t")[0]);
    // The resolved spec is the run's own.
    fs::copy(results.join("spec.toml"), folder.join("again.toml")).unwrap();
    let (code, _, err) = run(folder, &["again.toml"]);
    assert_eq!((code, runs(folder, "t").len()), (0, 1), "{err}");

    fs::copy(
        results.join("checkpoints/final.safetensors"),
        folder.join("w.safetensors"),
    )
    .unwrap();
    let (_, names, _) = run(folder, &["weights", "inspect", "w.safetensors"]);
    for name in ["0.weight", "1.running_mean", "3.body.0.bias", "8.weight"] {
        assert!(names.contains(name), "{name}: {names}");
    }
    let judge = TRAIN
        .replace("\"train\"", "\"evaluate\"")
        .replace("optimizer.lr = 0.05\ntrain.epochs = 2\n", "")
        .replace("train_limit = 64\n", "")
        .replace("batch_size = 16\n", "")
        .replace("[model]\n", "[model]\nweights = \"w.safetensors\"\n");
    write(folder, "e.toml", &judge);
    let (code, _, err) = run(folder, &["e.toml"]);
    assert_eq!(code, 0, "{err}");
    // The same tensors, another network.
    write(folder, "e.toml", &judge.replace("max-pool", "avg-pool"));
    for args in [&["check", "e.toml"][..], &["e.toml"]] {
        let (code, _, err) = run(folder, args);
        assert_eq!(code, 1);
        assert!(
            err.contains(
                "w.safetensors: these weights were trained with other layers: model.layers[5] was max-pool 2 and is avg-pool 2 \
                 here"
            ),
            "{err}"
        );
    }
}

#[test]
fn models_shows_how_layers_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = run(folder.path(), &["models", "sequential"]);
    assert_eq!(code, 0);
    for words in [
        "conv OUT KxK [stride=S] [pad=P] [groups=G] [bias=false]  convolution to OUT channels",
        "global-avg-pool ",
        "{ residual = [...], shortcut = [...] }",
    ] {
        assert!(out.contains(words), "{out}");
    }
}
