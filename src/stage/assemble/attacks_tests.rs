//! What the settings of `[attack]` come to, seen by what the attacks ask of a model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::attacks::{Originals, Start, Target};
use crate::nn::{LinearPlan, Module, Network, Tape, Var};
use crate::spec::{Request, plan};

const CLASSES: usize = 10;
const BALL: Threat = Threat {
    norm: attacks::Norm::Linf,
    epsilon: 0.1,
};

/// A stage that attacks by `settings` and evaluates under `evaluations`.
fn stage(settings: &str, evaluations: &str) -> StageSpec {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("a.toml");
    let text = format!(
        "task = \"adversarial-train\"\ndata.kind = \"digits\"\nmodel.arch = \"mlp\"\noptimizer.lr = 0.1\n\
         train.epochs = 1\nevaluate.attacks = [{evaluations}]\n[attack]\nepsilon = 0.1\n{settings}\n"
    );
    std::fs::write(&spec, text).unwrap();
    let plan = plan(&Request {
        spec,
        ..Request::default()
    });
    plan.unwrap_or_else(|error| panic!("{error}")).runs[0]
        .spec
        .stages[0]
        .clone()
}

fn of(stage: &StageSpec, kind: AttackKind) -> Vec<Box<dyn Attack>> {
    let (spec, data) = (stage.attack.as_ref(), stage.data.as_ref());
    attacks(spec.unwrap(), kind, data.unwrap(), CLASSES).unwrap()
}

/// Gives the pixels of an image as its logits, and counts how often it is asked.
struct Counting(Arc<AtomicUsize>);

impl Module for Counting {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        self.0.fetch_add(1, Ordering::Relaxed);
        crate::nn::structure::flatten(tape, x)
    }
}

/// What an attack makes of one image, and how often it asks the model.
fn carry_out(attack: &dyn Attack) -> (Vec<f32>, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Counting(Arc::clone(&asked));
    let network = Network::build(0, DType::F32, &Device::Cpu, None, |_| {
        Ok(Box::new(counting))
    })
    .unwrap();
    // The first class has won by more than any perturbation takes away.
    let mut pixels = vec![0.2f32; CLASSES];
    pixels[0] = 0.9;
    let images = Tensor::from_vec(pixels, (1, 1, 2, 5), &Device::Cpu).unwrap();
    let originals = Originals {
        images: &images,
        labels: &[0],
        indices: &[0],
        start: Start::default(),
    };
    let target = Target::new(&network, LinearPlan::none());
    let found = attack.perturb(&target, originals).unwrap();
    let found = found.flatten_all().unwrap().to_vec1().unwrap();
    (found, asked.load(Ordering::Relaxed))
}

#[test]
fn written_settings_hold_for_every_attack() {
    let settings = "kind = \"pgd\"\nstep_size = 0.02\nk = 7\nrandom_start = true\nrestarts = 3";
    let stage = stage(settings, "\"i-fgsm\", \"fgsm\", \"apgd\"");
    for (kind, asked) in [
        (AttackKind::Pgd, 7),
        (AttackKind::IFgsm, 7),
        (AttackKind::Fgsm, 1),
        // It looks at its start, too.
        (AttackKind::Apgd, 8),
    ] {
        let attack = of(&stage, kind).remove(0);
        assert_eq!(attack.restarts(), 3, "{kind}");
        assert_eq!(carry_out(attack.as_ref()).1, asked, "{kind}");
    }
    let fgsm = carry_out(of(&stage, AttackKind::Fgsm)[0].as_ref()).0;
    assert_ne!(fgsm, carry_out(&Steps::fgsm(BALL)).0, "the start is random");
}

#[test]
fn what_is_not_written_is_what_each_attack_is_known_for() {
    let stage = stage(
        "kind = \"pgd\"\nstep_size = 0.02\nk = 2",
        "\"i-fgsm\", \"pgd\"",
    );
    for (kind, published) in [
        (AttackKind::Pgd, Steps::pgd(BALL, 0.02, 2)),
        (AttackKind::IFgsm, Steps::i_fgsm(BALL, 0.02, 2)),
    ] {
        let found = carry_out(of(&stage, kind)[0].as_ref()).0;
        assert_eq!(found, carry_out(&published).0, "{kind}");
    }
}

#[test]
fn the_standard_ensemble_is_the_published_one() {
    let stage = stage("kind = \"fgsm\"", "\"auto-attack\"");
    let members = of(&stage, AttackKind::AutoAttack);
    let names: Vec<&str> = members.iter().map(|member| member.name()).collect();
    assert_eq!(names, ["apgd-ce", "apgd-t", "fab-t", "square"]);
    assert!(members.iter().all(|member| member.restarts() == 1));
    // APGD and its start, nine times with the list of the classes; FAB asks twice a step; Square and its start.
    let asked: Vec<usize> = members
        .iter()
        .map(|member| carry_out(member.as_ref()).1)
        .collect();
    assert_eq!(asked, [101, 1 + 9 * 101, 1 + 9 * 200, 5001]);
    let square = |schedule| {
        carry_out(&Square {
            threat: BALL,
            queries: 5000,
            restarts: 1,
            schedule,
        })
    };
    let found = carry_out(members[3].as_ref());
    assert_eq!(found, square(Schedule::Published));
}

#[test]
fn more_classes_than_there_are_are_refused() {
    for (settings, evaluations, classes, expected) in [
        (
            "kind = \"fgsm\"\ntarget = 10",
            "",
            10,
            "attack.target: expected the number of a class, below 10, found 10",
        ),
        (
            "kind = \"apgd-t\"\nn_target_classes = 10",
            "",
            10,
            "attack.n_target_classes: expected at most 9, the wrong ones of 10 classes, found 10",
        ),
        (
            "kind = \"apgd-t\"",
            "",
            3,
            "attack.kind: \"apgd-t\" takes a model of at least 4 classes, and the data has 3; choose another",
        ),
        (
            "kind = \"apgd\"\nloss = \"dlr\"",
            "",
            2,
            "attack.loss: \"dlr\" takes a model of at least 3 classes, and the data has 2; choose another",
        ),
        (
            "kind = \"fgsm\"",
            "\"auto-attack\"",
            3,
            "attack.attacks: \"apgd-t\" takes a model of at least 4 classes, and the data has 3; choose another",
        ),
    ] {
        let evaluations = match evaluations {
            "" => "\"none\"",
            some => some,
        };
        let stage = stage(settings, evaluations);
        let error = check_attacks(&stage, classes).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    // What is not written asks for no more than there are.
    let mut stage = stage("kind = \"fgsm\"", "\"fab-t\"");
    if let Some(attack) = &mut stage.attack {
        assert_eq!(attack.n_target_classes.take(), Some(9), "of the ten digits");
    }
    assert!(check_attacks(&stage, 3).is_ok());
}
