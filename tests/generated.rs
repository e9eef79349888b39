//! The generated sets reward convolution: a small network of them is far ahead of a linear model.

use std::sync::Arc;

use candle_core::Tensor;
use runner::Result;
use runner::data::{DIGITS, DataKind, DeviceDataset, Loader, SHAPES, Source, Split, load};
use runner::models::{self, ModelConfig};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Coordinates, Network, Pass, Tape};
use runner::optim::{Adam, Optimizer, OptimizerKind, OptimizerSpec};

const EPOCHS: u64 = 5;
const TRAIN: usize = 4000;
const TEST: usize = 1000;

/// The middle 28x28 pixels, which LeNet-5 takes.
fn middle(images: &Tensor) -> Result<Tensor> {
    let side = images.dim(3)?;
    let start = (side - 28) / 2;
    Ok(images
        .narrow(2, start, 28)?
        .narrow(3, start, 28)?
        .contiguous()?)
}

/// Test accuracy after a short training with Adam, in total and by class.
fn accuracy(kind: &'static DataKind, network: &Network) -> Result<(f64, [f64; 10])> {
    let set = |split, limit| {
        let source = Source {
            limit: Some(limit),
            ..Source::new(kind, None)
        };
        load(&source, split).map(Arc::new)
    };
    let (train, test) = (set(Split::Train, TRAIN)?, set(Split::Test, TEST)?);
    let config = OptimizerSpec {
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
        ..OptimizerSpec::new(OptimizerKind::Adam)
    };
    let mut optimizer = Adam::new(&config, network.parameters())?;
    for epoch in 0..EPOCHS {
        for batch in Loader::train(
            &DeviceDataset::on_cpu(Arc::clone(&train)),
            32,
            &[],
            1,
            epoch,
            0,
        )? {
            let batch = batch?;
            let tape = Tape::new(Pass::training(BackwardPlan::none(), Coordinates::default()));
            let logits = network.forward(&tape, &tape.input(&middle(&batch.images)?))?;
            let loss = cross_entropy(logits.tensor(), &batch.label_values, Reduction::Mean)?;
            let gradients = tape.backward(&logits, loss.gradient)?;
            optimizer.step(&gradients, 2e-3)?;
        }
    }
    let (mut right, mut all) = ([0.0; 10], [0.0; 10]);
    for batch in Loader::eval(&DeviceDataset::on_cpu(test), 250)? {
        let batch = batch?;
        let classes = network.logits(&middle(&batch.images)?)?.argmax(1)?;
        for (found, &label) in classes.to_vec1::<u32>()?.iter().zip(&batch.label_values) {
            right[label as usize] += f64::from(u8::from(*found == label));
            all[label as usize] += 1.0;
        }
    }
    let total = right.iter().sum::<f64>() / TEST as f64;
    Ok((
        total,
        std::array::from_fn(|class| right[class] / all[class]),
    ))
}

fn margin(kind: &'static DataKind, channels: usize) {
    let config = |widths| ModelConfig {
        widths,
        seed: 1,
        ..ModelConfig::new([channels, 28, 28], 10)
    };
    // An MLP without hidden layers is a linear model.
    let linear = models::build("mlp", &config(Some(Vec::new()))).unwrap();
    let convolutional = models::build("lenet5", &config(None)).unwrap();
    let (linear, by_class) = accuracy(kind, &linear).unwrap();
    let (convolutional, _) = accuracy(kind, &convolutional).unwrap();
    println!("{kind}: linear {linear:.3}, by class {by_class:.2?}, LeNet-5 {convolutional:.3}");
    assert!(
        by_class.iter().all(|&class| class < 0.97),
        "{kind}: a class is told at a glance: {by_class:?}"
    );
    assert!(
        linear > 0.2,
        "{kind}: a linear model learns something, found {linear}"
    );
    assert!(
        convolutional > linear + 0.2,
        "{kind}: LeNet-5 has {convolutional}, a linear model {linear}"
    );
}

#[test]
fn digits_reward_convolution() {
    margin(&DIGITS, 1);
}

#[test]
fn shapes_reward_convolution() {
    margin(&SHAPES, 3);
}
