//! Borders on a card.

use candle_core::Tensor;

use super::Layout;
use crate::Result;
use crate::ops::card::{Call, Card, expect, suffix};

pub fn forward(card: &dyn Card, x: &Tensor, border: usize) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let shape = [n, h + border, w + border, c];
    expect::indexable("activations with a border", &shape)?;
    let y = card.scratch(&shape, x.dtype())?;
    copy(
        card,
        "pad_add",
        [x, &y],
        &y,
        Layout::new([n, h, w, c], border),
    )?;
    Ok(y)
}

pub fn backward(card: &dyn Card, dy: &Tensor, border: usize) -> Result<Tensor> {
    let (n, h, w, c) = dy.dims4()?;
    expect::indexable("activations with a border", dy.dims())?;
    let shape = [n, h - border, w - border, c];
    let dx = card.scratch(&shape, dy.dtype())?;
    copy(card, "pad_take", [dy, &dx], &dx, Layout::new(shape, border))?;
    Ok(dx)
}

/// A number of `out` each from the other tensor.
fn copy(
    card: &dyn Card,
    kernel: &'static str,
    [x, y]: [&Tensor; 2],
    out: &Tensor,
    layout: Layout,
) -> Result<()> {
    let n = out.elem_count();
    card.launch(
        &Call::elements("pad", kernel, n)
            .of(suffix(x.dtype())?)
            .tensors([x, y])
            .size(n)
            .ints([
                layout.height,
                layout.length,
                layout.wide_height,
                layout.wide_length,
            ]),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{cpu, has};
    use super::*;
    use crate::ops::card::host::{each_type, numbers, within};

    #[test]
    fn borders_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            for (shape, border) in [([2, 5, 7, 3], 1), ([3, 1, 1, 64], 2), ([1, 4, 4, 1], 0)] {
                let x = card.tensor(&numbers(&shape, 1, 1.0), &shape, dtype);
                let y = forward(card, &x, border).unwrap();
                within(&y, &cpu::forward(&card.wide(&x), border).unwrap(), 0.0);
                within(&backward(card, &y, border).unwrap(), &x, 0.0);
            }
        });
    }

    #[test]
    fn a_border_that_is_not_there_is_an_error() {
        each_type(|card, dtype| {
            let y = card.tensor(&[0.0; 4], &[1, 2, 2, 1], dtype);
            assert!(has(&y, 2).is_err() && has(&y, 1).is_ok());
        });
    }
}
