//! What lists of augmentations do to images.

use super::*;
use crate::ops::augment::crop_flip_image;
use crate::rng::{Purpose, stream};
use proptest::prelude::{prop_assert_eq, proptest};

fn crop(padding: usize) -> Augmentation {
    Augmentation::RandomCrop(RandomCrop { padding })
}

fn flip() -> Augmentation {
    Augmentation::HorizontalFlip(HorizontalFlip {})
}

fn cutout(size: usize) -> Augmentation {
    Augmentation::Cutout(Cutout { size, value: 0.25 })
}

fn draws(list: &[Augmentation], image: [usize; 3], count: u64) -> Vec<Drawn> {
    let stream = |index| stream(5, Purpose::Augment, 0, 0, index);
    (0..count)
        .map(|index| Drawn::new(list, 0, image, &mut stream(index)))
        .collect()
}

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
        c in 1usize..4, h in 1usize..7, w in 1usize..7, margin in 1usize..9, index: u64, order in 0usize..5,
    ) {
        let lists: [&[Augmentation]; 5] = [
            &[],
            &[crop(margin)],
            &[flip()],
            &[crop(margin), flip()],
            &[flip(), crop(margin)],
        ];
        let (list, shape) = (lists[order], [c, h, w]);
        let mut expected = numbered(shape);
        let mut rng = stream(3, Purpose::Augment, 0, 0, index);
        for augmentation in list {
            match augmentation {
                Augmentation::RandomCrop(crop) => {
                    expected = cropped(&expected, shape, crop.offsets(&mut rng), margin);
                }
                _ => {
                    if rng.random::<bool>() {
                        expected.chunks_exact_mut(w).for_each(<[f32]>::reverse);
                    }
                }
            }
        }
        let drawn = Drawn::new(list, 0, shape, &mut stream(3, Purpose::Augment, 0, 0, index));
        let mut found = numbered(shape);
        crop_flip_image(&mut found, shape, drawn.window, padding(list).unwrap(), &mut vec![7.0; 3]);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn crops_reach_every_shift_and_flips_are_even() {
    let draws = draws(&[crop(1), flip()], [1, 8, 8], 2000);
    let windows: Vec<Window> = draws.iter().map(|drawn| drawn.window).collect();
    let seen: std::collections::HashSet<_> = windows.iter().map(|w| (w.down, w.right)).collect();
    let flipped = windows.iter().filter(|window| window.flip).count();
    assert_eq!(seen.len(), 9);
    assert!((900..1100).contains(&flipped), "{flipped} of 2000");
}

/// The authors' squares: from `centre - size / 2` to `centre + size / 2`, as far as that is inside.
#[test]
fn squares_are_cut_around_every_pixel() {
    let mut areas = std::collections::HashSet::new();
    for drawn in draws(&[cutout(4)], [3, 5, 7], 3000) {
        let [Hole { area, value: 0.25 }] = drawn.holes[..] else {
            panic!("{drawn:?}")
        };
        areas.insert([area.top, area.bottom, area.left, area.right]);
    }
    let sides =
        |length: usize| (0..length).map(move |c| [c.saturating_sub(2), (c + 2).min(length)]);
    let expected =
        sides(5).flat_map(|[top, bottom]| sides(7).map(move |[l, r]| [top, bottom, l, r]));
    assert_eq!(areas, expected.collect());
}

#[test]
fn some_of_the_images_are_erased() {
    let erasing = RandomErasing {
        probability: 0.25,
        scale: [0.02, 0.33],
        ratio: [0.3, 3.3],
        value: 0.0,
    };
    let erased = draws(&[Augmentation::RandomErasing(erasing)], [3, 32, 32], 2000);
    let erased = erased
        .iter()
        .filter(|drawn| !drawn.holes.is_empty())
        .count();
    assert!((420..580).contains(&erased), "{erased} of 2000");
}

/// `Beta(alpha, alpha)` has the mean 1/2 and the variance `1 / (4 (2 alpha + 1))`.
#[test]
fn shares_are_of_the_beta_distribution() {
    for alpha in [0.01, 0.2, 1.0, 4.0, 1000.0] {
        let mixup = Augmentation::Mixup(Mixup {
            alpha,
            probability: 1.0,
        });
        let shares: Vec<f64> = draws(&[mixup], [1, 4, 4], 4000)
            .iter()
            .map(|drawn| f64::from(drawn.mixing.unwrap().1))
            .collect();
        assert!(
            shares.iter().all(|share| (0.0..=1.0).contains(share)),
            "{alpha}"
        );
        let mean = shares.iter().sum::<f64>() / 4000.0;
        let variance = shares
            .iter()
            .map(|share| (share - mean).powi(2))
            .sum::<f64>()
            / 4000.0;
        let expected = 0.25 / (2.0 * alpha + 1.0);
        assert!(
            (mean - 0.5).abs() < 4.0 * (expected / 4000.0).sqrt(),
            "{alpha}: {mean}"
        );
        assert!(
            (variance / expected - 1.0).abs() < 0.1,
            "{alpha}: {variance} {expected}"
        );
    }
}

#[test]
fn rectangles_have_the_share_that_the_beta_distribution_gives_the_other_image() {
    let cut_mix = Augmentation::CutMix(CutMix {
        alpha: 1.0,
        probability: 0.5,
    });
    let image = [3, 32, 32];
    let drawn = draws(&[cut_mix], image, 4000);
    let mixed: Vec<_> = drawn.iter().filter_map(|drawn| drawn.mixing).collect();
    assert!((1800..2200).contains(&mixed.len()));
    // Uniform shares, less what lies outside.
    let shares = mixed.iter().map(|(area, own)| {
        assert_eq!(*own, 0.0);
        assert!(area.bottom <= 32 && area.right <= 32);
        1.0 - area.share(image)
    });
    let mean = shares.sum::<f64>() / mixed.len() as f64;
    assert!((0.55..0.75).contains(&mean), "{mean}");
}

#[test]
fn lists_that_contradict_themselves_are_refused() {
    let mixup = Augmentation::Mixup(Mixup {
        alpha: 1.0,
        probability: 1.0,
    });
    let cut_mix = Augmentation::CutMix(CutMix {
        alpha: 1.0,
        probability: 1.0,
    });
    let fault = |list: &[Augmentation]| padding(list).unwrap_err().to_string();
    assert_eq!(
        fault(&[flip(), flip()]),
        "data.augment: expected each augmentation at most once, found \"horizontal-flip\" again"
    );
    assert_eq!(
        fault(&[cutout(3), flip()]),
        "data.augment: expected \"horizontal-flip\" before \"cutout\", which works on what it leaves"
    );
    assert_eq!(
        fault(&[mixup, cut_mix]),
        "data.augment: expected one that mixes images, found \"mixup\" and \"cutmix\""
    );
    assert_eq!(padding(&[flip(), crop(3), cutout(2)]).unwrap(), 3);
}
