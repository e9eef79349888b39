//! Sets that the program draws itself: no files, no network.
//!
//! Example `i` of a split is a pure function of (data seed, set, split, `i`), so a limit draws no more than it asks
//! for and a longer set begins with the shorter one. Its label is `i % 10`. The variation (position, rotation, size,
//! line width, colours, noise) is wide enough that a linear model stays clearly below a small convolutional one.

pub mod canvas;
pub mod digits;
pub mod shapes;

use super::source::{DataKind, Drawing};
use super::{Dataset, Pixels, Split};
use crate::rng::{Purpose, stream};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// Draws one split of a kind. In parallel, a few seconds for a whole set.
pub fn generate(
    kind: &DataKind,
    drawing: &Drawing,
    seed: u64,
    split: Split,
    limit: Option<usize>,
) -> Dataset {
    let shape = kind.shape.expect("what is drawn has a shape");
    let classes = kind.class_names().expect("what is drawn has classes");
    let (count, split_number) = match split {
        Split::Train => (Drawing::TRAIN, 0),
        Split::Test => (Drawing::TEST, 1),
    };
    let count = limit.map_or(count, |limit| limit.min(count));
    let image_len: usize = shape.iter().product();
    let mut pixels = vec![0u8; count * image_len];
    pixels
        .par_chunks_mut(image_len)
        .enumerate()
        .for_each(|(index, image)| {
            let mut rng = stream(
                seed,
                Purpose::Generate,
                split_number,
                drawing.set,
                index as u64,
            );
            (drawing.draw)(index % classes.len(), &mut rng, image);
        });
    Dataset {
        shape,
        pixels: Pixels::U8(pixels.into()),
        labels: (0..count)
            .map(|index| (index % classes.len()) as u32)
            .collect(),
        names: split.example_names(count),
        classes,
    }
}

/// A value of the normal distribution with mean 0.
fn normal(rng: &mut ChaCha8Rng, deviation: f32) -> f32 {
    deviation * rng.sample::<f32, _>(StandardNormal)
}

/// An intensity in [0, 1] as a byte; what lies outside is clamped.
fn byte(intensity: f32) -> u8 {
    (intensity.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DIGITS, SHAPES, Source, load};

    const CLASSES: usize = 10;
    const KINDS: [&DataKind; 2] = [&DIGITS, &SHAPES];

    fn generate(kind: &'static DataKind, seed: u64, split: Split, limit: Option<usize>) -> Dataset {
        let source = Source {
            seed,
            limit,
            ..Source::new(kind, None)
        };
        load(&source, split).unwrap()
    }

    fn floats(set: &Dataset) -> Vec<f32> {
        let mut values = vec![0.0; set.len() * set.image_len()];
        for (index, image) in values.chunks_exact_mut(set.image_len()).enumerate() {
            set.image_f32(index, image).unwrap();
        }
        values
    }

    #[test]
    fn a_limit_is_a_prefix_and_seeds_and_splits_differ() {
        for kind in KINDS {
            let long = generate(kind, 1, Split::Train, Some(30));
            assert_eq!(
                generate(kind, 1, Split::Train, Some(20)),
                long.clone().limit(20)
            );
            let Pixels::U8(base) = &long.pixels else {
                panic!("drawn as bytes")
            };
            for (seed, split) in [(2, Split::Train), (1, Split::Test)] {
                let other = generate(kind, seed, split, Some(30));
                let Pixels::U8(other) = &other.pixels else {
                    panic!("drawn as bytes")
                };
                let image = long.image_len();
                let equal = base
                    .chunks(image)
                    .zip(other.chunks(image))
                    .filter(|(a, b)| a == b)
                    .count();
                assert_eq!(equal, 0, "{kind}");
            }
        }
    }

    #[test]
    fn whole_sets_have_their_sizes() {
        let set = generate(&DIGITS, 1, Split::Test, None);
        assert_eq!((set.len(), set.shape), (Drawing::TEST, [1, 28, 28]));
        assert_eq!(
            generate(&SHAPES, 1, Split::Test, Some(usize::MAX)).len(),
            Drawing::TEST
        );
    }

    /// Nearly every image must show something, and the images of a class must vary.
    #[test]
    fn no_class_is_empty_or_constant() {
        for kind in KINDS {
            let set = generate(kind, 3, Split::Train, Some(1000));
            let values = floats(&set);
            let images: Vec<&[f32]> = values.chunks_exact(set.image_len()).collect();
            for class in 0..CLASSES {
                let members: Vec<&[f32]> = images
                    .iter()
                    .skip(class)
                    .step_by(CLASSES)
                    .copied()
                    .collect();
                for image in &members {
                    let mean = image.iter().sum::<f32>() / image.len() as f32;
                    let variance =
                        image.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / image.len() as f32;
                    assert!(
                        variance > 0.004,
                        "{kind} class {class}: an almost empty image ({variance})"
                    );
                }
                let apart = members.windows(2).map(|pair| {
                    pair[0]
                        .iter()
                        .zip(pair[1])
                        .map(|(a, b)| (a - b).powi(2))
                        .sum::<f32>()
                });
                let apart = apart.sum::<f32>() / (members.len() * set.image_len()) as f32;
                assert!(
                    apart > 0.02,
                    "{kind} class {class}: hardly any variation ({apart})"
                );
            }
        }
    }
}
