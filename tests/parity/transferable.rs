//! Attacks that carry over to other models, pixel by pixel: against torchattacks 3.5.1 where it has them, and otherwise against the papers
//! written out in PyTorch. Random numbers are drawn here and handed over; both sides compute in f64.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use runner::attacks::draws::Draws;
use runner::attacks::momentum::Accumulated;
use runner::attacks::momentum::{Enhanced, Momentum, Nesterov, Variance};
use runner::attacks::transform::{
    Admix, DiverseInput, InputTransform, ScaleInvariant, Spectrum, TranslationInvariant,
};
use runner::attacks::{Objective, Originals, Start, Steps, Threat, Victim, craft, predictions};
use runner::models::{ModelConfig, build};
use runner::nn::{BackwardPlan, Network};
use runner::ops::image::Normalize;
use runner::ops::logit_score::Score;
use runner::weights::{load_tensors, save_safetensors};

use crate::interpreter::{interpreter_for, say};

const STEPS: usize = 5;
const SAMPLES: usize = 3;
const COUNT: usize = 8;
const EPSILON: f64 = 8.0 / 255.0;
const THREAT: Threat = Threat::linf(EPSILON);

/// A ResNet-20: the published one where `../shared` has it, otherwise one of random weights.
fn network(weights: &Path) -> Network {
    let config = ModelConfig {
        normalize: Some(Normalize {
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
        }),
        dtype: DType::F64,
        ..ModelConfig::new([3, 32, 32], 10)
    };
    let network = build("resnet20", &config).unwrap();
    if weights.is_file() {
        network.load(&load_tensors(weights).unwrap()).unwrap();
    } else {
        say("resnet20 has random weights here: ../shared has no published ones");
    }
    network
}

/// Images of one colour each under waves of others: smooth, as pictures are.
fn images() -> Tensor {
    let value = |image: usize, channel: usize, row: usize, column: usize| {
        let (a, b) = (0.07 * (image + 1) as f64, 0.11 * (channel + 2) as f64);
        let wave =
            (a * row as f64 + image as f64).sin() * (b * column as f64 + channel as f64).cos();
        0.5 + 0.4 * wave
    };
    let mut values = Vec::new();
    for image in 0..COUNT {
        for channel in 0..3 {
            for row in 0..32 {
                values.extend((0..32).map(|column| value(image, channel, row, column)));
            }
        }
    }
    Tensor::from_vec(values, (COUNT, 3, 32, 32), &Device::Cpu).unwrap()
}

/// The random numbers of all attacks, as they will draw them, for the other side.
fn numbers(images: &Tensor, labels: &[u32], originals: Originals<'_>) -> BTreeMap<String, Tensor> {
    let stack = |drawn: Vec<Tensor>| Tensor::stack(&drawn, 1).unwrap();
    let mut given = BTreeMap::new();
    let draws = Draws::new(originals);
    let noise = (0..STEPS * SAMPLES).map(|_| draws.next().uniform(images, 1.5 * EPSILON).unwrap());
    given.insert("variance.noise".to_owned(), stack(noise.collect()));

    for (name, before) in [("diverse.draws", 0), ("smooth.diverse.draws", 1)] {
        given.insert(name.to_owned(), placements(originals, before));
    }

    let draws = Draws::new(originals);
    let mut others = vec![0u32; COUNT * STEPS * 3];
    for step in 0..STEPS {
        let shared = draws.next();
        for _ in 0..3 * 5 * 2 {
            draws.next();
        }
        for image in 0..COUNT {
            let mut rng = shared.rng(image);
            for copy in 0..3 {
                let other = Admix::draw(labels[image], labels, &mut rng).unwrap();
                assert_ne!(labels[other], labels[image]);
                others[(image * STEPS + step) * 3 + copy] = other as u32;
            }
        }
    }
    let others = Tensor::from_vec(others, (COUNT, STEPS, 3), &Device::Cpu).unwrap();
    given.insert("admix.others".to_owned(), others);

    let draws = Draws::new(originals);
    let (mut noise, mut factors) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        draws.next();
        for _ in 0..SAMPLES {
            let drawn = spectrum().draw(images, EPSILON, draws.next()).unwrap();
            let [of_noise, of_factors] = drawn;
            noise.push(of_noise);
            factors.push(of_factors);
        }
    }
    given.insert("spectrum.noise".to_owned(), stack(noise));
    given.insert("spectrum.factors".to_owned(), stack(factors));
    given
}

/// Where `diverse-input` puts the images in each step, with so many transformations before it in the list.
fn placements(originals: Originals<'_>, before: usize) -> Tensor {
    let draws = Draws::new(originals);
    let mut placed = vec![0f32; COUNT * STEPS * 4];
    for step in 0..STEPS {
        // Every gradient draws once for all copies, then once for each transformation in each copy.
        for _ in 0..=before {
            draws.next();
        }
        let own = draws.next();
        for image in 0..COUNT {
            let place = &mut placed[(image * STEPS + step) * 4..][..4];
            place.copy_from_slice(&match diverse().draw([32, 32], &mut own.rng(image)) {
                Some([rows, columns]) => {
                    [1, rows.length, rows.before, columns.before].map(|n| n as f32)
                }
                None => [0.0, 28.0, 0.0, 0.0],
            });
        }
    }
    Tensor::from_vec(placed, (COUNT, STEPS, 4), &Device::Cpu).unwrap()
}

