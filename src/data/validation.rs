//! Images that are held back: a validation set split off the training images, and samples of a set.

use rand::seq::SliceRandom;

use super::Dataset;
use crate::rng::{Purpose, stream};
use crate::{Error, Result};

/// Splits `count` images off a training set, chosen by the seed alone: the images that are left to train on, and those that
/// were held back. Both keep the set's order.
///
/// # Errors
/// No image would be left to train on.
pub fn hold_back(train: &Dataset, count: usize, seed: u64) -> Result<(Dataset, Dataset)> {
    if count >= train.len() {
        return Err(Error::failed(format!(
            "data.validation: {count} images are to be held back of a training set of {}, which leaves none to train on; \
             hold back fewer",
            train.len()
        )));
    }
    let held = chosen(train.len(), count, seed);
    let mut is_held = vec![false; train.len()];
    held.iter().for_each(|&index| is_held[index] = true);
    let left: Vec<usize> = (0..train.len()).filter(|&index| !is_held[index]).collect();
    Ok((train.select(&left), train.select(&held)))
}

/// `count` images of a set, chosen by the seed alone, or all where there are fewer, in the set's order.
pub fn sample(set: &Dataset, count: usize, seed: u64) -> Dataset {
    set.select(&chosen(set.len(), count, seed))
}

/// The first `count` of a random order of `len` positions, ascending: of two counts, the smaller one's are among the larger's.
fn chosen(len: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.shuffle(&mut stream(seed, Purpose::HoldBack, 0, 0, 0));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Pixels;

    fn set(len: usize) -> Dataset {
        Dataset {
            shape: [1, 1, 1],
            pixels: Pixels::U8((0..len).map(|i| i as u8).collect()),
            labels: (0..len).map(|i| (i % 3) as u32).collect(),
            names: (0..len).map(|i| format!("n{i}")).collect(),
            classes: vec!["a".into(), "b".into(), "c".into()],
        }
    }

    #[test]
    fn every_image_is_on_one_side_by_the_seed() {
        let set = set(50);
        let (left, held) = hold_back(&set, 12, 3).unwrap();
        assert_eq!((left.len(), held.len()), (38, 12));
        let mut names: Vec<String> = left.names.iter().chain(&held.names).cloned().collect();
        names.sort_by_key(|name| name[1..].parse::<usize>().unwrap());
        assert_eq!(names, set.names);
        assert_eq!(hold_back(&set, 12, 3).unwrap(), (left, held.clone()));
        assert_ne!(hold_back(&set, 12, 4).unwrap().1, held);
        let fewer = sample(&set, 5, 3);
        assert!(fewer.names.iter().all(|name| held.names.contains(name)));
        assert_eq!(sample(&set, 99, 3), set);
    }

    #[test]
    fn something_is_left_to_train_on() {
        let message = hold_back(&set(5), 5, 0).unwrap_err().to_string();
        assert!(
            message.starts_with("data.validation: 5 images"),
            "{message}"
        );
        assert!(hold_back(&set(5), 4, 0).is_ok());
    }
}
