//! Images of a batch chosen and put back by their places.

use candle_core::Tensor;

use crate::ops::real::{tensor, view, with_mut};
use crate::{Result, with_real};

/// The images at `positions`, in that order.
pub(super) fn select(images: &Tensor, positions: &[usize]) -> Result<Tensor> {
    let dims = images.dims();
    let len: usize = dims[1..].iter().product();
    let mut shape = dims.to_vec();
    shape[0] = positions.len();
    with_real!(images.dtype(), T => {
        let from = &*view::<T>(images)?;
        let mut chosen = Vec::with_capacity(positions.len() * len);
        for &position in positions {
            chosen.extend_from_slice(&from[position * len..(position + 1) * len]);
        }
        tensor(chosen, shape)
    })
}

/// Overwrites the image of `into` at the second position of each pair by that of `from` at the first. Nothing else may read
/// `into`.
pub(super) fn put(into: &Tensor, from: &Tensor, positions: &[(usize, usize)]) -> Result<()> {
    let len: usize = into.dims()[1..].iter().product();
    with_real!(into.dtype(), T => {
        let from = &*view::<T>(from)?;
        with_mut::<T, _>(into, |into| {
            for &(source, position) in positions {
                into[position * len..(position + 1) * len]
                    .copy_from_slice(&from[source * len..(source + 1) * len]);
            }
        })
    })
}

/// Leaves behind the images and the items of which `kept`, positions in ascending order, names none; the others move up. Each
/// buffer holds an image of `len` values an item.
pub(super) fn keep<T: Copy, I>(
    kept: &[usize],
    len: usize,
    buffers: &mut [&mut Vec<T>],
    items: &mut Vec<I>,
) {
    for buffer in buffers {
        for (new, &old) in kept.iter().enumerate() {
            buffer.copy_within(old * len..(old + 1) * len, new * len);
        }
        buffer.truncate(kept.len() * len);
    }
    let mut position = 0;
    items.retain(|_| {
        position += 1;
        kept.binary_search(&(position - 1)).is_ok()
    });
}

/// A copy that shares nothing with `images`, to be written to.
pub(super) fn copy(images: &Tensor) -> Result<Tensor> {
    with_real!(images.dtype(), T => tensor(view::<T>(images)?.to_vec(), images.shape()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_moves_up_with_its_images() {
        let (mut a, mut b) = (vec![0, 1, 2, 3, 4, 5], vec![9, 8, 7, 6, 5, 4]);
        let mut names = vec!["x", "y", "z"];
        keep(&[0, 2], 2, &mut [&mut a, &mut b], &mut names);
        assert_eq!(a, [0, 1, 4, 5]);
        assert_eq!(b, [9, 8, 5, 4]);
        assert_eq!(names, ["x", "z"]);
        keep(&[], 2, &mut [&mut a], &mut names);
        assert!(a.is_empty() && names.is_empty());
    }

    #[test]
    fn chosen_images_come_back_to_their_places() {
        let values: Vec<f32> = (0..8).map(|v| v as f32).collect();
        let images = tensor(values, (4, 1, 1, 2)).unwrap();
        let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let chosen = select(&images, &[3, 1]).unwrap();
        assert_eq!(numbers(&chosen), [6.0, 7.0, 2.0, 3.0]);
        let victim = copy(&images).unwrap();
        put(&victim, &chosen, &[(0, 1)]).unwrap();
        assert_eq!(numbers(&victim), [0.0, 1.0, 6.0, 7.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(
            numbers(&images)[2..4],
            [2.0, 3.0],
            "the original is untouched"
        );
    }
}
