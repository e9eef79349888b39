//! Between images and activations on a card.

use candle_core::{DType, Tensor};

use super::Normalize;
use crate::ops::card::{Call, Card, constant, expect, suffix};
use crate::ops::precision;
use crate::{Error, Result};

/// Channels up to which a thread takes a whole pixel; more are turned in tiles. A normalisation has no more.
const FEW: usize = 4;
/// The side of a tile.
const TILE: usize = constant(include_str!("kernel.cu"), "TILE");

pub fn enter(card: &dyn Card, x: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    last(card, x, normalize, precision::current().activations())
}

pub fn leave(card: &dyn Card, dy: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    first(card, dy, normalize, DType::F32)
}

pub fn to_channels_last(
    card: &dyn Card,
    x: &Tensor,
    normalize: Option<&Normalize>,
) -> Result<Tensor> {
    last(card, x, normalize, x.dtype())
}

pub fn to_channels_first(
    card: &dyn Card,
    dy: &Tensor,
    normalize: Option<&Normalize>,
) -> Result<Tensor> {
    first(card, dy, normalize, dy.dtype())
}

/// Images `(N, C, H, W)` to normalised activations `(N, H, W, C)` of a type.
fn last(
    card: &dyn Card,
    x: &Tensor,
    normalize: Option<&Normalize>,
    dtype: DType,
) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    turn(card, x, ([n, h, w, c], false), normalize, dtype)
}

/// The gradient of [`last`]: `(N, H, W, C)` to `(N, C, H, W)` of a type, divided by std.
fn first(
    card: &dyn Card,
    dy: &Tensor,
    normalize: Option<&Normalize>,
    dtype: DType,
) -> Result<Tensor> {
    let (n, h, w, c) = dy.dims4()?;
    turn(card, dy, ([n, c, h, w], true), normalize, dtype)
}

/// The same values in another order: the result's shape, and whether channels come before pixels there.
fn turn(
    card: &dyn Card,
    x: &Tensor,
    (shape, first): ([usize; 4], bool),
    normalize: Option<&Normalize>,
    dtype: DType,
) -> Result<Tensor> {
    let c = if first { shape[1] } else { shape[3] };
    expect::indexable("images", &shape)?;
    let factors = match normalize {
        Some(_) if c > FEW => {
            return Err(Error::failed(format!(
                "data.normalize: a card normalises up to {FEW} channels, images have {c}"
            )));
        }
        Some(normalize) => {
            normalize.check(c)?;
            Some((&normalize.mean, &normalize.std))
        }
        None => None,
    };
    let n = shape[0];
    let pixels = x.elem_count() / (n * c).max(1);
    if factors.is_none() && (c == 1 || pixels == 1) && x.dtype() == dtype {
        return Ok(x.reshape(shape.as_slice())?);
    }
    let y = card.scratch(&shape, dtype)?;
    let source = suffix(x.dtype())?;
    let call = if c <= FEW {
        let kernel = match (first, source) {
            (false, "f32") => "image_few_to_last_from_f32",
            (false, _) => "image_few_to_last_from_bf16",
            (true, "f32") => "image_few_to_first_from_f32",
            (true, _) => "image_few_to_first_from_bf16",
        };
        let of = |values: Option<&Vec<f64>>, i: usize, none: f64| {
            values.and_then(|v| v.get(i)).copied().unwrap_or(none)
        };
        Call::rows("image", kernel, n, pixels)
            .tensors([x, &y])
            .ints([pixels, c])
            .floats((0..FEW).map(|i| of(factors.map(|f| f.0), i, 0.0)))
            .floats((0..FEW).map(|i| of(factors.map(|f| f.1), i, 1.0)))
    } else {
        let kernel = match source {
            "f32" => "image_turn_from_f32",
            _ => "image_turn_from_bf16",
        };
        let (rows, columns) = if first { (pixels, c) } else { (c, pixels) };
        let tiles = |side: usize| side.div_ceil(TILE) as u32;
        Call::blocks("image", kernel, [n as u32, tiles(columns), tiles(rows)])
            .tensors([x, &y])
            .ints([rows, columns])
    };
    card.launch(&call.of(suffix(dtype)?))?;
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{each_type, numbers, within};

    /// `(N, C, H, W)`: pixels below, at and beyond a block's, channels below, at and beyond a tile's.
    const SHAPES: [[usize; 4]; 8] = [
        [2, 3, 32, 32],
        [3, 1, 5, 7],
        [2, 3, 4, 1],
        [1, 4, 17, 19],
        [2, 5, 9, 11],
        [1, 33, 8, 8],
        [2, 64, 1, 1],
        [1, 70, 7, 9],
    ];

    fn normalize(channels: usize) -> Normalize {
        Normalize {
            mean: (0..channels).map(|i| 0.4 + 0.05 * i as f64).collect(),
            std: (0..channels).map(|i| 0.2 + 0.03 * i as f64).collect(),
        }
    }

    #[test]
    fn both_orders_in_all_types_are_those_of_the_cpu() {
        each_type(|card, from| {
            for to in [DType::F32, DType::BF16] {
                for shape in SHAPES {
                    let [n, c, h, w] = shape;
                    let values = numbers(&shape, 1, 1.0);
                    let rounded = |t: Tensor| t.to_dtype(to).unwrap();
                    let x = card.tensor(&values, &shape, from);
                    let y = last(card, &x, None, to).unwrap();
                    assert_eq!(y.dtype(), to);
                    let expected = cpu::to_channels_last(&card.wide(&x), None).unwrap();
                    within(&y, &rounded(expected), 0.0);

                    let dy = card.tensor(&values, &[n, h, w, c], from);
                    let dx = first(card, &dy, None, to).unwrap();
                    assert_eq!(dx.dtype(), to);
                    let expected = cpu::to_channels_first(&card.wide(&dy), None).unwrap();
                    within(&dx, &rounded(expected), 0.0);
                }
            }
        });
    }

    #[test]
    fn normalisation_is_that_of_the_cpu_in_float32_bit_for_bit() {
        each_type(|card, dtype| {
            for shape in SHAPES.into_iter().filter(|shape| shape[1] <= FEW) {
                let [n, c, h, w] = shape;
                let normalize = normalize(c);
                let values = numbers(&shape, 1, 1.0);
                let rounded = |t: Tensor| t.to_dtype(dtype).unwrap();
                let x = card.tensor(&values, &shape, DType::F32);
                let y = last(card, &x, Some(&normalize), dtype).unwrap();
                let expected = cpu::to_channels_last(&x, Some(&normalize)).unwrap();
                within(&y, &rounded(expected), 0.0);

                let dy = card.tensor(&values, &[n, h, w, c], dtype);
                let dx = first(card, &dy, Some(&normalize), DType::F32).unwrap();
                let single = dy.to_dtype(DType::F32).unwrap();
                let expected = cpu::to_channels_first(&single, Some(&normalize)).unwrap();
                within(&dx, &expected, 0.0);
            }
        });
    }

    #[test]
    fn a_normalisation_of_other_or_too_many_channels_is_an_error() {
        each_type(|card, dtype| {
            let x = card.tensor(&[0.5; 12], &[1, 3, 2, 2], dtype);
            assert!(last(card, &x, Some(&normalize(1)), dtype).is_err());
            let x = card.tensor(&[0.5; 20], &[1, 5, 2, 2], dtype);
            let error = last(card, &x, Some(&normalize(5)), dtype).unwrap_err();
            assert!(error.to_string().contains("up to 4 channels"), "{error}");
        });
    }
}
