//! A network of one or a few layers, checked from all sides: forward values against a naive definition, gradients
//! against central differences, f32 against f64, one thread against three.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Tensor};
use rand::Rng;
use runner::Result;
use runner::nn::{
    BackwardPlan, Builder, Coordinates, Mode, Module, Network, Param, Pass, Tape, Var,
};
use runner::ops::image::Normalize;
use runner::ops::simd::{Isa, restrict};
use runner::rng::{Purpose, stream};

/// The choice of the instruction set is the process's: one test at a time.
static ISA: Mutex<()> = Mutex::new(());

/// Runs `body` with every instruction set that the processor has.
pub fn on_every_isa(body: impl Fn()) {
    let _guard: MutexGuard<()> = ISA.lock().unwrap_or_else(PoisonError::into_inner);
    for isa in [Isa::Plain, Isa::Avx2, Isa::Avx512] {
        if restrict(isa) == isa {
            println!("{isa:?}");
            body();
        }
    }
}

/// A network body made of a closure.
struct Body<F>(F);

impl<F: Fn(&Tape, &Var) -> Result<Var> + Send + Sync> Module for Body<F> {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        self.0(tape, x)
    }
}

/// Boxes a closure as a network's body.
pub fn body<F>(forward: F) -> Result<Box<dyn Module>>
where
    F: Fn(&Tape, &Var) -> Result<Var> + Send + Sync + 'static,
{
    Ok(Box::new(Body(forward)))
}

/// Numbers in [-1, 1) that depend on `seed` alone.
pub fn noise(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = stream(seed, Purpose::Generate, 0, 0, 0);
    let values: Vec<f64> = (0..shape.iter().product())
        .map(|_| 2.0 * rng.random::<f64>() - 1.0)
        .collect();
    Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap()
}

/// All numbers of a tensor as f64.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten_all().unwrap();
    flat.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// The largest difference, relative to the largest expected number.
pub fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "numbers of elements");
    let scale = expected.iter().fold(1e-3f64, |max, v| max.max(v.abs()));
    let worst = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(found.iter().all(|v| v.is_finite()), "non-finite numbers");
    worst / scale
}

/// What one forward and backward pass gives: the output, the input's gradient, the parameters' gradients.
pub struct Outcome {
    pub output: Tensor,
    pub input: Vec<f64>,
    pub parameters: Vec<Vec<f64>>,
}

/// A network with an input and a way to run it.
pub struct Case {
    pub name: String,
    pub network: Network,
    pub input: Tensor,
    pub mode: Mode,
    pub plan: BackwardPlan,
    /// Elements of each tensor that are checked against differences.
    pub samples: usize,
    /// Every how many parameters one is checked against differences.
    pub every: usize,
    /// Allowed relative error of a gradient against differences.
    pub tolerance: f64,
    /// Allowed relative error in f32.
    pub single: f64,
    /// How far an element is moved for the differences.
    pub step: f64,
    twin: Network,
}

impl Case {
    /// A network of random parameters and statistics, and a random input `(N, C, H, W)`.
    pub fn new(
        name: impl Into<String>,
        shape: [usize; 4],
        define: impl Fn(&Builder) -> Result<Box<dyn Module>>,
    ) -> Self {
        Self::normalized(name, shape, None, define)
    }

    /// The same with a normalising first layer.
    pub fn normalized(
        name: impl Into<String>,
        shape: [usize; 4],
        normalize: Option<Normalize>,
        define: impl Fn(&Builder) -> Result<Box<dyn Module>>,
    ) -> Self {
        let build =
            |dtype| Network::build(5, dtype, &Device::Cpu, normalize.clone(), &define).unwrap();
        let case = Self::of(name, shape, build);
        for (i, param) in case.network.parameters().iter().enumerate() {
            if param.tensor().dims().len() > 1 {
                let values = noise(200 + i as u64, param.tensor().dims());
                param.set(&values).unwrap();
            }
        }
        case
    }

