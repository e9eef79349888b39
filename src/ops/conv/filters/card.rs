//! A convolution's weights between torch's order and that of channels-last activations.

use candle_core::{DType, Tensor};

use crate::ops::card::prepared::{Of, prepared};
use crate::ops::card::{Call, Card, constant, expect, suffix};
use crate::{Error, Result};

/// Numbers that a block stages.
const STAGED: usize = constant(include_str!("kernel.cu"), "STAGED");
/// Blocks that occupy any card.
const ENOUGH_BLOCKS: usize = 528;

/// `(out, in/groups, kh, kw)` in float32 as `(out, kh, kw, in/groups)` in the activations' type.
pub fn to_channels_last(card: &dyn Card, weight: &Tensor, dtype: DType) -> Result<Tensor> {
    let (outputs, inputs, kh, kw) = weight.dims4()?;
    expect::tensor("a filter's weights", weight, weight.dims(), DType::F32)?;
    let (form, shape) = (("channels last", Of::Weights), [outputs, kh, kw, inputs]);
    let from = weight.clone();
    prepared(card, form, weight, (&shape, dtype), move |card, to| {
        let call = Call::blocks("filters", "filters_to_channels_last", [1; 3]).of(suffix(dtype)?);
        launch(card, call, (&from, to), [outputs, inputs, kh, kw])
    })
}

/// Weights of `(out, in)`, or of `(out, in, 1, 1)`, in the type of the activations that they meet.
pub fn in_type_of(card: &dyn Card, weight: &Tensor, x: &Tensor) -> Result<Tensor> {
    if weight.dtype() == x.dtype() {
        return Ok(weight.clone());
    }
    let (outputs, inputs) = (weight.dim(0)?, weight.dim(1)?);
    to_channels_last(card, &weight.reshape((outputs, inputs, 1, 1))?, x.dtype())
}

/// A gradient of `(out, kh, kw, in/groups)`, of either type of activations, as `(out, in/groups, kh, kw)` in float32.
pub fn to_torch(card: &dyn Card, gradient: &Tensor) -> Result<Tensor> {
    let (outputs, kh, kw, inputs) = gradient.dims4()?;
    let weight = card.scratch(&[outputs, inputs, kh, kw], DType::F32)?;
    let call = Call::blocks("filters", "filters_to_torch", [1; 3]).of(suffix(gradient.dtype())?);
    launch(card, call, (gradient, &weight), [outputs, inputs, kh, kw])?;
    Ok(weight)
}

fn launch(
    card: &dyn Card,
    mut call: Call<'_>,
    (from, to): (&Tensor, &Tensor),
    [outputs, inputs, kh, kw]: [usize; 4],
) -> Result<()> {
    let (pairs, taps) = (outputs * inputs, kh * kw);
    expect::indexable("a filter's weights", &[pairs, taps])?;
    if pairs == 0 || taps == 0 || taps > STAGED {
        return Err(Error::failed(format!(
            "weights of {outputs} x {inputs} filters of {kh} x {kw} cannot be turned: expected at most 64 x 64"
        )));
    }
    let most = STAGED / taps;
    let span = pairs.div_ceil(ENOUGH_BLOCKS).next_multiple_of(32).min(most);
    call.grid[0] = pairs.div_ceil(span) as u32;
    card.launch(&call.tensors([from, to]).ints([pairs, inputs, taps, span]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::card::host::{each_type, numbers};

    const SHAPES: [[usize; 4]; 7] = [
        [5, 3, 3, 3],
        [33, 64, 3, 3],
        [64, 33, 1, 1],
        [1, 1, 7, 7],
        [40, 5, 5, 3],
        [130, 150, 2, 2],
        [3, 2, 64, 64],
    ];

    fn flat(tensor: &Tensor) -> Vec<f32> {
        let tensor = tensor.to_dtype(DType::F32).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn weights_are_moved_there_and_back() {
        each_type(|card, dtype| {
            for shape in SHAPES {
                let weight = card.tensor(&numbers(&shape, 1, 1.0), &shape, DType::F32);
                let moved = to_channels_last(card, &weight, dtype).unwrap();
                assert_eq!(moved.dtype(), dtype);
                let expected = weight.permute((0, 2, 3, 1)).unwrap();
                let expected = expected.contiguous().unwrap().to_dtype(dtype).unwrap();
                assert_eq!(moved.dims(), expected.dims());
                assert_eq!(flat(&moved), flat(&expected));
                let back = to_torch(card, &moved).unwrap();
                assert_eq!(back.dtype(), DType::F32);
                assert_eq!(back.dims(), weight.dims());
                assert_eq!(flat(&back), flat(&weight.to_dtype(dtype).unwrap()));
            }
        });
    }

    #[test]
    fn other_tensors_are_refused() {
        each_type(|card, dtype| {
            let tensor =
                |shape: &[usize], dtype| card.tensor(&numbers(shape, 1, 1.0), shape, dtype);
            assert!(to_torch(card, &tensor(&[1, 65, 65, 1], dtype)).is_err());
            assert!(to_channels_last(card, &tensor(&[1, 1, 65, 65], DType::F32), dtype).is_err());
            let wide = card.wide(&tensor(&[1, 1, 3, 3], dtype));
            assert!(to_channels_last(card, &wide, dtype).is_err());
            assert!(to_torch(card, &wide).is_err());
        });
    }
}
