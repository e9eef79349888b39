//! Our side of the comparison with PyTorch: times one piece of work and prints a line of JSON.
//!
//! `vs_pytorch WORK BATCH THREADS SECONDS [stock | cuda PRECISION]`, where WORK is one of [`WORKS`]; `stock` does the same
//! in Candle as it comes, `cuda` does the work of [`card`] on the first card. `compare.py` beside this file runs both
//! sides in turn.

mod card;
mod stock_candle;

use std::time::Instant;

use candle_core::{Device, Tensor};
use runner::Result;
use runner::attacks::{Steps, Threat, Victim};
use runner::data::Batch;
use runner::models::{self, ModelConfig};
use runner::nn::{BackwardPlan, Coordinates, Mode, Network};
use runner::optim::{OptimizerKind, OptimizerSpec, Sgd};
use runner::train::adversarial::Adversarial;
use runner::train::clean::Clean;
use runner::train::trades::Trades;
use runner::train::{Adversary, Awp, EpochSums, Objective, RunningMetrics, Step, train_step};

const WORKS: &str = "train:ARCH, fgsm-rs:ARCH, trades:ARCH, trades-awp:ARCH, input-gradient:ARCH, epoch:lenet5, \
     epoch:mlp, simulation:one-layer";

const LINF: Threat = Threat::linf(8.0 / 255.0);

// As in the program.
#[global_allocator]
static ALLOCATOR: runner::ops::memory::Reusing = runner::ops::memory::Reusing::new();

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let (job, position) = arguments.split_at(arguments.len().min(4));
    let position: Vec<&str> = position.iter().map(String::as_str).collect();
    let (work, batch, threads, seconds) = match (job, position.as_slice()) {
        ([work, batch, threads, seconds], [] | ["stock"] | ["cuda", _]) => {
            (work, batch, threads, seconds)
        }
        _ => {
            // `cargo test` and a bare `cargo bench` come here too: there is nothing to measure without a choice.
            println!(
                "usage: vs_pytorch WORK BATCH THREADS SECONDS [stock | cuda PRECISION]; WORK: {WORKS}; on a card \
                 adversarial:ARCH, pgd20:ARCH"
            );
            return;
        }
    };
    let number = |text: &String| text.parse::<usize>().expect("a whole number");
    rayon::ThreadPoolBuilder::new()
        .num_threads(number(threads))
        .build_global()
        .expect("the pool is built once");
    let (kind, arch) = work.split_once(':').expect("WORK is KIND:ARCH");
    let seconds = number(seconds) as f64;
    let times = match kind {
        _ if position == ["stock"] => stock_times(kind, arch, number(batch), seconds),
        _ if position.len() == 2 => card::times(kind, arch, number(batch), seconds, position[1]),
        "simulation" => simulation(seconds),
        "train" => train(&Clean {}, None, None, arch, number(batch), seconds),
        "fgsm-rs" => fgsm_rs(arch, number(batch), seconds),
        "trades" => trades(arch, number(batch), seconds, None),
        "trades-awp" => trades(arch, number(batch), seconds, Some(0.005)),
        "input-gradient" => input_gradient(arch, number(batch), seconds),
        "epoch" => epoch(arch, number(batch), seconds),
        _ => panic!("WORK: {WORKS}"),
    };
    let times = times.expect("the work runs");
    println!("{{\"times\": {times:?}, \"peak_mib\": {}}}", peak_mib());
}

/// Repeats `work` for about `seconds`, after one repetition that is not counted.
fn repeat(seconds: f64, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    work()?;
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || begun.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(times)
}

fn network(arch: &str, image: [usize; 3]) -> Result<Network> {
    let config = ModelConfig {
        seed: 1,
        ..ModelConfig::new(image, 10)
    };
    models::build(arch, &config)
}

fn images(n: usize, [c, h, w]: [usize; 3]) -> Result<(Tensor, Vec<u32>)> {
    let images = Tensor::rand(0f32, 1f32, (n, c, h, w), &Device::Cpu)?;
    Ok((images, (0..n as u32).map(|i| i % 10).collect()))
}

fn sgd(network: &Network, momentum: f64) -> Result<Sgd> {
    let config = OptimizerSpec {
        momentum,
        nesterov: false,
        weight_decay: if momentum > 0.0 { 5e-4 } else { 0.0 },
        ..OptimizerSpec::new(OptimizerKind::Sgd)
    };
    Sgd::new(&config, network.parameters())
}

/// A training step of `objective` on a batch.
fn step(
    objective: &dyn Objective,
    adversary: Option<&Adversary>,
    awp: Option<&Awp>,
    network: &Network,
    optimizer: &mut Sgd,
    batch: &Batch,
    running: &mut RunningMetrics,
) -> Result<()> {
    let plan = BackwardPlan::none();
    let step = Step {
        adversary,
        awp,
        ..Step::new(network, &plan, batch, Coordinates::default())
    };
    train_step(objective, &step, optimizer, 0.005, running).map(drop)
}

fn batch(images: Tensor, labels: &[u32]) -> Batch {
    Batch {
        images,
        label_values: labels.to_vec(),
        indices: (0..labels.len()).collect(),
        mixed: None,
    }
}

