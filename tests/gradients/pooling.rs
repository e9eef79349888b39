//! Pooling: maxima with ties, means with windows and with adaptive cells.

use candle_core::{Device, Tensor};
use runner::nn::pool::{adaptive_average_pool, average_pool, max_pool};
use runner::nn::{Pass, Tape};

use crate::harness::{Case, body, numbers, on_every_isa};
use crate::naive::{self, Image};

#[test]
fn maxima() {
    on_every_isa(|| {
        for (shape, kernel, stride, padding) in [
            ([2, 3, 6, 8], 2, 2, 0),
            ([2, 17, 5, 7], 2, 2, 0),
            ([2, 5, 6, 6], 3, 2, 1),
            ([2, 24, 7, 5], 3, 2, 1),
            ([2, 3, 7, 9], 3, 2, 0),
            ([1, 4, 6, 6], 3, 1, 1),
            ([1, 4, 1, 1], 3, 2, 1),
        ] {
            let name = format!("max-pool {kernel}/{stride}/{padding} of {shape:?}");
            let case = Case::new(name, shape, |_| {
                body(move |tape, x| max_pool(tape, x, kernel, stride, padding))
            });
            let x = Image::from_channels_first(&case.input);
            case.check_output(&naive::max_pool(&x, kernel, stride, padding).values);
            case.check_gradients();
        }
    });
}

/// Input gradient of the sum of `max_pool`'s outputs for one single-channel image.
fn pooled_gradient(
    rows: &[&[f32]],
    kernel: usize,
    stride: usize,
    padding: usize,
) -> (Vec<f64>, Vec<f64>) {
    let (h, w) = (rows.len(), rows[0].len());
    let x = Tensor::from_vec(rows.concat(), (1, h, w, 1), &Device::Cpu).unwrap();
    let tape = Tape::new(Pass {
        input: true,
        ..Pass::inference()
    });
    let y = max_pool(&tape, &tape.input(&x), kernel, stride, padding).unwrap();
    let values = numbers(y.tensor());
    let ones = y.tensor().ones_like().unwrap();
    let dx = tape.backward(&y, ones).unwrap().input().unwrap();
    (values, numbers(&dx))
}

/// The first of equal maxima in reading order gets the whole gradient, as in torch.
#[test]
fn ties_go_to_the_first() {
    on_every_isa(|| {
        let (y, dx) = pooled_gradient(&[&[1., 3., 0., 0.], &[3., 3., 0., 0.]], 2, 2, 0);
        assert_eq!(y, [3.0, 0.0]);
        assert_eq!(dx, [0., 1., 1., 0., 0., 0., 0., 0.]);
        // Overlapping windows with padding: the centre of a 3x3 image is the maximum of all four windows.
        let (y, dx) = pooled_gradient(&[&[5., 5., 5.], &[5., 9., 5.], &[5., 5., 5.]], 3, 2, 1);
        assert_eq!(y, [9.0; 4]);
        assert_eq!(dx, [0., 0., 0., 0., 4., 0., 0., 0., 0.]);
        // All equal: the first tap that lies inside; padding never wins, not even over negative numbers.
        let (y, dx) = pooled_gradient(&[&[-5.; 3][..]; 3], 3, 2, 1);
        assert_eq!(y, [-5.0; 4]);
        assert_eq!(dx, [1., 1., 0., 1., 1., 0., 0., 0., 0.]);
        let (_, dx) = pooled_gradient(&[&[2.; 5][..]; 3], 3, 2, 0);
        assert_eq!(
            dx,
            [1., 0., 1., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0.]
        );
    });
}

/// Not-a-number wins over everything, so that a run notices it.
#[test]
fn not_a_number_wins() {
    on_every_isa(|| {
        let (y, _) = pooled_gradient(&[&[1., f32::NAN], &[3., 3.]], 2, 2, 0);
        assert!(y[0].is_nan());
        let (y, _) = pooled_gradient(&[&[f32::NAN, 1.], &[3., 3.]], 2, 2, 0);
        assert!(y[0].is_nan());
    });
}

#[test]
fn means() {
    on_every_isa(|| {
        for (shape, kernel, stride) in [
            ([2, 3, 6, 8], 2, 2),
            ([2, 17, 5, 7], 2, 2),
            ([1, 5, 8, 8], 8, 8),
            ([1, 5, 7, 7], 3, 2),
        ] {
            let name = format!("average pool {kernel}/{stride} of {shape:?}");
            let case = Case::new(name, shape, |_| {
                body(move |tape, x| average_pool(tape, x, kernel, stride))
            });
            let cells = |side: usize| -> Vec<(usize, usize)> {
                (0..=(side - kernel) / stride)
                    .map(|i| (i * stride, i * stride + kernel))
                    .collect()
            };
            let x = Image::from_channels_first(&case.input);
            case.check_output(&naive::means(&x, &cells(shape[2]), &cells(shape[3])).values);
            case.check_gradients();
        }
    });
}

#[test]
fn adaptive_means() {
    on_every_isa(|| {
        for (shape, out, cells) in [
            ([2, 5, 4, 4], 1, vec![(0, 4)]),
            (
                [2, 3, 2, 2],
                7,
                vec![(0, 1), (0, 1), (0, 1), (0, 2), (1, 2), (1, 2), (1, 2)],
            ),
            ([1, 17, 7, 7], 3, vec![(0, 3), (2, 5), (4, 7)]),
            ([2, 4, 1, 1], 7, vec![(0, 1); 7]),
            ([1, 2, 6, 6], 3, vec![(0, 2), (2, 4), (4, 6)]),
        ] {
            let case = Case::new(
                format!("adaptive pool of {shape:?} to {out}"),
                shape,
                |_| body(move |tape, x| adaptive_average_pool(tape, x, out, out)),
            );
            let x = Image::from_channels_first(&case.input);
            case.check_output(&naive::means(&x, &cells, &cells).values);
            case.check_gradients();
        }
    });
}

#[test]
fn windows_that_do_not_fit_are_refused() {
    let x = Tensor::zeros((1, 2, 2, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
    let tape = Tape::new(Pass::inference());
    let x = tape.input(&x);
    for (kernel, stride, padding) in [(3, 2, 0), (2, 0, 0), (0, 1, 0), (2, 2, 2), (16, 1, 8)] {
        assert!(max_pool(&tape, &x, kernel, stride, padding).is_err());
    }
    assert!(average_pool(&tape, &x, 3, 1).is_err());
}
