//! Operators that work on each number by itself.

use super::{Form, Layer, Lower, Lowering, Signal, Value};
use crate::onnx::constant::{Constant, Floats};
use crate::onnx::proto::Node;
use crate::ops::activation::Activation;

impl<'a> Lowering<'a> {
    pub(super) fn activation(
        &mut self,
        node: &'a Node,
        constants: &[Option<&Constant>],
    ) -> Lower<Value> {
        let kind = match node.op_type.as_str() {
            "Relu" => Activation::Relu,
            "Sigmoid" => return Ok(Value::Gate(self.operand(node, 0)?)),
            _ => clip(node, constants)?,
        };
        self.act(node, node.operand(0).unwrap_or_default(), kind)
    }

    /// An activation of the value of that name, in one layer with the batch norm before it where there is one.
    fn act(&mut self, node: &'a Node, of: &'a str, kind: Activation) -> Lower<Value> {
        let signal = self.named(of)?;
        let name = self.activation_name(node)?;
        let act = self.b.activation(name, kind);
        if let Some(Some(step)) = self.sole_maker(of)
            && let Layer::Norm(_, free @ None) = &mut step.layer
        {
            *free = Some(act);
            self.slots[signal.slot] = node.output.first().map_or("", String::as_str);
            return Ok(Value::Signal(signal));
        }
        self.layer(node, Layer::Act(act), &[signal], signal.form)
    }

    pub(super) fn add(&mut self, node: &'a Node) -> Lower<Value> {
        let names = [0, 1].map(|place| node.operand(place).unwrap_or_default());
        for (signal, constant) in [(0, 1), (1, 0)] {
            if self.constant(names[constant]).is_some() {
                return match self.bias(node, names[signal], constant)? {
                    Some(value) => Ok(value),
                    None => self.scaled(node),
                };
            }
        }
        let (a, b) = (self.named(names[0])?, self.named(names[1])?);
        if a.form != b.form {
            return Err(format!(
                "of {:?} and {:?}: shapes that differ are not added",
                a.form, b.form
            )
            .into());
        }
        for (of, other) in [(names[0], b), (names[1], a)] {
            if let Some(place) = self.sole_maker(of)
                && let Some(step) = place.as_ref()
                && matches!(&step.layer, Layer::Norm(_, None))
                && step.inputs.len() == 1
                && let Some(step) = place.take()
            {
                let input = Signal {
                    slot: step.inputs[0],
                    form: a.form,
                };
                return self.layer(node, step.layer, &[input, other], a.form);
            }
        }
        self.layer(node, Layer::Add, &[a, b], a.form)
    }

    pub(super) fn mul(&mut self, node: &'a Node) -> Lower<Value> {
        for (x, gate) in [(0, 1), (1, 0)] {
            if let Ok(Value::Gate(gated)) = self.value(node, gate) {
                let name = node.operand(x).unwrap_or_default();
                return match self.named(name)? {
                    signal if signal.slot == gated.slot => self.silu(node, name, signal),
                    _ => Err("of a Sigmoid with another value than its input".into()),
                };
            }
        }
        self.scaled(node)
    }

    fn silu(&mut self, node: &'a Node, of: &'a str, signal: Signal) -> Lower<Value> {
        let name = self.activation_name(node)?;
        let act = self.b.activation(name, Activation::Silu);
        // Its input is used twice, by the Sigmoid and by the product, and not besides.
        if self.uses.get(of) == Some(&2) {
            self.uses.insert(of, 1);
        }
        if let Some(Some(step)) = self.sole_maker(of)
            && let Layer::Norm(_, free @ None) = &mut step.layer
        {
            *free = Some(act);
            self.slots[signal.slot] = node.output.first().map_or("", String::as_str);
            return Ok(Value::Signal(signal));
        }
        self.layer(node, Layer::Act(act), &[signal], signal.form)
    }

    /// A sum, difference, product or quotient of the images and constants, one for each channel.
    pub(super) fn scaled(&mut self, node: &'a Node) -> Lower<Value> {
        let only = "is computed of the images and constants alone, one for each channel";
        let (first, second) = (self.value(node, 0)?, self.value(node, 1)?);
        let commutes = matches!(node.op_type.as_str(), "Add" | "Mul");
        let (value, floats) = match (first, second) {
            (value, Value::Constant(Constant::Floats(floats))) => (value, floats),
            (Value::Constant(Constant::Floats(floats)), value) if commutes => (value, floats),
            _ => return Err(only.into()),
        };
        let (signal, mut scales) = match value {
            Value::Signal(
                signal @ Signal {
                    slot: 0,
                    form: Form::Map([channels, ..]),
                },
            ) => (signal, vec![[1.0, 0.0]; channels]),
            Value::Scaled(signal, scales) => (signal, scales),
            _ => return Err(only.into()),
        };
        let numbers = by_channel(&floats, scales.len()).ok_or(only)?;
        for ([scale, shift], number) in scales.iter_mut().zip(numbers) {
            match node.op_type.as_str() {
                "Add" => *shift += number,
                "Sub" => *shift -= number,
                "Mul" => (*scale, *shift) = (*scale * number, *shift * number),
                _ => (*scale, *shift) = (*scale / number, *shift / number),
            }
        }
        if scales.iter().flatten().any(|number| !number.is_finite()) {
            return Err("of the images with constants that give no numbers".into());
        }
        Ok(Value::Scaled(signal, scales))
    }
}

/// A number for each channel: of a tensor (C, 1, 1), (1, C, 1, 1) or with one number.
fn by_channel(floats: &Floats, channels: usize) -> Option<Vec<f64>> {
    match floats.dims.as_slice() {
        [c, 1, 1] | [1, c, 1, 1] if *c == channels => floats.numbers().ok(),
        dims if dims.iter().all(|&side| side == 1) => Some(vec![floats.scalar()?; channels]),
        _ => None,
    }
}

/// Which activation a Clip is.
fn clip(node: &Node, constants: &[Option<&Constant>]) -> Lower<Activation> {
    let bound = |place: usize, setting: &str| match constants.get(place).copied().flatten() {
        Some(Constant::Floats(bound)) => Ok(bound.scalar()),
        Some(Constant::Ints(ints)) => Ok(match ints.known().as_deref() {
            Some([only]) => Some(*only as f64),
            _ => None,
        }),
        None if node.operand(place).is_some() => Err("between bounds that are no constants"),
        None => Ok(node.setting(setting).map(|bound| f64::from(bound.f))),
    };
    match (bound(1, "min")?, bound(2, "max")?) {
        (Some(0.0), Some(6.0)) => Ok(Activation::Relu6),
        (Some(0.0), None) => Ok(Activation::Relu),
        (Some(0.0), Some(most)) if most >= f64::from(f32::MAX) => Ok(Activation::Relu),
        (least, most) => {
            Err(format!("between {least:?} and {most:?}: only 0 and 6 are taken").into())
        }
    }
}
