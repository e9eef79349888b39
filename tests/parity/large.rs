//! torchvision's own networks for images of 224x224: their state dicts load as they are, and give their numbers.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use candle_core::DType;
use runner::models::{ModelConfig, Stem, build};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{Coordinates, LinearPlan, Mode, Pass, Tape};
use runner::weights::load_tensors;

use crate::models::largest;
use crate::pytorch::{interpreter, say};

/// In f64 on both sides.
const BAR: f64 = 1e-9;

/// A network and its stem; the first few for every run of the tests.
const NETWORKS: [(&str, Option<Stem>); 6] = [
    ("mobilenet_v2", Some(Stem::Strided)),
    ("resnet18", Some(Stem::ImageNet)),
    ("resnext50_32x4d", Some(Stem::ImageNet)),
    ("densenet121", Some(Stem::ImageNet)),
    ("vgg11", None),
    ("vgg16_bn", None),
];
const FEW: usize = 2;

#[test]
fn torchvisions_networks_for_large_images() {
    let Some(python) = interpreter() else {
        return;
    };
    let probe = Command::new(&python)
        .args(["-c", "import torchvision"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        say("SKIPPED torchvision's networks for large images: this Python has no torchvision");
        return;
    }
    let chosen = match std::env::var("RUNNER_PARITY") {
        Ok(all) if all == "all" => &NETWORKS[..],
        Ok(_) => return,
        Err(_) => &NETWORKS[..FEW],
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/large.py");
    let mut child = Command::new(&python)
        .args([script.as_os_str(), folder.path().as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = child.stdin.take().expect("it is piped");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut faults = Vec::new();
    say("| torchvision's | logits | input gradient |");
    for (name, stem) in chosen {
        writeln!(questions, "{name}").unwrap();
        let mut answer = String::new();
        lines.read_line(&mut answer).unwrap();
        assert_eq!(answer, format!("done {name}\n"), "large.py failed");
        let read = |file: &str| load_tensors(&folder.path().join(file)).unwrap();
        let (weights, reference) = (read("weights.pth"), read("reference.safetensors"));
        let config = ModelConfig {
            stem: *stem,
            dtype: DType::F64,
            ..ModelConfig::new([3, 224, 224], 1000)
        };
        let network = build(name, &config).unwrap();
        assert!(network.load(&weights).unwrap().is_empty(), "{name}");
        drop(weights);
        let pass = Pass::attack(LinearPlan::none(), Mode::Eval, Coordinates::default());
        let tape = Tape::new(pass);
        let images = tape.input(&reference["images"]);
        let logits = network.forward(&tape, &images).unwrap();
        let loss = cross_entropy(logits.tensor(), &[0, 1], Reduction::Sum).unwrap();
        let found = logits.tensor().clone();
        let gradients = tape.backward(&logits, loss.gradient).unwrap();
        let errors = [
            largest(&found, &reference["logits"]),
            largest(&gradients.input().unwrap(), &reference["gradient"]),
        ];
        let cells = errors.map(|error| format!("{error:.0e}"));
        say(&format!("| {name} | {} |", cells.join(" | ")));
        for error in errors {
            if error.is_nan() || error > BAR {
                faults.push(format!("{name}: off by {error:.1e}"));
            }
        }
    }
    drop(questions);
    assert!(child.wait().unwrap().success());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
