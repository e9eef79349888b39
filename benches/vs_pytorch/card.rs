//! Work on a card: an adversarial training step with five attack steps, and a PGD attack of 20 steps on 10,000 images.

use std::time::Instant;

use candle_core::{Device, Tensor};
use runner::Result;
use runner::attacks::{Checks, Originals, Start, Steps, Threat, Victim, craft};
use runner::models::{self, ModelConfig};
use runner::nn::{BackwardPlan, Mode, Network};
use runner::ops::precision::{self, Precision};
use runner::pipeline::DeviceChoice;
use runner::train::adversarial::Adversarial;
use runner::train::{Adversary, EpochSums, RunningMetrics};

const IMAGE: (usize, usize, usize) = (3, 32, 32);
const THREAT: Threat = Threat::linf(8.0 / 255.0);
const STEP_SIZE: f64 = 2.0 / 255.0;
/// Steps between two looks at the clock: a look waits for the card, so they are rare.
const TOGETHER: usize = 10;

/// The seconds that each piece of work took.
pub fn times(
    kind: &str,
    arch: &str,
    batch: usize,
    seconds: f64,
    precision: &str,
) -> Result<Vec<f64>> {
    let (device, _) = DeviceChoice::Cuda(0).open()?;
    let precision = match precision {
        "f32" => Precision::F32,
        "tf32" => Precision::Tf32,
        "bf16" => Precision::Bf16,
        other => panic!("PRECISION: f32, tf32 or bf16, not {other}"),
    };
    precision::with(precision, || match kind {
        "adversarial" => adversarial(arch, batch, seconds, &device),
        "pgd20" => pgd20(arch, batch, seconds, &device),
        _ => panic!("WORK on a card: adversarial:ARCH, pgd20:ARCH"),
    })
}

fn network(arch: &str, device: &Device) -> Result<Network> {
    let config = ModelConfig {
        seed: 1,
        device: device.clone(),
        ..ModelConfig::new([IMAGE.0, IMAGE.1, IMAGE.2], 10)
    };
    models::build(arch, &config)
}

fn images(n: usize, device: &Device) -> Result<(Tensor, Vec<u32>)> {
    let images = Tensor::rand(0f32, 1f32, (n, IMAGE.0, IMAGE.1, IMAGE.2), &Device::Cpu)?;
    Ok((
        images.to_device(device)?,
        (0..n as u32).map(|i| i % 10).collect(),
    ))
}

/// Adversarial training with five attack steps.
fn adversarial(arch: &str, batch: usize, seconds: f64, device: &Device) -> Result<Vec<f64>> {
    let network = network(arch, device)?;
    let (originals, labels) = images(batch, device)?;
    let batch = super::batch(originals, &labels);
    let adversary = Adversary::new(
        Box::new(Steps::i_fgsm(THREAT, STEP_SIZE, 5)),
        BackwardPlan::none(),
        Mode::Eval,
    );
    let mut optimizer = super::sgd(&network, 0.9)?;
    let mut running = RunningMetrics::new(&EpochSums::default(), device)?;
    let mut step = || {
        let adversary = Some(&adversary);
        super::step(
            &Adversarial { mix: 0.0 },
            adversary,
            None,
            &network,
            &mut optimizer,
            &batch,
            &mut running,
        )
    };
    let mut host = Vec::new();
    let times = super::repeat(seconds, || {
        let begun = Instant::now();
        for _ in 0..TOGETHER {
            step()?;
        }
        host.push(begun.elapsed().as_secs_f64());
        Ok(device.synchronize()?)
    })?;
    // Near 1 the host is what limits: it starts work no faster than the card does it.
    let share = host[1..].iter().sum::<f64>() / times.iter().sum::<f64>();
    eprintln!("the host was starting work for {share:.2} of the time");
    Ok(times.into_iter().map(|t| t / TOGETHER as f64).collect())
}

fn pgd20(arch: &str, batch: usize, seconds: f64, device: &Device) -> Result<Vec<f64>> {
    let network = network(arch, device)?;
    let (originals, labels) = images(10_000, device)?;
    let attack = Steps::i_fgsm(THREAT, STEP_SIZE, 20);
    let victim = Victim::new(&network, BackwardPlan::none());
    let indices: Vec<usize> = (0..labels.len()).collect();
    super::repeat(seconds, || {
        let mut checks = Checks::default();
        for start in (0..10_000).step_by(batch) {
            let n = batch.min(10_000 - start);
            let images = originals.narrow(0, start, n)?;
            let (labels, indices) = (&labels[start..start + n], &indices[start..start + n]);
            let originals = Originals::new(&images, labels, indices, Start::default());
            checks.join(craft(&attack, &victim, originals)?.1);
        }
        checks.resolve()
    })
}
