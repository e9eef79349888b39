//! Backward passes of other functions than the forward pass computes: smooth derivatives, softened max-pools, residual branches
//! that weigh less.

use candle_core::Tensor;
use runner::nn::pool::max_pool;
use runner::nn::{
    BackwardPlan, Bend, Builder, ConvConfig, Coordinates, Init, Mode, Pass, Surrogate, Tape,
    batch_norm2d, conv2d,
};
use runner::ops::activation::Activation;
use runner::ops::curve::Curve;

use crate::harness::{Case, body, distance, noise, numbers, on_every_isa};
use crate::naive::Image;

const IMAGE: [usize; 4] = [2, 3, 6, 6];

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

type Derivative = fn(f64) -> f64;

/// Surrogates with their derivatives as the papers write them.
const SURROGATES: [(Surrogate, Derivative); 3] = [
    (Surrogate::Silu, |z| {
        sigmoid(z) * (1.0 + z * (1.0 - sigmoid(z)))
    }),
    (Surrogate::Softplus { beta: 1.0 }, sigmoid),
    (Surrogate::Softplus { beta: 3.5 }, |z| sigmoid(3.5 * z)),
];

fn plan(surrogate: Surrogate) -> BackwardPlan {
    BackwardPlan::new(vec![true]).with_surrogate(surrogate)
}

/// The output and the gradients of the input and of the parameters, which `wants` or does not want, where the output's gradient is
/// `upstream` of the output.
fn pass(
    case: &Case,
    plan: BackwardPlan,
    wants: bool,
    upstream: impl Fn(&Tensor) -> Tensor,
) -> [Vec<f64>; 3] {
    let tape = Tape::new(Pass {
        parameters: wants,
        ..Pass::attack(plan, case.mode, Coordinates::default())
    });
    let y = case.network.forward(&tape, &tape.input(&case.input));
    let y = y.unwrap();
    let gradients = tape.backward(&y, upstream(y.tensor())).unwrap();
    let parameters = case.network.parameters().iter();
    let parameters = parameters.flat_map(|p| gradients.parameter(p).map(numbers));
    [
        numbers(y.tensor()),
        numbers(gradients.image().unwrap()),
        parameters.flatten().collect(),
    ]
}

fn times(dy: &Tensor, factor: impl Fn(f64) -> f64, z: &Tensor) -> Tensor {
    let factors = numbers(z).into_iter().map(factor).collect();
    (dy * Tensor::from_vec(factors, z.shape(), z.device()).unwrap()).unwrap()
}

/// Everything that ends in one activation, with the parts before it. Identity stands for none.
fn endings(kind: Activation, mode: Mode) -> Vec<Case> {
    type Parts = (runner::nn::Conv2d, runner::nn::BatchNorm2d, runner::nn::Act);
    type Forward = fn(&Tape, &runner::nn::Var, &Parts) -> runner::Result<runner::nn::Var>;
    let forwards: [(&str, Forward); 6] = [
        ("alone", |tape, x, (_, _, act)| act.forward(tape, x)),
        ("norm", |tape, x, (_, norm, act)| {
            norm.forward_act(tape, x, act)
        }),
        ("norm and sum", |tape, x, (_, norm, act)| {
            norm.forward_add_act(tape, x, x, act)
        }),
        ("convolution", |tape, x, (conv, _, act)| {
            act.forward(tape, &conv.forward(tape, x)?)
        }),
        ("convolution and norm", |tape, x, (conv, norm, act)| {
            conv.forward_norm(tape, x, norm, None, Some(act))
        }),
        ("convolution, norm and sum", |tape, x, (conv, norm, act)| {
            conv.forward_norm(tape, x, norm, Some(x), Some(act))
        }),
    ];
    let cases = forwards.into_iter().map(|(name, forward)| {
        let mut case = Case::new(format!("{name}, {mode:?}"), IMAGE, |b: &Builder| {
            let config = ConvConfig::same(3, 1, Init::TorchDefault);
            let conv = conv2d(&b.pp("conv"), 3, 3, 3, config)?;
            let norm = batch_norm2d(&b.pp("norm"), 3)?;
            let parts = (conv, norm, b.activation("act", kind));
            body(move |tape, x| forward(tape, x, &parts))
        });
        case.input = case.input.affine(4.0, 0.0).unwrap();
        case.mode = mode;
        case
    });
    cases.collect()
}

