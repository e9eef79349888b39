//! Attacks, and what their backward passes do otherwise than the derivatives say.

use candle_core::{Device, Tensor};
use runner::attacks::fia::Fia;
use runner::attacks::ila::Ila;
use runner::attacks::momentum::{Accumulated, Enhanced, Momentum, Variance};
use runner::attacks::transform::{
    Admix, DiverseInput, InputTransform, ScaleInvariant, Spectrum, TranslationInvariant,
};
use runner::attacks::{
    Apgd, Attack, Fab, Objective, Originals, Schedule, Square, Start, Steps, Threat, Victim, craft,
    predictions,
};
use runner::models::{Layers, LinbpUse, decayed, linear_plan, softened};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Network, Surrogate};
use runner::ops::logit_score::Score;
use runner::ops::precision::{self, Precision};

use crate::models::{batch, network};
use crate::{agree, card, distance};

const LINF: Threat = Threat::linf(8.0 / 255.0);
const L2: Threat = Threat::l2(0.5);
const IMAGES: usize = 8;

/// What an attack makes, on a device, of images that the CPU's network has right.
fn attacked(attack: &dyn Attack, arch: &str, device: &Device) -> Tensor {
    let (images, _) = batch(arch, IMAGES);
    let labels = predictions(&network(arch, &Device::Cpu).logits(&images).unwrap()).unwrap();
    // Other labels for half of them, so that there are classes to mix in.
    let labels: Vec<u32> = labels
        .iter()
        .enumerate()
        .map(|(i, &label)| (label + (i as u32 % 2)) % 10)
        .collect();
    let network = network(arch, device);
    let victim = Victim::new(&network, BackwardPlan::none());
    let images = images.to_device(device).unwrap();
    let indices: Vec<usize> = (0..IMAGES).collect();
    let originals = Originals::new(&images, &labels, &indices, Start::default());
    let (found, checks) = craft(attack, &victim, originals).unwrap();
    checks.resolve().unwrap();
    found
}

fn momentum(momentum: Momentum) -> Steps {
    Steps {
        momentum: Some(momentum),
        ..plain()
    }
}

fn through(transform: InputTransform) -> Steps {
    Steps {
        transforms: vec![transform],
        ..plain()
    }
}

fn plain() -> Steps {
    Steps::i_fgsm(LINF, 2.0 / 255.0, 3)
}

#[test]
fn steps_stay_on_the_card() {
    let Some(card) = card() else { return };
    let attacks = [
        ("pgd", Steps::pgd(LINF, 2.0 / 255.0, 3)),
        ("pgd in l2", Steps::pgd(L2, 0.1, 3)),
        ("mi-fgsm", momentum(Momentum::Accumulated(Accumulated {}))),
        (
            "vmi-fgsm",
            momentum(Momentum::Variance(Variance {
                samples: 3,
                radius: 1.5,
                nesterov: false,
            })),
        ),
        (
            "emi-fgsm",
            momentum(Momentum::Enhanced(Enhanced {
                samples: 3,
                radius: 2.0,
            })),
        ),
        (
            "di-fgsm",
            through(InputTransform::DiverseInput(DiverseInput {
                probability: 0.5,
                resize: 0.9,
            })),
        ),
        (
            "ti-fgsm",
            through(InputTransform::TranslationInvariant(TranslationInvariant {
                kernel: 7,
            })),
        ),
        (
            "si-fgsm",
            through(InputTransform::ScaleInvariant(ScaleInvariant { copies: 3 })),
        ),
        (
            "admix",
            through(InputTransform::Admix(Admix {
                copies: 2,
                share: 0.2,
            })),
        ),
        (
            "ssa",
            through(InputTransform::Spectrum(Spectrum {
                copies: 2,
                rho: 0.5,
                noise: 1.0,
            })),
        ),
        (
            "margin",
            Steps {
                objective: Objective::Score(Score::Margin),
                ..plain()
            },
        ),
        (
            "logit",
            Steps {
                objective: Objective::Score(Score::Logit),
                ..plain()
            },
        ),
    ];
    precision::with(Precision::F32, || {
        for (name, attack) in &attacks {
            let (here, there) = (
                attacked(attack, "resnet18", &Device::Cpu),
                attacked(attack, "resnet18", &card),
            );
            assert!(there.device().is_cuda(), "{name}");
            // A few signs of gradients that are nearly 0 turn.
            agree(name, &there, &here, 5e-3);
        }
    });
}

