//! Activations, see [`crate::ops::activation`].

use candle_core::Tensor;

use super::{Call, Card, same, suffix};
use crate::Result;
use crate::ops::activation::Activation;

/// The activation's number in the kernels.
pub(super) fn number(activation: Activation) -> usize {
    match activation {
        Activation::Identity => 0,
        Activation::Relu => 1,
        Activation::Relu6 => 2,
        Activation::Silu => 3,
    }
}

/// The activation of every element.
pub fn forward(card: &dyn Card, x: &Tensor, activation: Activation) -> Result<Tensor> {
    let y = card.scratch(x.dims(), x.dtype())?;
    let n = x.elem_count();
    card.launch(
        &Call::elements("activation", "activation_forward", n)
            .of(suffix(x.dtype())?)
            .pointer(card.address(x)?)
            .pointer(card.address(&y)?)
            .size(n)
            .int(number(activation)),
    )?;
    Ok(y)
}

/// The gradient with respect to the input, from the output or the input as on the CPU.
pub fn backward(
    card: &dyn Card,
    dy: &Tensor,
    saved: &Tensor,
    activation: Activation,
) -> Result<Tensor> {
    same("an activation's gradient", dy, saved)?;
    let dx = card.scratch(dy.dims(), dy.dtype())?;
    let n = dy.elem_count();
    card.launch(
        &Call::elements("activation", "activation_backward", n)
            .of(suffix(dy.dtype())?)
            .pointer(card.address(dy)?)
            .pointer(card.address(saved)?)
            .pointer(card.address(&dx)?)
            .size(n)
            .int(number(activation)),
    )?;
    Ok(dx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::activation as cpu;
    use crate::ops::cuda::host::{close, each_type, numbers};

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
