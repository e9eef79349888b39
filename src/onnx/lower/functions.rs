//! Functions of each number: activations, which have names, and gates, which no plan makes linear.

use super::pointwise::common;
use super::{Layer, Lower, Lowering, Signal, Value};
use crate::nn::Bend;
use crate::onnx::constant::Constants;
use crate::onnx::network::With;
use crate::onnx::proto::Node;
use crate::ops::activation::Activation;
use crate::ops::broadcast::Arithmetic;
use crate::ops::curve::Curve;

/// What a Clip without a bound has for it.
const UNBOUNDED: f64 = f64::INFINITY;

impl<'a> Lowering<'a> {
    pub(super) fn function(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let setting = |name, default| f64::from(node.float(name, default));
        let power = |exponent| Curve::Power { exponent };
        match node.op_type.as_str() {
            "Relu" => self.act(node, node.operand(0).unwrap_or_default(), Activation::Relu),
            "Clip" => match clip(node, constants)? {
                Clip::Fused(kind) => self.act(node, node.operand(0).unwrap_or_default(), kind),
                Clip::Other(curve) => self.bent(node, curve),
            },
            "LeakyRelu" => self.bent(
                node,
                Curve::LeakyRelu {
                    slope: setting("alpha", 0.01),
                },
            ),
            "Elu" => self.bent(
                node,
                Curve::Elu {
                    scale: setting("alpha", 1.0),
                },
            ),
            "HardSwish" => self.bent(node, Curve::HardSwish),
            "Mish" => self.bent(node, Curve::Mish),
            "Gelu" => match node.word("approximate").as_deref() {
                None | Some("" | "none") => self.bent(node, Curve::Gelu),
                Some("tanh") => self.bent(node, Curve::GeluTanh),
                Some(other) => Err(format!("with approximate = {other}").into()),
            },
            "Sigmoid" => Ok(Value::Gate(self.operand(node, 0)?, Curve::Sigmoid)),
            "HardSigmoid" => {
                let (slope, shift) = (setting("alpha", 0.2), setting("beta", 0.5));
                let curve = Curve::HardSigmoid { slope, shift };
                Ok(Value::Gate(self.operand(node, 0)?, curve))
            }
            "Tanh" => self.gate(node, Curve::Tanh),
            "Softplus" => self.gate(node, Curve::Softplus { beta: 1.0 }),
            "Erf" => self.gate(node, Curve::Erf),
            "Exp" => self.gate(node, Curve::Exp),
            "Log" => self.gate(node, Curve::Log),
            "Abs" => self.gate(node, Curve::Absolute),
            "Sqrt" => self.gate(node, power(0.5)),
            "Reciprocal" => self.gate(node, power(-1.0)),
            _ => {
                let exponent = match self.value(node, 1)? {
                    Value::Constant(constant) => constant.number(),
                    _ => None,
                };
                self.gate(
                    node,
                    power(exponent.ok_or("with an exponent that is no number")?),
                )
            }
        }
    }

    fn gate(&mut self, node: &'a Node, curve: Curve) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        self.layer(node, Layer::Bend(Bend::gate(curve)), &[signal], signal.form)
    }

    pub(super) fn negative(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let layer = self.times(signal, -1.0)?;
        self.layer(node, layer, &[signal], signal.form)
    }

    /// A layer that multiplies by one number.
    fn times(&self, signal: Signal, number: f64) -> Lower<Layer> {
        let shape = vec![1; signal.form.rank()];
        let fixed = self.b.given(&shape, || {
            Ok(candle_core::Tensor::full(
                number,
                shape.as_slice(),
                &candle_core::Device::Cpu,
            )?)
        })?;
        Ok(Layer::by(With::Fixed(fixed), Arithmetic::Multiply))
    }

    /// `max(z, 0) + slope min(z, 0)` with slopes that are parameters (arXiv 1502.01852); at 0 its derivative is the slope.
    pub(super) fn prelu(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let gate = |curve| Layer::Bend(Bend::gate(curve));
        let above = gate(Curve::LeakyRelu { slope: 0.0 });
        let below = gate(Curve::Clip {
            least: -UNBOUNDED,
            most: 0.0,
        });
        let above = self.signal(above, &[signal], signal.form)?;
        let below = self.signal(below, &[signal], signal.form)?;
        let floats = self.floats(node, 1)?;
        let (with, shape) = self.spread(signal, &floats)?;
        let sides = signal.form.sides();
        if common(&sides, &shape[1..])? != sides {
            return Err(format!("of a value {sides:?} and slopes {shape:?}").into());
        }
        let layer = Layer::by(with, Arithmetic::Multiply);
        let below = self.signal(layer, &[below], signal.form)?;
        self.layer(node, Layer::Add, &[above, below], signal.form)
    }

    /// An activation that no batch norm is fused with.
    pub(super) fn bent(&mut self, node: &'a Node, curve: Curve) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let name = self.activation_name(node)?;
        let layer = Layer::Bend(self.b.bend(name, curve));
        self.layer(node, layer, &[signal], signal.form)
    }

    /// An activation of the value of that name, in one layer with the batch norm before it where there is one.
    pub(super) fn act(&mut self, node: &'a Node, of: &'a str, kind: Activation) -> Lower<Value> {
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

    /// The product of a value and a gate, where that is one activation.
    pub(super) fn gated(&mut self, node: &'a Node) -> Lower<Option<Value>> {
        for (x, gate) in [(0, 1), (1, 0)] {
            let Ok(Value::Gate(Signal { slot, .. }, curve)) = self.value(node, gate) else {
                continue;
            };
            let of = node.operand(x).unwrap_or_default();
            match (self.values.get(of), curve) {
                (Some(Value::Signal(signal)), Curve::Sigmoid) if signal.slot == slot => {
                    // Its input is used twice, by the Sigmoid and by the product, and not besides.
                    if self.uses.get(of) == Some(&2) {
                        self.uses.insert(of, 1);
                    }
                    return self.act(node, of, Activation::Silu).map(Some);
                }
                (Some(Value::Signal(signal)), Curve::HardSigmoid { slope, shift })
                    if signal.slot == slot && shift == 0.5 && (slope * 6.0 - 1.0).abs() < 1e-6 =>
                {
                    let (signal, name) = (*signal, self.activation_name(node)?);
                    let layer = Layer::Bend(self.b.bend(name, Curve::HardSwish));
                    return self.layer(node, layer, &[signal], signal.form).map(Some);
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

enum Clip {
    Fused(Activation),
    Other(Curve),
}

/// Which activation a Clip is.
fn clip(node: &Node, constants: Constants<'_>) -> Lower<Clip> {
    let bound = |place: usize, setting: &str| match constants.get(place) {
        Some(constant) => Ok(constant.number()),
        None if node.operand(place).is_some() => Err("between bounds that are no constants"),
        None => Ok(node.setting(setting).map(|bound| f64::from(bound.f))),
    };
    let far = f64::from(f32::MAX);
    let least = bound(1, "min")?.filter(|least| *least > -far);
    let most = bound(2, "max")?.filter(|most| *most < far);
    match (least, most) {
        (Some(0.0), Some(6.0)) => Ok(Clip::Fused(Activation::Relu6)),
        (Some(0.0), None) => Ok(Clip::Fused(Activation::Relu)),
        (least, most) => {
            let (least, most) = (least.unwrap_or(-UNBOUNDED), most.unwrap_or(UNBOUNDED));
            match least <= most {
                true => Ok(Clip::Other(Curve::Clip { least, most })),
                false => Err(format!("between {least} and {most}").into()),
            }
        }
    }
}