#[test]
fn attacks_on_features_are_those_of_the_cpu() {
    let Some(card) = card() else { return };
    precision::with(Precision::F32, || {
        let attacks: [Box<dyn Attack>; 2] = [
            Box::new(Ila::new(LINF, 2.0 / 255.0, 3, None)),
            Box::new(Fia::new(LINF, 2.0 / 255.0, 3, None)),
        ];
        for attack in &attacks {
            let of = |device: &Device| attacked(attack.as_ref(), "resnet18", device);
            agree(attack.name(), &of(&card), &of(&Device::Cpu), 5e-3);
        }
    });
}

#[test]
fn searches_end_where_those_of_the_cpu_end() {
    let Some(card) = card() else { return };
    precision::with(Precision::F32, || {
        for threat in [Threat::linf(2.0 / 255.0), Threat::l2(0.1)] {
            let apgd = |objective| Apgd {
                name: "apgd",
                threat,
                k: 12,
                restarts: 1,
                objective,
                target_classes: 0,
                stop_at_success: false,
            };
            let fab = |target_classes| Fab {
                name: "fab",
                threat,
                k: 8,
                restarts: 1,
                target_classes,
                stop_at_success: false,
            };
            let towards = Apgd {
                target_classes: 3,
                stop_at_success: true,
                ..apgd(Objective::Score(Score::TargetedDlr))
            };
            let attacks: [Box<dyn Attack>; 6] = [
                Box::new(apgd(Objective::CrossEntropy)),
                Box::new(apgd(Objective::Score(Score::Dlr))),
                Box::new(towards),
                Box::new(fab(None)),
                Box::new(fab(Some(3))),
                Box::new(Square {
                    threat,
                    queries: 60,
                    restarts: 1,
                    schedule: Schedule::OfQueries,
                }),
            ];
            for attack in &attacks {
                let of = |device: &Device| attacked(attack.as_ref(), "lenet5", device);
                let (here, there) = (of(&Device::Cpu), of(&card));
                // Rounding decides near a tie, and all that follows is another search then: of one image, not of more.
                let apart = |i| distance(&there.get(i).unwrap(), &here.get(i).unwrap()) > 1e-3;
                let others = (0..IMAGES).filter(|&i| apart(i)).count();
                assert!(others <= 1, "{} {threat:?}: {others} images", attack.name());
            }
        }
    });
}

/// The plans of other backward passes, each with a network that they change.
fn plans(of: impl Fn(&str) -> Network) -> Vec<(&'static str, &'static str, BackwardPlan)> {
    let plan = |arch: &str, layers: Layers| {
        linear_plan(arch, &of(arch), &layers, LinbpUse::Attack).unwrap()
    };
    let smooth = |surrogate| plan("resnet18", Layers::All).with_surrogate(surrogate);
    let pools = |arch: &str| softened(arch, &of(arch), BackwardPlan::none(), 10.0).unwrap();
    let none = BackwardPlan::none();
    vec![
        ("silu", "resnet18", smooth(Surrogate::Silu)),
        (
            "softplus",
            "resnet18",
            smooth(Surrogate::Softplus { beta: 2.0 }),
        ),
        (
            "branch decay",
            "resnet18",
            decayed("resnet18", &of("resnet18"), none, 0.5).unwrap(),
        ),
        ("softmax pools", "vgg11_bn", pools("vgg11_bn")),
        (
            "overlapping softmax pools",
            "squeezenet",
            pools("squeezenet"),
        ),
    ]
}

#[test]
fn other_backward_passes_are_those_of_the_cpu() {
    let Some(card) = card() else { return };
    precision::with(Precision::F32, || {
        for (name, arch, plan) in plans(|arch| network(arch, &Device::Cpu)) {
            let (images, labels) = batch(arch, IMAGES);
            let gradient = |device: &Device, plan: &BackwardPlan| {
                let network = network(arch, device);
                let victim = Victim::new(&network, plan.clone());
                let loss = |z: &Tensor| cross_entropy(z, &labels, Reduction::Sum);
                let images = images.to_device(device).unwrap();
                victim.gradient(&images, loss).unwrap().gradient
            };
            let (here, there) = (gradient(&Device::Cpu, &plan), gradient(&card, &plan));
            agree(name, &there, &here, 1e-2);
            let plainly = gradient(&Device::Cpu, &BackwardPlan::none());
            assert!(distance(&here, &plainly) > 0.05, "{name} changes nothing");
        }
    });
}
