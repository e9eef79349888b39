//! Attacks against PyTorch's, and against torchattacks 3.5.1 where the interpreter has it.
//!
//! Where no random number is drawn, images have to agree pixel by pixel after rounding to 8 bits. Both sides compute that
//! in f64: in f32 a gradient within a rounding error of zero has either sign in either implementation, and five steps
//! multiply it; that figure stands beside what PyTorch's own f32 makes of it. Where random numbers are drawn, what has to
//! agree is how far the attack gets.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use candle_core::{DType, Tensor};
use runner::attacks::momentum::{Accumulated, Momentum, Nesterov};
use runner::attacks::{
    Apgd, Attack, Distance, Fab, Fmn, Norm, Objective, Originals, Schedule, Square, Start, Steps,
    Threat, Victim, craft, predictions,
};
use runner::models::{ModelConfig, build};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Network};
use runner::ops::logit_score::Score;
use runner::weights::load_tensors;

use crate::pytorch::{interpreter, say};

/// A small network, which goes through all attacks, and a deep one.
const SMALL: &str = "wide_resnet10_1";
const ARCHS: [&str; 2] = [SMALL, "mobilenet_v2"];
const LINF: Threat = Threat::linf(8.0 / 255.0);
const L2: Threat = Threat::l2(0.5);

/// One network with its examples and what Python made of them.
struct Side {
    arch: &'static str,
    network: Network,
    reference: BTreeMap<String, Tensor>,
    images: Tensor,
    labels: Vec<u32>,
    indices: Vec<usize>,
}

impl Side {
    /// The examples are those whose names begin with `which`: "" or "many.".
    fn read(folder: &Path, arch: &'static str, dtype: DType, which: &str) -> Self {
        let reference = load_tensors(&folder.join(format!("{arch}.safetensors"))).unwrap();
        let images = reference[&format!("{which}images")]
            .to_dtype(dtype)
            .unwrap();
        let config = ModelConfig {
            dropout: Some(0.0),
            dtype,
            ..ModelConfig::new([3, 32, 32], 10)
        };
        let network = build(arch, &config).unwrap();
        network
            .load(&load_tensors(&folder.join(format!("{arch}.pt"))).unwrap())
            .unwrap();
        let labels = classes(&reference[&format!("{which}labels")]);
        Self {
            arch,
            network,
            indices: (0..labels.len()).collect(),
            images,
            labels,
            reference,
        }
    }

    fn victim(&self) -> Victim<'_> {
        Victim::new(&self.network, BackwardPlan::none())
    }

    fn craft(&self, attack: &dyn Attack) -> Tensor {
        let originals = Originals::new(&self.images, &self.labels, &self.indices, Start::default());
        let (images, checks) = craft(attack, &self.victim(), originals).unwrap();
        checks.resolve().unwrap();
        images
    }

    fn theirs(&self, name: &str) -> &Tensor {
        &self.reference[&format!("torchattacks.{name}")]
    }

    /// Mean cross-entropy and share of wrong answers on images.
    fn outcome(&self, images: &Tensor) -> (f64, f64) {
        let logits = self.network.logits(images).unwrap();
        let loss = cross_entropy(&logits, &self.labels, Reduction::Sum)
            .unwrap()
            .mean();
        let wrong = predictions(&logits).unwrap();
        let wrong = wrong
            .iter()
            .zip(&self.labels)
            .filter(|(a, b)| a != b)
            .count();
        (loss, wrong as f64 / self.labels.len() as f64)
    }
}

pub fn classes(tensor: &Tensor) -> Vec<u32> {
    tensor.to_dtype(DType::U32).unwrap().to_vec1().unwrap()
}

pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_dtype(DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The share of pixels that are the same after rounding to 8 bits.
pub fn same_pixels(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (numbers(a), numbers(b));
    let level = |value: f32| (value * 255.0).round();
    let same = a
        .iter()
        .zip(&b)
        .filter(|(a, b)| level(**a) == level(**b))
        .count();
    same as f64 / a.len() as f64
}

fn relative(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (numbers(a), numbers(b));
    let length = |values: &mut dyn Iterator<Item = f32>| {
        values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
    };
    length(&mut a.iter().zip(&b).map(|(a, b)| a - b)) / length(&mut b.iter().copied())
}

/// PGD without its random start.
fn pgd(threat: Threat, step_size: f64) -> Steps {
    Steps {
        random_start: false,
        ..Steps::pgd(threat, step_size, 5)
    }
}

/// I-FGSM with momentum.
fn with(momentum: Momentum, step_size: f64) -> Box<dyn Attack> {
    Box::new(Steps {
        momentum: Some(momentum),
        ..Steps::i_fgsm(LINF, step_size, 5)
    })
}

/// The losses of APGD and their gradients through the network.
fn losses(side: &Side) {
    let target_classes = classes(&side.reference["targets"]);
    for (name, objective, target_classes) in [
        ("dlr", Objective::Score(Score::Dlr), None),
        (
            "dlr_t",
            Objective::Score(Score::TargetedDlr),
            Some(&*target_classes),
        ),
    ] {
        let ascent = side
            .victim()
            .gradient(&side.images, |logits| {
                objective.evaluate(logits, &side.labels, target_classes)
            })
            .unwrap();
        let expected = numbers(&side.reference[name]);
        for (found, expected) in ascent.loss.per_example.iter().zip(expected) {
            assert!(
                (found - f64::from(expected)).abs() < 1e-3,
                "{} {name}: {found} {expected}",
                side.arch
            );
        }
        let error = relative(
            &ascent.gradient,
            &side.reference[&format!("{name}.gradient")],
        );
        say(&format!(
            "{}: gradient of {name} off by {error:.0e}",
            side.arch
        ));
        assert!(error < 1e-2, "{} {name}: {error}", side.arch);
    }
}

/// Attacks without random numbers, pixel by pixel.
fn pixels(side: &Side) {
    let step_size = 2.0 / 255.0;
    let attacks: [(&str, Box<dyn Attack>); 6] = [
        ("fgsm", Box::new(Steps::fgsm(LINF))),
        ("i-fgsm", Box::new(Steps::i_fgsm(LINF, step_size, 5))),
        (
            "mi-fgsm",
            with(Momentum::Accumulated(Accumulated {}), step_size),
        ),
        ("ni-fgsm", with(Momentum::Nesterov(Nesterov {}), step_size)),
        ("pgd", Box::new(pgd(LINF, step_size))),
        ("pgd-l2", Box::new(pgd(L2, 0.2))),
    ];
    for (name, attack) in attacks {
        let same = same_pixels(&side.craft(attack.as_ref()), side.theirs(name));
        say(&format!(
            "{}: {name}: {:.3} % of the 8-bit pixels as in torchattacks",
            side.arch,
            100.0 * same
        ));
        assert!(same >= 0.999, "{} {name}: {same}", side.arch);
    }
}

/// The distances that FAB finds: the same algorithm without random numbers, in a ball that is no bound.
fn distances(side: &Side) {
    for (name, norm, epsilon) in [("fab", Norm::Linf, 1.0), ("fab-l2", Norm::L2, 10.0)] {
        let threat = Threat { norm, epsilon };
        let fab = Fab {
            name: "fab",
            threat,
            k: 10,
            restarts: 1,
            target_classes: None,
            stop_at_success: false,
        };
        let found = [&side.craft(&fab), side.theirs(name)].map(|images| far(side, norm, images));
        let middle = compare(side, name, &found[0], &found[1], "torchattacks");
        assert!(
            (middle.0 - 1.0).abs() < 0.01 && middle.1 < 1.1,
            "{} {name}: {middle:?}",
            side.arch
        );
    }
}

/// The distances that FMN finds, in a ball that is no bound. Ours overshoots its estimates of the first crossing.
fn least(side: &Side) {
    for (name, norm, epsilon) in [("fmn", Norm::Linf, 1.0), ("fmn-l2", Norm::L2, 60.0)] {
        let fmn = Fmn {
            threat: Threat { norm, epsilon },
            k: 100,
            first_step_size: 1.0,
            radius_change: 0.05,
        };
        let ours = far(side, norm, &side.craft(&fmn));
        let theirs: Vec<f64> = numbers(&side.reference[name])
            .into_iter()
            .map(f64::from)
            .collect();
        let found = compare(side, name, &ours, &theirs, "PyTorch");
        assert!(
            (found.0 - 1.0).abs() < 0.02 && found.1 < 1.1,
            "{} {name}: {found:?}",
            side.arch
        );
    }
}

/// How far images are from the originals.
fn far(side: &Side, norm: Norm, images: &Tensor) -> Vec<f64> {
    let distances = Threat::distances(images, &side.images).unwrap();
    let of = |d: &Distance| if norm == Norm::L2 { d.l2 } else { d.linf };
    distances.iter().map(of).collect()
}

/// The middle and the largest of the ratios of distances.
fn compare(side: &Side, name: &str, ours: &[f64], theirs: &[f64], whose: &str) -> (f64, f64) {
    let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    let (least, middle, most) = (
        ratios[0],
        ratios[ratios.len() / 2],
        ratios[ratios.len() - 1],
    );
    say(&format!(
        "{}: {name}: distance ours / {whose} {middle:.4} ({least:.4} to {most:.4})",
        side.arch
    ));
    (middle, most)
}

/// Attacks that start at random: how high the loss gets, and how many answers are wrong.
fn strength(side: &Side) {
    let apgd = |threat| Apgd {
        name: "apgd",
        threat,
        k: 25,
        restarts: 1,
        objective: Objective::CrossEntropy,
        target_classes: 0,
        stop_at_success: false,
    };
    let attacks: [(&str, Box<dyn Attack>); 3] = [
        ("apgd-ce", Box::new(apgd(LINF))),
        ("apgd-l2", Box::new(apgd(L2))),
        (
            "square",
            Box::new(Square {
                threat: LINF,
                queries: 200,
                restarts: 1,
                schedule: Schedule::OfQueries,
            }),
        ),
    ];
    for (name, attack) in attacks {
        let (loss, wrong) = side.outcome(&side.craft(attack.as_ref()));
        let (their_loss, their_wrong) = side.outcome(side.theirs(name));
        say(&format!(
            "{}: {name}: loss {loss:.3} ({their_loss:.3}), wrong {wrong:.3} ({their_wrong:.3})",
            side.arch
        ));
        // APGD climbs to the same summit from any start; of random searches some images go one way or the other.
        let searches = name == "square";
        let most = if searches { 4.0 } else { 1.0 } / side.labels.len() as f64;
        assert!(
            (wrong - their_wrong).abs() <= most,
            "{} {name}: {wrong} {their_wrong}",
            side.arch
        );
        // Square is left at success, at whatever loss.
        assert!(
            searches || (loss / their_loss - 1.0).abs() < 0.01,
            "{} {name}: {loss} {their_loss}",
            side.arch
        );
    }
}

#[test]
fn attacks() {
    let Some(python) = interpreter() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/attacks.py");
    let status = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .args(ARCHS)
        .status()
        .unwrap();
    assert!(status.success(), "attacks.py failed");
    for arch in ARCHS {
        let [single, double] =
            [DType::F32, DType::F64].map(|dtype| Side::read(folder.path(), arch, dtype, ""));
        let attack = pgd(LINF, 2.0 / 255.0);
        let [theirs, theirs_f32] = ["pgd", "pgd.f32"].map(|name| &double.reference[name]);
        let same = same_pixels(&double.craft(&attack), theirs);
        let f32_same = same_pixels(&single.craft(&attack), theirs);
        say(&format!(
            "{arch}: five steps of PGD: {:.3} % of the 8-bit pixels as in PyTorch; in f32 {:.3} % (PyTorch's own {:.3} %)",
            100.0 * same,
            100.0 * f32_same,
            100.0 * same_pixels(theirs_f32, theirs)
        ));
        assert!(same >= 0.999, "{arch}: {same}");
        losses(&double);
        if arch == SMALL {
            least(&double);
        }
        if single.reference.contains_key("torchattacks.fgsm") {
            pixels(&double);
            distances(&single);
            strength(&Side::read(folder.path(), arch, DType::F32, "many."));
        } else if arch == SMALL {
            say(&format!(
                "SKIPPED the comparison of {arch} with torchattacks: it is not installed beside torch"
            ));
        }
    }
}