    /// A whole network with its own initial weights; biases, scales and statistics are random.
    pub fn of(
        name: impl Into<String>,
        shape: [usize; 4],
        build: impl Fn(DType) -> Network,
    ) -> Self {
        let (network, twin) = (build(DType::F64), build(DType::F32));
        let all = network.parameters().iter().chain(network.buffers());
        for (i, param) in all
            .enumerate()
            .filter(|(_, p)| p.tensor().dims().len() == 1)
        {
            let values = noise(100 + i as u64, param.tensor().dims());
            // Variances are positive; scales far from zero keep every path of the gradient alive.
            let (scale, offset) = match param.name().ends_with("running_var") {
                true => (0.5, 1.0),
                false => (1.0, 0.6),
            };
            param.set(&values.affine(scale, offset).unwrap()).unwrap();
        }
        Self {
            name: name.into(),
            network,
            input: noise(7, &shape),
            mode: Mode::Eval,
            plan: BackwardPlan::none(),
            samples: 40,
            every: 1,
            tolerance: 1e-6,
            single: 1e-5,
            step: 1e-5,
            twin,
        }
    }

    /// Moves the running statistics to those of the input, so that evaluation mode saturates no activation.
    pub fn settled(mut self) -> Self {
        let mode = std::mem::replace(&mut self.mode, Mode::Train);
        for _ in 0..30 {
            self.output();
        }
        self.mode = mode;
        self
    }

    /// The same case in training mode.
    pub fn training(mut self) -> Self {
        self.mode = Mode::Train;
        self.name += ", training";
        self
    }

    /// Gives the f32 twin the same parameters and statistics.
    pub fn sync_twin(&self) {
        let surplus = self.twin.load(&self.network.state().unwrap()).unwrap();
        assert!(surplus.is_empty());
    }

    fn pass(&self, parameters: bool, input: bool, plan: &BackwardPlan) -> Pass {
        Pass {
            mode: self.mode,
            parameters,
            input,
            plan: plan.clone(),
            at: Coordinates {
                seed: 1,
                epoch: 2,
                batch: 3,
            },
            momentum: None,
            tap: None,
        }
    }

    /// The forward pass alone.
    pub fn output(&self) -> Tensor {
        let tape = Tape::new(self.pass(false, false, &self.plan));
        let y = self.network.forward(&tape, &tape.input(&self.input));
        y.unwrap().tensor().clone()
    }

    fn objective(&self, input: &Tensor, weights: &[f64]) -> f64 {
        let tape = Tape::new(self.pass(false, false, &self.plan));
        let y = self.network.forward(&tape, &tape.input(input)).unwrap();
        numbers(y.tensor())
            .iter()
            .zip(weights)
            .map(|(y, w)| y * w)
            .sum()
    }

    fn run(network: &Network, input: &Tensor, pass: Pass) -> Outcome {
        let (wants_input, dtype) = (pass.input, input.dtype());
        let tape = Tape::new(pass);
        let y = network.forward(&tape, &tape.input(input)).unwrap();
        let weights = noise(9, y.dims()).to_dtype(dtype).unwrap();
        let output = y.tensor().clone();
        let gradients = tape.backward(&y, weights).unwrap();
        let of = |p: &Param| gradients.parameter(p).map(numbers).unwrap_or_default();
        let parameters = network.parameters().iter().map(of).collect();
        let input = if wants_input {
            numbers(&gradients.input().unwrap())
        } else {
            Vec::new()
        };
        Outcome {
            output,
            input,
            parameters,
        }
    }

    /// One pass with all gradients, under the given plan.
    pub fn outcome(&self, plan: &BackwardPlan) -> Outcome {
        Self::run(&self.network, &self.input, self.pass(true, true, plan))
    }

    /// Forward values against the naive definition's, `(N, H, W, C)` or `(N, features)`.
    pub fn check_output(&self, expected: &[f64]) {
        let error = distance(&numbers(&self.output()), expected);
        assert!(error < 1e-12, "{}: output is off by {error}", self.name);
    }

