//! A convolution and the batch norm that follows it, in one where no pass needs what lies between them.

use super::activation::Act;
use super::batch_norm::BatchNorm2d;
use super::conv::Conv2d;
use super::gradients::{Grad, Rule};
use super::param::Param;
use super::pass::Mode;
use super::tape::{Tape, Var};
use crate::Result;
use crate::ops::activation::{self, Activation};
use crate::ops::conv::normalised::{self, Ending};

impl Conv2d {
    /// `act(norm(conv(x)) + residual)`, the last two as far as they are given.
    pub fn forward_norm(
        &self,
        tape: &Tape,
        x: &Var,
        norm: &BatchNorm2d,
        residual: Option<&Var>,
        act: Option<&Act>,
    ) -> Result<Var> {
        let activation = act.map_or(Activation::Identity, Act::kind);
        let rule = act.map_or(Rule::True, |act| act.rule(tape));
        let is_one = tape.pass().mode == Mode::Eval
            && !tape.wants_parameters()
            && !tape.is_traced()
            && activation.derivative_from_output()
            && !rule.is_surrogate();
        let found = match is_one {
            true => normalised::forward(
                x.tensor(),
                self.weight.tensor(),
                self.bias.as_ref().map(Param::tensor),
                self.geometry,
                Ending {
                    affine: norm.affine(),
                    residual: residual.map(Var::tensor),
                    activation,
                },
            )?,
            false => None,
        };
        let Some((y, scaled)) = found else {
            return norm.run(tape, &self.forward(tape, x)?, residual, act);
        };
        let (x_id, residual_id) = (x.id(), residual.and_then(Var::id));
        // Two branches need the gradient before the sum.
        let pulled = residual.is_some();
        let told_from = (activation != Activation::Identity).then(|| y.clone());
        let (shape, layer) = (x.dims().to_vec(), self.clone());
        let wanted = x_id.is_some() || residual_id.is_some();
        let y = tape.record(y, wanted, move |dy, gradients| {
            let told_from = told_from.as_ref().filter(|_| !gradients.is_linear(rule));
            let (dz, told_from) = match told_from {
                Some(y) if pulled => {
                    let dz = activation::backward(dy.tensor(), y, activation)?;
                    (Grad::new(dz), None)
                }
                told_from => (dy, told_from),
            };
            if x_id.is_some() {
                let dx = normalised::backward_input(
                    dz.tensor(),
                    (told_from, activation),
                    &scaled,
                    layer.weight.tensor(),
                    &shape,
                    layer.geometry,
                )?;
                gradients.add(x_id, Grad::new(dx))?;
            }
            gradients.add(residual_id, dz)
        });
        match act {
            Some(act) => tape.tapped(act.index(), y),
            None => Ok(y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{
        BackwardPlan, Builder, ConvConfig, Coordinates, Init, Pass, batch_norm2d, conv2d,
    };
    use candle_core::{DType, Device, Tensor};

    fn numbers(shape: &[usize], from: f64, dtype: DType) -> Tensor {
        let found = Tensor::rand(from, 1.0, shape, &Device::Cpu).unwrap();
        found.to_dtype(dtype).unwrap()
    }

    /// Output and input gradient, of a shortcut too where there is one, by the common form or one after the other.
    fn both(
        (conv, norm, shortcut): (&Conv2d, &BatchNorm2d, Option<&Conv2d>),
        act: Option<&Act>,
        plan: &BackwardPlan,
        images: &Tensor,
        is_one: bool,
    ) -> [Vec<f64>; 2] {
        let tape = Tape::new(Pass::attack(
            plan.clone(),
            Mode::Eval,
            Coordinates::default(),
        ));
        let x = tape.input(images);
        let residual = shortcut.map(|shortcut| shortcut.forward(&tape, &x).unwrap());
        let residual = residual.as_ref();
        let y = match is_one {
            true => conv.forward_norm(&tape, &x, norm, residual, act),
            false => norm.run(&tape, &conv.forward(&tape, &x).unwrap(), residual, act),
        };
        let y = y.unwrap();
        let at = |i: usize| ((i * 37) % 101) as f64 / 50.0 - 1.0;
        let dy: Vec<f64> = (0..y.tensor().elem_count()).map(at).collect();
        let dy = Tensor::from_vec(dy, y.dims(), &Device::Cpu).unwrap();
        let dy = dy.to_dtype(images.dtype()).unwrap();
        let output = y.tensor().clone();
        let gradient = tape.backward(&y, dy).unwrap().input().unwrap();
        [output, gradient].map(|found| {
            let found = found.to_dtype(DType::F64).unwrap();
            found.flatten_all().unwrap().to_vec1().unwrap()
        })
    }

    #[test]
    fn in_one_is_one_after_the_other_bit_for_bit() {
        // Image, channels in and out, kernel, stride, groups: every algorithm of a convolution, with a border and without.
        let convs = [
            (9, [16, 32], 1, 1, 1),
            (9, [24, 24], 3, 1, 24),
            (9, [24, 24], 3, 2, 24),
            (9, [32, 16], 3, 1, 1),
            (9, [32, 20], 3, 2, 1),
            (9, [12, 20], 5, 1, 2),
            (9, [3, 20], 3, 1, 1),
            (2, [16, 20], 3, 1, 1),
        ];
        for dtype in [DType::F32, DType::F64] {
            for (side, [c_in, c_out], kernel, stride, groups) in convs {
                let b = Builder::new(1, dtype, &Device::Cpu);
                let config = ConvConfig {
                    groups,
                    bias: kernel == 3,
                    ..ConvConfig::same(kernel, stride, Init::TorchDefault)
                };
                let conv = conv2d(&b.pp("conv"), c_in, c_out, kernel, config).unwrap();
                let shortcut = conv2d(&b.pp("shortcut"), c_in, c_out, kernel, config).unwrap();
                let norm = batch_norm2d(&b.pp("norm"), c_out).unwrap();
                for (values, from) in [
                    (&norm.weight, -1.0),
                    (&norm.bias, -1.0),
                    (&norm.running_mean, -0.5),
                    (&norm.running_var, 0.1),
                ] {
                    values.set(&numbers(&[c_out], from, dtype)).unwrap();
                }
                let images = numbers(&[5, side, side, c_in], -1.0, dtype);
                let acts = [Activation::Relu, Activation::Relu6, Activation::Silu];
                let acts = acts.map(|kind| Some(b.activation("act", kind)));
                for act in acts.iter().map(Option::as_ref).chain([None]) {
                    for shortcut in [None, Some(&shortcut)] {
                        for linear in [false, true] {
                            let plan = BackwardPlan::new(vec![linear; 3]);
                            let [one, two] = [true, false].map(|is_one| {
                                let layers = (&conv, &norm, shortcut);
                                both(layers, act, &plan, &images, is_one)
                            });
                            assert_eq!(one, two, "{dtype:?} {conv:?} {act:?} {linear}");
                        }
                    }
                }
            }
        }
    }
}
