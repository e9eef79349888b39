//! Each op, forward and backward, at the networks' shapes.

use candle_core::{DType, Device, Tensor};
use runner::ops::activation::{self, Activation};
use runner::ops::batch_norm::{self, Affine};
use runner::ops::conv::{self, Geometry};
use runner::ops::image::{self, Normalize};
use runner::ops::pool::{self, Average, Window};
use runner::ops::precision::Precision;
use runner::ops::{bias, concat, cross_entropy, elementwise, linear};

use crate::{agree, each_precision, noise};

/// Activations as a card has them in a precision.
pub fn on(card: &Device, x: &Tensor, precision: Precision) -> Tensor {
    let x = x.to_device(card).unwrap();
    x.to_dtype(precision.activations()).unwrap()
}

#[test]
fn convolutions() {
    // input (N, H, W, in), out, kernel, stride, padding, groups
    let cases = [
        ([4, 32, 32, 3], 32, 3, 1, 1, 1),
        ([4, 32, 32, 24], 144, 1, 1, 0, 1),
        ([4, 16, 16, 144], 144, 3, 1, 1, 144),
        ([4, 16, 16, 144], 144, 3, 2, 1, 144),
        ([4, 8, 8, 64], 64, 3, 1, 1, 1),
        ([4, 8, 8, 64], 128, 3, 2, 1, 1),
        ([4, 8, 8, 64], 128, 1, 2, 0, 1),
        ([2, 8, 8, 128], 128, 3, 1, 1, 32),
        ([2, 32, 32, 3], 64, 7, 2, 3, 1),
        ([2, 28, 28, 1], 6, 5, 1, 2, 1),
    ];
    each_precision(|card, precision, bound| {
        // So near that products of fewer bits would be seen.
        let bound = if precision == Precision::F32 {
            1e-5
        } else {
            bound
        };
        for (seed, (input, out, kernel, stride, padding, groups)) in cases.into_iter().enumerate() {
            let geometry = Geometry {
                stride,
                padding,
                groups,
                ..Geometry::default()
            };
            let x = noise(seed as u64, &input);
            let w = noise(100 + seed as u64, &[out, input[3] / groups, kernel, kernel]);
            let y = conv::forward(&x, &w, None, geometry).unwrap();
            let dy = noise(200 + seed as u64, y.dims());
            let (cx, cdy, cw) = (
                on(card, &x, precision),
                on(card, &dy, precision),
                w.to_device(card).unwrap(),
            );
            let what = format!("{precision:?} {input:?} {out} {kernel} {stride} {groups}");
            agree(
                &format!("{what} forward"),
                &conv::forward(&cx, &cw, None, geometry).unwrap(),
                &y,
                bound,
            );
            let dx = conv::backward_input(&dy, &w, &input, geometry).unwrap();
            let found = conv::backward_input(&cdy, &cw, &input, geometry).unwrap();
            agree(&format!("{what} input"), &found, &dx, bound);
            let dw = conv::backward_weight(&x, &dy, w.dims(), geometry).unwrap();
            let found = conv::backward_weight(&cx, &cdy, w.dims(), geometry).unwrap();
            agree(&format!("{what} weight"), &found, &dw, bound);
        }
    });
}

#[test]
fn linear_layers() {
    each_precision(|card, precision, bound| {
        let (x, w, b) = (
            noise(1, &[33, 784]),
            noise(2, &[100, 784]),
            noise(3, &[100]),
        );
        let y = linear::forward(&x, &w, Some(&b)).unwrap();
        let dy = noise(4, y.dims());
        let (cx, cdy) = (on(card, &x, precision), on(card, &dy, precision));
        let (cw, cb) = (w.to_device(card).unwrap(), b.to_device(card).unwrap());
        agree(
            "forward",
            &linear::forward(&cx, &cw, Some(&cb)).unwrap(),
            &y,
            bound,
        );
        agree(
            "input",
            &linear::backward_input(&cdy, &cw).unwrap(),
            &linear::backward_input(&dy, &w).unwrap(),
            bound,
        );
        agree(
            "weight",
            &linear::backward_weight(&cx, &cdy).unwrap(),
            &linear::backward_weight(&x, &dy).unwrap(),
            bound,
        );
        agree(
            "bias",
            &bias::gradient(&cdy).unwrap(),
            &bias::gradient(&dy).unwrap(),
            bound,
        );
    });
}

