//! Whole models: logits, gradients with respect to the input and to the weights, true and linear.
//!
//! `cargo test --release --test parity models` prints the table for a few architectures, `RUNNER_PARITY=all` for all of
//! them, `RUNNER_PARITY=NAME,NAME` for these.
//!
//! The bars hold in f64. In f32 a deep network has some of its millions of activations within a rounding error of
//! their kink; where two implementations round them to different sides, one element of a gradient appears or vanishes
//! as a whole. So the f32 columns stand beside what PyTorch's own f32 makes of it, `ours (theirs)`, both against
//! PyTorch's f64; only logits have a bar there.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use runner::models::{
    Layers, LinbpUse, ModelConfig, Stem, adapt, build, linear_plan, names, rescaled,
};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Coordinates, Mode, Network, Pass, Tape};

use crate::pytorch::{PyTorch, interpreter, say};

/// Enough for every run of the tests; the others take minutes, mostly PyTorch's.
const FEW: [&str; 12] = [
    "mlp",
    "lenet5",
    "mobilenet_v2",
    "resnet18",
    "resnet18:3x3",
    "resnet18:kuangliu",
    "resnet18:7x7",
    "resnet20",
    "preact_resnet18",
    "preact_resnet18_raw_shortcut",
    "dm_wide_resnet16_2",
    "dm_preact_resnet18",
];

/// Networks beside the named ones: stems without a max-pool, one of them under the names of kuangliu/pytorch-cifar, and
/// torchvision's for large images.
const STEMS: [&str; 5] = [
    "densenet121:3x3",
    "resnet18:3x3",
    "resnet50:kuangliu",
    "resnet18:7x7",
    "densenet121:7x7",
];

/// The bar for every column of the table.
pub const BAR: f64 = 1e-4;

pub type Tensors = BTreeMap<String, Tensor>;

pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_device(&Device::Cpu).unwrap();
    let flat = flat.flatten_all().unwrap();
    flat.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// A sum of squared differences and of squared expected numbers, over any number of tensors.
#[derive(Default)]
struct Squares {
    difference: f64,
    expected: f64,
}

impl Squares {
    fn add(&mut self, found: &Tensor, expected: &Tensor) {
        let (found, expected) = (numbers(found), numbers(expected));
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            self.difference += (a - b) * (a - b);
            self.expected += b * b;
        }
    }

    /// The relative error in l2 norm.
    fn error(&self) -> f64 {
        (self.difference / self.expected).sqrt()
    }
}

fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    let mut squares = Squares::default();
    squares.add(found, expected);
    squares.error()
}

/// The largest difference relative to the largest expected number.
pub fn largest(found: &Tensor, expected: &Tensor) -> f64 {
    let (found, expected) = (numbers(found), numbers(expected));
    let scale = expected.iter().fold(0.0f64, |max, v| max.max(v.abs()));
    let pairs = found.iter().zip(&expected);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

/// A model in one element type, with PyTorch's numbers beside it.
pub struct Side<'a> {
    arch: &'a str,
    network: Network,
    images: Tensor,
    labels: Vec<u32>,
    weights: &'a Tensors,
    reference: &'a Tensors,
}

impl<'a> Side<'a> {
    pub fn new(
        name: &'a str,
        (dtype, device): (DType, &Device),
        weights: &'a Tensors,
        reference: &'a Tensors,
    ) -> Self {
        let (arch, stem) = match name.split_once(':') {
            Some((arch, "7x7")) => (arch, Some(Stem::ImageNet)),
            Some((arch, _)) => (arch, Some(Stem::Plain)),
            None => (name, None),
        };
        let images = reference["images"].to_dtype(dtype).unwrap();
        let images = images.to_device(device).unwrap();
        let labels = numbers(&reference["labels"]);
        let (_, channels, height, width) = images.dims4().unwrap();
        let config = ModelConfig {
            dropout: Some(0.0),
            stem,
            dtype,
            device: device.clone(),
            ..ModelConfig::new([channels, height, width], 10)
        };
        let network = build(arch, &config).unwrap();
        let surplus = network.load(weights).unwrap();
        assert!(surplus.is_empty(), "{arch} has no use for {surplus:?}");
        Self {
            arch,
            network,
            images,
            labels: labels.iter().map(|&label| label as u32).collect(),
            weights,
            reference,
        }
    }