/// Whatever an activation is fused with, its gradient is that of what comes before it, from the output's gradient times the
/// surrogate's derivative there.
#[test]
fn a_surrogate_stands_for_the_derivative_and_for_nothing_else() {
    on_every_isa(|| {
        for mode in [Mode::Eval, Mode::Train] {
            for kind in crate::activations::KINDS {
                let without = endings(Activation::Identity, mode);
                for (case, without) in endings(kind, mode).iter().zip(&without) {
                    for (surrogate, derivative) in SURROGATES {
                        for wants in [false, true] {
                            let dy = |y: &Tensor| noise(9, y.dims());
                            let [y, ..] = pass(case, BackwardPlan::none(), wants, dy);
                            let [found_y, dx, parameters] = pass(case, plan(surrogate), wants, dy);
                            assert_eq!(found_y, y, "{}", case.name);
                            let [_, expected, expected_parameters] =
                                pass(without, BackwardPlan::none(), wants, |z| {
                                    times(&dy(z), derivative, z)
                                });
                            let name = format!("{} {kind:?} {surrogate:?}", case.name);
                            assert!(distance(&dx, &expected) < 1e-12, "{name}");
                            let error = distance(&parameters, &expected_parameters);
                            assert!(error < 1e-12, "{name}");
                        }
                    }
                }
            }
        }
    });
}

/// An activation that batch norms are not fused with.
#[test]
fn curves_have_surrogates_too() {
    let case = |bend: fn(&Builder) -> Option<Bend>| {
        Case::new("a curve", IMAGE, move |b| {
            let bend = bend(b);
            body(move |tape, x| match &bend {
                Some(bend) => bend.forward(tape, x),
                None => Ok(x.clone()),
            })
        })
    };
    let curve = case(|b| Some(b.bend("act", Curve::LeakyRelu { slope: 0.1 })));
    let without = case(|_| None);
    for (surrogate, derivative) in SURROGATES {
        let dy = |y: &Tensor| noise(9, y.dims());
        let [_, dx, _] = pass(&curve, plan(surrogate), false, dy);
        let [_, expected, _] = pass(&without, BackwardPlan::none(), false, |z| {
            times(&dy(z), derivative, z)
        });
        assert!(distance(&dx, &expected) < 1e-12, "{surrogate:?}");
    }
}

/// Where a network has one activation, its gradient with a surrogate is that of the network which computes the function.
#[test]
fn a_surrogate_is_the_derivative_of_its_function() {
    let case = |of: fn(&Builder) -> Bend| {
        Case::new("function", IMAGE, move |b| {
            let config = ConvConfig::same(3, 1, Init::TorchDefault);
            let conv = conv2d(&b.pp("conv"), 3, 4, 3, config)?;
            let bend = of(b);
            body(move |tape, x| bend.forward(tape, &conv.forward(tape, x)?))
        })
    };
    let rectifier = case(|b| b.bend("act", Curve::LeakyRelu { slope: 0.0 }));
    let softplus = case(|b| b.bend("act", Curve::Softplus { beta: 3.5 }));
    softplus.check_gradients();
    let found = rectifier.outcome(&plan(Surrogate::Softplus { beta: 3.5 }));
    let expected = softplus.outcome(&BackwardPlan::none());
    assert!(distance(&found.input, &expected.input) < 1e-12);
    assert!(distance(&found.parameters[0], &expected.parameters[0]) < 1e-12);
}

const POOLS: [(usize, usize, usize); 5] = [(2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 3, 0), (2, 3, 0)];

fn pooled((kernel, stride, padding): (usize, usize, usize)) -> Case {
    let name = format!("max-pool {kernel}/{stride}/{padding}");
    Case::new(name, [2, 5, 6, 7], |_| {
        body(move |tape, x| max_pool(tape, x, kernel, stride, padding))
    })
}

/// Each window's gradient goes to all of its values inside the image, in proportion to `exp(t x)`.
#[test]
fn a_softened_max_pool_spreads_the_gradient() {
    on_every_isa(|| {
        for window @ (kernel, stride, padding) in POOLS {
            let case = pooled(window);
            let x = Image::from_channels_first(&case.input);
            let [n, h, w, c] = x.dims;
            for temperature in [0.5, 10.0] {
                let mut expected = vec![0.0; x.values.len()];
                let [side, width] = [h, w].map(|side| (side + 2 * padding - kernel) / stride + 1);
                let dy = numbers(&noise(9, &[n, side, width, c]));
                for (i, dy) in dy.into_iter().enumerate() {
                    let (k, at) = (i % c, i / c);
                    let (ox, oy, b) = (at % width, at / width % side, at / width / side);
                    let taps = (0..kernel * kernel).filter_map(|tap| {
                        let y = (oy * stride + tap / kernel).checked_sub(padding)?;
                        let x = (ox * stride + tap % kernel).checked_sub(padding)?;
                        (y < h && x < w).then_some([b, y, x, k])
                    });
                    let taps: Vec<[usize; 4]> = taps.collect();
                    let weight = |at: [usize; 4]| (temperature * x.at(at)).exp();
                    let sum: f64 = taps.iter().map(|&at| weight(at)).sum();
                    for at in taps {
                        let [b, y, x, k] = at;
                        expected[((b * c + k) * h + y) * w + x] += dy * weight(at) / sum;
                    }
                }
                let found = case.outcome(&BackwardPlan::none().with_softmax_pools(temperature));
                let error = distance(&found.input, &expected);
                assert!(error < 1e-12, "{} {temperature}: {error}", case.name);
                let truth = case.outcome(&BackwardPlan::none());
                assert_eq!(numbers(&found.output), numbers(&truth.output));
                assert!(distance(&found.input, &truth.input) > 1e-2);
            }
        }
    });
}

