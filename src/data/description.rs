//! What there is to say about a data set: how many images of which class, and the statistics of its pixels.

use super::{Dataset, Pixels};
use crate::Result;

/// Names of examples that a description quotes.
const NAMES_SHOWN: usize = 3;

/// A data set in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Channels, height, width.
    pub shape: [usize; 3],
    pub images: usize,
    /// The classes in the order of their labels, and the images of each.
    pub classes: Vec<(String, usize)>,
    /// Mean of the pixels of each channel, as intensities in [0, 1].
    pub mean: Vec<f64>,
    /// Standard deviation of the pixels of each channel, over all of them (divided by their number).
    pub std: Vec<f64>,
    /// The names of the first images.
    pub first: Vec<String>,
}

impl Description {
    /// Describes a set of at least one image.
    ///
    /// # Errors
    /// An image in a file that is decoded only now and is damaged.
    pub fn of(set: &Dataset) -> Result<Self> {
        let mut counts = vec![0; set.classes.len()];
        for &label in &set.labels {
            counts[label as usize] += 1;
        }
        let [channels, height, width] = set.shape;
        let plane = height * width;
        let statistics: Vec<(f64, f64)> = match &set.pixels {
            Pixels::F32(values) => (0..channels)
                .map(|channel| of_floats(planes(values, channels, plane, channel)))
                .collect(),
            Pixels::U8(values) => {
                let mut counts = vec![[0; 256]; channels];
                count(values, plane, &mut counts);
                counts.iter().map(of_counts).collect()
            }
            Pixels::Files(files) => {
                let mut counts = vec![[0; 256]; channels];
                let mut image = vec![0; set.image_len()];
                for index in 0..set.len() {
                    files.decode(index, &mut image)?;
                    count(&image, plane, &mut counts);
                }
                counts.iter().map(of_counts).collect()
            }
        };
        Ok(Self {
            shape: set.shape,
            images: set.len(),
            classes: set.classes.iter().cloned().zip(counts).collect(),
            mean: statistics.iter().map(|(mean, _)| *mean).collect(),
            std: statistics.iter().map(|(_, std)| *std).collect(),
            first: set.names.iter().take(NAMES_SHOWN).cloned().collect(),
        })
    }
}

/// The planes of one channel, image after image.
fn planes<T>(
    values: &[T],
    channels: usize,
    plane: usize,
    channel: usize,
) -> impl Iterator<Item = &[T]> + Clone {
    values
        .chunks_exact(plane.max(1))
        .skip(channel)
        .step_by(channels.max(1))
}

/// Adds how often each byte stands in each channel of images.
fn count(images: &[u8], plane: usize, counts: &mut [[u64; 256]]) {
    for image in images.chunks_exact((plane * counts.len()).max(1)) {
        for (values, counts) in image.chunks_exact(plane).zip(counts.iter_mut()) {
            for &value in values {
                counts[usize::from(value)] += 1;
            }
        }
    }
}

/// Mean and standard deviation, exact but for the last roundings: bytes are counted, not added up.
fn of_counts(counts: &[u64; 256]) -> (f64, f64) {
    let weighted = |value: fn(f64) -> f64| -> f64 {
        let terms = counts.iter().enumerate();
        terms
            .map(|(byte, &count)| value(byte as f64 / 255.0) * count as f64)
            .sum()
    };
    let number = counts.iter().sum::<u64>() as f64;
    let mean = weighted(|value| value) / number;
    let square = weighted(|value| value * value) / number;
    (mean, (square - mean * mean).max(0.0).sqrt())
}

fn of_floats<'a>(planes: impl Iterator<Item = &'a [f32]> + Clone) -> (f64, f64) {
    let values = planes.flatten().map(|&value| f64::from(value));
    let number = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / number;
    let deviation = values.map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (deviation / number).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_classes_are_told_apart() {
        let bytes = vec![0u8, 255, 51, 51, 255, 0, 51, 51];
        let set = |pixels| Dataset {
            shape: [2, 1, 2],
            pixels,
            labels: vec![2, 2],
            names: vec!["a".into(), "b".into()],
            classes: vec!["x".into(), "y".into(), "z".into()],
        };
        let floats = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        for pixels in [Pixels::U8(bytes.into()), Pixels::F32(floats)] {
            let found = Description::of(&set(pixels)).unwrap();
            assert_eq!(found.images, 2);
            let counts: Vec<usize> = found.classes.iter().map(|(_, count)| *count).collect();
            assert_eq!(counts, [0, 0, 2]);
            for (found, expected) in [(&found.mean, [0.5, 0.2]), (&found.std, [0.5, 0.0])] {
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-7, "{found} {expected}");
                }
            }
            assert_eq!(found.first, ["a", "b"]);
        }
    }
}