    fn plan(&self, variant: &str, r#use: LinbpUse) -> BackwardPlan {
        let linear = linear_plan(self.arch, &self.network, &Layers::Default, r#use).unwrap();
        match variant {
            "bp" => BackwardPlan::none(),
            "rescaled" => rescaled(self.arch, &self.network, linear).unwrap(),
            _ => linear,
        }
    }

    /// What PyTorch computed in f64.
    fn expected(&self, name: &str) -> &Tensor {
        &self.reference[&format!("f64.{name}")]
    }

    /// The logits, and the input's gradient.
    pub fn gradient(&self, variant: &str) -> (Tensor, Tensor) {
        let plan = self.plan(variant, LinbpUse::Attack);
        let tape = Tape::new(Pass::attack(plan, Mode::Eval, Coordinates::default()));
        let logits = self.network.forward(&tape, &tape.input(&self.images));
        let logits = logits.unwrap();
        let loss = cross_entropy(logits.tensor(), &self.labels, Reduction::Sum).unwrap();
        let found = logits.tensor().clone();
        let gradients = tape.backward(&logits, loss.gradient).unwrap();
        (found, gradients.input().unwrap())
    }

    /// Errors of the logits and of the input's gradient.
    fn input(&self, variant: &str) -> (f64, f64) {
        let (logits, gradient) = self.gradient(variant);
        (
            largest(&logits, self.expected("logits")),
            relative(&gradient, self.expected(&format!("input.{variant}"))),
        )
    }

    /// The error of a training step's gradient over all parameters.
    fn step(&self, variant: &str) -> f64 {
        self.network.load(self.weights).unwrap();
        let plan = self.plan(variant, LinbpUse::Train);
        let tape = Tape::new(Pass::training(plan, Coordinates::default()));
        let logits = self.network.forward(&tape, &tape.input(&self.images));
        let logits = logits.unwrap();
        let loss = cross_entropy(logits.tensor(), &self.labels, Reduction::Mean).unwrap();
        let gradients = tape.backward(&logits, loss.gradient).unwrap();
        let mut squares = Squares::default();
        for parameter in self.network.parameters() {
            let found = gradients
                .parameter(parameter)
                .expect("every parameter has a part");
            squares.add(
                found,
                self.expected(&format!("{variant}.{}", parameter.name())),
            );
        }
        squares.error()
    }

    /// The error of the running statistics after a step.
    fn running(&self) -> f64 {
        let buffers = self.network.buffers().iter();
        let errors = buffers.map(|buffer| {
            let name = format!("running.{}", buffer.name());
            largest(buffer.tensor(), &self.reference[&name])
        });
        errors.fold(0.0, f64::max)
    }
}

pub fn chosen() -> Vec<String> {
    match std::env::var("RUNNER_PARITY") {
        Ok(all) if all == "all" => {
            // A sequential network is its layers: tests/parity/layers.rs.
            let all = names()
                .into_iter()
                .filter(|name| *name != "sequential")
                .chain(STEMS);
            all.map(str::to_string).collect()
        }
        Ok(some) => some.split(',').map(str::to_string).collect(),
        Err(_) => FEW.iter().map(|name| name.to_string()).collect(),
    }
}

/// The errors of PyTorch's own f32, in the order of [`COLUMNS`].
fn theirs(reference: &Tensors) -> [Option<f64>; 6] {
    let logits = largest(&reference["f32.logits"], &reference["f64.logits"]);
    let input = |variant: &str| {
        let found = reference.get(&format!("f32.input.{variant}"))?;
        Some(relative(found, &reference[&format!("f64.input.{variant}")]))
    };
    let step = |variant: &str| {
        let mut squares = Squares::default();
        let prefix = format!("f32.{variant}.");
        for (key, found) in reference {
            if let Some(name) = key.strip_prefix(&prefix) {
                squares.add(found, &reference[&format!("f64.{variant}.{name}")]);
            }
        }
        Some(squares.error())
    };
    [
        Some(logits),
        input("bp"),
        input("linbp"),
        input("rescaled"),
        step("bp"),
        step("linbp"),
    ]
}

const COLUMNS: [&str; 7] = [
    "logits",
    "input gradient BP",
    "input gradient LinBP",
    "input gradient rescaled",
    "weight gradient BP",
    "weight gradient LinBP",
    "running statistics",
];

/// The errors of a model, in the order of [`COLUMNS`]; none where the column does not apply.
fn errors(side: &Side) -> [Option<f64>; 7] {
    let (logits, bp) = side.input("bp");
    let (_, linear) = side.input("linbp");
    let rescaled = side.reference.contains_key("f64.input.rescaled");
    [
        Some(logits),
        Some(bp),
        Some(linear),
        rescaled.then(|| side.input("rescaled").1),
        Some(side.step("bp")),
        Some(side.step("linbp")),
        Some(side.running()),
    ]
}

#[test]
fn models() {
    let Some(python) = interpreter() else {
        return;
    };
    let mut pytorch = PyTorch::start(&python, "cpu");
    let heads: Vec<String> = COLUMNS[..6]
        .iter()
        .map(|head| format!("{head} f32"))
        .collect();
    say(&format!(
        "| architecture | {} | {} |",
        COLUMNS.join(" | "),
        heads.join(" | ")
    ));
    let mut faults = Vec::new();
    for arch in chosen() {
        let (mut weights, reference) = pytorch.ask(&arch);
        adapt(arch.split(':').next().unwrap(), &mut weights).unwrap();
        let of = |dtype| {
            errors(&Side::new(
                &arch,
                (dtype, &Device::Cpu),
                &weights,
                &reference,
            ))
        };
        let (double, single) = (of(DType::F64), of(DType::F32));
        let cell = |error: &Option<f64>| error.map_or("-".into(), |error| format!("{error:.0e}"));
        let mut cells = vec![arch.clone()];
        cells.extend(double.iter().map(cell));
        let pairs = single[..6].iter().zip(theirs(&reference));
        cells.extend(pairs.map(|(ours, theirs)| match theirs {
            Some(theirs) => format!("{} ({theirs:.0e})", cell(ours)),
            None => "-".into(),
        }));
        say(&format!("| {} |", cells.join(" | ")));
        let logits = ("logits in f32", single[0]);
        for (column, error) in COLUMNS.into_iter().zip(double).chain([logits]) {
            if let Some(error) = error.filter(|error| error.is_nan() || *error > BAR) {
                faults.push(format!("{arch}: {column} off by {error:.1e}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
