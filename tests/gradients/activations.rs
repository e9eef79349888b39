//! Activations alone, and their derivatives at the kinks.

use candle_core::{Device, Tensor};
use runner::ops::activation::{Activation, backward, forward};

use crate::harness::{Case, body, numbers, on_every_isa};
use crate::naive::{self, Image};

pub const KINDS: [Activation; 3] = [Activation::Relu, Activation::Relu6, Activation::Silu];

#[test]
fn alone() {
    on_every_isa(|| {
        for kind in KINDS {
            let mut case = Case::new(format!("{kind:?}"), [2, 3, 5, 7], |b| {
                let act = b.activation("act", kind);
                body(move |tape, x| act.forward(tape, x))
            });
            // Both kinks of ReLU6 lie inside.
            case.input = case.input.affine(8.0, 1.0).unwrap();
            let x = Image::from_channels_first(&case.input);
            case.check_output(&x.map(|z| naive::activation(z, kind)).values);
            case.check_gradients();
        }
    });
}

/// torch: ReLU has derivative 0 at 0, ReLU6 has 0 at 0 and at 6.
#[test]
fn derivatives_at_the_kinks() {
    on_every_isa(|| {
        let z = Tensor::new(&[-1f32, -0.0, 0.0, 1.0, 6.0, 7.0], &Device::Cpu).unwrap();
        let dy = Tensor::new(&[2f32; 6], &Device::Cpu).unwrap();
        for (kind, expected) in [
            (Activation::Relu, [0.0, 0.0, 0.0, 2.0, 2.0, 2.0]),
            (Activation::Relu6, [0.0, 0.0, 0.0, 2.0, 0.0, 0.0]),
        ] {
            // The value stands in for the argument with the same answer.
            for saved in [&z, &forward(&z, kind).unwrap()] {
                let dx = numbers(&backward(&dy, saved, kind).unwrap());
                assert_eq!(dx, expected, "{kind:?}");
            }
        }
    });
}

/// A run must notice a number that is none.
#[test]
fn not_a_number_stays() {
    on_every_isa(|| {
        let z = Tensor::new(&[f32::NAN; 5], &Device::Cpu).unwrap();
        for kind in KINDS {
            let y = numbers(&forward(&z, kind).unwrap());
            assert!(y.iter().all(|v| v.is_nan()), "{kind:?}");
        }
    });
}
