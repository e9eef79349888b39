//! Batch normalisation: training and evaluation, with and without residual sum and activation.

use runner::nn::{Mode, batch_norm2d};
use runner::ops::activation::Activation;

use crate::harness::{Case, body, distance, on_every_isa};
use crate::naive::{self, Image, named};

#[derive(Clone, Copy, Debug)]
enum Shape {
    Plain,
    /// With the activation.
    Act(Activation),
    /// With the input itself as the residual.
    Add,
    AddAct(Activation),
}

const SHAPES: [Shape; 8] = [
    Shape::Plain,
    Shape::Act(Activation::Relu),
    Shape::Act(Activation::Relu6),
    Shape::Act(Activation::Silu),
    Shape::Add,
    Shape::AddAct(Activation::Relu),
    Shape::AddAct(Activation::Relu6),
    Shape::AddAct(Activation::Silu),
];

fn case(image: [usize; 4], shape: Shape) -> Case {
    Case::new(format!("batch norm {shape:?} of {image:?}"), image, |b| {
        let norm = batch_norm2d(&b.pp("bn"), image[1])?;
        let act = match shape {
            Shape::Act(kind) | Shape::AddAct(kind) => Some(b.activation("act", kind)),
            _ => None,
        };
        body(move |tape, x| match (shape, act) {
            (Shape::Act(_), Some(act)) => norm.forward_act(tape, x, &act),
            (Shape::AddAct(_), Some(act)) => norm.forward_add_act(tape, x, x, &act),
            (Shape::Add, _) => norm.forward_add(tape, x, x),
            _ => norm.forward(tape, x),
        })
    })
}

fn expected(case: &Case, shape: Shape) -> Vec<f64> {
    let x = Image::from_channels_first(&case.input);
    let (mean, variance) = match case.mode {
        Mode::Train => naive::moments(&x),
        Mode::Eval => (
            named(&case.network, "bn.running_mean"),
            named(&case.network, "bn.running_var"),
        ),
    };
    let (gamma, beta) = (
        named(&case.network, "bn.weight"),
        named(&case.network, "bn.bias"),
    );
    let mut y = naive::batch_norm(&x, &gamma, &beta, &mean, &variance);
    if matches!(shape, Shape::Add | Shape::AddAct(_)) {
        y = y.plus(&x);
    }
    match shape {
        Shape::Act(kind) | Shape::AddAct(kind) => y.map(|z| naive::activation(z, kind)).values,
        _ => y.values,
    }
}

#[test]
fn every_form_in_both_modes() {
    on_every_isa(|| {
        for image in [[3, 5, 4, 3], [2, 16, 5, 5], [2, 17, 3, 3], [1, 24, 2, 2]] {
            for shape in SHAPES {
                for mut case in [case(image, shape), case(image, shape).training()] {
                    // Values on both sides of ReLU6's upper kink.
                    case.input = case.input.affine(3.0, 2.0).unwrap();
                    case.check_output(&expected(&case, shape));
                    case.check_gradients();
                }
            }
        }
    });
}

/// Enough pixels for several tasks and partial sums, a mean far from zero.
#[test]
fn large_images() {
    on_every_isa(|| {
        let shape = Shape::Act(Activation::Relu);
        let mut case = case([8, 20, 24, 24], shape).training();
        case.samples = 5;
        case.input = case.input.affine(1.0, 30.0).unwrap();
        case.check_output(&expected(&case, shape));
        case.check_gradients();
    });
}

/// torch: `running += 0.1 (batch - running)`, the variance's unbiased.
#[test]
fn running_statistics_move() {
    on_every_isa(|| {
        let case = case([3, 5, 4, 3], Shape::Plain).training();
        let before = [
            named(&case.network, "bn.running_mean"),
            named(&case.network, "bn.running_var"),
        ];
        case.output();
        let x = Image::from_channels_first(&case.input);
        let (mean, variance) = naive::moments(&x);
        let count = 36.0;
        for (name, before, batch, factor) in [
            ("bn.running_mean", &before[0], mean, 1.0),
            (
                "bn.running_var",
                &before[1],
                variance,
                count / (count - 1.0),
            ),
        ] {
            let expected: Vec<f64> = before
                .iter()
                .zip(batch)
                .map(|(old, new)| 0.9 * old + 0.1 * factor * new)
                .collect();
            let error = distance(&named(&case.network, name), &expected);
            assert!(error < 1e-12, "{name} is off by {error}");
        }
    });
}

/// A channel that never changes has variance 0: outputs and gradients stay finite.
#[test]
fn constant_channels_stay_finite() {
    on_every_isa(|| {
        let mut case = case([2, 3, 4, 4], Shape::Act(Activation::Relu)).training();
        case.input = case.input.affine(0.0, 0.37).unwrap();
        let outcome = case.outcome(&case.plan);
        assert!(outcome.input.iter().all(|v| v.is_finite()));
        assert!(outcome.parameters.iter().flatten().all(|v| v.is_finite()));
    });
}
