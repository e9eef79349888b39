//! Ops and layers against the numbers of tests/parity/make_op_fixtures.py, in f64 and in f32.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::pool::{adaptive_average_pool, average_pool, max_pool};
use runner::nn::structure::flatten;
use runner::nn::{
    BackwardPlan, Builder, ConvConfig, Coordinates, Init, Mode, Module, Network, Pass, Tape, Var,
    batch_norm2d, conv2d, linear,
};
use runner::ops::activation::Activation;
use runner::ops::image::Normalize;
use runner::optim::{Adam, Optimizer, OptimizerKind, OptimizerSpec, Sgd};
use runner::weights::load_tensors;

type Result<T> = runner::Result<T>;
type Forward = Box<dyn Fn(&Tape, &Var) -> Result<Var> + Send + Sync>;

struct Layer(Forward);

impl Module for Layer {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        self.0(tape, x)
    }
}

const ACTIVATIONS: [Activation; 4] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::Silu,
];

/// One case: its tensors by part, and its settings.
struct Case {
    name: String,
    parts: BTreeMap<String, Tensor>,
    settings: Vec<usize>,
}

fn cases(kind: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ops.safetensors");
    let all = load_tensors(&path).unwrap();
    let prefix = format!("{kind}/");
    let names: BTreeSet<&str> = all
        .keys()
        .filter_map(|key| key.strip_prefix(&prefix)?.split_once('/'))
        .map(|(case, _)| case)
        .collect();
    assert!(!names.is_empty(), "there are cases of {kind}");
    let case = |name: &&str| {
        let prefix = format!("{kind}/{name}/");
        let mut parts: BTreeMap<String, Tensor> = all
            .iter()
            .filter_map(|(key, tensor)| {
                Some((key.strip_prefix(&prefix)?.to_string(), tensor.clone()))
            })
            .collect();
        let settings = numbers(&parts.remove("settings").expect("every case has settings"));
        Case {
            name: prefix,
            parts,
            settings: settings.iter().map(|&v| v as usize).collect(),
        }
    };
    names.iter().map(case).collect()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten_all().unwrap();
    flat.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

impl Case {
    fn part(&self, name: &str, dtype: DType) -> Tensor {
        self.parts[name].to_dtype(dtype).unwrap()
    }

    /// The tensors whose parts start with `prefix`, without it.
    fn of(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let parts = self.parts.iter();
        parts
            .filter_map(|(key, tensor)| {
                Some((key.strip_prefix(prefix)?.to_string(), tensor.clone()))
            })
            .collect()
    }

    fn close(&self, what: &str, found: &Tensor, expected: &Tensor, dtype: DType) {
        assert_eq!(found.dims(), expected.dims(), "{} {what}", self.name);
        let expected = numbers(expected);
        let scale = expected.iter().fold(1e-3f64, |max, v| max.max(v.abs()));
        let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-5 };
        for (found, expected) in numbers(found).iter().zip(&expected) {
            let error = (found - expected).abs() / scale;
            assert!(
                error <= tolerance,
                "{} {what} in {dtype:?}: {found}, PyTorch has {expected}",
                self.name
            );
        }
    }

    /// Builds the layer, gives it PyTorch's state, and compares a pass in both directions.
    fn check(
        &self,
        mode: Mode,
        normalize: Option<Normalize>,
        define: impl Fn(&Builder) -> Result<Forward>,
    ) {
        for dtype in [DType::F64, DType::F32] {
            let network = Network::build(0, dtype, &Device::Cpu, normalize.clone(), |b| {
                Ok(Box::new(Layer(define(b)?)) as Box<dyn Module>)
            })
            .unwrap();
            assert!(network.load(&self.of("state.")).unwrap().is_empty());
            let tape = Tape::new(Pass {
                mode,
                parameters: true,
                input: true,
                plan: BackwardPlan::none(),
                at: Coordinates::default(),
                momentum: None,
                tap: None,
            });
            let x = tape.input(&self.part("x", dtype));
            let y = network.forward(&tape, &x).unwrap();
            let (mut found, mut dy) = (y.tensor().clone(), self.part("dy", dtype));
            if found.dims().len() == 4 {
                found = found.permute((0, 3, 1, 2)).unwrap();
                dy = dy.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
            }
            self.close("y", &found, &self.parts["y"], dtype);
            let gradients = tape.backward(&y, dy).unwrap();
            let expected = self.of("grad.");
            assert_eq!(network.parameters().len(), expected.len());
            for parameter in network.parameters() {
                let found = gradients.parameter(parameter).expect("it has a part");
                let name = parameter.name();
                self.close(name, found, &expected[name], dtype);
            }
            let found = gradients.input().unwrap();
            self.close("dx", &found, &self.parts["dx"], dtype);
            for buffer in network.buffers() {
                let expected = &self.parts[&format!("after.{}", buffer.name())];
                self.close(buffer.name(), buffer.tensor(), expected, dtype);
            }
        }
    }
}

