//! Random changes to training images.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// A random change that keeps an image's size and label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Augmentation {
    /// A window of the image's own size out of the image with `padding` zero pixels added on each side: a shift by up
    /// to `padding` in each direction, all equally likely.
    RandomCrop { padding: usize },
    /// Mirrored left to right with probability 1/2.
    HorizontalFlip,
}

impl Augmentation {
    /// `random-crop` as the reference has it.
    pub const RANDOM_CROP: Self = Self::RandomCrop { padding: 4 };

    /// Changes `image` (channels, height, width) in place. `scratch` is memory to work in; its content does not matter.
    pub fn apply(
        self,
        image: &mut [f32],
        [_, height, width]: [usize; 3],
        scratch: &mut Vec<f32>,
        rng: &mut ChaCha8Rng,
    ) {
        match self {
            Self::RandomCrop { padding } => {
                let [down, right] = offsets(padding, rng);
                shift(image, [height, width], [down, right], padding, scratch);
            }
            Self::HorizontalFlip => {
                if rng.random::<bool>() {
                    image.chunks_exact_mut(width).for_each(<[f32]>::reverse);
                }
            }
        }
    }
}

/// What a list of augmentations does to one image, said as one crop and a flip after it: how a card applies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropFlip {
    /// Rows and columns that the window lies below and right of the corner of the padded image.
    pub down: usize,
    pub right: usize,
    pub flip: bool,
}

impl CropFlip {
    /// The zeros around an image that crops of a list leave room for.
    ///
    /// # Errors
    /// A list in which a kind comes twice.
    pub fn padding(list: &[Augmentation]) -> Result<usize> {
        let paddings = || {
            list.iter().filter_map(|augmentation| match *augmentation {
                Augmentation::RandomCrop { padding } => Some(padding),
                Augmentation::HorizontalFlip => None,
            })
        };
        if paddings().count() > 1 || list.len() - paddings().count() > 1 {
            return Err(Error::spec(
                "data.augment: on a card each kind may come once, expected at most one random-crop and one \
                 horizontal-flip",
            ));
        }
        Ok(paddings().next().unwrap_or(0))
    }

    /// Draws as [`Augmentation::apply`] does, from the same generator.
    pub fn draw(list: &[Augmentation], rng: &mut ChaCha8Rng) -> Self {
        let mut drawn = Self {
            down: 0,
            right: 0,
            flip: false,
        };
        for augmentation in list {
            match *augmentation {
                Augmentation::RandomCrop { padding } => {
                    let [down, right] = offsets(padding, rng);
                    drawn.down = down;
                    // A flip that came before is put off: the window then lies as far from the other side.
                    drawn.right = if drawn.flip {
                        2 * padding - right
                    } else {
                        right
                    };
                }
                Augmentation::HorizontalFlip => drawn.flip = rng.random(),
            }
        }
        drawn
    }
}

/// Where a crop's window lies.
fn offsets(padding: usize, rng: &mut ChaCha8Rng) -> [usize; 2] {
    // 64-bit ranges: the same draws on every platform.
    let span = 0..=2 * padding as u64;
    let down = rng.random_range(span.clone()) as usize;
    [down, rng.random_range(span) as usize]
}

