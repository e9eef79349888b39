//! Linear backpropagation: the forward pass is untouched, the backward pass is that of a network without activations.

use runner::models::{Layers, LinbpUse, linear_plan};
use runner::nn::pool::{adaptive_average_pool, average_pool};
use runner::nn::structure::flatten;
use runner::nn::{
    BackwardPlan, Builder, ConvConfig, Init, Mode, Module, batch_norm2d, conv2d, linear,
};
use runner::ops::activation::Activation;

use crate::harness::{Case, body, distance, noise, numbers, on_every_isa};
use crate::naive::named;

const IMAGE: [usize; 4] = [2, 3, 6, 6];

/// A network with every kind of activation node: alone, after batch norm, after batch norm and a sum.
fn define(b: &Builder, kind: Activation) -> runner::Result<Box<dyn Module>> {
    let conv = |name, c_in, groups| {
        let config = ConvConfig {
            padding: 1,
            groups,
            bias: true,
            ..ConvConfig::default()
        };
        conv2d(&b.pp(name), c_in, 8, 3, config)
    };
    let (conv1, conv2, conv3) = (
        conv("conv1", 3, 1)?,
        conv("conv2", 8, 8)?,
        conv("conv3", 8, 2)?,
    );
    let (bn1, bn2) = (
        batch_norm2d(&b.pp("bn1"), 8)?,
        batch_norm2d(&b.pp("bn2"), 8)?,
    );
    let act = |name| b.activation(name, kind);
    let (act1, act2, act3, act4) = (act("act1"), act("act2"), act("act3"), act("act4"));
    let fc1 = linear(&b.pp("fc1"), 8, 12, Init::TorchDefault)?;
    let fc2 = linear(&b.pp("fc2"), 12, 5, Init::TorchDefault)?;
    body(move |tape, x| {
        let x = act1.forward(tape, &conv1.forward(tape, x)?)?;
        let y = bn1.forward_act(tape, &conv2.forward(tape, &x)?, &act2)?;
        let y = bn2.forward_add_act(tape, &conv3.forward(tape, &y)?, &x, &act3)?;
        let y = average_pool(tape, &y, 2, 2)?;
        let y = flatten(tape, &adaptive_average_pool(tape, &y, 1, 1)?)?;
        let y = act4.forward(tape, &fc1.forward(tape, &y)?)?;
        fc2.forward(tape, &y)
    })
}

/// In evaluation mode the network without activations is affine: its gradient is the hand-made composition of the
/// layers' transposes, whatever the input is.
#[test]
fn equals_the_network_without_activations() {
    on_every_isa(|| {
        let bare = Case::new("without activations", IMAGE, |b| {
            define(b, Activation::Identity)
        });
        let expected = bare.outcome(&BackwardPlan::none()).input;
        for kind in crate::activations::KINDS {
            let mut case = Case::new(format!("{kind:?}"), IMAGE, |b| define(b, kind));
            case.input = case.input.affine(3.0, 0.5).unwrap();
            let plan = BackwardPlan::new(vec![true; 4]);
            let error = distance(&case.outcome(&plan).input, &expected);
            assert!(error < 1e-12, "{kind:?} is off by {error}");
            let true_gradient = case.outcome(&BackwardPlan::none()).input;
            assert!(
                distance(&true_gradient, &expected) > 1e-2,
                "{kind:?} has a derivative"
            );
        }
    });
}

/// Each activation's entry in the plan changes the gradient, and nothing changes the forward pass, in both modes.
#[test]
fn every_entry_of_a_plan_counts_backwards_alone() {
    on_every_isa(|| {
        for kind in crate::activations::KINDS {
            let case = Case::new(format!("{kind:?}"), IMAGE, |b| define(b, kind));
            for case in [
                case,
                Case::new("training", IMAGE, |b| define(b, kind)).training(),
            ] {
                let mut seen: Vec<Vec<f64>> = Vec::new();
                for bits in 0..16u32 {
                    let plan = BackwardPlan::new((0..4).map(|i| bits >> i & 1 == 1).collect());
                    let outcome = case.outcome(&plan);
                    let output = numbers(&case.outcome(&BackwardPlan::none()).output);
                    assert_eq!(
                        numbers(&outcome.output),
                        output,
                        "forward pass with plan {bits:b}"
                    );
                    assert!(
                        !seen.contains(&outcome.input),
                        "plan {bits:b} changes nothing"
                    );
                    seen.push(outcome.input);
                }
            }
        }
    });
}

