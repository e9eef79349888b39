//! The values of a graph that is being lowered: what a node is given, and what becomes of it.

use super::{Form, LARGEST, Lower, Lowering, Refusal, Signal, Value};
use crate::nn::{Bend, Param};
use crate::onnx::constant::{Constant, Floats, count};
use crate::onnx::graph::name;
use crate::onnx::network::{Layer, Scale, Step};
use crate::onnx::proto::Node;

impl<'a> Lowering<'a> {
    /// The inputs of a node that are constants.
    pub(super) fn constants(&self, node: &Node) -> Vec<Option<Constant>> {
        let names = node.input.iter();
        names.map(|name| self.constant(name).cloned()).collect()
    }

    pub(super) fn constant(&self, name: &str) -> Option<&Constant> {
        match self.values.get(name) {
            Some(Value::Constant(constant)) => Some(constant),
            Some(_) => None,
            None => self.graph.initializers.get(name),
        }
    }

    /// The input at this place as it stands.
    pub(super) fn value(&self, node: &Node, place: usize) -> Lower<Value> {
        let name = node.operand(place);
        let name = name.ok_or_else(|| format!("has no input number {}", place + 1))?;
        match self.values.get(name) {
            Some(Value::Unknown) => Err(Refusal::Follows),
            Some(value) => Ok(value.clone()),
            None => match self.graph.initializers.get(name) {
                Some(constant) => Ok(Value::Constant(constant.clone())),
                None => {
                    Err(format!("needs \"{name}\", a further output of another operator").into())
                }
            },
        }
    }

    /// The input at this place, which depends on the images.
    pub(super) fn operand(&mut self, node: &'a Node, place: usize) -> Lower<Signal> {
        let name = node.operand(place);
        self.named(name.ok_or_else(|| format!("has no input number {}", place + 1))?)
    }

    pub(super) fn named(&mut self, name: &'a str) -> Lower<Signal> {
        match self.values.get(name) {
            Some(Value::Signal(signal)) => Ok(*signal),
            Some(Value::Scaled(signal, scales)) => {
                let (signal, scales) = (*signal, scales.clone());
                let signal = self.scale(signal, &scales)?;
                self.values.insert(name, Value::Signal(signal));
                Ok(signal)
            }
            Some(&Value::Padded(signal, around)) => {
                let signal = self.bordered(signal, around, 0.0)?;
                self.values.insert(name, Value::Signal(signal));
                Ok(signal)
            }
            Some(&Value::Strided(signal, axis, step)) => {
                let signal = self.every(signal, axis, step)?;
                self.values.insert(name, Value::Signal(signal));
                Ok(signal)
            }
            Some(&Value::Gate(signal, curve)) => {
                let layer = Layer::Bend(Bend::gate(curve));
                let signal = self.signal(layer, &[signal], signal.form)?;
                self.values.insert(name, Value::Signal(signal));
                Ok(signal)
            }
            Some(Value::Unknown) => Err(Refusal::Follows),
            Some(Value::Constant(_)) | None => {
                Err("of constants, where what depends on the images was expected".into())
            }
        }
    }

    /// The input at this place as an image: channels, height, width.
    pub(super) fn map(&mut self, node: &'a Node, place: usize) -> Lower<(Signal, [usize; 3])> {
        let signal = self.operand(node, place)?;
        let signal = self.mapped(signal)?;
        match signal.form {
            Form::Map(sides) => Ok((signal, sides)),
            _ => Err("of a value that is no map, where (N, C, H, W) was expected".into()),
        }
    }

    /// The input at this place as a row of numbers.
    pub(super) fn flat(&mut self, node: &'a Node, place: usize) -> Lower<(Signal, usize)> {
        let signal = self.operand(node, place)?;
        match signal.form {
            Form::Flat(features) => Ok((signal, features)),
            _ => Err("of a map of features, where (N, numbers) was expected".into()),
        }
    }

    /// The input at this place, parameters.
    pub(super) fn floats(&self, node: &Node, place: usize) -> Lower<Floats> {
        match self.value(node, place)? {
            Value::Constant(Constant::Floats(floats)) => Ok(floats),
            _ => Err(format!(
                "its input number {} is expected to be parameters",
                place + 1
            )
            .into()),
        }
    }