#[test]
fn convolutions() {
    for case in cases("conv") {
        let &[c_in, c_out, kernel, stride, padding, groups, bias] = case.settings.as_slice() else {
            panic!("{}: settings", case.name);
        };
        let config = ConvConfig {
            stride,
            padding,
            groups,
            bias: bias == 1,
            init: Init::TorchDefault,
        };
        case.check(Mode::Eval, None, |b| {
            let layer = conv2d(b, c_in, c_out, kernel, config)?;
            Ok(Box::new(move |tape, x| layer.forward(tape, x)))
        });
    }
}

/// Running statistics after a training step are part of the comparison.
#[test]
fn batch_norms() {
    for case in cases("norm") {
        let &[channels, residual, kind, training] = case.settings.as_slice() else {
            panic!("{}: settings", case.name);
        };
        let mode = if training == 1 {
            Mode::Train
        } else {
            Mode::Eval
        };
        case.check(mode, None, |b| {
            let norm = batch_norm2d(&b.pp("bn"), channels)?;
            let act = b.activation("act", ACTIVATIONS[kind]);
            Ok(Box::new(move |tape, x| match (residual, kind) {
                (0, 0) => norm.forward(tape, x),
                (0, _) => norm.forward_act(tape, x, &act),
                (_, 0) => norm.forward_add(tape, x, x),
                _ => norm.forward_add_act(tape, x, x, &act),
            }))
        });
    }
}

/// Zeros of both signs and sixes among the inputs: the kinks have torch's derivatives.
#[test]
fn activations() {
    for case in cases("activation") {
        let kind = ACTIVATIONS[case.settings[0]];
        case.check(Mode::Eval, None, |b| {
            let act = b.activation("act", kind);
            Ok(Box::new(move |tape, x| act.forward(tape, x)))
        });
    }
}

/// The inputs are 0, 1 and 2: most windows have ties.
#[test]
fn max_pools() {
    for case in cases("max_pool") {
        let &[kernel, stride, padding] = case.settings.as_slice() else {
            panic!("{}: settings", case.name);
        };
        case.check(Mode::Eval, None, |_| {
            Ok(Box::new(move |tape, x| {
                max_pool(tape, x, kernel, stride, padding)
            }))
        });
    }
}

#[test]
fn average_pools() {
    for case in cases("average_pool") {
        let (kernel, stride) = (case.settings[0], case.settings[1]);
        case.check(Mode::Eval, None, |_| {
            Ok(Box::new(move |tape, x| {
                average_pool(tape, x, kernel, stride)
            }))
        });
    }
    for case in cases("adaptive_pool") {
        let side = case.settings[0];
        case.check(Mode::Eval, None, |_| {
            Ok(Box::new(move |tape, x| {
                adaptive_average_pool(tape, x, side, side)
            }))
        });
    }
}

