//! Arithmetic of values, parameters and fixed numbers, each repeated along its sides of 1; sums and maxima along sides.

use candle_core::{D, DType, Tensor};

use super::gradients::{Grad, GradientStore};
use super::param::Param;
use super::tape::{Tape, Var};
use crate::Result;
use crate::ops::broadcast::{Arithmetic, combine, sum_to};

/// A parameter as it goes together with values.
#[derive(Clone, Debug)]
pub struct Spread {
    pub param: Param,
    /// The shape in which it is read: as many dimensions as the values have, with the batch.
    pub shape: Vec<usize>,
    /// Where each dimension of the values is among those of `shape`; none: in their order.
    pub order: Option<Vec<usize>>,
}

impl Spread {
    fn tensor(&self, dtype: DType) -> Result<Tensor> {
        let tensor = self.param.tensor().reshape(self.shape.as_slice())?;
        let tensor = match &self.order {
            Some(order) => tensor.permute(order.as_slice())?.contiguous()?,
            None => tensor,
        };
        Ok(tensor.to_dtype(dtype)?)
    }

    fn add_gradient(&self, gradient: &Tensor, gradients: &mut GradientStore) -> Result<()> {
        let gradient = match &self.order {
            Some(order) => gradient.permute(inverse(order))?.contiguous()?,
            None => gradient.clone(),
        };
        let own = self.param.tensor();
        let gradient = gradient.reshape(own.dims())?.to_dtype(own.dtype())?;
        gradients.parameter(&self.param, gradient)
    }
}

/// The permutation that undoes another.
pub(super) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        inverse[from] = to;
    }
    inverse
}

/// One side of an arithmetic operation.
#[derive(Clone, Copy)]
pub enum Operand<'a> {
    Value(&'a Var),
    Parameter(&'a Spread),
    /// Numbers that nothing moves.
    Fixed(&'a Tensor),
}

/// Where a gradient goes.
enum Target {
    Value(Option<usize>),
    Parameter(Spread),
    Nowhere,
}

impl Operand<'_> {
    fn tensor(&self, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Value(value) => Ok(value.tensor().clone()),
            Self::Parameter(spread) => spread.tensor(dtype),
            Self::Fixed(tensor) => Ok(tensor.to_dtype(dtype)?),
        }
    }

    fn target(&self, tape: &Tape) -> Target {
        match self {
            Self::Value(value) => Target::Value(value.id()),
            Self::Parameter(spread) if tape.wants_parameters() => {
                Target::Parameter((*spread).clone())
            }
            _ => Target::Nowhere,
        }
    }
}

impl Target {
    fn is_wanted(&self) -> bool {
        match self {
            Self::Value(id) => id.is_some(),
            Self::Parameter(_) => true,
            Self::Nowhere => false,
        }
    }
}

/// `a` and `b` number by number, each repeated along its sides of 1. `dtype` is that of the values.
pub fn arithmetic(
    tape: &Tape,
    a: Operand<'_>,
    b: Operand<'_>,
    how: Arithmetic,
    dtype: DType,
) -> Result<Var> {
    let (left, right) = (a.tensor(dtype)?, b.tensor(dtype)?);
    let y = combine(&left, &right, how)?;
    let targets = [a.target(tape), b.target(tape)];
    let wanted = targets.iter().any(Target::is_wanted);
    let products = matches!(how, Arithmetic::Multiply | Arithmetic::Divide);
    let shapes = [left.dims().to_vec(), right.dims().to_vec()];
    // What each factor's gradient is made of: the other one, and the quotient.
    let left = (how == Arithmetic::Multiply && targets[1].is_wanted()).then_some(left);
    let right = (products && wanted).then_some(right);
    let quotient = (how == Arithmetic::Divide && targets[1].is_wanted()).then(|| y.clone());
    Ok(tape.record(y, wanted, move |dy, gradients| {
        for (place, (target, shape)) in targets.iter().zip(&shapes).enumerate() {
            if !target.is_wanted() {
                continue;
            }
            let full = match (how, place, &left, &right, &quotient) {
                (Arithmetic::Multiply, 0, _, Some(right), _) => {
                    Grad::new(combine(dy.tensor(), right, Arithmetic::Multiply)?)
                }
                (Arithmetic::Multiply, 1, Some(left), ..) => {
                    Grad::new(combine(dy.tensor(), left, Arithmetic::Multiply)?)
                }
                (Arithmetic::Divide, 0, _, Some(right), _) => {
                    Grad::new(combine(dy.tensor(), right, Arithmetic::Divide)?)
                }
                (Arithmetic::Divide, 1, _, Some(right), Some(quotient)) => {
                    let through = combine(dy.tensor(), quotient, Arithmetic::Multiply)?;
                    Grad::new(combine(&through, right, Arithmetic::Divide)?.neg()?)
                }
                (Arithmetic::Subtract, 1, ..) => Grad::new(dy.tensor().neg()?),
                _ => dy.clone(),
            };
            let summed = match full.tensor().dims() == shape.as_slice() {
                true => full,
                false => Grad::new(sum_to(full.tensor(), shape)?),
            };
            match target {
                Target::Value(id) => gradients.add(*id, summed)?,
                Target::Parameter(spread) => spread.add_gradient(summed.tensor(), gradients)?,
                Target::Nowhere => {}
            }
        }
        Ok(())
    }))
}