/// With batch statistics, one block: the linear backward pass is that of the block without its activation.
#[test]
fn training_mode_block() {
    on_every_isa(|| {
        let block = |kind| {
            Case::new(format!("{kind:?}"), IMAGE, |b| {
                let norm = batch_norm2d(&b.pp("bn"), 3)?;
                let act = b.activation("act", kind);
                body(move |tape, x| norm.forward_add_act(tape, x, x, &act))
            })
            .training()
        };
        let expected = block(Activation::Identity).outcome(&BackwardPlan::none());
        for kind in crate::activations::KINDS {
            let found = block(kind).outcome(&BackwardPlan::new(vec![true]));
            assert!(distance(&found.input, &expected.input) < 1e-12, "{kind:?}");
            for (found, expected) in found.parameters.iter().zip(&expected.parameters) {
                assert!(distance(found, expected) < 1e-12, "{kind:?}");
            }
        }
    });
}

/// `f(x) = V relu(W x)`: LinBP gives `dW = V^T r x^T` and `dx = W^T V^T r`, and `dV = r relu(W x)^T` as ever.
#[test]
fn weight_gradients_of_two_layers() {
    on_every_isa(|| {
        let (n, m, k) = (6, 9, 4);
        let case = Case::new("two layers", [1, n, 1, 1], |b| {
            let w = linear(&b.pp("w"), n, m, Init::TorchDefault)?;
            let v = linear(&b.pp("v"), m, k, Init::TorchDefault)?;
            let act = b.activation("relu", Activation::Relu);
            body(move |tape, x| {
                let x = act.forward(tape, &w.forward(tape, &flatten(tape, x)?)?)?;
                v.forward(tape, &x)
            })
        });
        let outcome = case.outcome(&BackwardPlan::new(vec![true]));
        let x = numbers(&case.input);
        let (w, b, v) = (
            named(&case.network, "w.weight"),
            named(&case.network, "w.bias"),
            named(&case.network, "v.weight"),
        );
        let r = numbers(&noise(9, &[1, k]));
        let pulled: Vec<f64> = (0..m)
            .map(|j| (0..k).map(|i| v[i * m + j] * r[i]).sum())
            .collect();
        let hidden: Vec<f64> = (0..m)
            .map(|j| ((0..n).map(|i| w[j * n + i] * x[i]).sum::<f64>() + b[j]).max(0.0))
            .collect();
        let outer = |a: &[f64], b: &[f64]| -> Vec<f64> {
            a.iter()
                .flat_map(|a| b.iter().map(move |b| a * b))
                .collect()
        };
        let dx: Vec<f64> = (0..n)
            .map(|i| (0..m).map(|j| w[j * n + i] * pulled[j]).sum())
            .collect();
        assert!(distance(&outcome.input, &dx) < 1e-12);
        let names: Vec<&str> = case.network.parameters().iter().map(|p| p.name()).collect();
        assert_eq!(names, ["w.weight", "w.bias", "v.weight", "v.bias"]);
        for (found, expected) in outcome.parameters.iter().zip([
            outer(&pulled, &x),
            pulled.clone(),
            outer(&r, &hidden),
            r.clone(),
        ]) {
            assert!(distance(found, &expected) < 1e-12);
        }
    });
}

/// Default plans on real models: same logits, bit for bit, other gradients.
#[test]
fn models_keep_their_logits() {
    on_every_isa(|| {
        for (arch, image) in [
            ("mlp", [1, 28, 28]),
            ("lenet5", [1, 28, 28]),
            ("mobilenet_v2", [3, 16, 16]),
        ] {
            let [c, h, w] = image;
            let case = crate::models::case(arch, [2, c, h, w], None);
            for r#use in [LinbpUse::Train, LinbpUse::Attack] {
                let plan = linear_plan(arch, &case.network, &Layers::Default, r#use).unwrap();
                let (bp, linear) = (case.outcome(&BackwardPlan::none()), case.outcome(&plan));
                assert_eq!(numbers(&bp.output), numbers(&linear.output), "{arch}");
                assert!(distance(&linear.input, &bp.input) > 1e-3, "{arch}");
            }
        }
    });
}

