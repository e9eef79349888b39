//! Sums, differences, products and quotients: of values, of values and parameters, of images and constants.

use super::forms::Form;
use super::{Layer, Lower, Lowering, Signal, Value};
use crate::nn::arithmetic::Spread;
use crate::onnx::constant::{Constant, Floats};
use crate::onnx::network::With;
use crate::onnx::proto::Node;
use crate::ops::broadcast::Arithmetic;

impl<'a> Lowering<'a> {
    pub(super) fn arithmetic(&mut self, node: &'a Node) -> Lower<Value> {
        let how = match node.op_type.as_str() {
            "Add" => Arithmetic::Add,
            "Sub" => Arithmetic::Subtract,
            "Mul" => Arithmetic::Multiply,
            _ => Arithmetic::Divide,
        };
        let names = [0, 1].map(|place| node.operand(place).unwrap_or_default());
        for (value, constant) in [(0, 1), (1, 0)] {
            let floats = match self.constant(names[constant]) {
                Some(Constant::Floats(floats)) => floats.clone(),
                Some(Constant::Ints(_)) => return Err("with whole numbers".into()),
                None => continue,
            };
            if how == Arithmetic::Add
                && let Some(value) = self.bias(node, names[value], constant)?
            {
                return Ok(value);
            }
            let commutes = matches!(how, Arithmetic::Add | Arithmetic::Multiply);
            if (constant == 1 || commutes)
                && let Some(scaled) = self.scaled(self.value(node, value)?, &floats, how)?
            {
                return Ok(scaled);
            }
            return self.with(node, value, &floats, how);
        }
        if how == Arithmetic::Multiply
            && let Some(value) = self.gated(node)?
        {
            return Ok(value);
        }
        let (a, b) = (self.named(names[0])?, self.named(names[1])?);
        if how == Arithmetic::Add && a.form == b.form {
            return self.sum(node, names, [a, b]);
        }
        let signals = self.alike(&[a, b])?;
        let sides = common(&signals[0].form.sides(), &signals[1].form.sides())?;
        let form = signals[0].form.with(&sides)?;
        self.layer(node, Layer::Arithmetic(how), &signals, form)
    }

    /// A sum of equal shapes, in one layer with a batch norm before it.
    fn sum(&mut self, node: &'a Node, names: [&'a str; 2], [a, b]: [Signal; 2]) -> Lower<Value> {
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

    /// A value and numbers of the file: parameters where the file has them as tensors, as torch's parameters are.
    fn with(
        &mut self,
        node: &'a Node,
        place: usize,
        floats: &Floats,
        how: Arithmetic,
    ) -> Lower<Value> {
        let signal = self.operand(node, place)?;
        let spread = self.spread(signal, floats)?;
        let sides = common(&signal.form.sides(), &spread.1[1..])?;
        let form = signal.form.with(&sides)?;
        let layer = Layer::With {
            with: spread.0,
            how,
            first: place == 1,
        };
        self.layer(node, layer, &[signal], form)
    }

    /// Numbers of the file as they go together with a signal, and their shape in the file's order of dimensions.
    pub(super) fn spread(&mut self, signal: Signal, floats: &Floats) -> Lower<(With, Vec<usize>)> {
        let rank = signal.form.rank();
        let missing = rank.checked_sub(floats.dims.len());
        let missing = missing.filter(|&missing| missing > 0 || floats.dims.first() == Some(&1));
        let Some(missing) = missing else {
            return Err(format!(
                "of a value {:?} and numbers {:?}, which have as many dimensions as the batch and it, or more",
                signal.form.sides(),
                floats.dims
            )
            .into());
        };
        let shape = [vec![1; missing], floats.dims.clone()].concat();
        let order = signal.form.order();
        let alone = floats.count() == 1 && !floats.name.contains('.');
        if floats.fixed || alone {
            let stored: Vec<usize> = match &order {
                Some(order) => order.iter().map(|&axis| shape[axis]).collect(),
                None => shape.clone(),
            };
            let fixed = self.b.given(&stored, || {
                let tensor = floats.tensor()?.reshape(shape.as_slice())?;
                Ok(match &order {
                    Some(order) => tensor.permute(order.as_slice())?.contiguous()?,
                    None => tensor,
                })
            })?;
            return Ok((With::Fixed(fixed), shape));
        }
        let param = self.tensor(floats, &floats.dims, false)?;
        let spread = Spread {
            param,
            shape: shape.clone(),
            order,
        };
        Ok((With::Parameter(spread), shape))
    }

    /// The images scaled and shifted by constants, one for each channel: their standardisation.
    fn scaled(&self, value: Value, floats: &Floats, how: Arithmetic) -> Lower<Option<Value>> {
        let (signal, mut scales) = match value {
            Value::Signal(
                signal @ Signal {
                    slot: 0,
                    form: Form::Map([channels, ..]),
                },
            ) => (signal, vec![[1.0, 0.0]; channels]),
            Value::Scaled(signal, scales) => (signal, scales),
            _ => return Ok(None),
        };
        let Some(numbers) = by_channel(floats, scales.len()) else {
            return Ok(None);
        };
        for ([scale, shift], number) in scales.iter_mut().zip(numbers) {
            match how {
                Arithmetic::Add => *shift += number,
                Arithmetic::Subtract => *shift -= number,
                Arithmetic::Multiply => (*scale, *shift) = (*scale * number, *shift * number),
                Arithmetic::Divide => (*scale, *shift) = (*scale / number, *shift / number),
            }
        }
        if scales.iter().flatten().any(|number| !number.is_finite()) {
            return Err("of the images with constants that give no numbers".into());
        }
        Ok(Some(Value::Scaled(signal, scales)))
    }
}

/// The sides of what is computed of two values, each repeated along its sides of 1.
pub(super) fn common(a: &[usize], b: &[usize]) -> Lower<Vec<usize>> {
    let sides = a.iter().zip(b).map(|(&a, &b)| match (a, b) {
        (1, side) | (side, 1) => Some(side),
        (a, b) => (a == b).then_some(a),
    });
    let sides: Option<Vec<usize>> = sides.collect();
    match sides.filter(|_| a.len() == b.len()) {
        Some(sides) => Ok(sides),
        None => Err(format!("of {a:?} and {b:?}, whose sides differ").into()),
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
