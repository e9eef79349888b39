//! Weights and images that come from outside.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use runner::models::{self, ModelConfig, Origin, Stem};
use runner::weights::{metadata, save_safetensors};

use crate::program::{run, runs};

const EVALUATE: &str = "task = \"evaluate\"\ndata = { kind = \"shapes\", test_limit = 8 }\n\
                        model = { arch = \"resnet18\", weights = \"w.safetensors\" }\n";

/// The last loss of the only run of a name.
fn loss(folder: &Path, name: &str) -> f64 {
    let run = runs(folder, name).pop().expect("it has run");
    let file = folder
        .join("results")
        .join(name)
        .join(run)
        .join("metrics.csv");
    let table = fs::read_to_string(file).unwrap();
    let row: Vec<&str> = table.lines().last().unwrap().split(',').collect();
    row[5].parse().unwrap()
}

#[test]
fn weights_from_outside_are_asked_for_their_stem() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let network = models::build("resnet18", &ModelConfig::new([3, 32, 32], 10)).unwrap();
    let file = folder.join("w.safetensors");
    save_safetensors(&file, &network.state().unwrap(), HashMap::new()).unwrap();
    fs::write(folder.join("e.toml"), EVALUATE).unwrap();
    let (code, _, said) = run(folder, &["e.toml"]);
    assert_eq!(code, 1, "{said}");
    let words = "w.safetensors: resnet18 has stems whose weights look alike, and the file does not say which it was \
                 trained with; set model.stem to \"3x3-maxpool\"";
    assert!(said.contains(words), "{said}");
    for stem in ["3x3", "3x3-maxpool"] {
        let (name, stem) = (format!("name={stem}"), format!("model.stem={stem}"));
        let (code, _, said) = run(folder, &["e.toml", &name, &stem]);
        assert_eq!(code, 0, "{said}");
    }
    assert_ne!(loss(folder, "3x3"), loss(folder, "3x3-maxpool"));
}

#[test]
fn weights_of_ours_say_what_they_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let spec = "task = \"train\"\ndata = { kind = \"shapes\", train_limit = 8, test_limit = 8 }\n\
                model = { arch = \"resnet18\", stem = \"3x3\" }\noptimizer.lr = 0.01\ntrain.epochs = 1\n";
    fs::write(folder.join("t.toml"), spec).unwrap();
    let (code, _, said) = run(folder, &["t.toml"]);
    assert_eq!(code, 0, "{said}");
    let results = folder.join("results/t").join(&runs(folder, "t")[0]);
    let own = Origin::new("resnet18", Some(Stem::Plain), None).unwrap();
    let files = fs::read_dir(results.join("checkpoints")).unwrap();
    let files: Vec<PathBuf> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending == "safetensors")
        })
        .collect();
    assert!(
        files.len() >= 2,
        "the final weights and a checkpoint: {files:?}"
    );
    for file in files {
        let found = Origin::read(&metadata(&file).unwrap());
        assert_eq!(found.as_ref(), Some(&own), "{}", file.display());
    }
    fs::copy(
        results.join("checkpoints/final.safetensors"),
        folder.join("w.safetensors"),
    )
    .unwrap();
    fs::write(folder.join("e.toml"), EVALUATE).unwrap();
    let (code, _, said) = run(folder, &["e.toml"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(loss(folder, "e"), loss(folder, "t"));
    let (code, _, said) = run(folder, &["e.toml", "model.stem=3x3-maxpool"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("trained with the stem \"3x3\", and model.stem is \"3x3-maxpool\""),
        "{said}"
    );
}

#[test]
fn weights_of_another_activation_are_remarked_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let spec = "task = \"train\"\ndata = { kind = \"digits\", train_limit = 8, test_limit = 8 }\n\
                model = { arch = \"mlp\", widths = [4], activation = \"silu\" }\noptimizer.lr = 0.01\n\
                train.epochs = 1\n";
    fs::write(folder.join("t.toml"), spec).unwrap();
    assert_eq!(run(folder, &["t.toml"]).0, 0);
    let results = folder.join("results/t").join(&runs(folder, "t")[0]);
    let trained = results.join("checkpoints/final.safetensors");
    fs::copy(trained, folder.join("w.safetensors")).unwrap();
    let spec = "task = \"evaluate\"\ndata = { kind = \"digits\", test_limit = 8 }\n\
                model = { arch = \"mlp\", widths = [4], weights = \"w.safetensors\" }\n";
    fs::write(folder.join("e.toml"), spec).unwrap();
    let words = "trained with the activation \"silu\", and here it has \"own\" (model.activation)";
    let (code, _, said) = run(folder, &["e.toml"]);
    assert!(code == 0 && said.contains(words), "{said}");
    let (code, _, said) = run(folder, &["e.toml", "model.activation=silu"]);
    assert!(code == 0 && !said.contains("trained with"), "{said}");
}

#[test]
fn integers_are_no_weights() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let network = models::build("lenet5", &ModelConfig::new([1, 28, 28], 10)).unwrap();
    let mut state = network.state().unwrap();
    let codes = (&state["fc1.weight"] * 100.0)
        .unwrap()
        .to_dtype(DType::I64)
        .unwrap();
    state.insert("fc1.weight".into(), codes);
    state.insert(
        "bn1.num_batches_tracked".into(),
        Tensor::new(7i64, &Device::Cpu).unwrap(),
    );
    save_safetensors(&folder.join("w.safetensors"), &state, HashMap::new()).unwrap();
    let spec = "task = \"evaluate\"\ndata = { kind = \"digits\", test_limit = 8 }\n\
                model = { arch = \"lenet5\", weights = \"w.safetensors\" }\n";
    fs::write(folder.join("e.toml"), spec).unwrap();
    let (code, _, said) = run(folder, &["e.toml"]);
    assert_eq!(code, 1);
    assert!(
        said.contains(
            "tensor fc1.weight holds integers, floating point (F16, BF16, F32 or F64) was expected"
        ),
        "{said}"
    );
    assert!(!said.contains("num_batches_tracked"), "{said}");
}

