//! Linear layers, sums, joining, flattening, dropout, the image boundary, the loss.

use candle_core::{DType, Device, Tensor};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::structure::{add, concatenate, flatten, pad_after};
use runner::nn::{ConvConfig, Init, conv2d, dropout, linear};
use runner::ops::image::Normalize;

use crate::harness::{Case, body, distance, noise, numbers, on_every_isa};
use crate::naive::{Image, named};

fn channels_first(x: &Tensor) -> (usize, Vec<f64>) {
    (x.elem_count() / x.dims()[0], numbers(x))
}

#[test]
fn linear_layers() {
    on_every_isa(|| {
        for (shape, out) in [
            ([3, 5, 2, 3], 7),
            ([1, 17, 1, 1], 24),
            ([5, 1, 4, 4], 3),
            // Wide enough for blocks of columns.
            ([4, 40, 4, 4], 150),
            ([30, 3, 9, 9], 70),
        ] {
            let features = shape[1] * shape[2] * shape[3];
            let case = Case::new(format!("linear of {shape:?} to {out}"), shape, |b| {
                let layer = linear(&b.pp("fc"), features, out, Init::TorchDefault)?;
                body(move |tape, x| layer.forward(tape, &flatten(tape, x)?))
            });
            let (w, bias) = (
                named(&case.network, "fc.weight"),
                named(&case.network, "fc.bias"),
            );
            let (features, x) = channels_first(&case.input);
            let expected: Vec<f64> = x
                .chunks(features)
                .flat_map(|x| {
                    w.chunks(features)
                        .zip(&bias)
                        .map(|(w, b)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b)
                        .collect::<Vec<_>>()
                })
                .collect();
            case.check_output(&expected);
            case.check_gradients();
        }
    });
}

/// Features come out channel by channel, so that torch's weights of the next layer fit.
#[test]
fn flattening_has_torchs_order() {
    on_every_isa(|| {
        let case = Case::new("flatten", [2, 5, 3, 4], |_| body(flatten));
        case.check_output(&channels_first(&case.input).1);
        case.check_gradients();
    });
}

#[test]
fn sums_of_branches() {
    on_every_isa(|| {
        // x + x, and a value that three consumers use: the gradient is shared, then added to, never changed under
        // another holder.
        let case = Case::new("x + x", [2, 3, 4, 5], |_| body(|tape, x| add(tape, x, x)));
        let x = Image::from_channels_first(&case.input);
        case.check_output(&x.map(|v| v + v).values);
        case.check_gradients();

        let case = Case::new("branches", [2, 3, 4, 4], |b| {
            let layer = |name, groups| {
                let config = ConvConfig {
                    padding: 1,
                    groups,
                    bias: true,
                    ..ConvConfig::default()
                };
                conv2d(&b.pp(name), 3, 3, 3, config)
            };
            let (a, c) = (layer("a", 1)?, layer("c", 3)?);
            body(move |tape, x| {
                let left = a.forward(tape, x)?;
                let sum = add(tape, &left, x)?;
                let right = c.forward(tape, &left)?;
                let sum = add(tape, &sum, &right)?;
                add(tape, &sum, &left)
            })
        });
        case.check_gradients();
    });
}

#[test]
fn borders_below_and_to_the_right() {
    on_every_isa(|| {
        let case = Case::new("pad after", [2, 3, 4, 5], |_| {
            body(|tape, x| pad_after(tape, x, 2))
        });
        let x = Image::from_channels_first(&case.input);
        let expected = Image::build([2, 6, 7, 3], |[b, h, w, c]| match h < 4 && w < 5 {
            true => x.at([b, h, w, c]),
            false => 0.0,
        });
        case.check_output(&expected.values);
        case.check_gradients();
    });
}

#[test]
fn joining() {
    on_every_isa(|| {
        let case = Case::new("concatenate", [2, 3, 4, 5], |b| {
            let config = ConvConfig::default();
            let conv = conv2d(&b.pp("conv"), 3, 17, 1, config)?;
            body(move |tape, x| {
                let y = conv.forward(tape, x)?;
                concatenate(tape, &[x.clone(), y.clone(), x.clone(), y])
            })
        });
        let x = Image::from_channels_first(&case.input);
        let y = case.output();
        assert_eq!(y.dims(), [2, 4, 5, 40]);
        let y = Image {
            dims: [2, 4, 5, 40],
            values: numbers(&y),
        };
        let part = |start, width| {
            Image::build([2, 4, 5, width], |[b, h, w, c]| y.at([b, h, w, start + c]))
        };
        assert_eq!(part(0, 3).values, x.values);
        assert_eq!(part(20, 3).values, x.values);
        assert_eq!(part(3, 17).values, part(23, 17).values);
        case.check_gradients();
    });
}