/// `x` with the sides `axes` summed up and `factor` times that; those sides are 1 afterwards.
pub fn sum(tape: &Tape, x: &Var, axes: &[usize], factor: f64) -> Result<Var> {
    let shape = x.dims().to_vec();
    let to: Vec<usize> = shape
        .iter()
        .enumerate()
        .map(|(axis, &side)| if axes.contains(&axis) { 1 } else { side })
        .collect();
    let y = scaled(&sum_to(x.tensor(), &to)?, factor)?;
    Ok(tape.record_of(x, y, move |dy| {
        let dx = scaled(dy, factor)?.broadcast_as(shape.as_slice())?;
        Ok(dx.contiguous()?)
    }))
}

fn scaled(x: &Tensor, factor: f64) -> Result<Tensor> {
    Ok(match factor {
        1.0 => x.clone(),
        _ => x.affine(factor, 0.0)?,
    })
}

/// The largest numbers along the sides `axes`, which are 1 afterwards. Equal ones share the gradient, as torch's `amax` does it.
pub fn maximum(tape: &Tape, x: &Var, axes: &[usize]) -> Result<Var> {
    let mut y = x.tensor().clone();
    for &axis in axes {
        y = y.max_keepdim(axis)?;
    }
    let (input, output) = (x.tensor().clone(), y.clone());
    Ok(tape.record_of(x, y, move |dy| {
        let winners = input.broadcast_eq(&output)?.to_dtype(input.dtype())?;
        let share = combine(dy, &sum_to(&winners, dy.dims())?, Arithmetic::Divide)?;
        combine(&winners, &share, Arithmetic::Multiply)
    }))
}

/// `exp(x) / sum exp(x)` along the last dimension.
pub fn softmax(tape: &Tape, x: &Var) -> Result<Var> {
    let shifted = x
        .tensor()
        .broadcast_sub(&x.tensor().max_keepdim(D::Minus1)?)?;
    let powers = shifted.exp()?;
    let y = powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?;
    let output = y.clone();
    Ok(tape.record_of(x, y, move |dy| {
        let weighted = (dy * &output)?;
        Ok((&weighted - output.broadcast_mul(&weighted.sum_keepdim(D::Minus1)?)?)?)
    }))
}

/// The matrix products of two values, `(.., a, b)` and `(.., b, c)`.
pub fn product(tape: &Tape, a: &Var, b: &Var) -> Result<Var> {
    let y = a.tensor().matmul(b.tensor())?;
    let (ids, left, right) = ((a.id(), b.id()), a.tensor().clone(), b.tensor().clone());
    let wanted = ids.0.is_some() || ids.1.is_some();
    Ok(tape.record(y, wanted, move |dy, gradients| {
        let dy = dy.tensor();
        if ids.0.is_some() {
            let right = right.transpose(D::Minus1, D::Minus2)?.contiguous()?;
            gradients.add(ids.0, Grad::new(dy.matmul(&right)?))?;
        }
        if ids.1.is_some() {
            let left = left.transpose(D::Minus1, D::Minus2)?.contiguous()?;
            gradients.add(ids.1, Grad::new(left.matmul(dy)?))?;
        }
        Ok(())
    }))
}
