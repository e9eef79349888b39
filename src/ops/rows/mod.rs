//! Images of a batch, or rows of any tensor, chosen and put back by their places.

mod card;
mod cpu;

use candle_core::Tensor;

use super::device::ops;
use crate::{Error, Result};

ops! {
    /// The rows of `from` at `positions`, in that order.
    pub fn select(from: &Tensor, positions: &[usize]) -> Result<Tensor> {
        within(from, positions.iter().copied())
    }

    /// Overwrites the row of `into` at the second position of each pair by that of `from` at the first, in place. Nothing else
    /// may read `into`; no row of it is named twice.
    pub fn put(into: &Tensor, from: &Tensor, positions: &[(usize, usize)]) -> Result<()> {
        within(from, positions.iter().map(|pair| pair.0));
        within(into, positions.iter().map(|pair| pair.1));
        alike(into, from)
    }
}

/// A copy that shares nothing with `tensor`, to be written to.
pub fn copy(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.force_contiguous()?)
}

/// How many values a row has.
fn width(tensor: &Tensor) -> usize {
    tensor.dims().iter().skip(1).product()
}

fn within(tensor: &Tensor, mut positions: impl Iterator<Item = usize>) -> Result<()> {
    let rows = tensor.dim(0)?;
    match positions.find(|&position| position >= rows) {
        None => Ok(()),
        Some(position) => Err(Error::failed(format!(
            "row {position} of a tensor of {rows} rows"
        ))),
    }
}

fn alike(into: &Tensor, from: &Tensor) -> Result<()> {
    if into.dtype() == from.dtype() && into.dims()[1..] == from.dims()[1..] {
        return Ok(());
    }
    Err(Error::failed(format!(
        "rows of {:?} {:?} do not fit a tensor of {:?} {:?}",
        from.dtype(),
        from.dims(),
        into.dtype(),
        into.dims()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::real::tensor;

    fn images() -> Tensor {
        let values: Vec<f32> = (0..8).map(|v| v as f32).collect();
        tensor(values, (4, 1, 1, 2)).unwrap()
    }

    fn numbers(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn chosen_images_come_back_to_their_places() {
        let images = images();
        let chosen = select(&images, &[3, 1]).unwrap();
        assert_eq!(numbers(&chosen), [6.0, 7.0, 2.0, 3.0]);
        let changed = copy(&images).unwrap();
        put(&changed, &chosen, &[(0, 1)]).unwrap();
        assert_eq!(numbers(&changed), [0.0, 1.0, 6.0, 7.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(
            numbers(&images)[2..4],
            [2.0, 3.0],
            "the original is untouched"
        );
        assert_eq!(select(&images, &[]).unwrap().dims(), [0, 1, 1, 2]);
    }

    #[test]
    fn rows_that_are_not_there_and_other_shapes_are_errors() {
        let images = images();
        assert!(select(&images, &[4]).is_err());
        let into = copy(&images).unwrap();
        assert!(put(&into, &images, &[(4, 0)]).is_err());
        assert!(put(&into, &images, &[(0, 4)]).is_err());
        let wide = images.to_dtype(candle_core::DType::F64).unwrap();
        assert!(put(&into, &wide, &[(0, 0)]).is_err());
        let flat = images.reshape((2, 1, 1, 4)).unwrap();
        assert!(put(&into, &flat, &[(0, 0)]).is_err());
    }
}
