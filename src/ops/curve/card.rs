//! Functions of each number on a card.

use candle_core::Tensor;

use super::Curve;
use crate::Result;
use crate::ops::card::{Call, Card, suffix};

pub fn forward(card: &dyn Card, x: &Tensor, curve: Curve) -> Result<Tensor> {
    let y = card.scratch(x.dims(), x.dtype())?;
    let n = x.elem_count();
    let (kind, [a, b]) = curve.numbered();
    card.launch(
        &Call::elements("curve", "curve_forward", n)
            .of(suffix(x.dtype())?)
            .tensors([x, &y])
            .size(n)
            .int(kind)
            .floats([a, b]),
    )?;
    Ok(y)
}

pub fn backward(card: &dyn Card, dy: &Tensor, x: &Tensor, curve: Curve) -> Result<Tensor> {
    let dx = card.scratch(dy.dims(), dy.dtype())?;
    let n = dy.elem_count();
    let (kind, [a, b]) = curve.numbered();
    card.launch(
        &Call::elements("curve", "curve_backward", n)
            .of(suffix(dy.dtype())?)
            .tensors([dy, x, &dx])
            .size(n)
            .int(kind)
            .floats([a, b]),
    )?;
    Ok(dx)
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{each_type, numbers, within};
    use candle_core::DType;

    #[test]
    fn functions_and_gradients_are_those_of_the_cpu() {
        let shape = [3, 5, 7, 11];
        each_type(|card, dtype| {
            let x = card.tensor(&numbers(&shape, 1, 5.0), &shape, dtype);
            let positive = card.tensor(
                &numbers(&shape, 3, 2.0)
                    .iter()
                    .map(|v| v.abs() + 0.1)
                    .collect::<Vec<_>>(),
                &shape,
                dtype,
            );
            let dy = card.tensor(&numbers(&shape, 2, 1.0), &shape, dtype);
            for curve in [
                Curve::Sigmoid,
                Curve::HardSigmoid {
                    slope: 0.2,
                    shift: 0.5,
                },
                Curve::HardSwish,
                Curve::LeakyRelu { slope: 0.1 },
                Curve::Elu { scale: 0.7 },
                Curve::Gelu,
                Curve::GeluTanh,
                Curve::Mish,
                Curve::Clip {
                    least: -1.0,
                    most: 2.0,
                },
                Curve::Tanh,
                Curve::Softplus { beta: 1.0 },
                Curve::Softplus { beta: 2.5 },
                Curve::Erf,
                Curve::Exp,
                Curve::Log,
                Curve::Absolute,
                Curve::Power { exponent: -0.5 },
            ] {
                let x = match curve {
                    Curve::Log | Curve::Power { .. } => &positive,
                    _ => &x,
                };
                let bound = if dtype == DType::BF16 { 6e-3 } else { 4e-6 };
                let y = forward(card, x, curve).unwrap();
                within(&y, &cpu::forward(&card.wide(x), curve).unwrap(), bound);
                let dx = backward(card, &dy, x, curve).unwrap();
                let expected = cpu::backward(&card.wide(&dy), &card.wide(x), curve).unwrap();
                within(&dx, &expected, bound);
            }
        });
    }
}
