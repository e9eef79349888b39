//! The same work in Candle as it comes, for the networks that it can train: what this project's own kernels save.
//!
//! ResNet-50 is missing: Candle's max-pool takes no padding and has no gradient where windows overlap. Its gradient of
//! max-pool is wrong (each input gets a share of it), which does not change LeNet-5's time.

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{
    BatchNorm, Conv2d, Conv2dConfig, Linear, Module, ModuleT, Optimizer, SGD, VarBuilder, VarMap,
    batch_norm, conv2d, conv2d_no_bias, linear, loss::cross_entropy,
};

/// Logits of images `(N, C, H, W)`, in training mode or not.
type Body = Box<dyn Fn(&Tensor, bool) -> Result<Tensor>>;

/// A network of stock layers with its variables.
pub struct Stock {
    variables: VarMap,
    body: Body,
}

impl Stock {
    /// `mobilenet_v2` (CIFAR), `lenet5` or `mlp`; none for others.
    pub fn new(arch: &str) -> Option<Result<Self>> {
        let variables = VarMap::new();
        let b = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let body = match arch {
            "mobilenet_v2" => mobilenet_v2(b),
            "lenet5" => lenet5(b),
            "mlp" => mlp(b),
            _ => return None,
        };
        Some(body.map(|body| Self { variables, body }))
    }

    /// Plain SGD on all variables: Candle has no momentum.
    pub fn optimizer(&self) -> Result<SGD> {
        SGD::new(self.variables.all_vars(), 0.005)
    }

    /// One optimizer step.
    pub fn step(&self, optimizer: &mut SGD, images: &Tensor, labels: &Tensor) -> Result<()> {
        let loss = cross_entropy(&(self.body)(images, true)?, labels)?;
        optimizer.backward_step(&loss)
    }

    /// The gradient with respect to the images in evaluation mode, and the sign step from them.
    pub fn input_gradient(&self, images: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let x = Var::from_tensor(images)?;
        let loss = cross_entropy(&(self.body)(x.as_tensor(), false)?, labels)?;
        let gradients = loss.backward()?;
        let gradient = gradients
            .get(&x)
            .ok_or_else(|| candle_core::Error::msg("the images have no gradient"))?;
        let moved = (images + (gradient.sign()? * (2.0 / 255.0))?)?;
        let (low, high) = ((images - 8.0 / 255.0)?, (images + 8.0 / 255.0)?);
        moved.maximum(&low)?.minimum(&high)?.clamp(0f32, 1f32)
    }
}

fn mlp(b: VarBuilder) -> Result<Body> {
    let widths = [784, 400, 200, 100, 10];
    let layers: Vec<Linear> = (0..4)
        .map(|i| linear(widths[i], widths[i + 1], b.pp(i)))
        .collect::<Result<_>>()?;
    Ok(Box::new(move |x, _| {
        let mut x = x.flatten_from(1)?;
        for (i, layer) in layers.iter().enumerate() {
            x = layer.forward(&x)?;
            if i < 3 {
                x = x.relu()?;
            }
        }
        Ok(x)
    }))
}

fn lenet5(b: VarBuilder) -> Result<Body> {
    let padded = Conv2dConfig {
        padding: 2,
        ..Conv2dConfig::default()
    };
    let conv1 = conv2d(1, 6, 5, padded, b.pp("conv1"))?;
    let conv2 = conv2d(6, 16, 5, Conv2dConfig::default(), b.pp("conv2"))?;
    let fc1 = linear(400, 120, b.pp("fc1"))?;
    let fc2 = linear(120, 84, b.pp("fc2"))?;
    let fc3 = linear(84, 10, b.pp("fc3"))?;
    Ok(Box::new(move |x, _| {
        let x = conv1.forward(x)?.max_pool2d(2)?.relu()?;
        let x = conv2.forward(&x)?.max_pool2d(2)?.relu()?;
        let x = fc1.forward(&x.flatten_from(1)?)?.relu()?;
        fc3.forward(&fc2.forward(&x)?.relu()?)
    }))
}

/// Convolution and batch norm, with ReLU6 or without.
struct Unit {
    conv: Conv2d,
    norm: BatchNorm,
    act: bool,
}

impl Unit {
    fn new(
        b: &VarBuilder,
        (c_in, c_out): (usize, usize),
        kernel: usize,
        stride: usize,
        groups: usize,
        act: bool,
    ) -> Result<Self> {
        let config = Conv2dConfig {
            padding: kernel / 2,
            stride,
            groups,
            ..Conv2dConfig::default()
        };
        Ok(Self {
            conv: conv2d_no_bias(c_in, c_out, kernel, config, b.pp("conv"))?,
            norm: batch_norm(c_out, 1e-5, b.pp("norm"))?,
            act,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.norm.forward_t(&self.conv.forward(x)?, train)?;
        if self.act { x.clamp(0f32, 6f32) } else { Ok(x) }
    }
}

fn mobilenet_v2(b: VarBuilder) -> Result<Body> {
    // Expansion, channels, blocks, stride of the first: the CIFAR variant.
    let stages = [
        (1, 16, 1, 1),
        (6, 24, 2, 1),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ];
    let stem = Unit::new(&b.pp("stem"), (3, 32), 3, 1, 1, true)?;
    let mut blocks = Vec::new();
    let mut c_in = 32;
    for (expansion, channels, count, first) in stages {
        for i in 0..count {
            let b = b.pp(format!("block{}", blocks.len()));
            let (width, stride) = (c_in * expansion, if i == 0 { first } else { 1 });
            let mut units = Vec::new();
            if expansion > 1 {
                units.push(Unit::new(&b.pp("expand"), (c_in, width), 1, 1, 1, true)?);
            }
            units.push(Unit::new(
                &b.pp("depth"),
                (width, width),
                3,
                stride,
                width,
                true,
            )?);
            units.push(Unit::new(
                &b.pp("project"),
                (width, channels),
                1,
                1,
                1,
                false,
            )?);
            blocks.push((units, stride == 1 && c_in == channels));
            c_in = channels;
        }
    }
    let last = Unit::new(&b.pp("last"), (320, 1280), 1, 1, 1, true)?;
    let classifier = linear(1280, 10, b.pp("classifier"))?;
    Ok(Box::new(move |x, train| {
        let mut x = stem.forward(x, train)?;
        for (units, residual) in &blocks {
            let mut y = x.clone();
            for unit in units {
                y = unit.forward(&y, train)?;
            }
            x = if *residual { (x + y)? } else { y };
        }
        let x = last.forward(&x, train)?;
        classifier.forward(&x.mean((2, 3))?)
    }))
}
