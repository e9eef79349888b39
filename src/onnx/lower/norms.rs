//! Normalisations: batch norms, and those of each image by itself.

use super::forms::Form;
use super::layers::rounded;
use super::pointwise::common;
use super::shapes::inner_axis;
use super::{Layer, Lower, Lowering, Signal, Value};
use crate::nn::BatchNorm2d;
use crate::onnx::constant::Floats;
use crate::onnx::proto::Node;
use crate::ops::broadcast::Arithmetic;

impl<'a> Lowering<'a> {
    pub(super) fn norm(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let (signal, channels) = match signal.form {
            Form::Flat(features) => (signal, features),
            form => (self.mapped(signal)?, form.sides()[0]),
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

    /// The last dimensions of each image, from one on, brought to mean 0 and variance 1, and scaled.
    pub(super) fn layer_norm(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let signal = self.plain(signal)?;
        let sides = signal.form.sides();
        let rank = sides.len() + 1;
        let first = inner_axis(node, -1, rank, "over the images of a batch")? - 1;
        let rows = [&sides[..first], &[sides[first..].iter().product()]].concat();
        let signal = self.standardised(node, signal, &rows)?;
        let signal = self.reshaped(signal, &sides)?;
        let operands = [(1, Arithmetic::Multiply), (2, Arithmetic::Add)];
        self.scaled_by(node, signal, &operands, |floats| floats)
    }

    /// Each channel of an image, or each group of channels, brought to mean 0 and variance 1, and scaled.
    pub(super) fn group_norm(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let (form, sides) = (signal.form, signal.form.sides());
        let groups = match node.op_type.as_str() {
            "InstanceNormalization" => sides[0],
            _ => usize::try_from(node.int("num_groups", 0)).unwrap_or(0),
        };
        let all: usize = sides.iter().product();
        if groups == 0 || sides[0] % groups != 0 || sides.len() < 2 {
            return Err(format!("of {groups} groups of a value {sides:?}").into());
        }
        let scale = self.floats(node, 1)?;
        let signal = self.reshaped(signal, &[groups, all / groups])?;
        let signal = self.standardised(node, signal, &[groups, all / groups])?;
        // Before version 21 the groups were scaled, and not the channels.
        let own = if scale.dims == [groups] && groups != sides[0] {
            vec![groups, all / groups]
        } else {
            sides.clone()
        };
        let mut signal = self.reshaped(signal, &own)?;
        if own == sides && matches!(form, Form::Map(_)) {
            signal = self.mapped(signal)?;
        }
        let operands = [(1, Arithmetic::Multiply), (2, Arithmetic::Add)];
        let value = self.scaled_by(node, signal, &operands, |mut floats| {
            floats.dims.extend(vec![1; own.len() - 1]);
            floats
        })?;
        match value {
            Value::Signal(signal) => Ok(Value::Signal(self.reshaped(signal, &sides)?)),
            value => Ok(value),
        }
    }

    /// Rows of the numbers of an image, each brought to mean 0 and variance 1.
    fn standardised(&mut self, node: &Node, signal: Signal, rows: &[usize]) -> Lower<Signal> {
        let eps = f64::from(node.float("epsilon", 1e-5));
        if !(eps.is_finite() && eps >= 0.0) {
            return Err(format!("with epsilon {eps}").into());
        }
        let signal = self.reshaped(signal, rows)?;
        self.signal(Layer::Standardise(rounded(eps)), &[signal], signal.form)
    }

    /// The numbers of the file at some places of a node, one after the other, with a signal. Scales of 1 and shifts of 0 that are
    /// not parameters of the network are left out: exporters write them where a norm has none.
    fn scaled_by(
        &mut self,
        node: &'a Node,
        mut signal: Signal,
        operands: &[(usize, Arithmetic)],
        shaped: impl Fn(Floats) -> Floats,
    ) -> Lower<Value> {
        for &(place, how) in operands {
            if node.operand(place).is_none() {
                continue;
            }
            let floats = self.floats(node, place)?;
            let neutral = if how == Arithmetic::Multiply {
                1.0
            } else {
                0.0
            };
            let bare = floats.fixed || !floats.name.contains('.');
            if bare && floats.numbers()?.iter().all(|&number| number == neutral) {
                continue;
            }
            let (with, shape) = self.spread(signal, &shaped(floats))?;
            let sides = signal.form.sides();
            if common(&sides, &shape[1..])? != sides {
                return Err(format!("of a value {sides:?} and numbers {shape:?}").into());
            }
            signal = self.signal(Layer::by(with, how), &[signal], signal.form)?;
        }
        Ok(Value::Signal(signal))
    }
}
