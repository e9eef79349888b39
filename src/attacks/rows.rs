//! Images of a batch that leave an attack, and those that stay.

use candle_core::Tensor;

use crate::Result;
use crate::ops::rows::select;

/// Leaves behind the images and the items of which `kept`, positions in ascending order, names none; the others move up. Each
/// tensor holds an image for each item.
pub(super) fn keep<I>(
    kept: &[usize],
    tensors: &mut [&mut Tensor],
    items: &mut Vec<I>,
) -> Result<()> {
    if kept.len() == items.len() {
        return Ok(());
    }
    for tensor in tensors {
        **tensor = select(tensor, kept)?;
    }
    let mut position = 0;
    items.retain(|_| {
        position += 1;
        kept.binary_search(&(position - 1)).is_ok()
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::real::tensor;

    #[test]
    fn what_is_kept_moves_up_with_its_images() {
        let images = |values: [f32; 6]| tensor(values.to_vec(), (3, 1, 1, 2)).unwrap();
        let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mut a = images([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let mut b = images([9.0, 8.0, 7.0, 6.0, 5.0, 4.0]);
        let mut names = vec!["x", "y", "z"];
        keep(&[0, 2], &mut [&mut a, &mut b], &mut names).unwrap();
        assert_eq!(numbers(&a), [0.0, 1.0, 4.0, 5.0]);
        assert_eq!(numbers(&b), [9.0, 8.0, 5.0, 4.0]);
        assert_eq!(names, ["x", "z"]);
        keep(&[], &mut [&mut a], &mut names).unwrap();
        assert!(a.dims()[0] == 0 && names.is_empty());
    }
}
