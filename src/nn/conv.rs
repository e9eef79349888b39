//! Convolution layer.

use super::builder::Builder;
use super::gradients::Grad;
use super::init::Init;
use super::param::Param;
use super::tape::{Tape, Var};
use super::trace::Operation;
use crate::Result;
use crate::ops::bias;
use crate::ops::conv::{self, Geometry};

/// Settings of a convolution besides its channels and kernel.
#[derive(Clone, Copy, Debug)]
pub struct ConvConfig {
    pub stride: usize,
    pub padding: usize,
    pub groups: usize,
    pub bias: bool,
    /// Rule for the initial weights. A bias starts at zero, except that torch's default gives it the weights' rule.
    pub init: Init,
}

impl Default for ConvConfig {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            groups: 1,
            bias: false,
            init: Init::TorchDefault,
        }
    }
}

impl ConvConfig {
    /// A convolution without bias that keeps the sides of its input but for the stride.
    pub fn same(kernel: usize, stride: usize, init: Init) -> Self {
        Self {
            stride,
            padding: kernel / 2,
            init,
            ..Self::default()
        }
    }
}

/// A convolution over `(N, H, W, C)` with weights `(out, in/groups, k, k)`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    pub weight: Param,
    pub bias: Option<Param>,
    pub geometry: Geometry,
}

/// A convolution from `c_in` to `c_out` channels with a square kernel.
pub fn conv2d(
    b: &Builder,
    c_in: usize,
    c_out: usize,
    kernel: usize,
    config: ConvConfig,
) -> Result<Conv2d> {
    let shape = [c_out, c_in / config.groups, kernel, kernel];
    let weight = b.parameter("weight", &shape, config.init)?;
    let bias_init = match config.init {
        Init::TorchDefault => Init::Uniform {
            bound: 1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt(),
        },
        _ => Init::Constant(0.0),
    };
    let bias = if config.bias {
        Some(b.parameter("bias", &[c_out], bias_init)?)
    } else {
        None
    };
    Ok(Conv2d {
        weight,
        bias,
        geometry: Geometry {
            stride: config.stride,
            padding: config.padding,
            groups: config.groups,
            ..Geometry::default()
        },
    })
}

impl Conv2d {
    /// The convolution of `x`.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let bias = self.bias.as_ref().map(Param::tensor);
        let y = conv::forward(x.tensor(), self.weight.tensor(), bias, self.geometry)?;
        let wants_parameters = tape.wants_parameters();
        let saved = wants_parameters.then(|| x.tensor().clone());
        let (id, shape, layer) = (x.id(), x.dims().to_vec(), self.clone());
        let y = tape.record(y, wants_parameters || id.is_some(), move |dy, gradients| {
            let (dy, geometry) = (dy.tensor(), layer.geometry);
            if let (Some(x), true) = (&saved, gradients.takes_parameters()) {
                let dw = conv::backward_weight(x, dy, layer.weight.tensor().dims(), geometry)?;
                gradients.parameter(&layer.weight, dw)?;
                if let Some(bias) = &layer.bias {
                    gradients.parameter(bias, bias::gradient(dy)?)?;
                }
            }
            if id.is_some() {
                let dx = conv::backward_input(dy, layer.weight.tensor(), &shape, geometry)?;
                gradients.add(id, Grad::new(dx))?;
            }
            Ok(())
        });
        tape.trace(&y, [x], || vec![Operation::Conv(self.clone())]);
        Ok(y)
    }
}
