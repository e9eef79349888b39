//! Functions of each number: values, derivatives, and the two backward passes of those that are activations.

use candle_core::{Device, Tensor};
use runner::nn::{BackwardPlan, Bend};
use runner::ops::curve::{Curve, backward, forward};

use crate::harness::{Case, body, numbers, on_every_isa};
use crate::naive::Image;

/// The error function by a series whose terms have one sign.
fn erf(z: f64) -> f64 {
    let (mut sum, mut term) = (0.0, z);
    for n in 0..200 {
        sum += term;
        term *= 2.0 * z * z / f64::from(2 * n + 3);
    }
    sum * (-z * z).exp() * 2.0 / std::f64::consts::PI.sqrt()
}

type Definition = (Curve, fn(f64) -> f64);

const CURVES: [Definition; 15] = [
    (Curve::Sigmoid, |z| 1.0 / (1.0 + (-z).exp())),
    (
        Curve::HardSigmoid {
            slope: 0.2,
            shift: 0.4,
        },
        |z| (0.2 * z + 0.4).clamp(0.0, 1.0),
    ),
    (Curve::HardSwish, |z| z * ((z + 3.0) / 6.0).clamp(0.0, 1.0)),
    (Curve::LeakyRelu { slope: 0.1 }, |z| {
        if z > 0.0 { z } else { 0.1 * z }
    }),
    (Curve::Elu { scale: 0.7 }, |z| {
        if z > 0.0 { z } else { 0.7 * (z.exp() - 1.0) }
    }),
    (Curve::Gelu, |z| z * (1.0 + erf(z / 2.0f64.sqrt())) / 2.0),
    (Curve::GeluTanh, |z| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (z + 0.044715 * z.powi(3));
        z * (1.0 + inner.tanh()) / 2.0
    }),
    (Curve::Mish, |z| z * (1.0 + z.exp()).ln().tanh()),
    (
        Curve::Clip {
            least: -1.0,
            most: 2.5,
        },
        |z| z.clamp(-1.0, 2.5),
    ),
    (Curve::Tanh, f64::tanh),
    (Curve::Softplus { beta: 1.0 }, |z| (1.0 + z.exp()).ln()),
    (Curve::Softplus { beta: 2.5 }, |z| {
        (1.0 + (2.5 * z).exp()).ln() / 2.5
    }),
    (Curve::Erf, erf),
    (Curve::Exp, f64::exp),
    (Curve::Absolute, f64::abs),
];

/// Of numbers above 0 alone.
const POSITIVE: [Definition; 4] = [
    (Curve::Log, f64::ln),
    (Curve::Power { exponent: 0.5 }, f64::sqrt),
    (Curve::Power { exponent: -1.0 }, |z| 1.0 / z),
    (Curve::Power { exponent: 3.0 }, |z| z * z * z),
];

#[test]
fn values_and_derivatives() {
    let all = CURVES.iter().map(|curve| (curve, 4.5, 0.3));
    let positive = POSITIVE.iter().map(|curve| (curve, 1.0, 1.5));
    for ((curve, definition), width, centre) in all.chain(positive) {
        let curve = *curve;
        let mut case = Case::new(format!("{curve:?}"), [2, 3, 5, 7], |b| {
            let act = b.bend("act", curve);
            body(move |tape, x| act.forward(tape, x))
        });
        // Kinks lie inside, and no number is so near one that a difference sees both sides.
        case.input = case.input.affine(width, centre).unwrap();
        let x = Image::from_channels_first(&case.input);
        let (found, expected) = (numbers(&case.output()), x.map(definition));
        let error = crate::harness::distance(&found, &expected.values);
        assert!(error < 1e-12, "{curve:?}: off by {error}");
        case.check_gradients();
    }
}

/// What torch gives at the kinks themselves.
#[test]
fn derivatives_at_the_kinks() {
    let dy = |z: &Tensor| z.ones_like().unwrap();
    for (curve, z, expected) in [
        (Curve::HardSwish, vec![-3f32, 3.0], vec![0.0, 1.0]),
        (
            Curve::HardSigmoid {
                slope: 0.5,
                shift: 0.5,
            },
            vec![-1.0, 1.0],
            vec![0.0, 0.0],
        ),
        (Curve::LeakyRelu { slope: 0.25 }, vec![0.0], vec![0.25]),
        (Curve::Elu { scale: 0.5 }, vec![0.0], vec![0.5]),
        (Curve::Absolute, vec![0.0], vec![0.0]),
        (
            Curve::Clip {
                least: -1.0,
                most: 1.0,
            },
            vec![-1.0, 1.0],
            vec![1.0, 1.0],
        ),
        (
            Curve::Power { exponent: 2.0 },
            vec![0.0, -3.0],
            vec![0.0, -6.0],
        ),
    ] {
        let z = Tensor::new(z, &Device::Cpu).unwrap();
        assert_eq!(
            numbers(&backward(&dy(&z), &z, curve).unwrap()),
            expected,
            "{curve:?}"
        );
    }
}

#[test]
fn not_a_number_stays() {
    let z = Tensor::new(&[f32::NAN; 3], &Device::Cpu).unwrap();
    for (curve, _) in CURVES.iter().chain(&POSITIVE) {
        let y = numbers(&forward(&z, *curve).unwrap());
        assert!(y.iter().all(|v| v.is_nan()), "{curve:?}");
    }
}

/// An activation is linear where the plan says so; a gate never is.
#[test]
fn plans_choose_activations_alone() {
    on_every_isa(|| {
        let case = Case::new("gate and activation", [2, 3, 4, 4], |b| {
            let act = b.bend("act", Curve::Gelu);
            let gate = Bend::gate(Curve::Sigmoid);
            body(move |tape, x| gate.forward(tape, &act.forward(tape, x)?))
        });
        assert_eq!(case.network.activations(), ["act"]);
        let linear = case.outcome(&BackwardPlan::new(vec![true]));
        let x = Image::from_channels_first(&case.input);
        let weights = numbers(&crate::harness::noise(9, linear.output.dims()));
        let through = x.map(CURVES[5].1).map(|z| {
            let gate = CURVES[0].1(z);
            gate * (1.0 - gate)
        });
        let expected: Vec<f64> = through
            .values
            .iter()
            .zip(&weights)
            .map(|(a, b)| a * b)
            .collect();
        let back = Tensor::from_slice(&linear.input, case.input.dims(), &Device::Cpu).unwrap();
        let found = Image::from_channels_first(&back).values;
        assert!(crate::harness::distance(&found, &expected) < 1e-12);
    });
}
