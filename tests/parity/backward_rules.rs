//! Attacks with other backward passes than the true one, and attacks on features, against PyTorch's in f64: from the papers'
//! formulas, with the same random numbers, on a network of random weights and on one that others trained.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use runner::attacks::momentum::{Accumulated, Momentum};
use runner::attacks::transform::{InputTransform, ScaleInvariant};
use runner::attacks::{Attack, Originals, Start, Steps, Threat, Victim, craft, fia, ila};
use runner::models::{Layers, LinbpUse, ModelConfig, build, decayed, linear_plan, softened};
use runner::nn::{BackwardPlan, Network, Surrogate};
use runner::ops::image::Normalize;
use runner::weights::{load_tensors, save_safetensors};
use serde_json::json;

use crate::attacks::{classes, numbers, same_pixels};
use crate::pytorch::{interpreter, say};

const LINF: Threat = Threat::linf(8.0 / 255.0);
const STEP: f64 = 2.0 / 255.0;
const LAYER: &str = "layer2.1.relu2";
const COUNT: usize = 8;
const COPIES: usize = 30;

/// What a backward pass does, and the first of the activations that it is about.
struct Rule {
    name: &'static str,
    surrogate: Option<Surrogate>,
    from: Option<&'static str>,
    decay: f64,
    temperature: Option<f64>,
}

const TRUE: Rule = Rule {
    name: "true",
    surrogate: None,
    from: None,
    decay: 1.0,
    temperature: None,
};

const RULES: [Rule; 7] = [
    TRUE,
    Rule {
        name: "silu",
        surrogate: Some(Surrogate::Silu),
        from: Some("layer2.0.relu1"),
        ..TRUE
    },
    Rule {
        name: "softplus",
        surrogate: Some(Surrogate::Softplus { beta: 2.0 }),
        from: Some("relu"),
        ..TRUE
    },
    Rule {
        name: "decay",
        decay: 0.5,
        ..TRUE
    },
    Rule {
        name: "linear and decay",
        from: Some("layer3.1.relu1"),
        decay: 0.2,
        ..TRUE
    },
    Rule {
        name: "pools",
        temperature: Some(10.0),
        ..TRUE
    },
    Rule {
        name: "bpa",
        surrogate: Some(Surrogate::Silu),
        from: Some("layer3.1.relu1"),
        temperature: Some(10.0),
        ..TRUE
    },
];

impl Rule {
    fn json(&self) -> serde_json::Value {
        let (variant, beta) = match self.surrogate {
            None => ("plain", 0.0),
            Some(Surrogate::Silu) => ("silu", 0.0),
            Some(Surrogate::Softplus { beta }) => ("softplus", beta),
        };
        json!({
            "name": self.name, "variant": variant, "beta": beta, "from": self.from, "decay": self.decay,
            "temperature": self.temperature,
        })
    }

    fn plan(&self, arch: &str, network: &Network) -> BackwardPlan {
        let layers = self
            .from
            .map_or(Layers::None, |from| Layers::From(from.into()));
        let plan = linear_plan(arch, network, &layers, LinbpUse::Attack).unwrap();
        let plan = match self.surrogate {
            Some(surrogate) => plan.with_surrogate(surrogate),
            None => plan,
        };
        let plan = decayed(arch, network, plan, self.decay).unwrap();
        match self.temperature {
            Some(temperature) => softened(arch, network, plan, temperature).unwrap(),
            None => plan,
        }
    }
}

/// Images that are no pictures: waves of different lengths.
fn waves() -> Tensor {
    let value = |i: usize| {
        let (x, image) = ((i % 3072) as f32, (i / 3072 + 1) as f32);
        0.5 + 0.4 * (x * 0.037 * image).sin() * (x * 0.31).cos()
    };
    let values: Vec<f32> = (0..COUNT * 3072).map(value).collect();
    Tensor::from_vec(values, (COUNT, 3, 32, 32), &Device::Cpu).unwrap()
}

