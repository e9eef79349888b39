//! Joining activations along channels on a card.

use candle_core::Tensor;

use super::joinable;
use crate::Result;
use crate::ops::card::{Call, Card, expect, suffix};

pub fn forward(card: &dyn Card, parts: &[&Tensor]) -> Result<Tensor> {
    let first = joinable(parts)?;
    let (n, h, w, _) = first.dims4()?;
    let width = parts.iter().map(|part| part.dims()[3]).sum::<usize>();
    expect::indexable("joined activations", &[n, h, w, width])?;
    let y = card.scratch(&[n, h, w, width], first.dtype())?;
    let mut start = 0;
    for part in parts {
        let c = part.dim(3)?;
        copy(card, (part, 0), (&y, start), c)?;
        start += c;
    }
    Ok(y)
}

pub fn slice(card: &dyn Card, dy: &Tensor, start: usize, width: usize) -> Result<Tensor> {
    let (n, h, w, _) = dy.dims4()?;
    expect::indexable("joined activations", dy.dims())?;
    let dx = card.scratch(&[n, h, w, width], dy.dtype())?;
    copy(card, (dy, start), (&dx, 0), width)?;
    Ok(dx)
}

/// Copies `width` channels of every pixel from a channel on of one tensor to a channel on of another.
fn copy(
    card: &dyn Card,
    (x, start): (&Tensor, usize),
    (y, to_start): (&Tensor, usize),
    width: usize,
) -> Result<()> {
    let (columns, to_columns) = (x.dim(3)?, y.dim(3)?);
    let n = x.elem_count() / columns.max(1) * width;
    card.launch(
        &Call::elements("concat", "concat_copy", n)
            .of(suffix(x.dtype())?)
            .tensors([x, y])
            .size(n)
            .ints([width, columns, start, to_columns, to_start]),
    )
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{each_type, numbers, within};

    #[test]
    fn joined_and_split_activations_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            for widths in [vec![1, 3, 5, 33, 64], vec![64], vec![7, 7]] {
                let parts: Vec<Tensor> = widths
                    .iter()
                    .map(|&c| {
                        let shape = [2, 5, 7, c];
                        card.tensor(&numbers(&shape, c as u64, 1.0), &shape, dtype)
                    })
                    .collect();
                let wide: Vec<Tensor> = parts.iter().map(|part| card.wide(part)).collect();
                let y = forward(card, &parts.iter().collect::<Vec<_>>()).unwrap();
                let expected = cpu::forward(&wide.iter().collect::<Vec<_>>()).unwrap();
                within(&y, &expected, 0.0);
                let mut start = 0;
                for (part, &c) in parts.iter().zip(&widths) {
                    within(&slice(card, &y, start, c).unwrap(), part, 0.0);
                    start += c;
                }
            }
        });
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        each_type(|card, dtype| {
            let a = card.tensor(&[0.0; 8], &[1, 2, 2, 2], dtype);
            let b = card.tensor(&[0.0; 8], &[2, 2, 1, 2], dtype);
            assert!(forward(card, &[&a, &b]).is_err());
            assert!(forward(card, &[&a, &card.wide(&a)]).is_err());
            assert!(forward(card, &[]).is_err());
            assert!(super::super::slice(&a, 1, 2).is_err());
        });
    }
}
