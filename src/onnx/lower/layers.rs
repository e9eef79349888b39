//! Linear layers and dropout.

use super::forms::Form;
use super::{Layer, Lower, Lowering, Refusal, Signal, Value};
use crate::nn::{Linear, dropout};
use crate::onnx::constant::{Constant, Constants, Floats};
use crate::onnx::graph::name;
use crate::onnx::network::Step;
use crate::onnx::proto::Node;

impl<'a> Lowering<'a> {
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
        if self.constant(node.operand(1).unwrap_or_default()).is_none() {
            return self.product(node);
        }
        let weight = turned(self.floats(node, 1)?)?;
        let signal = self.operand(node, 0)?;
        let signal = self.plain(signal)?;
        let mut sides = signal.form.sides();
        let features = sides.pop().unwrap_or(0);
        let linear = self.linear(weight, None, features)?;
        sides.push(linear.weight.tensor().dims()[0]);
        let form = Form::plain(&sides)?;
        self.layer(node, Layer::Linear(linear), &[signal], form)
    }

    /// The matrix products of two values.
    fn product(&mut self, node: &'a Node) -> Lower<Value> {
        let mut signals = [self.operand(node, 0)?, self.operand(node, 1)?];
        for signal in &mut signals {
            *signal = self.plain(*signal)?;
        }
        let [left, right] = signals.map(|signal| signal.form.sides());
        match (left.as_slice(), right.as_slice()) {
            ([outer @ .., rows, inside], [others @ .., same, columns])
                if outer == others && inside == same =>
            {
                let form = Form::plain(&[outer, &[*rows, *columns]].concat())?;
                self.layer(node, Layer::Product, &signals, form)
            }
            _ => Err(format!("of matrices {left:?} and {right:?}").into()),
        }
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
        let Some(Value::Signal(Signal { slot, form })) = self.values.get(of) else {
            return Ok(None);
        };
        let (slot, form) = (*slot, *form);
        let out = *form.sides().last().unwrap_or(&0);
        let bare =
            |step: &Step| matches!(&step.layer, Layer::Linear(linear) if linear.bias.is_none());
        if !self
            .sole_maker(of)
            .is_some_and(|step| step.as_ref().is_some_and(bare))
        {
            return Ok(None);
        }
        let floats = row(self.floats(node, place)?);
        if floats.dims != [out] {
            return Ok(None);
        }
        let bias = self.tensor(&floats, &[out], false)?;
        if let Some(Some(step)) = self.sole_maker(of)
            && let Layer::Linear(linear) = &mut step.layer
        {
            linear.bias = Some(bias);
        }
        self.slots[slot] = node.output.first().map_or("", String::as_str);
        Ok(Some(Value::Signal(Signal { slot, form })))
    }

    pub(super) fn drop(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let own = match (constants.get(1), node.operand(1)) {
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
pub(super) fn rounded(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}