#[test]
fn dropout_keeps_its_mask() {
    on_every_isa(|| {
        let p = 0.3;
        let mut case = Case::new("dropout", [4, 5, 20, 20], |b| {
            let layer = dropout(&b.pp("drop"), p)?;
            body(move |tape, x| layer.forward(tape, x))
        });
        let x = Image::from_channels_first(&case.input).values;
        case.check_output(&x);
        case = case.training();
        let y = numbers(&case.output());
        assert_eq!(
            y,
            numbers(&case.output()),
            "the same coordinates give the same mask"
        );
        let dropped = y.iter().filter(|v| **v == 0.0).count() as f64 / y.len() as f64;
        assert!((dropped - p).abs() < 0.03, "dropped {dropped}");
        let kept = y
            .iter()
            .zip(&x)
            .all(|(y, x)| *y == 0.0 || (y - x / (1.0 - p)).abs() < 1e-12);
        assert!(kept, "what is kept is scaled");
        case.check_gradients();
    });
}

#[test]
fn images_enter_normalised() {
    on_every_isa(|| {
        let normalize = Normalize {
            mean: vec![0.5, 0.4, 0.3],
            std: vec![0.2, 0.25, 0.3],
        };
        let case = Case::normalized("enter", [2, 3, 4, 5], Some(normalize.clone()), |_| {
            body(|_, x| Ok(x.clone()))
        });
        let x = Image::from_channels_first(&case.input);
        let expected = Image::build(x.dims, |at| {
            (x.at(at) - normalize.mean[at[3]]) / normalize.std[at[3]]
        });
        case.check_output(&expected.values);
        case.check_gradients();
    });
}

#[test]
fn cross_entropy_of_logits() {
    on_every_isa(|| {
        let labels = [3u32, 0, 9, 3];
        let logits = noise(1, &[4, 10]).affine(20.0, 5.0).unwrap();
        let rows = numbers(&logits);
        for reduction in [Reduction::Sum, Reduction::Mean] {
            let loss = cross_entropy(&logits, &labels, reduction).unwrap();
            let expected: Vec<f64> = rows
                .chunks(10)
                .zip(labels)
                .map(|(row, label)| {
                    row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[label as usize]
                })
                .collect();
            assert!(distance(&loss.per_example, &expected) < 1e-12);
            let weight = if reduction == Reduction::Mean {
                0.25
            } else {
                1.0
            };
            let total = |rows: &[f64]| -> f64 {
                let logits = Tensor::from_slice(rows, (4, 10), &Device::Cpu).unwrap();
                let loss = cross_entropy(&logits, &labels, reduction).unwrap();
                weight * loss.per_example.iter().sum::<f64>()
            };
            let differences: Vec<f64> = (0..rows.len())
                .map(|i| {
                    let (mut up, mut down) = (rows.clone(), rows.clone());
                    up[i] += 1e-5;
                    down[i] -= 1e-5;
                    (total(&up) - total(&down)) / 2e-5
                })
                .collect();
            assert!(distance(&numbers(&loss.gradient), &differences) < 1e-8);
        }
    });
}

/// Logits far beyond the range of `exp` neither overflow nor lose the loss.
#[test]
fn cross_entropy_of_large_logits() {
    let logits = Tensor::new(&[[1e4f32, -1e4, 0.0]], &Device::Cpu).unwrap();
    let loss = cross_entropy(&logits, &[1], Reduction::Sum).unwrap();
    assert_eq!(loss.per_example, [2e4]);
    assert_eq!(numbers(&loss.gradient), [1.0, -1.0, 0.0]);
    let half = logits.to_dtype(DType::F16).unwrap();
    assert!(cross_entropy(&half, &[1], Reduction::Sum).is_err());
    assert!(cross_entropy(&logits, &[3], Reduction::Sum).is_err());
    assert!(cross_entropy(&logits, &[1, 2], Reduction::Sum).is_err());
}
