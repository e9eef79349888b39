//! torchvision's own networks for images of 224x224: their state dicts load as they are, and give their numbers.

use candle_core::DType;
use runner::models::{ModelConfig, Stem, build};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Coordinates, Mode, Pass, Tape};
use runner::weights::load_tensors;

use crate::models::largest;
use crate::pytorch::{Script, interpreter_with, say};

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
    let Some(python) =
        interpreter_with(&["torchvision"], "torchvision's networks for large images")
    else {
        return;
    };
    let chosen = match std::env::var("RUNNER_PARITY") {
        Ok(all) if all == "all" => &NETWORKS[..],
        Ok(_) => return,
        Err(_) => &NETWORKS[..FEW],
    };
    let mut script = Script::start(&python, "large.py", &[]);
    let mut faults = Vec::new();
    say("| torchvision's | logits | input gradient |");
    for (name, stem) in chosen {
        script.has_done(name);
        let read = |file: &str| load_tensors(&script.folder().join(file)).unwrap();
        let (weights, reference) = (read("weights.pth"), read("reference.safetensors"));
        let config = ModelConfig {
            stem: *stem,
            dtype: DType::F64,
            ..ModelConfig::new([3, 224, 224], 1000)
        };
        let network = build(name, &config).unwrap();
        assert!(network.load(&weights).unwrap().is_empty(), "{name}");
        drop(weights);
        let pass = Pass::attack(BackwardPlan::none(), Mode::Eval, Coordinates::default());
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
    assert!(script.end());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