/// In the limit it is the maximum that gets it all.
#[test]
fn a_hard_softmax_is_the_maximum() {
    for window in POOLS {
        let case = pooled(window);
        let found = case.outcome(&BackwardPlan::none().with_softmax_pools(1e7));
        let expected = case.outcome(&BackwardPlan::none());
        assert!(distance(&found.input, &expected.input) < 1e-9);
    }
}

/// Two blocks `x + f(x)` in a row, of which `parts` says which have a branch.
fn blocks(parts: [bool; 2], mode: Mode) -> Case {
    let mut case = Case::new("residual blocks", IMAGE, |b| {
        let config = ConvConfig::same(3, 1, Init::TorchDefault);
        let branch = |number: usize| -> runner::Result<_> {
            let path = b.pp(number);
            let conv = conv2d(&path.pp("conv"), 3, 3, 3, config)?;
            Ok((conv, batch_norm2d(&path.pp("norm"), 3)?))
        };
        let branches = [branch(0)?, branch(1)?];
        body(move |tape, x| {
            let mut x = x.clone();
            for ((conv, norm), is_there) in branches.iter().zip(parts) {
                if is_there {
                    let y = tape.residual_branch(&x, |x| conv.forward(tape, x))?;
                    x = norm.forward_add(tape, &y, &x)?;
                }
            }
            Ok(x)
        })
    });
    case.mode = mode;
    case
}

/// The gradient through two blocks is `(1 + g A)(1 + g B)`: a polynomial of the decay `g`, whose terms are told by the networks
/// without one branch or both.
#[test]
fn a_decay_weighs_what_comes_by_branches() {
    on_every_isa(|| {
        // Without batch statistics, so that a block does not change with what comes before it.
        let input = |parts, decay| {
            let plan = BackwardPlan::none().with_branch_decay(decay);
            blocks(parts, Mode::Eval).outcome(&plan).input
        };
        let [both, first, second, none] =
            [[true, true], [true, false], [false, true], [false, false]]
                .map(|parts| input(parts, 1.0));
        for decay in [0.0, 0.2, 0.5, 1.0] {
            let found = input([true, true], decay);
            let terms = both.iter().zip(&first).zip(&second).zip(&none);
            let expected: Vec<f64> = terms
                .map(|(((both, first), second), none)| {
                    let (a, b) = (first - none, second - none);
                    none + decay * (a + b) + decay * decay * (both - none - a - b)
                })
                .collect();
            let error = distance(&found, &expected);
            assert!(error < 1e-12, "{decay}: {error}");
        }
        // The last block's own gradients know nothing of it.
        let case = blocks([true, true], Mode::Train);
        let truth = case.outcome(&BackwardPlan::none());
        let found = case.outcome(&BackwardPlan::none().with_branch_decay(0.2));
        assert_eq!(numbers(&found.output), numbers(&truth.output));
        let last = truth.parameters.len() / 2;
        assert_eq!(found.parameters[last..], truth.parameters[last..]);
        assert_ne!(found.parameters[0], truth.parameters[0]);
    });
}

/// A rescaled branch has the norm of the true gradient before it is multiplied.
#[test]
fn a_decay_comes_after_rescaling() {
    let case = Case::new("residual block", IMAGE, |b| {
        let config = ConvConfig::same(3, 1, Init::TorchDefault);
        let convs = [
            conv2d(&b.pp("a"), 3, 3, 3, config)?,
            conv2d(&b.pp("b"), 3, 3, 3, config)?,
        ];
        let act = b.activation("act", Activation::Relu);
        body(move |tape, x| {
            tape.residual_branch(x, |x| {
                let y = act.forward(tape, &convs[0].forward(tape, x)?)?;
                let y = max_pool(tape, &y, 2, 2, 0)?;
                convs[1].forward(tape, &y)
            })
        })
    });
    let linear = || BackwardPlan::new(vec![true]);
    let size = |values: &[f64]| -> Vec<f64> {
        let images = values.chunks(values.len() / IMAGE[0]);
        let of = |image: &[f64]| image.iter().map(|v| v * v).sum::<f64>().sqrt();
        images.map(of).collect()
    };
    let truth = size(&case.outcome(&BackwardPlan::none()).input);
    let rules = linear().with_softmax_pools(2.0).with_branch_decay(0.25);
    let found = size(&case.outcome(&rules.rescaled()).input);
    let expected: Vec<f64> = truth.iter().map(|norm| 0.25 * norm).collect();
    assert!(distance(&found, &expected) < 1e-12);
}
