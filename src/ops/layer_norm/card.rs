//! Rows brought to mean 0 and variance 1 on a card, by Candle's own kernels.

use candle_core::{D, DType, Tensor};

use crate::Result;
use crate::ops::card::Card;

pub fn forward(_: &dyn Card, x: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    let wide = x.to_dtype(DType::F32)?;
    let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let inverse = (variance + eps)?.sqrt()?.recip()?;
    let y = centred.broadcast_mul(&inverse)?.to_dtype(x.dtype())?;
    Ok((y, inverse.squeeze(D::Minus1)?))
}

pub fn backward(_: &dyn Card, dy: &Tensor, y: &Tensor, inverse_std: &Tensor) -> Result<Tensor> {
    let (gradient, y) = (dy.to_dtype(DType::F32)?, y.to_dtype(DType::F32)?);
    let level = gradient.mean_keepdim(D::Minus1)?;
    let along = (&gradient * &y)?.mean_keepdim(D::Minus1)?;
    let inside = gradient
        .broadcast_sub(&level)?
        .sub(&y.broadcast_mul(&along)?)?;
    let dx = inside.broadcast_mul(&inverse_std.unsqueeze(D::Minus1)?)?;
    Ok(dx.to_dtype(dy.dtype())?)
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{close, each_type, numbers};

    #[test]
    fn rows_and_gradients_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            let shape = [3, 5, 33];
            let x = card.tensor(&numbers(&shape, 1, 2.0), &shape, dtype);
            let dy = card.tensor(&numbers(&shape, 2, 1.0), &shape, dtype);
            let (y, inverse) = forward(card, &x, 1e-5).unwrap();
            let (expected, wide) = cpu::forward(&card.wide(&x), 1e-5).unwrap();
            close(&y, &expected, dtype);
            let dx = backward(card, &dy, &y, &inverse).unwrap();
            let expected = cpu::backward(&card.wide(&dy), &card.wide(&y), &wide).unwrap();
            close(&dx, &expected, dtype);
        });
    }
}