#[test]
fn images_of_other_tools_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let spec = "task = \"evaluate\"\ndata = { kind = \"mnist\", adversarial = \"a.safetensors\" }\nmodel.arch = \"mlp\"\n";
    fs::write(folder.join("e.toml"), spec).unwrap();
    let (code, _, said) = run(folder, &["e.toml"]);
    assert_eq!(code, 1);
    assert!(said.contains("a.safetensors: cannot read"), "{said}");
    let pixels: Vec<u8> = (0..4 * 784).map(|i| (i * 7 % 256) as u8).collect();
    let images = Tensor::from_vec(pixels, (4, 1, 28, 28), &Device::Cpu).unwrap();
    let labels = Tensor::new(&[3i16, 1, 4, 1], &Device::Cpu).unwrap();
    let tensors = BTreeMap::from([("images".to_owned(), images), ("labels".to_owned(), labels)]);
    save_safetensors(&folder.join("a.safetensors"), &tensors, HashMap::new()).unwrap();
    let (code, _, said) = run(folder, &["e.toml"]);
    assert_eq!(code, 0, "{said}");
    let (_, described, _) = run(folder, &["data", "info", "e.toml"]);
    assert!(
        described.contains("mnist: made before, in a.safetensors\ntest: 4 images of 1x28x28"),
        "{described}"
    );
    let (code, _, said) = run(folder, &["e.toml", "data.kind=cifar10"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("`images` is U8 [4, 1, 28, 28], at least one image of shape [N, 3, 32, 32]"),
        "{said}"
    );
}

#[test]
fn a_download_that_fails_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = ["data", "get", "mnist", "--mirror", "http://127.0.0.1:1"];
    let (code, _, said) = run(folder.path(), &nowhere);
    assert_eq!(code, 1);
    assert!(
        said.contains("images in class folders, data/mnist/train/<class> and"),
        "{said}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let absent = ["data", "get", "mnist", "--from", "absent", "--dir", "a/b/c"];
    assert_eq!(run(folder.path(), &absent).0, 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // What was there stays.
    fs::create_dir(folder.path().join("a")).unwrap();
    assert_eq!(run(folder.path(), &absent).0, 1);
    assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 0);
}
