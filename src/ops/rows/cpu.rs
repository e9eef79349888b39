//! Rows on the CPU.

use candle_core::Tensor;

use super::width;
use crate::ops::real::{tensor, view, with_mut};
use crate::{Result, with_real};

pub fn select(from: &Tensor, positions: &[usize]) -> Result<Tensor> {
    let width = width(from);
    let mut shape = from.dims().to_vec();
    shape[0] = positions.len();
    with_real!(from.dtype(), T => {
        let from = &*view::<T>(from)?;
        let mut chosen = Vec::with_capacity(positions.len() * width);
        for &position in positions {
            chosen.extend_from_slice(&from[position * width..(position + 1) * width]);
        }
        tensor(chosen, shape)
    })
}

pub fn put(into: &Tensor, from: &Tensor, positions: &[(usize, usize)]) -> Result<()> {
    let width = width(into);
    with_real!(into.dtype(), T => {
        let from = &*view::<T>(from)?;
        with_mut::<T, _>(into, |into| {
            for &(source, position) in positions {
                into[position * width..(position + 1) * width]
                    .copy_from_slice(&from[source * width..(source + 1) * width]);
            }
        })
    })
}
