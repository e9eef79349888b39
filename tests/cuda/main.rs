//! A card computes what the CPU does. Every test here is skipped, with a line that says so, where there is no card.

mod attacks;
mod exported;
mod models;
mod ops;
mod perturbation;
mod runs;

use std::io::Write;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use candle_core::{DType, Device, Tensor};
use rand::Rng;
use runner::ops::card::cards;
use runner::ops::precision::{self, Precision};
use runner::pipeline::DeviceChoice;
use runner::rng::{Purpose, stream};

/// A test's turn on the card.
struct Turn {
    card: Device,
    _turn: MutexGuard<'static, ()>,
}

impl Deref for Turn {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.card
    }
}

/// The first card of this machine. None where the build or the machine has no card; a card that does not open is a
/// failed test. One test has it at a time: while one thread records, others may not open it.
fn card() -> Option<Turn> {
    static TURN: Mutex<()> = Mutex::new(());
    let why = match cards() {
        Ok(cards) if !cards.is_empty() => {
            let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            let (card, _) = DeviceChoice::Cuda(0).open().expect("the card opens");
            return Some(Turn { card, _turn: turn });
        }
        Ok(_) => "no card in this machine".to_owned(),
        Err(why) => why.to_string(),
    };
    // Past the harness, which keeps what a passing test prints to itself; once per process.
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let _ = writeln!(std::io::stderr(), "SKIPPED all tests on a card: {why}");
    });
    None
}

/// Runs a test in every precision, with the bound on relative distances that goes with it.
fn each_precision(test: impl Fn(&Device, Precision, f64)) {
    let Some(card) = card() else { return };
    for (precision, bound) in [
        (Precision::F32, 1e-3),
        (Precision::Tf32, 3e-3),
        (Precision::Bf16, 2e-2),
    ] {
        precision::with(precision, || test(&card, precision, bound));
    }
}

/// Numbers between -1 and 1, on the CPU.
fn noise(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = stream(seed, Purpose::Generate, 0, 0, 0);
    let values: Vec<f32> = (0..shape.iter().product::<usize>())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    let cpu = tensor.to_device(&Device::Cpu).unwrap();
    let wide = cpu.to_dtype(DType::F64).unwrap();
    wide.flatten_all().unwrap().to_vec1().unwrap()
}

/// The distance in l2 relative to the expected numbers' length.
fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.dims(), expected.dims());
    let (found, expected) = (flat(found), flat(expected));
    let length = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let difference = length(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
    difference / length(&mut expected.iter().copied()).max(1e-30)
}

/// Fails unless two tensors agree within a relative bound in l2.
fn agree(what: &str, found: &Tensor, expected: &Tensor, bound: f64) {
    let found = distance(found, expected);
    assert!(
        found <= bound,
        "{what}: {found:.2e} apart, at most {bound:.0e} expected"
    );
}
