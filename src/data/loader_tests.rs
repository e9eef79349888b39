//! Batches come in order, whole, and the same on the CPU, on a card and after a resume.

use super::*;
use crate::data::Pixels;
use crate::data::augment::{CutMix, Cutout, HorizontalFlip, Mixup, RandomCrop, RandomErasing};
use crate::ops::card::host::on_host;
use proptest::prelude::*;

const AUGMENT: [Augmentation; 2] = [
    Augmentation::RandomCrop(RandomCrop { padding: 4 }),
    Augmentation::HorizontalFlip(HorizontalFlip {}),
];

fn set(count: usize) -> Arc<Dataset> {
    Arc::new(Dataset {
        shape: [1, 2, 3],
        pixels: Pixels::U8((0..count * 6).map(|value| (value % 251) as u8).collect()),
        labels: (0..count).map(|index| (index % 10) as u32).collect(),
        names: vec![String::new(); count],
        classes: vec![String::new(); 10],
    })
}

fn flat(batch: &Batch) -> Vec<f32> {
    batch.images.flatten_all().unwrap().to_vec1().unwrap()
}

type Collected = Vec<(Vec<usize>, Vec<u32>, Vec<f32>)>;

fn collect(loader: Loader) -> Collected {
    loader
        .map(|batch| {
            let batch = batch.unwrap();
            (
                batch.indices.clone(),
                batch.label_values.clone(),
                flat(&batch),
            )
        })
        .collect()
}

fn epoch(count: usize, batch: usize, seed: u64, epoch: u64, first: usize) -> Collected {
    let placed = DeviceDataset::on_cpu(set(count));
    collect(Loader::train(&placed, batch, &AUGMENT, seed, epoch, first).unwrap())
}

/// Everything that there is, with one of the two that mix.
fn all_of(mixing: Augmentation) -> Vec<Augmentation> {
    let holes = [
        Augmentation::Cutout(Cutout {
            size: 2,
            value: 0.5,
        }),
        Augmentation::RandomErasing(RandomErasing {
            probability: 0.5,
            scale: [0.1, 0.4],
            ratio: [0.5, 2.0],
            value: 0.0,
        }),
    ];
    AUGMENT.into_iter().chain(holes).chain([mixing]).collect()
}

fn mixing() -> [Augmentation; 2] {
    let (alpha, probability) = (1.0, 0.75);
    [
        Augmentation::Mixup(Mixup { alpha, probability }),
        Augmentation::CutMix(CutMix { alpha, probability }),
    ]
}

