//! Random changes to training images.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::ops::augment::Window;
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
}

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
            "data.augment: each kind may come once, expected at most one random-crop and one horizontal-flip",
        ));
    }
    Ok(paddings().next().unwrap_or(0))
}

/// What a list does to the image at `index`, said as one crop and a flip after it.
pub fn draw(list: &[Augmentation], index: usize, rng: &mut ChaCha8Rng) -> Window {
    let mut window = Window {
        index,
        down: 0,
        right: 0,
        flip: false,
    };
    for augmentation in list {
        match *augmentation {
            Augmentation::RandomCrop { padding } => {
                let [down, right] = offsets(padding, rng);
                window.down = down;
                // A flip that came before is put off: the window then lies as far from the other side.
                window.right = if window.flip {
                    2 * padding - right
                } else {
                    right
                };
            }
            Augmentation::HorizontalFlip => window.flip = rng.random(),
        }
    }
    window
}

/// Where a crop's window lies.
fn offsets(padding: usize, rng: &mut ChaCha8Rng) -> [usize; 2] {
    // 64-bit ranges: the same draws on every platform.
    let span = 0..=2 * padding as u64;
    let down = rng.random_range(span.clone()) as usize;
    [down, rng.random_range(span) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::augment::crop_flip_image;
    use crate::rng::{Purpose, stream};
    use proptest::prelude::{prop_assert_eq, proptest};

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
        fn one_crop_and_a_flip_do_what_a_list_does(
            c in 1usize..4, h in 1usize..7, w in 1usize..7, margin in 0usize..9, index: u64, order in 0usize..5,
        ) {
            let crop = Augmentation::RandomCrop { padding: margin };
            let lists: [&[Augmentation]; 5] = [
                &[],
                &[crop],
                &[Augmentation::HorizontalFlip],
                &[crop, Augmentation::HorizontalFlip],
                &[Augmentation::HorizontalFlip, crop],
            ];
            let (list, shape) = (lists[order], [c, h, w]);
            let mut expected = numbered(shape);
            let mut rng = stream(3, Purpose::Augment, 0, 0, index);
            for augmentation in list {
                match *augmentation {
                    Augmentation::RandomCrop { padding } => {
                        expected = cropped(&expected, shape, offsets(padding, &mut rng), padding);
                    }
                    Augmentation::HorizontalFlip => {
                        if rng.random::<bool>() {
                            expected.chunks_exact_mut(w).for_each(<[f32]>::reverse);
                        }
                    }
                }
            }
            let drawn = draw(list, 0, &mut stream(3, Purpose::Augment, 0, 0, index));
            let mut found = numbered(shape);
            crop_flip_image(&mut found, shape, drawn, padding(list).unwrap(), &mut vec![7.0; 3]);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn crops_reach_every_shift_and_flips_are_even() {
        let list = [
            Augmentation::RandomCrop { padding: 1 },
            Augmentation::HorizontalFlip,
        ];
        let draws: Vec<Window> = (0..2000)
            .map(|index| draw(&list, 0, &mut stream(5, Purpose::Augment, 0, 0, index)))
            .collect();
        let seen: std::collections::HashSet<_> = draws.iter().map(|w| (w.down, w.right)).collect();
        let flipped = draws.iter().filter(|window| window.flip).count();
        assert_eq!(seen.len(), 9);
        assert!((900..1100).contains(&flipped), "{flipped} of 2000");
    }

    #[test]
    fn a_kind_that_comes_twice_is_refused() {
        let twice = [Augmentation::HorizontalFlip; 2];
        assert!(
            padding(&twice)
                .unwrap_err()
                .to_string()
                .contains("data.augment")
        );
    }
}
