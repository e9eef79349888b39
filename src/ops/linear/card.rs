//! Fully connected layers on a card: products by cuBLAS.

use candle_core::{DType, Tensor};

use super::sizes;
use crate::Result;
use crate::ops::bias;
use crate::ops::card::{Card, Product};
use crate::ops::conv::filters::card::in_type_of;

pub fn forward(
    card: &dyn Card,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (n, features, out) = sizes(x.dims(), weight.dims())?;
    let y = card.scratch(&[n, out], x.dtype())?;
    card.multiply(&Product {
        m: n,
        k: features,
        n: out,
        a: x,
        a_turned: false,
        b: &in_type_of(card, weight, x)?,
        b_turned: true,
        c: &y,
    })?;
    bias::card::add(card, &y, bias)?;
    Ok(y)
}

pub fn backward_input(card: &dyn Card, dy: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let ((n, out), (_, features)) = (dy.dims2()?, weight.dims2()?);
    let dx = card.scratch(&[n, features], dy.dtype())?;
    card.multiply(&Product {
        m: n,
        k: out,
        n: features,
        a: dy,
        a_turned: false,
        b: &in_type_of(card, weight, dy)?,
        b_turned: false,
        c: &dx,
    })?;
    Ok(dx)
}

pub fn backward_weight(card: &dyn Card, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let ((n, features), (_, out)) = (x.dims2()?, dy.dims2()?);
    let dw = card.scratch(&[out, features], DType::F32)?;
    card.multiply(&Product {
        m: out,
        k: n,
        n: features,
        a: dy,
        a_turned: true,
        b: x,
        b_turned: false,
        c: &dw,
    })?;
    Ok(dw)
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{close, each_type, numbers};

    #[test]
    fn products_and_gradients_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            let x = card.tensor(&numbers(&[5, 7], 1, 1.0), &[5, 7], dtype);
            let dy = card.tensor(&numbers(&[5, 3], 2, 1.0), &[5, 3], dtype);
            let w = card.tensor(&numbers(&[3, 7], 3, 1.0), &[3, 7], DType::F32);
            let (wx, wdy) = (card.wide(&x), card.wide(&dy));
            let ww = card.wide(&w.to_dtype(dtype).unwrap());
            let y = forward(card, &x, &w, None).unwrap();
            close(&y, &cpu::forward(&wx, &ww, None).unwrap(), dtype);
            let dx = backward_input(card, &dy, &w).unwrap();
            close(&dx, &cpu::backward_input(&wdy, &ww).unwrap(), dtype);
            let dw = backward_weight(card, &x, &dy).unwrap();
            assert_eq!(dw.dtype(), DType::F32);
            close(&dw, &cpu::backward_weight(&wx, &wdy).unwrap(), dtype);
            assert!(forward(card, &dy, &w, None).is_err());
        });
    }
}