fn compare(folder: &Path, python: &Path, arch: &str, published: Option<PathBuf>) {
    let images = waves();
    let indices: Vec<usize> = (0..COUNT).collect();
    let start = Start {
        seed: 4,
        ..Start::default()
    };
    let unlabelled = Originals::new(&images, &[], &indices, start);
    let mut mask = fia::masks(unlabelled, 0.3).unwrap();
    let masks: Vec<Tensor> = (0..COPIES).map(|_| mask().unwrap()).collect();
    let masks = Tensor::stack(&masks, 0).unwrap();
    let kept = numbers(&masks).iter().sum::<f32>() / masks.elem_count() as f32;
    assert!((kept - 0.7).abs() < 0.01, "{kept} of the values are kept");
    let question = BTreeMap::from([
        ("images".to_owned(), images.clone()),
        ("masks".to_owned(), masks),
    ]);
    let file = folder.join(format!("{arch}.question.safetensors"));
    save_safetensors(&file, &question, HashMap::new()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/backward_rules.py");
    let mut command = Command::new(python);
    command.arg(script).arg(folder).arg(arch).args(&published);
    assert!(
        command.status().unwrap().success(),
        "backward_rules.py failed"
    );

    let reference = load_tensors(&folder.join(format!("{arch}.safetensors"))).unwrap();
    let normalize = published.as_ref().map(|_| Normalize {
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    });
    let config = ModelConfig {
        normalize,
        dtype: DType::F64,
        ..ModelConfig::new([3, 32, 32], 10)
    };
    let network = build(arch, &config).unwrap();
    let weights = published.unwrap_or_else(|| folder.join(format!("{arch}.pt")));
    network.load(&load_tensors(&weights).unwrap()).unwrap();

    let images = images.to_dtype(DType::F64).unwrap();
    let labels = classes(&reference["labels"]);
    let originals = Originals::new(&images, &labels, &indices, start);
    let check = |name: &str, attack: &dyn Attack, plan: BackwardPlan| {
        let (found, checks) = craft(attack, &Victim::new(&network, plan), originals).unwrap();
        checks.resolve().unwrap();
        let same = same_pixels(&found, &reference[name]);
        say(&format!(
            "{arch}: {name}: {:.3} % of the 8-bit pixels as in PyTorch",
            100.0 * same
        ));
        assert!(same >= 0.999, "{arch} {name}: {same}");
        found
    };
    let layer = || Some(LAYER.to_owned());
    let ila = ila::Ila::new(LINF, STEP, 5, layer());
    let ila = check("ila", &ila, BackwardPlan::none());
    let fia = fia::Fia::new(LINF, STEP, 5, layer());
    let fia = check("fia", &fia, BackwardPlan::none());
    let mi_si = || Steps {
        momentum: Some(Momentum::Accumulated(Accumulated {})),
        transforms: vec![InputTransform::ScaleInvariant(ScaleInvariant { copies: 3 })],
        ..Steps::i_fgsm(LINF, STEP, 5)
    };
    let composed = ila::Ila::by(mi_si(), layer());
    let composed = check("ila by mi-si-fgsm", &composed, BackwardPlan::none());
    let scaled = fia::Fia::by(mi_si(), layer());
    let scaled = check("fia at three scales", &scaled, BackwardPlan::none());
    let mut others = vec![ila, fia, composed, scaled];
    for rule in RULES {
        if rule.temperature.is_some() && !network.has_max_pool() {
            continue;
        }
        let found = check(
            rule.name,
            &Steps::i_fgsm(LINF, STEP, 5),
            rule.plan(arch, &network),
        );
        // Each is an attack of its own.
        for other in &others {
            let same = same_pixels(&found, other);
            assert!(same < 0.99, "{arch} {}: as another, {same}", rule.name);
        }
        others.push(found);
    }
}

#[test]
fn backward_rules() {
    let Some(python) = interpreter() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let rules: Vec<serde_json::Value> = RULES.iter().map(Rule::json).collect();
    let rules = serde_json::to_string(&rules).unwrap();
    std::fs::write(folder.path().join("rules.json"), rules).unwrap();
    compare(folder.path(), &python, "resnet18", None);
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/weights");
    let weights = shared.join("resnet20-12fca82f.th");
    match weights.is_file() {
        true => compare(folder.path(), &python, "resnet20", Some(weights)),
        false => say(&format!(
            "SKIPPED backward passes of a trained network: {} is missing",
            weights.display()
        )),
    }
}
