//! Operators with parameters: convolutions, batch norms, linear layers; and dropout.

use super::{Form, Layer, Lower, Lowering, Refusal, Signal, Value};
use crate::nn::{BatchNorm2d, Conv2d, Linear, dropout};
use crate::onnx::constant::{Constant, Floats};
use crate::onnx::graph::name;
use crate::onnx::network::Step;
use crate::onnx::proto::Node;
use crate::ops::conv::Geometry;

/// The longest side of a kernel, step and border.
const LONGEST: i64 = 1 << 12;

/// One number for both directions.
pub(super) fn square(what: &str, numbers: Option<&[i64]>, default: i64) -> Lower<usize> {
    match numbers {
        None | Some([]) => Ok(default as usize),
        Some([a, rest @ ..]) if rest.iter().all(|b| a == b) && (0..=LONGEST).contains(a) => {
            Ok(*a as usize)
        }
        Some(numbers) => {
            Err(format!("with {what} {numbers:?}, which differ between directions").into())
        }
    }
}

/// The border of a window: the same on all sides.
pub(super) fn border(node: &Node) -> Lower<usize> {
    match node.word("auto_pad").as_deref() {
        None | Some("" | "NOTSET") => square("pads", node.ints("pads"), 0),
        Some("VALID") => Ok(0),
        Some(other) => Err(format!("with auto_pad = {other}").into()),
    }
}

pub(super) fn no_dilation(node: &Node) -> Lower<()> {
    match square("dilations", node.ints("dilations"), 1)? {
        1 => Ok(()),
        dilation => Err(format!("with a dilation of {dilation}").into()),
    }
}

impl<'a> Lowering<'a> {
    pub(super) fn conv(&mut self, node: &'a Node) -> Lower<Value> {
        no_dilation(node)?;
        let stride = square("strides", node.ints("strides"), 1)?;
        let padding = border(node)?;
        let groups = square("group", Some(&[node.int("group", 1)]), 1)?;
        let (signal, around) = match self.value(node, 0)? {
            Value::Padded(signal, around) => (signal, around),
            _ => (self.operand(node, 0)?, 0),
        };
        let padding = padding + around;
        let weight = self.floats(node, 1)?;
        let (Form::Map([channels, height, width]), &[out, per_group, kh, kw]) =
            (signal.form, weight.dims.as_slice())
        else {
            return Err("is computed on (N, C, H, W) with four dimensions of weights".into());
        };
        if stride == 0
            || groups == 0
            || per_group.checked_mul(groups) != Some(channels)
            || out % groups != 0
        {
            return Err(format!(
                "of {channels} channels with weights {:?}, {groups} groups and stride {stride}",
                weight.dims
            )
            .into());
        }
        let side = |side: usize, kernel: usize| match (side + 2 * padding).checked_sub(kernel) {
            Some(room) if kernel > 0 => Ok(room / stride + 1),
            _ => Err(format!(
                "of {height}x{width} pixels with a kernel of {kernel}"
            )),
        };
        let form = Form::Map([out, side(height, kh)?, side(width, kw)?]);
        let conv = Conv2d {
            weight: self.tensor(&weight, &weight.dims, false)?,
            bias: match node.operand(2) {
                Some(_) => {
                    let bias = self.floats(node, 2)?;
                    Some(self.tensor(&bias, &[out], false)?)
                }
                None => None,
            },
            geometry: Geometry {
                stride,
                padding,
                groups,
            },
        };
        self.layer(node, Layer::Conv(conv), &[signal], form)
    }

    pub(super) fn norm(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let channels = match signal.form {
            Form::Map([channels, ..]) => channels,
            Form::Flat(features) => features,
        };
        let eps = f64::from(node.float("epsilon", 1e-5));
        // The format weighs the old value, torch the new one.
        let momentum = 1.0 - f64::from(node.float("momentum", 0.9));
        if !(eps.is_finite() && eps >= 0.0 && (0.0..=1.0).contains(&momentum)) {
            return Err(format!("with epsilon {eps} and momentum {}", 1.0 - momentum).into());
        }
        let mut tensor = |place, buffer| {
            let floats = self.floats(node, place)?;
            self.tensor(&floats, &[channels], buffer)
        };
        let norm = BatchNorm2d {
            weight: tensor(1, false)?,
            bias: tensor(2, false)?,
            running_mean: tensor(3, true)?,
            running_var: tensor(4, true)?,
            // torch writes 1e-5 as the nearest f32.
            eps: rounded(eps),
            momentum: rounded(momentum),
        };
        self.norms = true;
        self.layer(node, Layer::Norm(norm, None), &[signal], signal.form)
    }