    /// A parameter or a buffer with numbers of the file.
    pub(super) fn tensor(&mut self, floats: &Floats, dims: &[usize], buffer: bool) -> Lower<Param> {
        let found = || format!("parameters {} have shape {:?}", floats.name, floats.dims);
        if floats.dims != dims {
            return Err(format!("{}, expected {dims:?}", found()).into());
        }
        if let Some((param, was_buffer, transposed)) = self.tensors.get(&floats.name) {
            let same = (*was_buffer, *transposed) == (buffer, floats.transposed);
            return match same && param.tensor().dims() == dims {
                true => Ok(param.clone()),
                false => Err(format!("{}, and are used in two ways", found()).into()),
            };
        }
        let values = || floats.tensor();
        let param = match buffer {
            true => self.b.given_buffer(&floats.name, dims, values)?,
            false => self.b.given_parameter(&floats.name, dims, values)?,
        };
        let entry = (param.clone(), buffer, floats.transposed);
        self.tensors.insert(floats.name.clone(), entry);
        Ok(param)
    }

    pub(super) fn push(&mut self, layer: Layer, inputs: Vec<usize>) -> usize {
        let output = self.slots.len();
        self.slots.push("");
        self.steps.push(Some(Step {
            layer,
            inputs,
            output,
            last: Vec::new(),
        }));
        output
    }

    /// The signal that a new layer makes of others.
    pub(super) fn signal(&mut self, layer: Layer, inputs: &[Signal], form: Form) -> Lower<Signal> {
        let sides = form.sides();
        let count = count(&sides);
        if count.is_none_or(|count| count == 0 || count > LARGEST) {
            return Err(
                format!("gives a value of shape {sides:?}, which is empty or too large").into(),
            );
        }
        let slot = self.push(layer, inputs.iter().map(|signal| signal.slot).collect());
        Ok(Signal { slot, form })
    }

    /// The same as the value of a node.
    pub(super) fn layer(
        &mut self,
        node: &'a Node,
        layer: Layer,
        inputs: &[Signal],
        form: Form,
    ) -> Lower<Value> {
        let signal = self.signal(layer, inputs, form)?;
        self.slots[signal.slot] = node.output.first().map_or("", String::as_str);
        Ok(Value::Signal(signal))
    }

    /// The step that made a value which nothing but the present node uses: the two may become one.
    pub(super) fn sole_maker(&mut self, name: &str) -> Option<&mut Option<Step>> {
        let Some(Value::Signal(Signal { slot, .. })) = self.values.get(name) else {
            return None;
        };
        let only = self.uses.get(name) == Some(&1) && self.slots[*slot] == name;
        // Close by, mostly.
        let mut steps = self.steps.iter_mut().rev();
        steps.find(|step| only && step.as_ref().is_some_and(|step| step.output == *slot))
    }

    pub(super) fn scale(&mut self, signal: Signal, scales: &[[f64; 2]]) -> Lower<Signal> {
        self.normalizes = true;
        let channels = scales.len();
        let given = |values: Vec<f64>| {
            self.b.given(&[channels], || {
                Ok(candle_core::Tensor::new(values, &candle_core::Device::Cpu)?)
            })
        };
        let layer = Layer::Scale(Scale {
            scale: given(scales.iter().map(|[scale, _]| *scale).collect())?,
            shift: given(scales.iter().map(|[_, shift]| *shift).collect())?,
            zero: given(vec![0.0; channels])?,
            one: given(vec![1.0; channels])?,
        });
        self.signal(layer, &[signal], signal.form)
    }

    /// A name for an activation that no other has.
    pub(super) fn activation_name(&mut self, node: &'a Node) -> Lower<&'a str> {
        let output = node.output.first().map_or("", String::as_str);
        let names = [name(node), output];
        let free = names.into_iter().find(|name| self.activations.insert(name));
        free.ok_or_else(|| "shares its name with another activation".into())
    }
}