    /// All the gradient checks.
    pub fn check_gradients(&self) {
        let all = self.outcome(&self.plan);
        self.check_against_differences(&all);
        self.check_wants(&all);
        self.check_twin(&all);
    }

    /// Single elements, and one random direction of the whole tensor.
    fn check_against_differences(&self, all: &Outcome) {
        let weights = numbers(&noise(9, all.output.dims()));
        let compare = |what: &str, gradient: &[f64], at: &dyn Fn(&[f64]) -> f64| {
            let slope = |direction: Vec<f64>| {
                let expected = at(&direction);
                let found: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
                (found, expected)
            };
            let mut rng = stream(3, Purpose::Generate, 0, 0, 1);
            let mut chosen: Vec<usize> = (0..gradient.len()).collect();
            if gradient.len() > self.samples {
                chosen = (0..self.samples)
                    .map(|_| rng.random_range(0..gradient.len()))
                    .collect();
            }
            let (found, expected): (Vec<f64>, Vec<f64>) = chosen
                .iter()
                .map(|&i| {
                    let mut direction = vec![0.0; gradient.len()];
                    direction[i] = 1.0;
                    slope(direction)
                })
                .chain([slope(numbers(&noise(4, &[gradient.len()])))])
                .unzip();
            let error = distance(&found, &expected);
            assert!(
                error < self.tolerance,
                "{}: gradient of {what} is off by {error}",
                self.name
            );
        };
        let slope =
            |value: &dyn Fn(f64) -> f64| (value(self.step) - value(-self.step)) / (2.0 * self.step);
        compare("the input", &all.input, &|direction| {
            slope(&|step| self.objective(&moved(&self.input, direction, step), &weights))
        });
        let parameters = self.network.parameters().iter().zip(&all.parameters);
        for (param, gradient) in parameters.step_by(self.every) {
            let original = param.snapshot().unwrap();
            compare(param.name(), gradient, &|direction| {
                slope(&|step| {
                    param.set(&moved(&original, direction, step)).unwrap();
                    let value = self.objective(&self.input, &weights);
                    param.set(&original).unwrap();
                    value
                })
            });
        }
    }

    /// Who asks for one kind of gradient gets the numbers of who asks for both.
    fn check_wants(&self, all: &Outcome) {
        let run = |parameters, input| {
            Self::run(
                &self.network,
                &self.input,
                self.pass(parameters, input, &self.plan),
            )
        };
        assert_eq!(run(false, true).input, all.input, "{}", self.name);
        assert_eq!(run(true, false).parameters, all.parameters, "{}", self.name);
    }

    /// f32 agrees with f64, and gives the same bits on one thread and on three.
    fn check_twin(&self, all: &Outcome) {
        self.sync_twin();
        let input = self.input.to_dtype(DType::F32).unwrap();
        let on_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| Self::run(&self.twin, &input, self.pass(true, true, &self.plan)))
        };
        let (one, three) = (on_threads(1), on_threads(3));
        assert_eq!(
            numbers(&one.output),
            numbers(&three.output),
            "{}",
            self.name
        );
        assert_eq!(one.input, three.input, "{}", self.name);
        assert_eq!(one.parameters, three.parameters, "{}", self.name);
        let close = |what: &str, found: &[f64], expected: &[f64]| {
            let error = distance(found, expected);
            assert!(
                error < self.single,
                "{}: {what} in f32 is off by {error}",
                self.name
            );
        };
        close("output", &numbers(&one.output), &numbers(&all.output));
        close("input gradient", &one.input, &all.input);
        for ((param, found), expected) in self
            .network
            .parameters()
            .iter()
            .zip(&one.parameters)
            .zip(&all.parameters)
        {
            close(param.name(), found, expected);
        }
    }
}

fn moved(tensor: &Tensor, direction: &[f64], step: f64) -> Tensor {
    let values: Vec<f64> = numbers(tensor)
        .iter()
        .zip(direction)
        .map(|(v, d)| v + step * d)
        .collect();
    Tensor::from_vec(values, tensor.shape(), &candle_core::Device::Cpu).unwrap()
}
