//! Batch normalisation on a card is that of the CPU.

use super::super::cpu::{self, Moments};
use super::*;
use crate::ops::card::host::{Host, close, each_type, numbers, within};

const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;
/// Many rows of few channels, few rows of many, one row; packs and none; ragged tiles, stretches and lanes.
const SHAPES: [[usize; 4]; 9] = [
    [2, 3, 5, 1],
    [3, 5, 7, 3],
    [2, 17, 19, 5],
    [1, 1, 1, 33],
    [4, 3, 3, 33],
    [2, 9, 7, 64],
    [1, 3, 1, 132],
    [2, 2, 3, 300],
    [3, 67, 41, 8],
];

/// A layer on the card, and the CPU's op in float64 with the same numbers.
struct Layer {
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
}

impl Layer {
    fn new(card: &Host, channels: usize) -> Self {
        let tensor = |seed, size, add: f32| {
            let values: Vec<f32> = numbers(&[channels], seed, size)
                .iter()
                .map(|v| v + add)
                .collect();
            card.tensor(&values, &[channels], DType::F32)
        };
        Self {
            gamma: tensor(11, 0.5, 1.0),
            beta: tensor(12, 0.5, 0.0),
            mean: tensor(13, 1.0, 0.5),
            var: tensor(14, 0.5, 2.0),
        }
    }

    fn affine(&self) -> Affine<'_> {
        Affine {
            gamma: &self.gamma,
            beta: &self.beta,
            running_mean: &self.mean,
            running_var: &self.var,
            eps: EPS,
        }
    }

    fn cpu(
        &self,
        card: &Host,
        x: &Tensor,
        moments: &Moments,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> (Tensor, super::super::Saved) {
        let affine = Affine {
            gamma: &card.wide(&self.gamma),
            beta: &card.wide(&self.beta),
            ..self.affine()
        };
        let (x, residual) = (card.wide(x), residual.map(|r| card.wide(r)));
        cpu::forward(&x, &affine, moments, residual.as_ref(), activation).unwrap()
    }

    fn running(&self, card: &Host) -> Moments {
        let read = |t: &Tensor| card.wide(t).to_vec1::<f64>().unwrap();
        Moments {
            mean: read(&self.mean),
            variance: read(&self.var),
            count: 0,
        }
    }
}

/// Numbers whose mean is not 0.
fn input(card: &Host, shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    let values: Vec<f32> = numbers(shape, seed, 2.0).iter().map(|v| v + 1.5).collect();
    card.tensor(&values, shape, dtype)
}

fn bound(dtype: DType) -> f64 {
    match dtype {
        DType::BF16 => 6e-3,
        _ => 4e-6,
    }
}

fn compare(
    card: &Host,
    dtype: DType,
    found: &Gradients,
    expected: &Gradients,
    case: (usize, bool),
) {
    let (rows, batch_statistics) = case;
    let (dx, wanted) = (
        found.input.as_ref().unwrap(),
        expected.input.as_ref().unwrap(),
    );
    // The gradient through a single row's own statistics is nothing but rounding.
    if rows > 1 || !batch_statistics {
        within(dx, wanted, bound(dtype));
    } else {
        let largest = card.wide(dx).abs().unwrap().max_all().unwrap();
        assert!(largest.to_scalar::<f64>().unwrap() < 1e-3);
    }
    let (gamma, beta) = found.parameters.as_ref().unwrap();
    let (wanted_gamma, wanted_beta) = expected.parameters.as_ref().unwrap();
    assert_eq!((gamma.dtype(), beta.dtype()), (DType::F32, DType::F32));
    if rows > 1 || !batch_statistics {
        within(gamma, wanted_gamma, 4e-6);
    }
    within(beta, wanted_beta, 4e-6);
}

#[test]
fn both_modes_and_their_gradients_are_those_of_the_cpu() {
    each_type(|card, dtype| {
        for (index, shape) in SHAPES.iter().enumerate() {
            let channels = shape[3];
            let rows = shape[0] * shape[1] * shape[2];
            let x = input(card, shape, 1, dtype);
            let dy = card.tensor(&numbers(shape, 2, 1.0), shape, dtype);
            let activation = [
                Activation::Identity,
                Activation::Relu,
                Activation::Relu6,
                Activation::Silu,
            ][index % 4];
            for batch_statistics in [true, false] {
                let layer = Layer::new(card, channels);
                let moments = match batch_statistics {
                    true => cpu::moments(&card.wide(&x)).unwrap(),
                    false => layer.running(card),
                };
                let (wanted, cpu_saved) = layer.cpu(card, &x, &moments, None, activation);
                let (y, saved) = match batch_statistics {
                    true => train(card, &x, &layer.affine(), MOMENTUM, None, activation),
                    false => evaluate(card, &x, &layer.affine(), None, activation),
                }
                .unwrap();
                within(&y, &wanted, bound(dtype));
                for linear in [false, true] {
                    let found = backward(card, &dy, &x, &saved, linear, true, true).unwrap();
                    let expected = cpu::backward(
                        &card.wide(&dy),
                        &card.wide(&x),
                        &cpu_saved,
                        linear,
                        true,
                        true,
                    )
                    .unwrap();
                    compare(card, dtype, &found, &expected, (rows, batch_statistics));
                }
            }
        }
    });
}

