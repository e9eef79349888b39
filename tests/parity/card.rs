//! Whole models on a card in float32: how far its logits and the signs of one attack step are from float64, beside how far
//! PyTorch's on the same card are.
//!
//! `RUNNER_PARITY=all cargo test --release --features cuda,cudnn --test parity card` prints the table. A gradient near zero
//! has the sign that rounding gives it, whoever rounds: so ours are held to what PyTorch's are.

use candle_core::{DType, Tensor};
use runner::ops::card::cards;
use runner::ops::precision::{self, Precision};
use runner::pipeline::DeviceChoice;

use crate::models::{BAR, Side, Tensors, chosen, largest, numbers};
use crate::pytorch::{PyTorch, interpreter, say};
use runner::models::adapt;

/// One activation that rounding passes over its kink turns the gradient of all that depends on it. On one H200 PyTorch's own
/// share came to 5.6e-3 (ResNet-101): below this nobody is better than another.
const FEW: f64 = 6e-3;

/// The share of pixels that a step moves the other way.
fn other_signs(found: &Tensor, expected: &Tensor) -> f64 {
    let (found, expected) = (numbers(found), numbers(expected));
    let signs = found.iter().zip(&expected);
    let other = signs.filter(|(a, b)| a.partial_cmp(&&0.0) != b.partial_cmp(&&0.0));
    other.count() as f64 / expected.len() as f64
}

/// Errors of the logits and of signs by BP and LinBP of a side whose numbers `of` gives.
fn errors(reference: &Tensors, of: impl Fn(&str) -> (Tensor, Tensor)) -> [f64; 3] {
    let signs = |variant: &str| {
        let expected = &reference[&format!("f64.input.{variant}")];
        other_signs(&of(variant).1, expected)
    };
    [
        largest(&of("bp").0, &reference["f64.logits"]),
        signs("bp"),
        signs("linbp"),
    ]
}

#[test]
fn models_on_a_card() {
    if cards().is_ok_and(|cards| cards.is_empty()) || cards().is_err() {
        return say("SKIPPED the comparison with PyTorch on a card: there is none");
    }
    let Some(python) = interpreter() else {
        return;
    };
    let (card, _) = DeviceChoice::Cuda(0).open().expect("the card opens");
    let mut pytorch = PyTorch::start(&python, "cuda");
    say(
        "| architecture | logits (PyTorch) | other signs BP (PyTorch) | other signs LinBP (PyTorch) |",
    );
    let mut faults = Vec::new();
    for arch in chosen() {
        let (mut weights, reference) = pytorch.ask(&arch);
        adapt(arch.split(':').next().unwrap(), &mut weights).unwrap();
        let ours = precision::with(Precision::F32, || {
            let side = Side::new(&arch, (DType::F32, &card), &weights, &reference);
            errors(&reference, |variant| side.gradient(variant))
        });
        let theirs = errors(&reference, |variant| {
            let gradient = &reference[&format!("f32.input.{variant}")];
            (reference["f32.logits"].clone(), gradient.clone())
        });
        let cells = ours.iter().zip(&theirs);
        let cells: Vec<String> = cells.map(|(o, t)| format!("{o:.1e} ({t:.1e})")).collect();
        say(&format!("| {arch} | {} |", cells.join(" | ")));
        let most = [BAR, FEW.max(2.0 * theirs[1]), FEW.max(2.0 * theirs[2])];
        for (column, (error, most)) in ["logits", "BP", "LinBP"].iter().zip(ours.iter().zip(most)) {
            if error.is_nan() || *error > most {
                faults.push(format!("{arch}: {column} off by {error:.1e}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
