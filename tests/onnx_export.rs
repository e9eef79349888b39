//! Networks written to ONNX files and read again: the same logits, names and activations.

use std::fs;
use std::path::Path;
use std::process::Command;

use candle_core::{Device, Tensor};
use runner::models::{Layer, ModelConfig, Stem, build};
use runner::nn::Network;
use runner::ops::activation::Activation;
use runner::ops::image::Normalize;

/// Numbers between 0 and 1 that look like random ones.
fn noise(shape: &[usize], salt: usize) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|i| (((i + salt) * 7919) % 1013) as f32 / 1012.0);
    let values = Tensor::from_iter(values, &Device::Cpu).unwrap();
    values.reshape(shape).unwrap()
}

fn furthest(a: &Tensor, b: &Tensor) -> f32 {
    let max = |tensor: Tensor| {
        let max = tensor.abs().unwrap().max_all().unwrap();
        max.to_scalar::<f32>().unwrap()
    };
    max((a - b).unwrap()) / max(b.clone())
}

fn names(network: &Network) -> Vec<(String, Vec<usize>)> {
    let all = network.parameters().iter().chain(network.buffers());
    let mut names: Vec<_> = all
        .map(|param| (param.name().to_owned(), param.tensor().dims().to_vec()))
        .collect();
    names.sort();
    names
}

/// Writes the network, reads it again and compares.
fn round_trip(what: &str, network: &Network, config: &ModelConfig) {
    for (salt, buffer) in network.buffers().iter().enumerate() {
        let shift = if buffer.name().contains("var") {
            0.5
        } else {
            -0.5
        };
        let values = noise(buffer.tensor().dims(), salt);
        buffer.set(&(values + shift).unwrap()).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    let bytes = runner::onnx::export(network, config.image).unwrap();
    // The name of the output, as the first field of its message: even where a layer is called so.
    let logits = b"\x0a\x06logits";
    assert!(
        bytes.windows(logits.len()).any(|window| window == logits),
        "{what}"
    );
    fs::write(&file, bytes).unwrap();
    let again = ModelConfig::new(config.image, config.classes);
    let again = build(&format!("onnx:{}", file.display()), &again).unwrap();
    assert_eq!(names(&again), names(network), "{what}");
    let mut activations = again.activations().to_vec();
    if what == "squeezenet" {
        // It uses one activation for both halves of a Fire, which have a node each in the file.
        activations.retain(|name| !name.ends_with("_1"));
    }
    assert_eq!(activations, network.activations(), "{what}");
    let [channels, height, width] = config.image;
    let images = noise(&[3, channels, height, width], 0);
    let error = furthest(
        &again.logits(&images).unwrap(),
        &network.logits(&images).unwrap(),
    );
    assert!(error < 1e-5, "{what}: logits off by {error}");
}

#[test]
fn architectures_come_back() {
    let imagenet = || Normalize {
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    };
    let small = |name| (name, ModelConfig::new([3, 32, 32], 10));
    let grey = |name| (name, ModelConfig::new([1, 28, 28], 10));
    let mut cases = vec![grey("mlp"), grey("lenet5")];
    cases.extend(
        [
            "mobilenet_v2",
            "squeezenet",
            "resnet18",
            "resnext50_32x4d",
            "densenet121",
            "wide_resnet10_1",
            "resnet20",
            "preact_resnet18",
            "preact_resnet18_kuangliu",
            "dm_preact_resnet18",
            "dm_wide_resnet16_1",
        ]
        .map(small),
    );
    for stem in [Stem::Plain, Stem::ImageNet] {
        let config = ModelConfig {
            stem: Some(stem),
            normalize: Some(imagenet()),
            ..ModelConfig::new([3, 40, 36], 7)
        };
        cases.push(("resnet18", config));
    }
    for activation in [Activation::Silu, Activation::Relu] {
        let config = ModelConfig {
            activation: Some(activation),
            ..ModelConfig::new([3, 32, 32], 10)
        };
        cases.push(("mobilenet_v2", config));
    }
    let layers = r#"["conv 4 3x3 pad=1 groups=3 bias=false", "batch-norm", "silu", "avg-pool 2",
        {"residual": ["conv 4 3x3 pad=1", "relu6"], "shortcut": ["conv 4 1x1"]}, "relu", "max-pool 3 stride=2 pad=1",
        "dropout 0.3", "flatten", "linear 9", "batch-norm", "relu", "linear 5 bias=false"]"#;
    let layers = layers.replace("conv 4 3x3 pad=1 groups", "conv 6 3x3 pad=1 groups");
    let layers: Vec<Layer> = serde_json::from_str(&layers).unwrap();
    let config = ModelConfig {
        layers: Some(layers),
        normalize: Some(imagenet()),
        ..ModelConfig::new([3, 12, 12], 5)
    };
    cases.push(("sequential", config));
    for (name, config) in cases {
        round_trip(name, &build(name, &config).unwrap(), &config);
    }
}