/// One optimizer step with momentum on one batch of 32x32 colour images.
fn train(
    objective: &dyn Objective,
    adversary: Option<&Adversary>,
    awp: Option<&Awp>,
    arch: &str,
    batch: usize,
    seconds: f64,
) -> Result<Vec<f64>> {
    let network = network(arch, [3, 32, 32])?;
    let (images, labels) = images(batch, [3, 32, 32])?;
    let mut optimizer = sgd(&network, 0.9)?;
    let mut running = RunningMetrics::new(&EpochSums::default(), network.device())?;
    let batch = self::batch(images, &labels);
    repeat(seconds, || {
        step(
            objective,
            adversary,
            awp,
            &network,
            &mut optimizer,
            &batch,
            &mut running,
        )
    })
}

/// The same on images of FGSM-RS, which the network makes in training mode, as its authors do.
fn fgsm_rs(arch: &str, batch: usize, seconds: f64) -> Result<Vec<f64>> {
    let attack = Steps::fgsm_rs(LINF, 1.25);
    let adversary = Adversary::new(Box::new(attack), BackwardPlan::none(), Mode::Train);
    train(
        &Adversarial { mix: 0.0 },
        Some(&adversary),
        None,
        arch,
        batch,
        seconds,
    )
}

/// The same by TRADES with ten attack steps, the weights perturbed by `gamma` where there is one.
fn trades(arch: &str, batch: usize, seconds: f64, gamma: Option<f64>) -> Result<Vec<f64>> {
    let attack = Steps::pgd(LINF, 2.0 / 255.0, 10);
    let adversary = Adversary::new(Box::new(attack), BackwardPlan::none(), Mode::Eval);
    let awp = gamma.map(|gamma| Awp {
        gamma,
        start: 0,
        layers: vec!["*".into()],
    });
    train(
        &Trades { beta: 6.0 },
        Some(&adversary),
        awp.as_ref(),
        arch,
        batch,
        seconds,
    )
}

/// One PGD step: gradient with respect to the images in evaluation mode, sign step, projection.
fn input_gradient(arch: &str, batch: usize, seconds: f64) -> Result<Vec<f64>> {
    let network = network(arch, [3, 32, 32])?;
    let (images, labels) = images(batch, [3, 32, 32])?;
    let victim = Victim::new(&network, BackwardPlan::none());
    repeat(seconds, || {
        let gradient = victim.cross_entropy_gradient(&images, &labels)?;
        LINF.step(&images, &images, &gradient, 2.0 / 255.0)?;
        Ok(())
    })
}

/// One epoch over 60,000 images of 28x28 in memory, plain SGD.
fn epoch(arch: &str, batch: usize, seconds: f64) -> Result<Vec<f64>> {
    let network = network(arch, [1, 28, 28])?;
    let (images, labels) = images(60_000, [1, 28, 28])?;
    let mut optimizer = sgd(&network, 0.0)?;
    let mut running = RunningMetrics::new(&EpochSums::default(), network.device())?;
    repeat(seconds, || {
        for start in (0..60_000).step_by(batch) {
            let n = batch.min(60_000 - start);
            let x = images.narrow(0, start, n)?;
            let batch = self::batch(x, &labels[start..start + n]);
            step(
                &Clean {},
                None,
                None,
                &network,
                &mut optimizer,
                &batch,
                &mut running,
            )?;
        }
        Ok(())
    })
}

/// The work in stock Candle.
fn stock_times(kind: &str, arch: &str, batch: usize, seconds: f64) -> Result<Vec<f64>> {
    let network = stock_candle::Stock::new(arch).expect("stock Candle can run the network")?;
    let mut optimizer = network.optimizer()?;
    let image = if kind == "epoch" {
        [1, 28, 28]
    } else {
        [3, 32, 32]
    };
    let count = if kind == "epoch" { 60_000 } else { batch };
    let (images, labels) = images(count, image)?;
    let labels = Tensor::new(labels, &Device::Cpu)?;
    repeat(seconds, || {
        match kind {
            "train" => network.step(&mut optimizer, &images, &labels)?,
            "input-gradient" => drop(network.input_gradient(&images, &labels)?),
            _ => {
                for start in (0..count).step_by(batch) {
                    let n = batch.min(count - start);
                    let (x, y) = (images.narrow(0, start, n)?, labels.narrow(0, start, n)?);
                    network.step(&mut optimizer, &x, &y)?;
                }
            }
        }
        Ok(())
    })
}

/// Ten repeats of 10,000 steps of the one-layer simulation, by the program itself: `simulation.csv` and figures too.
fn simulation(seconds: f64) -> Result<Vec<f64>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let results = std::env::temp_dir().join(format!("vs_pytorch-{}", std::process::id()));
    let threads = rayon::current_num_threads().to_string();
    let times = repeat(seconds, || {
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_runner"))
            .arg(root.join("experiments/sim_one_layer_training.toml"))
            .args(["--fresh", "--quiet", "--results"])
            .arg(&results)
            .env("RAYON_NUM_THREADS", &threads)
            .output()
            .expect("the program starts");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    });
    let _ = std::fs::remove_dir_all(&results);
    times
}

/// The most memory that the process has held, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
