//! Biases on a card.

use candle_core::{D, DType, Tensor};

use crate::Result;
use crate::ops::card::{Call, Card, THREADS, expect, suffix};

/// The most neighbouring columns of a block.
const WIDE: usize = 64;
/// Rows that one thread adds up at least.
const FEW_ROWS: usize = 16;
/// Blocks beyond which rows are not shared out further: some for each processor of a card.
const BLOCKS: usize = 512;

/// `y += bias` in each row of `y (.., C)`, in place, where there is a bias. Nothing else may read `y`.
pub fn add(card: &dyn Card, y: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    let Some(bias) = bias else {
        return Ok(());
    };
    let c = y.dim(D::Minus1)?;
    let n = y.elem_count();
    expect::tensor("a bias", bias, &[c], DType::F32)?;
    expect::indexable("a bias", y.dims())?;
    card.launch(
        &Call::elements("bias", "bias_add", n)
            .of(suffix(y.dtype())?)
            .tensors([y, bias])
            .size(n)
            .int(c),
    )
}

/// The gradient of a bias, float32 `(C)`: the sum of all rows of `dy (.., C)`.
pub fn gradient(card: &dyn Card, dy: &Tensor) -> Result<Tensor> {
    let c = dy.dim(D::Minus1)?;
    let rows = dy.elem_count() / c.max(1);
    expect::indexable("a bias's gradient", dy.dims())?;
    // A power of two, which divides the threads of a block.
    let wide = c.next_power_of_two().min(WIDE);
    let columns = c.div_ceil(wide);
    let lanes = THREADS as usize / wide;
    let shares = rows
        .div_ceil(lanes * FEW_ROWS)
        .clamp(1, BLOCKS.div_ceil(columns.max(1)));
    let sums = card.scratch(&[shares, c], DType::F64)?;
    card.launch(
        &Call::blocks("bias", "bias_sum_rows", [columns as u32, shares as u32, 1])
            .of(suffix(dy.dtype())?)
            .tensors([dy, &sums])
            .ints([rows, c, wide]),
    )?;
    let total = card.scratch(&[c], DType::F32)?;
    card.launch(
        &Call::blocks("bias", "bias_sum_shares", [columns as u32, 1, 1])
            .tensors([&sums, &total])
            .ints([shares, c, wide]),
    )?;
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::card::host::{close, each_type, numbers};

    /// One row, fewer rows than lanes, several shares, several blocks of columns.
    const SHAPES: [(usize, usize); 8] = [
        (1, 1),
        (3, 10),
        (5000, 3),
        (129, 33),
        (2049, 64),
        (40, 200),
        (12_345, 5),
        (0, 4),
    ];

    #[test]
    fn a_bias_is_added_to_every_row() {
        each_type(|card, dtype| {
            for (rows, c) in SHAPES {
                let y = card.tensor(&numbers(&[rows, c], 1, 1.0), &[rows, c], dtype);
                let bias = card.tensor(&numbers(&[c], 2, 1.0), &[c], DType::F32);
                let expected = card.wide(&y).broadcast_add(&card.wide(&bias)).unwrap();
                add(card, &y, Some(&bias)).unwrap();
                close(&y, &expected, dtype);
            }
        });
    }

    #[test]
    fn the_gradient_is_the_sum_of_all_rows() {
        each_type(|card, dtype| {
            for (rows, c) in SHAPES {
                let dy = card.tensor(&numbers(&[rows, c], 1, 1.0), &[rows, c], dtype);
                let found = gradient(card, &dy).unwrap();
                assert_eq!(found.dtype(), DType::F32);
                let expected = card.wide(&dy).sum(0).unwrap();
                close(&found, &expected, DType::F32);
            }
        });
    }

    #[test]
    fn a_bias_of_another_size_is_an_error() {
        each_type(|card, dtype| {
            let y = card.tensor(&[0.0; 6], &[2, 3], dtype);
            let bias = card.tensor(&[0.0; 2], &[2], DType::F32);
            assert!(add(card, &y, Some(&bias)).is_err());
        });
    }
}