/// Moves the window: output (y, x) is input (y + down - padding, x + right - padding), or zero outside.
fn shift(
    image: &mut [f32],
    [height, width]: [usize; 2],
    [down, right]: [usize; 2],
    padding: usize,
    scratch: &mut Vec<f32>,
) {
    scratch.clear();
    scratch.extend_from_slice(image);
    image.fill(0.0);
    // The columns whose source lies inside the image.
    let first = padding.saturating_sub(right).min(width);
    let last = (width + padding).saturating_sub(right).min(width);
    let planes = image
        .chunks_exact_mut(height * width)
        .zip(scratch.chunks_exact(height * width));
    for (to, from) in planes {
        for y in 0..height {
            let Some(source_y) = (y + down)
                .checked_sub(padding)
                .filter(|&source| source < height)
            else {
                continue;
            };
            if first < last {
                let source_x = first + right - padding;
                let row = &from[source_y * width..(source_y + 1) * width];
                to[y * width + first..y * width + last]
                    .copy_from_slice(&row[source_x..source_x + last - first]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use proptest::prelude::*;

    /// The obvious way to crop, pixel by pixel.
    fn cropped(
        image: &[f32],
        [c, h, w]: [usize; 3],
        [down, right]: [usize; 2],
        padding: usize,
    ) -> Vec<f32> {
        let mut out = vec![0.0; image.len()];
        for plane in 0..c {
            for y in 0..h {
                for x in 0..w {
                    let (sy, sx) = (
                        (y + down) as isize - padding as isize,
                        (x + right) as isize - padding as isize,
                    );
                    if (0..h as isize).contains(&sy) && (0..w as isize).contains(&sx) {
                        out[(plane * h + y) * w + x] =
                            image[(plane * h + sy as usize) * w + sx as usize];
                    }
                }
            }
        }
        out
    }

    fn numbered([c, h, w]: [usize; 3]) -> Vec<f32> {
        (1..=c * h * w).map(|value| value as f32).collect()
    }

    proptest! {
        #[test]
        fn a_shift_is_a_crop_of_the_padded_image(
            c in 1usize..4, h in 1usize..7, w in 1usize..7, padding in 0usize..9, y in 0usize..19, x in 0usize..19,
        ) {
            let offset = [y % (2 * padding + 1), x % (2 * padding + 1)];
            let mut image = numbered([c, h, w]);
            let expected = cropped(&image, [c, h, w], offset, padding);
            shift(&mut image, [h, w], offset, padding, &mut vec![7.0; 3]);
            prop_assert_eq!(image, expected);
        }

        #[test]
        fn a_flip_is_a_permutation_and_a_crop_of_it_invents_no_pixels(seed: u64, h in 1usize..7, w in 1usize..7) {
            let shape = [2, h, w];
            let original = numbered(shape);
            let mut rng = stream(seed, Purpose::Augment, 0, 0, 0);
            let mut image = original.clone();
            Augmentation::HorizontalFlip.apply(&mut image, shape, &mut Vec::new(), &mut rng);
            let mut sorted = image.clone();
            sorted.sort_by(f32::total_cmp);
            prop_assert_eq!(&sorted, &original);

            Augmentation::RandomCrop { padding: 2 }.apply(&mut image, shape, &mut Vec::new(), &mut rng);
            let mut kept: Vec<f32> = image.into_iter().filter(|&pixel| pixel != 0.0).collect();
            kept.sort_by(f32::total_cmp);
            let count = kept.len();
            kept.dedup();
            prop_assert_eq!(kept.len(), count, "a pixel came twice");
            prop_assert!(kept.iter().all(|pixel| original.contains(pixel)));
        }
    }

    #[test]
    fn crops_reach_every_shift_and_flips_are_even() {
        let shape = [1, 3, 3];
        let mut seen = std::collections::HashSet::new();
        let mut flipped = 0;
        for index in 0..2000 {
            let mut rng = stream(5, Purpose::Augment, 0, 0, index);
            let mut image = numbered(shape);
            Augmentation::RandomCrop { padding: 1 }.apply(
                &mut image,
                shape,
                &mut Vec::new(),
                &mut rng,
            );
            seen.insert(image.iter().map(|&pixel| pixel as u32).collect::<Vec<_>>());
            let mut image = numbered(shape);
            Augmentation::HorizontalFlip.apply(&mut image, shape, &mut Vec::new(), &mut rng);
            flipped += usize::from(image[0] == 3.0);
        }
        assert_eq!(seen.len(), 9);
        assert!((900..1100).contains(&flipped), "{flipped} of 2000");
    }

    proptest! {
        #[test]
        fn one_crop_and_a_flip_say_what_a_list_does(index: u64, order in 0usize..5) {
            let crop = Augmentation::RandomCrop { padding: 2 };
            let lists: [&[Augmentation]; 5] = [
                &[],
                &[crop],
                &[Augmentation::HorizontalFlip],
                &[crop, Augmentation::HorizontalFlip],
                &[Augmentation::HorizontalFlip, crop],
            ];
            let (list, shape) = (lists[order], [2, 4, 5]);
            let mut image = numbered(shape);
            let mut rng = stream(3, Purpose::Augment, 0, 0, index);
            for augmentation in list {
                augmentation.apply(&mut image, shape, &mut Vec::new(), &mut rng);
            }
            let drawn = CropFlip::draw(list, &mut stream(3, Purpose::Augment, 0, 0, index));
            let mut found = cropped(&numbered(shape), shape, [drawn.down, drawn.right], CropFlip::padding(list).unwrap());
            if drawn.flip {
                found.chunks_exact_mut(shape[2]).for_each(<[f32]>::reverse);
            }
            prop_assert_eq!(found, image);
        }
    }

    #[test]
    fn a_kind_that_comes_twice_is_refused() {
        let twice = [Augmentation::HorizontalFlip; 2];
        assert!(
            CropFlip::padding(&twice)
                .unwrap_err()
                .to_string()
                .contains("data.augment")
        );
    }
}