#[test]
fn a_residual_is_added_before_the_activation() {
    each_type(|card, dtype| {
        for shape in [[2, 3, 5, 33], [3, 4, 5, 64]] {
            let (x, residual) = (
                input(card, &shape, 3, dtype),
                card.tensor(&numbers(&shape, 4, 2.0), &shape, dtype),
            );
            for activation in [Activation::Relu, Activation::Identity] {
                let layer = Layer::new(card, shape[3]);
                let running = layer.running(card);
                let (wanted, _) = layer.cpu(card, &x, &running, Some(&residual), activation);
                let affine = layer.affine();
                let (y, _) = evaluate(card, &x, &affine, Some(&residual), activation).unwrap();
                within(&y, &wanted, bound(dtype));
                let batch = cpu::moments(&card.wide(&x)).unwrap();
                let (wanted, _) = layer.cpu(card, &x, &batch, Some(&residual), activation);
                let (y, _) =
                    train(card, &x, &affine, MOMENTUM, Some(&residual), activation).unwrap();
                within(&y, &wanted, bound(dtype));
            }
            let other = input(card, &[2, 3, 5, 3], 3, dtype);
            let layer = Layer::new(card, shape[3]);
            let affine = layer.affine();
            assert!(evaluate(card, &x, &affine, Some(&other), Activation::Identity).is_err());
        }
    });
}

#[test]
fn running_statistics_move_towards_each_batch() {
    each_type(|card, dtype| {
        for shape in [[2, 3, 5, 5], [1, 1, 1, 3], [4, 9, 9, 68]] {
            let layer = Layer::new(card, shape[3]);
            let mut expected = layer.running(card);
            for step in 0..4 {
                let x = input(card, &shape, 20 + step, dtype);
                let moments = cpu::moments(&card.wide(&x)).unwrap();
                let n = moments.count as f64;
                let unbias = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
                for (running, batch) in expected.mean.iter_mut().zip(&moments.mean) {
                    *running += MOMENTUM * (batch - *running);
                }
                for (running, batch) in expected.variance.iter_mut().zip(&moments.variance) {
                    *running += MOMENTUM * (batch * unbias - *running);
                }
                train(
                    card,
                    &x,
                    &layer.affine(),
                    MOMENTUM,
                    None,
                    Activation::Identity,
                )
                .unwrap();
            }
            let wide = |values: Vec<f64>| Tensor::new(values, card.device()).unwrap();
            within(&layer.mean, &wide(expected.mean), 1e-6);
            within(&layer.var, &wide(expected.variance), 1e-6);
        }
    });
}

#[test]
fn a_mean_far_from_zero_keeps_its_variance() {
    each_type(|card, dtype| {
        if dtype != DType::F32 {
            return;
        }
        let shape = [4, 16, 16, 8];
        let values: Vec<f32> = numbers(&shape, 5, 1.0).iter().map(|v| v + 1000.0).collect();
        let x = card.tensor(&values, &shape, dtype);
        let layer = Layer::new(card, 8);
        let batch = cpu::moments(&card.wide(&x)).unwrap();
        train(card, &x, &layer.affine(), 1.0, None, Activation::Identity).unwrap();
        let n = batch.count as f64;
        let variance: Vec<f64> = batch.variance.iter().map(|v| v * n / (n - 1.0)).collect();
        within(
            &layer.var,
            &Tensor::new(variance, card.device()).unwrap(),
            1e-5,
        );
    });
}

#[test]
fn only_the_wanted_gradients_are_computed() {
    each_type(|card, dtype| {
        let x = input(card, &[2, 3, 4, 5], 6, dtype);
        let layer = Layer::new(card, 5);
        let affine = layer.affine();
        let (_, saved) = train(card, &x, &affine, 0.1, None, Activation::Relu).unwrap();
        let both = backward(card, &x, &x, &saved, false, true, true).unwrap();
        let input_only = backward(card, &x, &x, &saved, false, true, false).unwrap();
        assert!(input_only.parameters.is_none());
        close(
            &input_only.input.unwrap(),
            &card.wide(&both.input.unwrap()),
            dtype,
        );
        let parameters_only = backward(card, &x, &x, &saved, false, false, true).unwrap();
        assert!(parameters_only.input.is_none());
        close(
            &parameters_only.parameters.unwrap().0,
            &card.wide(&both.parameters.unwrap().0),
            dtype,
        );
    });
}

#[test]
fn wrong_tensors_are_refused() {
    each_type(|card, dtype| {
        let (x, other) = (
            input(card, &[2, 3, 4, 5], 7, dtype),
            input(card, &[2, 3, 4, 6], 7, dtype),
        );
        let layer = Layer::new(card, 5);
        let affine = layer.affine();
        let (_, saved) = evaluate(card, &x, &affine, None, Activation::Relu).unwrap();
        assert!(train(card, &other, &affine, 0.1, None, Activation::Relu).is_err());
        assert!(backward(card, &other, &x, &saved, false, true, true).is_err());
        assert!(backward(card, &other, &other, &saved, false, true, true).is_err());
    });
}
