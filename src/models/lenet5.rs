//! LeNet-5 (LeCun et al., 1998) as the experiments on MNIST have it: ReLU, max-pooling before it.

use super::architecture::{Architecture, ModelConfig};
use super::preset::Preset;
use crate::nn::pool::max_pool;
use crate::nn::structure::flatten;
use crate::nn::{
    Act, Builder, Conv2d, ConvConfig, Init, Linear, Module, Tape, Var, conv2d, linear,
};
use crate::ops::activation::Activation;
use crate::{Error, Result};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    image: [1, 28, 28],
    ..Architecture::new(
        "lenet5",
        "LeNet-5: two convolutions, three linear layers, 28x28 images",
        "LeCun et al., 1998",
        // Both ReLUs between the fully connected layers, none of the convolutional part.
        Preset::Globs(&["relu3", "relu4"]),
        define,
    )
}];

struct LeNet5 {
    conv1: Conv2d,
    relu1: Act,
    conv2: Conv2d,
    relu2: Act,
    fc1: Linear,
    relu3: Act,
    fc2: Linear,
    relu4: Act,
    fc3: Linear,
}

/// 28x28 images of any number of channels: conv 5x5 pad 2, pool, ReLU, conv 5x5, pool, ReLU, 400-120-84-classes.
fn define(b: &Builder, config: &ModelConfig, _: &str) -> Result<Box<dyn Module>> {
    let [channels, height, width] = config.image;
    if (height, width) != (28, 28) {
        return Err(Error::spec(format!(
            "model.arch: lenet5 takes 28x28 images (mnist, digits), the data has {height}x{width}"
        )));
    }
    let conv = |padding| ConvConfig {
        padding,
        bias: true,
        ..ConvConfig::default()
    };
    b.note_max_pool();
    Ok(Box::new(LeNet5 {
        conv1: conv2d(&b.pp("conv1"), channels, 6, 5, conv(2))?,
        relu1: b.activation("relu1", Activation::Relu),
        conv2: conv2d(&b.pp("conv2"), 6, 16, 5, conv(0))?,
        relu2: b.activation("relu2", Activation::Relu),
        fc1: linear(&b.pp("fc1"), 400, 120, Init::TorchDefault)?,
        relu3: b.activation("relu3", Activation::Relu),
        fc2: linear(&b.pp("fc2"), 120, 84, Init::TorchDefault)?,
        relu4: b.activation("relu4", Activation::Relu),
        fc3: linear(&b.pp("fc3"), 84, config.classes, Init::TorchDefault)?,
    }))
}

impl Module for LeNet5 {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let x = self.conv1.forward(tape, x)?;
        let x = self.relu1.forward(tape, &max_pool(tape, &x, 2, 2, 0)?)?;
        let x = self.conv2.forward(tape, &x)?;
        let x = self.relu2.forward(tape, &max_pool(tape, &x, 2, 2, 0)?)?;
        let x = flatten(tape, &x)?;
        let x = self.relu3.forward(tape, &self.fc1.forward(tape, &x)?)?;
        let x = self.relu4.forward(tape, &self.fc2.forward(tape, &x)?)?;
        self.fc3.forward(tape, &x)
    }
}
