//! The nodes of what layers compute.

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::writer::{Setting, Writer, floats};
use crate::nn::trace::{Operation, Traced};
use crate::nn::{Act, Param};
use crate::ops::activation::Activation;
use crate::ops::conv::Geometry;
use crate::ops::image::Normalize;
use crate::ops::pool::{Average, Window};
use crate::{Error, Result};

impl Writer<'_> {
    /// Adds the nodes of a layer.
    pub fn layer(&mut self, layer: &Traced) -> Result<()> {
        let inputs: Result<Vec<String>> = layer.inputs.iter().map(|&x| self.value(x)).collect();
        let mut inputs = inputs?.into_iter();
        let mut value = inputs.next().unwrap_or_default();
        for operation in &layer.operations {
            value = match operation {
                Operation::Add => {
                    let other = inputs.next().unwrap_or_default();
                    self.node("Add", "add", vec![value, other], vec![])
                }
                Operation::Concatenate => {
                    let parts = [value].into_iter().chain(inputs.by_ref()).collect();
                    self.node("Concat", "concat", parts, vec![("axis", Setting::Int(1))])
                }
                operation => self.operation(operation, value, &layer.dims)?,
            };
        }
        self.values.insert(layer.output, value);
        Ok(())
    }

    /// An operation on one value, whose shape in memory is `dims`.
    fn operation(&mut self, operation: &Operation, x: String, dims: &[usize]) -> Result<String> {
        Ok(match operation {
            Operation::Add | Operation::Concatenate => x,
            Operation::Normalize(Normalize { mean, std }) => {
                let mean = self.channels("mean", &Tensor::new(&mean[..], &Device::Cpu)?)?;
                let std = self.channels("std", &Tensor::new(&std[..], &Device::Cpu)?)?;
                let x = self.node("Sub", "centre", vec![x, mean], vec![]);
                self.node("Div", "standardise", vec![x, std], vec![])
            }
            Operation::Scale(scale, shift) => {
                let scale = self.channels("scale", scale)?;
                let shift = self.channels("shift", shift)?;
                let x = self.node("Mul", "scaled", vec![x, scale], vec![]);
                self.node("Add", "shifted", vec![x, shift], vec![])
            }
            Operation::Conv(conv) => {
                let Geometry {
                    stride,
                    padding,
                    dilation,
                    groups,
                } = conv.geometry;
                let inputs = with_parameters(x, &conv.weight, &conv.bias);
                let (_, _, height, width) = conv.weight.tensor().dims4()?;
                let settings = vec![
                    ("kernel_shape", Setting::Ints(vec![height, width])),
                    ("strides", Setting::Ints(vec![stride; 2])),
                    ("pads", Setting::Ints(vec![padding; 4])),
                    ("dilations", Setting::Ints(vec![dilation; 2])),
                    ("group", Setting::Int(groups as i64)),
                ];
                self.node("Conv", module(&conv.weight), inputs, settings)
            }
            Operation::Norm(norm) => {
                let params = [
                    &norm.weight,
                    &norm.bias,
                    &norm.running_mean,
                    &norm.running_var,
                ];
                let names = params.map(|param| param.name().to_owned());
                let settings = vec![
                    ("epsilon", Setting::Float(norm.eps)),
                    // The format weighs the old value, torch the new one.
                    ("momentum", Setting::Float(1.0 - norm.momentum)),
                ];
                let inputs = [x].into_iter().chain(names).collect();
                self.node("BatchNormalization", module(&norm.weight), inputs, settings)
            }
            Operation::Linear(linear) => {
                let inputs = with_parameters(x, &linear.weight, &linear.bias);
                let settings = vec![("transB", Setting::Int(1))];
                self.node("Gemm", module(&linear.weight), inputs, settings)
            }
            Operation::Activation(act) => self.activation(*act, x)?,
            Operation::MoreChannels(before, after) => {
                let pads = self.whole("pads", &[0, *before, 0, 0, 0, *after, 0, 0]);
                self.node("Pad", "pad", vec![x, pads], vec![])
            }
            Operation::Border(border) => {
                let pads = self.whole("pads", &[0, 0, 0, 0, 0, 0, *border, *border]);
                self.node("Pad", "pad", vec![x, pads], vec![])
            }
            Operation::MaxPool(window) => {
                let Window {
                    kernel,
                    stride,
                    padding,
                } = *window;
                let mut settings = pooling([kernel; 2], [stride; 2]);
                settings.push(("pads", Setting::Ints(vec![padding; 4])));
                self.node("MaxPool", "max_pool", vec![x], settings)
            }
            Operation::AveragePool(average) => self.average(*average, x, dims)?,
            Operation::Flatten => self.node(
                "Flatten",
                "flatten",
                vec![x],
                vec![("axis", Setting::Int(1))],
            ),
        })
    }

    /// An activation, whose last node has its name; where the network uses it again, the name with a number.
    fn activation(&mut self, act: Act, x: String) -> Result<String> {
        let name = self.activations.get(act.index());
        let name = name.ok_or_else(|| Error::failed("an activation without a name"))?;
        let name = match self.named.insert(act.index()) {
            true => name.clone(),
            false => self.fresh(name),
        };
        let (operator, inputs) = match act.kind() {
            Activation::Identity => return Ok(x),
            Activation::Relu => ("Relu", vec![x]),
            Activation::Relu6 => ("Clip", vec![x, self.number(0.0), self.number(6.0)]),
            Activation::Silu => {
                let gate = format!("{name}.sigmoid");
                let gate = self.node("Sigmoid", &gate, vec![x.clone()], vec![]);
                ("Mul", vec![x, gate])
            }
        };
        let output = self.fresh(&format!("{name}.output"));
        self.push(operator, &name, inputs, output.clone(), vec![]);
        Ok(output)
    }

    /// An average of a value `(N, C, H, W)` whose shape in memory is `dims`, `(N, H, W, C)`.
    fn average(&mut self, average: Average, x: String, dims: &[usize]) -> Result<String> {
        let &[_, h, w, _] = dims else {
            return Err(Error::failed(format!(
                "an average of a value of shape {dims:?}"
            )));
        };
        let (oh, ow) = match average {
            Average::Windows { kernel, stride } => {
                let settings = pooling([kernel; 2], [stride; 2]);
                return Ok(self.node("AveragePool", "average_pool", vec![x], settings));
            }
            Average::Adaptive { oh, ow } => (oh, ow),
        };
        Ok(match (oh, ow) {
            _ if (oh, ow) == (h, w) => x,
            (1, 1) => self.node("GlobalAveragePool", "global_average_pool", vec![x], vec![]),
            _ if h.is_multiple_of(oh) && w.is_multiple_of(ow) => {
                let window = [h / oh, w / ow];
                self.node(
                    "AveragePool",
                    "average_pool",
                    vec![x],
                    pooling(window, window),
                )
            }
            _ if (h, w) == (1, 1) => {
                let shape = self.whole("shape", &[1, 1, oh, ow]);
                self.node("Expand", "spread", vec![x, shape], vec![])
            }
            // The format has no adaptive pooling: a product with the weights of the means, for rows and for columns.
            _ => {
                let (rows, columns) = average.cells(h, w)?;
                let rows = self.means("rows", &rows, h, false)?;
                let columns = self.means("columns", &columns, w, true)?;
                let x = self.node("MatMul", "average_rows", vec![rows, x], vec![]);
                self.node("MatMul", "average_columns", vec![x, columns], vec![])
            }
        })
    }

    /// The matrix that takes means over ranges of a side, `(ranges, side)` or turned.
    fn means(
        &mut self,
        name: &str,
        ranges: &[Range<usize>],
        side: usize,
        turned: bool,
    ) -> Result<String> {
        let weight = |range: &Range<usize>, at: usize| match range.contains(&at) {
            true => 1.0 / range.len() as f32,
            false => 0.0,
        };
        let weights = ranges
            .iter()
            .flat_map(|range| (0..side).map(|at| weight(range, at)));
        let matrix = Tensor::from_iter(weights, &Device::Cpu)?;
        let matrix = matrix.reshape((ranges.len(), side))?;
        let name = self.fresh(name);
        let matrix = if turned { matrix.t()? } else { matrix };
        self.initializers.push(floats(&name, &matrix)?);
        Ok(name)
    }
}

fn pooling(kernel: [usize; 2], stride: [usize; 2]) -> Vec<(&'static str, Setting)> {
    vec![
        ("kernel_shape", Setting::Ints(kernel.to_vec())),
        ("strides", Setting::Ints(stride.to_vec())),
    ]
}

/// The name of the module whose weights these are.
fn module(weight: &Param) -> &str {
    let name = weight.name();
    name.strip_suffix(".weight").unwrap_or(name)
}

/// The value, and the names of a layer's parameters.
fn with_parameters(x: String, weight: &Param, bias: &Option<Param>) -> Vec<String> {
    let params = [Some(weight), bias.as_ref()].into_iter().flatten();
    let names = params.map(|param| param.name().to_owned());
    [x].into_iter().chain(names).collect()
}