#[test]
fn an_evaluation_shows_the_set_as_it_is() {
    let loader = Loader::eval(&DeviceDataset::on_cpu(set(7)), 3).unwrap();
    assert_eq!((loader.batches(), loader.len()), (3, 3));
    let batches = collect(loader);
    assert_eq!(batches[2].0, [6]);
    let pixels: Vec<f32> = batches.into_iter().flat_map(|batch| batch.2).collect();
    assert_eq!(
        pixels,
        (0..42)
            .map(|value| value as f32 / 255.0)
            .collect::<Vec<_>>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_resumed_epoch_equals_the_uninterrupted_one(
        count in 1usize..40, batch in 1usize..12, seed: u64, number in 0u64..5, first in 0usize..40,
    ) {
        let whole = epoch(count, batch, seed, number, 0);
        let first = first.min(whole.len());
        prop_assert_eq!(&epoch(count, batch, seed, number, first)[..], &whole[first..]);
    }

    #[test]
    fn an_epoch_is_a_permutation(count in 0usize..60, batch in 1usize..12, seed: u64, number in 0u64..5) {
        let batches = epoch(count, batch, seed, number, 0);
        let mut indices: Vec<usize> = batches.iter().flat_map(|batch| batch.0.clone()).collect();
        indices.sort_unstable();
        prop_assert_eq!(indices, (0..count).collect::<Vec<_>>());
        for (indices, labels, pixels) in &batches {
            prop_assert!(indices.iter().zip(labels).all(|(&index, &label)| label == (index % 10) as u32));
            prop_assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        }
    }
}

#[test]
fn epochs_and_seeds_differ_in_order_and_augmentation() {
    let base = epoch(50, 50, 1, 0, 0);
    assert_eq!(base, epoch(50, 50, 1, 0, 0));
    for other in [epoch(50, 50, 1, 1, 0), epoch(50, 50, 2, 0, 0)] {
        assert_ne!(base[0].0, other[0].0);
        let image = |batch: &Collected| {
            let position = batch[0].0.iter().position(|&index| index == 7).unwrap();
            batch[0].2[position * 6..position * 6 + 6].to_vec()
        };
        let same = (0..50).filter(|&index| {
            let find = |batch: &Collected| batch[0].0.iter().position(|&i| i == index).unwrap();
            base[0].2[find(&base) * 6..][..6] == other[0].2[find(&other) * 6..][..6]
        });
        assert!(same.count() < 40, "{:?} {:?}", image(&base), image(&other));
    }
}

/// The batch size regroups the examples and changes none.
#[test]
fn augmentation_does_not_depend_on_the_batch_size() {
    let join = |batches: Collected| {
        batches
            .into_iter()
            .flat_map(|batch| batch.2)
            .collect::<Vec<_>>()
    };
    assert_eq!(join(epoch(20, 3, 9, 2, 0)), join(epoch(20, 20, 9, 2, 0)));
}

#[test]
fn dropping_a_loader_midway_ends_its_thread() {
    let data = set(1000);
    let mut loader =
        Loader::train(&DeviceDataset::on_cpu(data.clone()), 1, &AUGMENT, 0, 0, 0).unwrap();
    loader.next().unwrap().unwrap();
    // The test, the loader and its thread.
    assert_eq!(Arc::strong_count(&data), 3);
    drop(loader);
    assert_eq!(
        Arc::strong_count(&data),
        1,
        "the thread still holds the data set"
    );
}

#[test]
fn a_thread_that_dies_is_an_error_and_not_a_short_epoch() {
    let mut broken = (*set(4)).clone();
    broken.pixels = Pixels::U8(vec![0; 6].into());
    let mut loader = Loader::eval(&DeviceDataset::on_cpu(Arc::new(broken)), 1).unwrap();
    assert!(loader.next().unwrap().is_ok());
    let message = loader.next().unwrap().unwrap_err().to_string();
    assert!(message.contains("ended before the epoch did"), "{message}");
    assert!(loader.next().is_none());
}

#[test]
fn impossible_requests_are_refused() {
    let message = |result: Result<Loader>| {
        result
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert!(message(Loader::eval(&DeviceDataset::on_cpu(set(3)), 0)).contains("data.batch_size"));
    let beyond = Loader::train(&DeviceDataset::on_cpu(set(3)), 2, &[], 0, 0, 3);
    assert!(message(beyond).contains("cannot go on at batch 3 of an epoch of 2"));
}

#[test]
fn a_set_on_a_card_gives_the_batches_of_the_cpu() {
    let expected = epoch(23, 5, 3, 1, 0);
    on_host(|| {
        let placed = DeviceDataset::new(set(23), &candle_core::Device::Cpu).unwrap();
        assert!(placed.pixels.is_some());
        let loader = Loader::train(&placed, 5, &AUGMENT, 3, 1, 0).unwrap();
        assert_eq!(collect(loader), expected);
    });
}

/// Pixels are the weighted mean of two images of the batch, and the weights are those of the labels.
#[test]
fn labels_are_mixed_as_the_images_are() {
    // Images of one colour, which is the label's: the mean of a mixed image tells the shares of its labels.
    let count = 24;
    let labels: Vec<u32> = (0..count).map(|index| index % 10).collect();
    let set = Arc::new(Dataset {
        shape: [1, 8, 8],
        pixels: Pixels::U8(
            labels
                .iter()
                .flat_map(|&label| [25 * label as u8; 64])
                .collect(),
        ),
        names: vec![String::new(); labels.len()],
        labels,
        classes: vec![String::new(); 10],
    });
    for mixing in mixing() {
        let list = [mixing];
        let placed = DeviceDataset::on_cpu(Arc::clone(&set));
        let (mut mixed_images, mut swapped) = (0, 0);
        for epoch in 0..4 {
            for batch in Loader::train(&placed, 8, &list, 5, epoch, 0).unwrap() {
                let batch = batch.unwrap();
                let mixed = batch.mixed.as_ref().unwrap();
                for (position, image) in flat(&batch).chunks_exact(64).enumerate() {
                    let colour = |label: u32| f64::from(label) * 25.0 / 255.0;
                    let weight = mixed.weights[position];
                    assert!((0.0..=0.5).contains(&weight));
                    let label = batch.label_values[position];
                    let expected =
                        (1.0 - weight) * colour(label) + weight * colour(mixed.others[position]);
                    let mean = image.iter().map(|&v| f64::from(v)).sum::<f64>() / 64.0;
                    assert!((mean - expected).abs() < 1e-6, "{mean} {expected}");
                    mixed_images += usize::from(weight > 0.0);
                    swapped += usize::from(label != set.labels[batch.indices[position]]);
                }
            }
        }
        assert!(mixed_images > 40 && swapped > 0, "{mixed_images} {swapped}");
    }
}

#[test]
fn everything_together_is_the_same_on_a_card_and_after_a_resume() {
    for mixing in mixing() {
        let list = all_of(mixing);
        let whole = |placed: &DeviceDataset, first| {
            let loader = Loader::train(placed, 5, &list, 3, 1, first).unwrap();
            let batches = loader.map(|batch| batch.unwrap());
            batches
                .map(|batch| (flat(&batch), batch.label_values, batch.mixed.unwrap()))
                .collect::<Vec<_>>()
        };
        let expected = whole(&DeviceDataset::on_cpu(set(23)), 0);
        let pixels = expected.iter().flat_map(|batch| &batch.0);
        assert!(pixels.clone().all(|pixel| (0.0..=1.0).contains(pixel)));
        let placed = DeviceDataset::on_cpu(set(23));
        assert_eq!(whole(&placed, 2)[..], expected[2..]);
        on_host(|| {
            let placed = DeviceDataset::new(set(23), &candle_core::Device::Cpu).unwrap();
            assert_eq!(whole(&placed, 0), expected);
        });
    }
}
