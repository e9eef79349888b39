//! A multilayer perceptron with ReLU between its layers: 784-400-200-100-10 on MNIST.

use super::architecture::{Architecture, ModelConfig};
use super::preset::Preset;
use crate::nn::structure::flatten;
use crate::nn::{Act, Builder, Init, Linear, Module, Tape, Var, linear};
use crate::ops::activation::Activation;
use crate::{Error, Result};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    image: [1, 28, 28],
    widths: Some(&WIDTHS),
    ..Architecture::new(
        "mlp",
        "fully connected, 400-200-100 hidden units by default (model.widths)",
        "as in arXiv 2112.11018",
        // All but the first ReLU: of three, the 2nd and 3rd.
        Preset::After(1),
        define,
    )
}];

/// The widths of the hidden layers, unless others are given.
const WIDTHS: [usize; 3] = [400, 200, 100];

struct Mlp {
    hidden: Vec<(Linear, Act)>,
    out: Linear,
}

/// Layers `fc1`, `fc2`, .. with activations `relu1`, `relu2`, ..
fn define(b: &Builder, config: &ModelConfig, _: &str) -> Result<Box<dyn Module>> {
    let widths = config.widths.as_deref().unwrap_or(&WIDTHS);
    if widths.contains(&0) {
        return Err(Error::spec("model.widths: expected widths of at least 1"));
    }
    let mut features = config.image.iter().product();
    let mut hidden = Vec::new();
    for (i, &width) in widths.iter().enumerate() {
        let layer = linear(
            &b.pp(format!("fc{}", i + 1)),
            features,
            width,
            Init::TorchDefault,
        )?;
        let act = b.activation(&format!("relu{}", i + 1), Activation::Relu);
        hidden.push((layer, act));
        features = width;
    }
    let out = b.pp(format!("fc{}", widths.len() + 1));
    let out = linear(&out, features, config.classes, Init::TorchDefault)?;
    Ok(Box::new(Mlp { hidden, out }))
}

impl Module for Mlp {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let mut x = flatten(tape, x)?;
        for (layer, act) in &self.hidden {
            x = act.forward(tape, &layer.forward(tape, &x)?)?;
        }
        self.out.forward(tape, &x)
    }
}