#[test]
fn batch_norms() {
    each_precision(|card, precision, bound| {
        for (shape, act) in [
            ([8, 16, 16, 96], Activation::Relu6),
            ([64, 2, 2, 5], Activation::Silu),
            ([3, 1, 1, 1280], Activation::Relu),
        ] {
            let channels = shape[3];
            let x = noise(1, &shape);
            let residual = noise(2, &shape);
            let parameters = [noise(3, &[channels]), noise(4, &[channels])];
            let statistics = || {
                [
                    Tensor::zeros(channels, DType::F32, &Device::Cpu).unwrap(),
                    Tensor::ones(channels, DType::F32, &Device::Cpu).unwrap(),
                ]
            };
            let here = statistics();
            let there = statistics().map(|t| t.to_device(card).unwrap());
            let [gamma, beta] = &parameters;
            let moved = parameters.clone().map(|t| t.to_device(card).unwrap());
            let affine = Affine {
                gamma,
                beta,
                running_mean: &here[0],
                running_var: &here[1],
                eps: 1e-5,
            };
            let card_affine = Affine {
                gamma: &moved[0],
                beta: &moved[1],
                running_mean: &there[0],
                running_var: &there[1],
                eps: 1e-5,
            };
            let cx = on(card, &x, precision);
            for residual in [None, Some(&residual)] {
                let (y, saved) = batch_norm::train(&x, &affine, 0.1, residual, act).unwrap();
                let moved = residual.map(|r| on(card, r, precision));
                let (found, card_saved) =
                    batch_norm::train(&cx, &card_affine, 0.1, moved.as_ref(), act).unwrap();
                agree("training", &found, &y, bound);
                let dy = noise(5, &shape);
                let cdy = on(card, &dy, precision);
                for linear in [false, true] {
                    if residual.is_some() && !linear {
                        continue;
                    }
                    let expected =
                        batch_norm::backward(&dy, &x, &saved, linear, true, true).unwrap();
                    let found =
                        batch_norm::backward(&cdy, &cx, &card_saved, linear, true, true).unwrap();
                    agree(
                        "input",
                        &found.input.unwrap(),
                        &expected.input.unwrap(),
                        5.0 * bound,
                    );
                    let (found, expected) =
                        (found.parameters.unwrap(), expected.parameters.unwrap());
                    agree("gamma", &found.0, &expected.0, 5.0 * bound);
                    agree("beta", &found.1, &expected.1, 5.0 * bound);
                }
            }
            agree("running mean", &there[0], &here[0], bound);
            agree("running variance", &there[1], &here[1], bound);
            let (y, _) = batch_norm::evaluate(&x, &affine, None, act).unwrap();
            let (found, _) = batch_norm::evaluate(&cx, &card_affine, None, act).unwrap();
            agree("evaluation", &found, &y, bound);
        }
    });
}

#[test]
fn what_moves_and_adds_values() {
    each_precision(|card, precision, bound| {
        let shape = [3, 9, 9, 17];
        let (a, b) = (noise(1, &shape), noise(2, &shape));
        let (ca, cb) = (on(card, &a, precision), on(card, &b, precision));
        agree(
            "sum",
            &elementwise::add(&ca, &cb).unwrap(),
            &elementwise::add(&a, &b).unwrap(),
            bound,
        );
        agree(
            "joined",
            &concat::forward(&[&ca, &cb]).unwrap(),
            &concat::forward(&[&a, &b]).unwrap(),
            bound,
        );
        agree(
            "slice",
            &concat::slice(&ca, 3, 7).unwrap(),
            &concat::slice(&a, 3, 7).unwrap(),
            bound,
        );
        for act in [Activation::Relu, Activation::Relu6, Activation::Silu] {
            agree(
                "activation",
                &activation::forward(&ca, act).unwrap(),
                &activation::forward(&a, act).unwrap(),
                bound,
            );
            agree(
                "its gradient",
                &activation::backward(&cb, &ca, act).unwrap(),
                &activation::backward(&b, &a, act).unwrap(),
                bound,
            );
        }
        let window = Window {
            kernel: 3,
            stride: 2,
            padding: 1,
        };
        let ((y, taps), (cy, ctaps)) = (
            pool::max_forward(&a, window).unwrap(),
            pool::max_forward(&ca, window).unwrap(),
        );
        agree("maxima", &cy, &y, bound);
        if precision != Precision::Bf16 {
            // Rounded inputs have other maxima.
            let dy = noise(3, y.dims());
            let found =
                pool::max_backward(&dy.to_device(card).unwrap(), &ctaps, &shape, window).unwrap();
            agree(
                "their gradient",
                &found,
                &pool::max_backward(&dy, &taps, &shape, window).unwrap(),
                bound,
            );
        }
        for average in [
            Average::Adaptive { oh: 1, ow: 1 },
            Average::Adaptive { oh: 4, ow: 4 },
            Average::Windows {
                kernel: 2,
                stride: 2,
            },
        ] {
            let y = pool::average_forward(&a, average).unwrap();
            agree(
                "means",
                &pool::average_forward(&ca, average).unwrap(),
                &y,
                bound,
            );
            let dy = noise(4, y.dims());
            let found = pool::average_backward(&on(card, &dy, precision), &shape, average).unwrap();
            agree(
                "their gradient",
                &found,
                &pool::average_backward(&dy, &shape, average).unwrap(),
                bound,
            );
        }
        let images = noise(5, &[4, 3, 32, 32]);
        let normalize = Normalize {
            mean: vec![0.5, 0.4, 0.3],
            std: vec![0.2, 0.25, 0.3],
        };
        let y = image::enter(&images, Some(&normalize)).unwrap();
        agree(
            "images",
            &image::enter(&images.to_device(card).unwrap(), Some(&normalize)).unwrap(),
            &y,
            bound,
        );
        let found = image::leave(&on(card, &y, precision), Some(&normalize)).unwrap();
        agree(
            "their gradient",
            &found,
            &image::leave(&y, Some(&normalize)).unwrap(),
            bound,
        );
    });
}

#[test]
fn cross_entropies() {
    each_precision(|card, precision, bound| {
        let logits = noise(1, &[100, 10]);
        let labels: Vec<u32> = (0..100).map(|i| i * 7 % 10).collect();
        let (losses, gradient) = cross_entropy::forward_backward(&logits, &labels, 0.01).unwrap();
        let (found, slope) =
            cross_entropy::forward_backward(&on(card, &logits, precision), &labels, 0.01).unwrap();
        let vector = |v: &[f64]| Tensor::from_slice(v, v.len(), &Device::Cpu).unwrap();
        agree("losses", &vector(&found), &vector(&losses), bound);
        agree("gradient", &slope, &gradient, bound);
    });
}