#[test]
fn linear_layers() {
    for case in cases("linear") {
        let (features, out) = (case.settings[0], case.settings[1]);
        case.check(Mode::Eval, None, |b| {
            let layer = linear(&b.pp(1), features, out, Init::TorchDefault)?;
            Ok(Box::new(move |tape, x| {
                layer.forward(tape, &flatten(tape, x)?)
            }))
        });
    }
}

#[test]
fn images_enter_normalised() {
    for case in cases("normalize") {
        let normalize = Normalize {
            mean: vec![0.4914, 0.4822, 0.4465],
            std: vec![0.2023, 0.1994, 0.2010],
        };
        case.check(Mode::Eval, Some(normalize), |_| {
            Ok(Box::new(|_, x| Ok(x.clone())))
        });
    }
}

#[test]
fn cross_entropies() {
    for case in cases("cross_entropy") {
        let labels: Vec<u32> = case.settings.iter().map(|&label| label as u32).collect();
        for dtype in [DType::F64, DType::F32] {
            let loss = cross_entropy(&case.part("x", dtype), &labels, Reduction::Sum).unwrap();
            let (count, device) = (labels.len(), &candle_core::Device::Cpu);
            let losses = Tensor::from_slice(&loss.per_example, count, device).unwrap();
            case.close("y", &losses, &case.parts["y"], dtype);
            // PyTorch's gradient is that of losses weighted by `dy`.
            let weights = case.part("dy", dtype).unsqueeze(1).unwrap();
            let found = loss.gradient.broadcast_mul(&weights).unwrap();
            case.close("dx", &found, &case.parts["dx"], dtype);
        }
    }
}

/// Every update of every rule, with a learning rate that changes on the way.
#[test]
fn optimizers() {
    for case in cases("optimizer") {
        let (kind, nesterov) = (case.settings[0], case.settings[1] == 1);
        let &[momentum, weight_decay, beta1, beta2, eps] =
            numbers(&case.parts["numbers"]).as_slice()
        else {
            panic!("{}: numbers", case.name);
        };
        let rates = numbers(&case.parts["rates"]);
        for dtype in [DType::F64, DType::F32] {
            let network = Network::build(0, dtype, &Device::Cpu, None, |b| {
                let layer = linear(b, 3, 4, Init::TorchDefault)?;
                Ok(Box::new(Layer(Box::new(move |tape, x| {
                    layer.forward(tape, &flatten(tape, x)?)
                }))))
            })
            .unwrap();
            assert!(network.load(&case.of("state.")).unwrap().is_empty());
            let parameters = network.parameters();
            let mut optimizer: Box<dyn Optimizer> = match kind {
                0 => {
                    let config = OptimizerSpec {
                        momentum,
                        nesterov,
                        weight_decay,
                        ..OptimizerSpec::new(OptimizerKind::Sgd)
                    };
                    Box::new(Sgd::new(&config, parameters).unwrap())
                }
                _ => {
                    let config = OptimizerSpec {
                        betas: [beta1, beta2],
                        eps,
                        weight_decay,
                        ..OptimizerSpec::new(match kind == 2 {
                            true => OptimizerKind::Adamw,
                            false => OptimizerKind::Adam,
                        })
                    };
                    Box::new(Adam::new(&config, parameters).unwrap())
                }
            };
            for (step, rate) in rates.iter().enumerate() {
                let tape = Tape::new(Pass::training(BackwardPlan::none(), Coordinates::default()));
                let y = network.forward(&tape, &tape.input(&case.part("x", dtype)));
                let y = y.unwrap();
                let dy = case.part(&format!("dy.{step}"), dtype);
                let gradients = tape.backward(&y, dy).unwrap();
                optimizer.step(&gradients, *rate).unwrap();
                for parameter in parameters {
                    let name = format!("after.{step}.{}", parameter.name());
                    case.close(&name, parameter.tensor(), &case.parts[&name], dtype);
                }
            }
        }
    }
}
