//! The signs that a result under attack says little.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::attacks::sanity;
use crate::nn::{Module, Tape, Var};

#[test]
fn a_zero_gradient_breaks_nothing_and_stays_finite() {
    // With an activation, for attacks on features.
    struct Constant(crate::nn::Act);
    impl Module for Constant {
        fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
            let x = &self.0.forward(tape, x)?;
            let (n, id) = (x.dims()[0], x.id());
            let zero = Tensor::zeros(x.dims(), DType::F32, x.tensor().device())?;
            let y = tensor([0.25f32, 0.25, 0.25, 0.25, 0.0].repeat(n), (n, CLASSES))?;
            Ok(tape.record(y, id.is_some(), move |_, sink| {
                sink.add(id, crate::nn::gradients::Grad::new(zero.clone()))
            }))
        }
    }
    let network = Network::build(0, DType::F32, &Device::Cpu, None, |b| {
        let act = b.activation("act", crate::ops::activation::Activation::Relu);
        Ok(Box::new(Constant(act)))
    })
    .unwrap();
    let set = Set::of(&network, 3);
    for threat in [Threat::linf(0.1), Threat::l2(1.0)] {
        for attack in all(threat) {
            if !set.suits(attack.as_ref()) {
                continue;
            }
            let (fates, images) = run(&network, &set, &[attack], 2);
            assert!(
                fates
                    .iter()
                    .all(|fate| fate.broken_by.is_none() && fate.attacked)
            );
            assert!(images.iter().all(|v| v.is_finite()));
        }
    }
    let victim = Victim::new(&network, BackwardPlan::none());
    let codes: Vec<&str> = sanity::examine(&victim, set.originals())
        .unwrap()
        .iter()
        .map(|warning| warning.code())
        .collect();
    assert_eq!(codes, ["probability-outputs", "zero-gradients"]);
}

#[test]
fn a_random_model_is_noticed_and_a_sound_one_raises_no_warning() {
    struct Noisy(AtomicUsize);
    impl Module for Noisy {
        fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
            let noise = self.0.fetch_add(1, Ordering::Relaxed) as f64;
            let pixels = crate::nn::structure::flatten(tape, x)?;
            let (id, dims) = (pixels.id(), pixels.dims().to_vec());
            let y = ((pixels.tensor().narrow(1, 0, CLASSES)? * 3.0)? + noise)?;
            Ok(tape.record(y, id.is_some(), move |_, sink| {
                let ones = Tensor::ones(dims.as_slice(), DType::F32, &candle_core::Device::Cpu)?;
                sink.add(id, crate::nn::gradients::Grad::new(ones))
            }))
        }
    }
    let noisy = Network::build(0, DType::F32, &Device::Cpu, None, |_| {
        Ok(Box::new(Noisy(AtomicUsize::new(0))))
    })
    .unwrap();
    let set = Set::of(&noisy, 3);
    let found =
        sanity::examine(&Victim::new(&noisy, BackwardPlan::none()), set.originals()).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].code(), "random-model");
    let sound = mlp();
    let set = Set::of(&sound, 3);
    let found =
        sanity::examine(&Victim::new(&sound, BackwardPlan::none()), set.originals()).unwrap();
    assert_eq!(found, []);
}

#[test]
fn a_black_box_that_finds_more_is_noticed() {
    let threat = Threat::linf(0.1);
    let square = Square {
        threat,
        queries: 1,
        restarts: 1,
        schedule: Schedule::Published,
    };
    let white = all(threat).remove(0);
    let found = sanity::compare(&[(white.as_ref(), 3), (&square, 3)], 1000);
    assert_eq!(
        found,
        Some(sanity::Warning::BlackBoxBeatWhiteBox { share: 0.003 })
    );
    assert_eq!(
        sanity::compare(&[(white.as_ref(), 3), (&square, 2)], 1000),
        None
    );
    assert_eq!(
        sanity::compare(&[(&square, 900)], 1000),
        None,
        "there was no white box"
    );
}
