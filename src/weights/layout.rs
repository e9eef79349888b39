//! Where the elements of a tensor lie in its storage: an offset and a stride a dimension, as torch has it.

use super::element::Element;
use candle_core::Tensor;

/// More dimensions than any tensor of a network has.
const MAX_RANK: usize = 16;

/// The position of a tensor's elements in a storage of elements of the same type.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    shape: Vec<usize>,
    /// How many elements lie between neighbours along each dimension.
    strides: Vec<usize>,
    /// The position of the first element.
    offset: usize,
    /// The number of elements of the tensor.
    count: usize,
}

impl Layout {
    /// A layout whose every element lies inside a storage of `storage_len` elements.
    pub fn new(
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        storage_len: usize,
    ) -> Result<Self, String> {
        if shape.len() > MAX_RANK || strides.len() != shape.len() {
            return Err(format!(
                "its shape has {} dimensions and {} strides",
                shape.len(),
                strides.len()
            ));
        }
        let outside = || {
            format!(
                "its shape {shape:?} with strides {strides:?} from element {offset} on does not fit into a storage of \
                 {storage_len} elements"
            )
        };
        let count = if shape.contains(&0) {
            0
        } else {
            let product = shape
                .iter()
                .try_fold(1usize, |count, &dim| count.checked_mul(dim));
            let steps = shape.iter().zip(&strides);
            let last = steps.clone().try_fold(offset, |last, (&dim, &stride)| {
                (dim - 1)
                    .checked_mul(stride)
                    .and_then(|step| last.checked_add(step))
            });
            if last.is_none_or(|last| last >= storage_len) {
                return Err(outside());
            }
            product.ok_or_else(outside)?
        };
        Ok(Self {
            shape,
            strides,
            offset,
            count,
        })
    }

    /// The size along each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The tensor, taken from the bytes of its storage (of the length that the layout was made for, or longer).
    pub fn tensor(&self, storage: &[u8], element: Element) -> candle_core::Result<Tensor> {
        let size = element.size();
        if self.count == 0 {
            return element.tensor(&[], &self.shape);
        }
        if self.is_contiguous() {
            return element.tensor(
                &storage[self.offset * size..(self.offset + self.count) * size],
                &self.shape,
            );
        }
        let mut bytes = Vec::with_capacity(self.count * size);
        let mut index = vec![0; self.shape.len()];
        let mut position = self.offset;
        for _ in 0..self.count {
            bytes.extend_from_slice(&storage[position * size..(position + 1) * size]);
            // Count up as an odometer does, the last dimension first.
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                position += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                position -= self.strides[axis] * index[axis];
                index[axis] = 0;
            }
        }
        element.tensor(&bytes, &self.shape)
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        for (&dim, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if dim != 1 && stride != expected {
                return false;
            }
            expected *= dim;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(shape: &[usize], strides: &[usize], offset: usize) -> Vec<u8> {
        let storage: Vec<u8> = (0..12).collect();
        let layout = Layout::new(shape.to_vec(), strides.to_vec(), offset, 12).unwrap();
        let tensor = layout.tensor(&storage, Element::U8).unwrap();
        assert_eq!(tensor.dims(), shape);
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn strides_are_followed() {
        assert_eq!(values(&[2, 3], &[3, 1], 4), [4, 5, 6, 7, 8, 9]);
        assert_eq!(values(&[3, 2], &[1, 3], 0), [0, 3, 1, 4, 2, 5]);
        assert_eq!(values(&[2, 2, 2], &[6, 2, 1], 1), [1, 2, 3, 4, 7, 8, 9, 10]);
        assert_eq!(values(&[3], &[0], 11), [11, 11, 11]);
        assert_eq!(values(&[1, 4], &[77, 1], 2), [2, 3, 4, 5]);
        assert_eq!(values(&[], &[], 5), [5]);
        assert!(values(&[0, 4], &[4, 1], 0).is_empty());
    }

    #[test]
    fn nothing_reaches_outside_the_storage() {
        let fault = |shape: &[usize], strides: &[usize], offset| {
            Layout::new(shape.to_vec(), strides.to_vec(), offset, 12).unwrap_err()
        };
        assert_eq!(
            fault(&[3, 4], &[4, 1], 1),
            "its shape [3, 4] with strides [4, 1] from element 1 on does not fit into a storage of 12 elements"
        );
        assert!(fault(&[2], &[usize::MAX], 1).contains("does not fit"));
        assert!(
            fault(&[usize::MAX, 2], &[0, 0], 0).contains("does not fit"),
            "as many elements as no memory holds"
        );
        assert!(fault(&[], &[], 12).contains("does not fit"));
        assert_eq!(
            fault(&[2], &[], 0),
            "its shape has 1 dimensions and 0 strides"
        );
    }
}