/// A block whose branch has one activation inside, and one after its sum.
fn block(mode: Mode, kind: Activation) -> Case {
    let mut case = Case::new(format!("residual block, {mode:?}"), IMAGE, |b| {
        let conv = |name| {
            let config = ConvConfig {
                padding: 1,
                ..ConvConfig::default()
            };
            conv2d(&b.pp(name), 3, 3, 3, config)
        };
        let (conv1, conv2) = (conv("conv1")?, conv("conv2")?);
        let (bn1, bn2) = (
            batch_norm2d(&b.pp("bn1"), 3)?,
            batch_norm2d(&b.pp("bn2"), 3)?,
        );
        let (inner, last) = (b.activation("inner", kind), b.activation("last", kind));
        body(move |tape, x| {
            let y = tape.residual_branch(x, |x| {
                let y = bn1.forward_act(tape, &conv1.forward(tape, x)?, &inner)?;
                conv2.forward(tape, &y)
            })?;
            bn2.forward_add_act(tape, &y, x, &last)
        })
    });
    case.mode = mode;
    case
}

/// With a linear last activation, the gradient at the sum is the given one on both ways, so that the branch's share is
/// what is left without it: as long as BP's, in the direction of LinBP's, example by example.
#[test]
fn rescaled_branches_have_the_norm_of_true_ones() {
    on_every_isa(|| {
        for kind in crate::activations::KINDS {
            for mode in [Mode::Eval, Mode::Train] {
                let case = block(mode, kind);
                // (N, H, W, C) as the gradient of the output, (N, C, H, W) as the shortcut's share of the input's.
                let shortcut = noise(9, &[2, 6, 6, 3]).permute((0, 3, 1, 2)).unwrap();
                let shortcut = numbers(&shortcut);
                let branch = |plan: BackwardPlan| -> Vec<f64> {
                    let input = case.outcome(&plan).input;
                    input.iter().zip(&shortcut).map(|(g, s)| g - s).collect()
                };
                let truth = branch(BackwardPlan::new(vec![false, true]));
                let linear = branch(BackwardPlan::new(vec![true, true]));
                let found = branch(BackwardPlan::new(vec![true, true]).rescaled());
                let size = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
                let example = shortcut.len() / 2;
                let expected: Vec<f64> = linear
                    .chunks(example)
                    .zip(truth.chunks(example))
                    .flat_map(|(linear, truth)| {
                        let factor = size(truth) / size(linear);
                        assert!(
                            (factor - 1.0).abs() > 1e-2,
                            "{kind:?}: the factor is {factor}"
                        );
                        linear.iter().map(move |v| v * factor)
                    })
                    .collect();
                let error = distance(&found, &expected);
                assert!(error < 1e-12, "{kind:?}, {mode:?}: off by {error}");
            }
        }
    });
}

/// Where no activation inside a branch is linear there is nothing to rescale, and gradients of parameters inside a
/// rescaled branch are LinBP's: the factor is applied where the gradient leaves.
#[test]
fn rescaling_acts_at_the_start_of_a_branch_alone() {
    on_every_isa(|| {
        for mode in [Mode::Eval, Mode::Train] {
            let case = block(mode, Activation::Relu);
            for linear in [vec![false, false], vec![false, true]] {
                let plan = BackwardPlan::new(linear);
                let (plain, rescaled) =
                    (case.outcome(&plan), case.outcome(&plan.clone().rescaled()));
                assert_eq!(plain.input, rescaled.input);
                assert_eq!(plain.parameters, rescaled.parameters);
            }
            let plan = BackwardPlan::new(vec![true, false]);
            let (plain, rescaled) = (case.outcome(&plan), case.outcome(&plan.clone().rescaled()));
            assert_ne!(plain.input, rescaled.input);
            assert_eq!(plain.parameters, rescaled.parameters);
            assert_eq!(numbers(&plain.output), numbers(&rescaled.output));
        }
    });
}
