//! Arithmetic with repeated sides on a card, by Candle's own kernels.

use candle_core::{DType, Tensor};

use super::{Arithmetic, common};
use crate::Result;
use crate::ops::card::Card;

pub fn combine(_: &dyn Card, a: &Tensor, b: &Tensor, how: Arithmetic) -> Result<Tensor> {
    common(a, b)?;
    Ok(match how {
        Arithmetic::Add => a.broadcast_add(b)?,
        Arithmetic::Subtract => a.broadcast_sub(b)?,
        Arithmetic::Multiply => a.broadcast_mul(b)?,
        Arithmetic::Divide => a.broadcast_div(b)?,
    })
}

pub fn sum_to(_: &dyn Card, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let sides = x.dims().iter().zip(shape).enumerate();
    let repeated: Vec<usize> = sides.filter(|(_, (x, s))| x != s).map(|(i, _)| i).collect();
    // Sums of half precision would lose what is small beside them.
    Ok(x.to_dtype(DType::F32)?
        .sum_keepdim(repeated)?
        .to_dtype(x.dtype())?)
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{close, each_type, numbers};

    #[test]
    fn results_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            let a = card.tensor(&numbers(&[3, 5, 4, 7], 1, 1.0), &[3, 5, 4, 7], dtype);
            let b = card.tensor(&numbers(&[3, 1, 1, 7], 2, 1.0), &[3, 1, 1, 7], dtype);
            let (x, y) = (card.wide(&a), card.wide(&b));
            for how in [Arithmetic::Add, Arithmetic::Subtract, Arithmetic::Multiply] {
                let expected = cpu::combine(&x, &y, how).unwrap();
                close(&combine(card, &a, &b, how).unwrap(), &expected, dtype);
            }
            let expected = cpu::sum_to(&x, &[3, 1, 1, 7]).unwrap();
            close(&sum_to(card, &a, &[3, 1, 1, 7]).unwrap(), &expected, dtype);
        });
    }
}