fn diverse() -> DiverseInput {
    DiverseInput {
        probability: 0.5,
        resize: 0.9,
    }
}

fn spectrum() -> Spectrum {
    Spectrum {
        copies: SAMPLES,
        rho: 0.5,
        noise: 1.0,
    }
}

/// The attacks by the names that the other side gives them.
fn attacks() -> Vec<(&'static str, Steps)> {
    let plain = || Steps::i_fgsm(THREAT, 2.0 / 255.0, STEPS);
    let with = |momentum: Option<Momentum>, transforms: Vec<InputTransform>| Steps {
        momentum,
        transforms,
        ..plain()
    };
    let up = |score| Steps {
        objective: Objective::Score(score),
        ..plain()
    };
    let accumulated = || Some(Momentum::Accumulated(Accumulated {}));
    let variance = |nesterov| {
        Some(Momentum::Variance(Variance {
            samples: SAMPLES,
            radius: 1.5,
            nesterov,
        }))
    };
    let enhanced = Momentum::Enhanced(Enhanced {
        samples: SAMPLES,
        radius: 2.0,
    });
    let smooth = || InputTransform::TranslationInvariant(TranslationInvariant { kernel: 15 });
    let scales = || InputTransform::ScaleInvariant(ScaleInvariant { copies: 5 });
    let admix = InputTransform::Admix(Admix {
        copies: 3,
        share: 0.2,
    });
    let diverse = || InputTransform::DiverseInput(diverse());
    vec![
        ("vmi-fgsm", with(variance(false), Vec::new())),
        ("vni-fgsm", with(variance(true), Vec::new())),
        ("emi-fgsm", with(Some(enhanced), Vec::new())),
        (
            "si-ni-fgsm",
            with(Some(Momentum::Nesterov(Nesterov {})), vec![scales()]),
        ),
        ("di-fgsm", with(None, vec![diverse()])),
        ("ti-fgsm", with(None, vec![smooth()])),
        ("ti-di-fgsm", with(None, vec![smooth(), diverse()])),
        ("admix", with(accumulated(), vec![admix, scales()])),
        (
            "ssa",
            with(accumulated(), vec![InputTransform::Spectrum(spectrum())]),
        ),
        ("logit", up(Score::Logit)),
        ("margin", up(Score::Margin)),
    ]
}

#[test]
fn ingredients_are_those_of_torchattacks_and_the_papers() {
    let what = "attacks that carry over, against torchattacks";
    let Some(python) = interpreter_for(what, &["torch", "safetensors", "torchattacks"]) else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let network = network(&root.join("../shared/weights/resnet20-12fca82f.th"));
    let images = images();
    let answers = predictions(&network.logits(&images).unwrap()).unwrap();
    // Labels by turns, so that there are other classes to mix in whatever the network answers.
    let labels: Vec<u32> = answers
        .iter()
        .enumerate()
        .map(|(i, &a)| if i % 2 == 0 { a } else { (a + 1) % 10 })
        .collect();
    let indices: Vec<usize> = (0..COUNT).map(|i| 11 * i + 3).collect();
    let start = Start {
        seed: 5,
        ..Start::default()
    };
    let originals = Originals::new(&images, &labels, &indices, start);

    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, tensors: &BTreeMap<String, Tensor>| {
        save_safetensors(&folder.path().join(name), tensors, HashMap::new()).unwrap();
    };
    let weights = network.state().unwrap();
    save("weights.safetensors", &weights);
    let mut given = numbers(&images, &labels, originals);
    given.insert("images".to_owned(), images.clone());
    let of_labels = Tensor::from_vec(labels.clone(), COUNT, &Device::Cpu).unwrap();
    given.insert("labels".to_owned(), of_labels);
    save("given.safetensors", &given);
    let status = Command::new(&python)
        .arg(root.join("tests/parity/transferable.py"))
        .arg(folder.path())
        .status();
    assert!(status.unwrap().success(), "transferable.py failed");

    let made = load_tensors(&folder.path().join("made.safetensors")).unwrap();
    let victim = Victim::new(&network, BackwardPlan::none());
    let levels = |images: &Tensor| -> Vec<i32> {
        let values = images.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
        let values: Vec<f64> = values.to_vec1().unwrap();
        values.iter().map(|v| (v * 255.0).round() as i32).collect()
    };
    for (name, attack) in attacks() {
        let (found, checks) = craft(&attack, &victim, originals).unwrap();
        checks.resolve().unwrap();
        let (ours, theirs) = (levels(&found), levels(&made[name]));
        let same = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
        let share = same as f64 / ours.len() as f64;
        say(&format!(
            "{name}: {:.3} % of the 8-bit pixels",
            100.0 * share
        ));
        assert!(share >= 0.999, "{name}: {share}");
    }
}