    pub(super) fn gemm(&mut self, node: &'a Node) -> Lower<Value> {
        let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
        if (alpha, beta, node.int("transA", 0)) != (1.0, 1.0, 0) {
            return Err(format!("with alpha {alpha}, beta {beta} or its input transposed").into());
        }
        let mut weight = self.floats(node, 1)?;
        if node.int("transB", 0) == 0 {
            weight = turned(weight)?;
        }
        let bias = match node.operand(2) {
            Some(_) => Some(self.floats(node, 2)?),
            None => None,
        };
        let (signal, features) = self.flat(node, 0)?;
        let linear = self.linear(weight, bias, features)?;
        let form = Form::Flat(linear.weight.tensor().dims()[0]);
        self.layer(node, Layer::Linear(linear), &[signal], form)
    }

    pub(super) fn matmul(&mut self, node: &'a Node) -> Lower<Value> {
        let weight = turned(self.floats(node, 1)?)?;
        let (signal, features) = self.flat(node, 0)?;
        let linear = self.linear(weight, None, features)?;
        let form = Form::Flat(linear.weight.tensor().dims()[0]);
        self.layer(node, Layer::Linear(linear), &[signal], form)
    }

    fn linear(&mut self, weight: Floats, bias: Option<Floats>, features: usize) -> Lower<Linear> {
        let &[out, _] = weight.dims.as_slice() else {
            return Err(format!("with weights of shape {:?}", weight.dims).into());
        };
        Ok(Linear {
            weight: self.tensor(&weight, &[out, features], false)?,
            bias: match bias {
                Some(bias) => Some(self.tensor(&row(bias), &[out], false)?),
                None => None,
            },
        })
    }

    /// A constant that is added to what a MatMul gives is its bias.
    pub(super) fn bias(
        &mut self,
        node: &'a Node,
        of: &'a str,
        place: usize,
    ) -> Lower<Option<Value>> {
        let Some(Value::Signal(Signal {
            slot,
            form: Form::Flat(out),
        })) = self.values.get(of)
        else {
            return Ok(None);
        };
        let (slot, out) = (*slot, *out);
        let bare =
            |step: &Step| matches!(&step.layer, Layer::Linear(linear) if linear.bias.is_none());
        if !self
            .sole_maker(of)
            .is_some_and(|step| step.as_ref().is_some_and(bare))
        {
            return Ok(None);
        }
        let floats = row(self.floats(node, place)?);
        let bias = self.tensor(&floats, &[out], false)?;
        if let Some(Some(step)) = self.sole_maker(of)
            && let Layer::Linear(linear) = &mut step.layer
        {
            linear.bias = Some(bias);
        }
        self.slots[slot] = node.output.first().map_or("", String::as_str);
        let form = Form::Flat(out);
        Ok(Some(Value::Signal(Signal { slot, form })))
    }

    pub(super) fn drop(&mut self, node: &'a Node, constants: &[Option<&Constant>]) -> Lower<Value> {
        let own = match (constants.get(1).copied().flatten(), node.operand(1)) {
            (Some(Constant::Floats(rate)), _) => rate.scalar().unwrap_or(f64::NAN),
            (_, None) => f64::from(node.float("ratio", 0.5)),
            _ => f64::NAN,
        };
        let signal = self.operand(node, 0)?;
        let layer = dropout(&self.b.pp(name(node)), self.dropout.unwrap_or(rounded(own)))?;
        self.layer(node, Layer::Dropout(layer), &[signal], signal.form)
    }
}

/// The matrix with its dimensions in torch's order, (out, in).
fn turned(weight: Floats) -> Lower<Floats> {
    let fault = format!("with weights of shape {:?}", weight.dims);
    weight.turned().ok_or(Refusal::Why(fault))
}

/// A row that is written as a matrix of one row.
fn row(mut bias: Floats) -> Floats {
    if let &[1, out] = bias.dims.as_slice() {
        bias.dims = vec![out];
    }
    bias
}

/// The decimal number of which the file has the nearest f32.
fn rounded(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}
