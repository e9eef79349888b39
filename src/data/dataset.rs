//! A labelled set of images, in memory or in files that are decoded when they are asked for.

use bytes::Bytes;

use super::image_files::ImageFiles;
use crate::Result;

/// The pixels of all images of a set, image after image, each channel by channel, row by row (N, C, H, W).
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// 8-bit values; `v` means the intensity `v / 255`.
    U8(Bytes),
    /// Intensities in [0, 1].
    F32(Vec<f32>),
    /// 8-bit values as well, in files that are decoded for each batch anew.
    Files(ImageFiles),
}

impl Pixels {
    /// The number of values, over all images.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::Files(files) => files.values().unwrap_or(usize::MAX),
        }
    }

    /// Whether there is not a single value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Images of one size with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Channels, height, width of every image.
    pub shape: [usize; 3],
    /// All pixels: `len() * C * H * W` values.
    pub pixels: Pixels,
    /// The class of each image, an index into `classes`.
    pub labels: Vec<u32>,
    /// A name for each image: the file's where there is one, else like `train-000123`.
    pub names: Vec<String>,
    /// The names of the classes, in the order of the labels.
    pub classes: Vec<String>,
}

impl Dataset {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of values of one image, `C * H * W`.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// At most `n` images: the first ones, or, where the set is sorted by class, as many of each class as possible.
    /// The order of those that stay is kept.
    pub fn limit(self, n: usize) -> Self {
        if n >= self.len() {
            return self;
        }
        let chosen = limited_indices(&self.labels, n);
        self.select(&chosen)
    }

    /// The images at `indices`, in that order. Every index must be below `len()`.
    pub fn select(&self, indices: &[usize]) -> Self {
        let size = self.image_len();
        let pixels = match &self.pixels {
            Pixels::U8(values) => Pixels::U8(gather(values, size, indices).into()),
            Pixels::F32(values) => Pixels::F32(gather(values, size, indices)),
            Pixels::Files(files) => Pixels::Files(files.select(indices)),
        };
        Self {
            shape: self.shape,
            pixels,
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            names: indices.iter().map(|&i| self.names[i].clone()).collect(),
            classes: self.classes.clone(),
        }
    }

    /// Writes image `index` as intensities in [0, 1] into `out`, which must hold exactly `image_len()` values.
    ///
    /// # Errors
    /// A file that is decoded only now and is damaged.
    pub fn image_f32(&self, index: usize, out: &mut [f32]) -> Result<()> {
        let size = self.image_len();
        let range = index * size..(index + 1) * size;
        match &self.pixels {
            Pixels::U8(values) => intensities(&values[range], out),
            Pixels::F32(values) => out.copy_from_slice(&values[range]),
            Pixels::Files(files) => {
                let mut bytes = vec![0; size];
                files.decode(index, &mut bytes)?;
                intensities(&bytes, out);
            }
        }
        Ok(())
    }
}

fn intensities(bytes: &[u8], out: &mut [f32]) {
    for (to, &from) in out.iter_mut().zip(bytes) {
        *to = f32::from(from) / 255.0;
    }
}

fn gather<T: Copy>(values: &[T], size: usize, indices: &[usize]) -> Vec<T> {
    let mut chosen = Vec::with_capacity(indices.len() * size);
    for &index in indices {
        chosen.extend_from_slice(&values[index * size..(index + 1) * size]);
    }
    chosen
}

/// Which examples a limit of `n` keeps, in ascending order.
///
/// Sets sorted by class (files read folder by folder) would lose whole classes if the first `n` were taken, so there
/// the choice goes round over the classes: the first of each, then the second of each, and so on.
pub(super) fn limited_indices(labels: &[u32], n: usize) -> Vec<usize> {
    let n = n.min(labels.len());
    if !labels.is_sorted() {
        return (0..n).collect();
    }
    let mut rank_in_class = 0;
    let mut by_round: Vec<(usize, usize)> = Vec::with_capacity(labels.len());
    for (index, label) in labels.iter().enumerate() {
        let same_class = index > 0 && labels[index - 1] == *label;
        rank_in_class = if same_class { rank_in_class + 1 } else { 0 };
        by_round.push((rank_in_class, index));
    }
    by_round.sort_unstable();
    let mut chosen: Vec<usize> = by_round[..n].iter().map(|&(_, index)| index).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[u32]) -> Dataset {
        Dataset {
            shape: [1, 1, 2],
            pixels: Pixels::U8((0..labels.len() as u8).flat_map(|i| [i, 255 - i]).collect()),
            labels: labels.to_vec(),
            names: (0..labels.len()).map(|i| format!("n{i}")).collect(),
            classes: vec!["a".into(), "b".into(), "c".into()],
        }
    }

    #[test]
    fn a_limit_takes_the_first_of_a_mixed_set() {
        let limited = set(&[2, 0, 1, 1, 0]).limit(3);
        assert_eq!(limited.labels, [2, 0, 1]);
        assert_eq!(limited.names, ["n0", "n1", "n2"]);
        assert_eq!(
            limited.pixels,
            Pixels::U8(vec![0, 255, 1, 254, 2, 253].into())
        );
    }

    #[test]
    fn a_limit_goes_round_the_classes_of_a_sorted_set() {
        let sorted = set(&[0, 0, 0, 0, 1, 2, 2, 2]);
        assert_eq!(sorted.clone().limit(3).names, ["n0", "n4", "n5"]);
        assert_eq!(sorted.clone().limit(6).labels, [0, 0, 0, 1, 2, 2]);
        assert_eq!(sorted.clone().limit(7).limit(4), sorted.clone().limit(4));
        assert_eq!(sorted.clone().limit(100), sorted);
    }

    #[test]
    fn images_come_out_as_intensities() {
        let mut image = [9.0; 2];
        set(&[0, 0, 0]).image_f32(1, &mut image).unwrap();
        assert_eq!(image, [1.0 / 255.0, 254.0 / 255.0]);

        let mut floats = set(&[0, 1]);
        floats.pixels = Pixels::F32(vec![0.1, 0.2, 0.3, 0.4]);
        floats.image_f32(1, &mut image).unwrap();
        assert_eq!(image, [0.3, 0.4]);
        assert_eq!(floats.select(&[1]).pixels, Pixels::F32(vec![0.3, 0.4]));
    }
}
