//! Activations on a card.

use candle_core::Tensor;

use crate::Result;
use crate::ops::activation::Activation;
use crate::ops::card::{Call, Card, suffix};

pub fn forward(card: &dyn Card, x: &Tensor, activation: Activation) -> Result<Tensor> {
    let y = card.scratch(x.dims(), x.dtype())?;
    let n = x.elem_count();
    card.launch(
        &Call::elements("activation", "activation_forward", n)
            .of(suffix(x.dtype())?)
            .tensors([x, &y])
            .size(n)
            .int(activation as usize),
    )?;
    Ok(y)
}

pub fn backward(
    card: &dyn Card,
    dy: &Tensor,
    saved: &Tensor,
    activation: Activation,
) -> Result<Tensor> {
    let dx = card.scratch(dy.dims(), dy.dtype())?;
    let n = dy.elem_count();
    card.launch(
        &Call::elements("activation", "activation_backward", n)
            .of(suffix(dy.dtype())?)
            .tensors([dy, saved, &dx])
            .size(n)
            .int(activation as usize),
    )?;
    Ok(dx)
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{close, each_type, numbers};

    #[test]
    fn activations_and_gradients_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            let mut x = numbers(&[3, 5, 7, 11], 1, 4.0);
            // The kinks themselves.
            x[0] = 0.0;
            x[1] = 6.0;
            let (x, dy) = (
                card.tensor(&x, &[3, 5, 7, 11], dtype),
                card.tensor(&numbers(&[3, 5, 7, 11], 2, 1.0), &[3, 5, 7, 11], dtype),
            );
            for activation in [
                Activation::Identity,
                Activation::Relu,
                Activation::Relu6,
                Activation::Silu,
            ] {
                let y = forward(card, &x, activation).unwrap();
                close(
                    &y,
                    &cpu::forward(&card.wide(&x), activation).unwrap(),
                    dtype,
                );
                let dx = backward(card, &dy, &x, activation).unwrap();
                let expected = cpu::backward(&card.wide(&dy), &card.wide(&x), activation).unwrap();
                close(&dx, &expected, dtype);
            }
        });
    }
}