#[test]
fn networks_from_files_come_back() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx");
    for name in ["traced.onnx", "apart.onnx", "dynamo.onnx"] {
        let config = ModelConfig::new([3, 16, 16], 10);
        let arch = format!("onnx:{}", fixtures.join(name).display());
        round_trip(name, &build(&arch, &config).unwrap(), &config);
    }
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let network = build("resnet20", &ModelConfig::new([3, 32, 32], 10)).unwrap();
    assert!(runner::onnx::export(&network, [1, 32, 32]).is_err());
}

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let words = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&words).into_owned(),
    )
}

const STAGES: &str = r#"
name = "out"
data = { kind = "digits", train_limit = 64, test_limit = 32, batch_size = 16, normalize = "mnist" }
optimizer = { lr = 0.05 }
train = { epochs = 1 }
[[stage]]
id = "first"
task = "train"
model = { layers = ["conv 4 3x3 stride=2", "batch-norm", "relu", "flatten", "linear 10"] }
[[stage]]
id = "second"
task = "train"
model = { arch = "mlp", widths = [8] }
[[stage]]
id = "judge"
task = "evaluate"
model = { arch = "mlp", widths = [8], weights = "@second.best" }
"#;

/// From a run to a file and from there to a run that measures the same.
#[test]
fn a_run_is_written_and_measured_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("out.toml"), STAGES).unwrap();
    let (code, words) = run(folder, &["out.toml"]);
    assert_eq!(code, Some(0), "{words}");
    let export = |more: &[&str]| run(folder, &[&["weights", "export"], more].concat());

    let (code, words) = export(&["out", "net.onnx"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(
        words.contains("several stages have a network: first, second; choose one with --stage"),
        "{words}"
    );
    let (code, words) = export(&["out", "net.onnx", "--stage", "third"]);
    assert!(
        code == Some(1) && words.contains("the stages are first, second, judge"),
        "{words}"
    );
    let (code, words) = export(&["out", "net.pt", "--stage", "first"]);
    assert!(
        code == Some(2) && words.contains(".onnx or .safetensors"),
        "{words}"
    );
    let (code, words) = export(&["in", "net.onnx"]);
    assert!(
        code == Some(2) && words.contains("there are runs of out"),
        "{words}"
    );
    let (code, words) = export(&["out.toml", "net.onnx", "--stage", "judge"]);
    assert!(
        code == Some(1) && words.contains("name its run, not the spec"),
        "{words}"
    );

    for (stage, file) in [
        ("first", "first.onnx"),
        ("second", "second.onnx"),
        ("judge", "judge.onnx"),
    ] {
        let (code, words) = export(&["out", file, "--stage", stage]);
        assert_eq!(code, Some(0), "{words}");
        assert!(words.contains("for images of 1x28x28"), "{words}");
    }
    let (code, words) = export(&["out", "first.onnx", "--stage", "first"]);
    assert!(
        code == Some(1) && words.contains("first.onnx: exists"),
        "{words}"
    );
    let (code, words) = export(&["first.onnx", "a.onnx"]);
    assert!(
        code == Some(2) && words.contains("a file of weights does not say"),
        "{words}"
    );
    // There is one epoch, so that the best checkpoint is the last and the end.
    assert_eq!(
        fs::read(folder.join("second.onnx")).unwrap(),
        fs::read(folder.join("judge.onnx")).unwrap()
    );

    let own = "task = \"evaluate\"\ndata = { kind = \"digits\", test_limit = 32, normalize = \"mnist\" }\n\
               model = { arch = \"mlp\", widths = [8], weights = \"second.safetensors\" }\n";
    let (code, words) = export(&[
        "out",
        "second.safetensors",
        "--stage",
        "second",
        "--checkpoint",
        "best",
    ]);
    assert_eq!(code, Some(0), "{words}");
    fs::write(folder.join("own.toml"), own).unwrap();
    let (code, words) = export(&["own.toml", "own.onnx"]);
    assert_eq!(code, Some(0), "{words}");
    assert_eq!(
        fs::read(folder.join("own.onnx")).unwrap(),
        fs::read(folder.join("judge.onnx")).unwrap()
    );

    let again = "task = \"evaluate\"\ndata = { kind = \"digits\", test_limit = 32 }\nmodel = { arch = \"onnx:second.onnx\" }\n";
    fs::write(folder.join("again.toml"), again).unwrap();
    let (code, words) = run(folder, &["again.toml"]);
    assert_eq!(code, Some(0), "{words}");
    let measured = |name: &str, stage: &str| {
        let (code, words) = run(folder, &["list", name]);
        assert_eq!(code, Some(0), "{words}");
        let start = format!("{stage}test_accuracy ");
        let at = words.find(&start).unwrap_or_else(|| panic!("{words}")) + start.len();
        words[at..at + 6].to_owned()
    };
    assert_eq!(measured("again", ""), measured("out", "judge."));
}
