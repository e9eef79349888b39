//! Who is attacked, and what counts as success.

use std::sync::Mutex;

use super::*;
use crate::Error;
use crate::attacks::craft;
use crate::nn::{Module, Tape, Var};
use crate::ops::rows::{copy, select};

/// Notes what it is shown, and returns what it is told to.
struct Spy {
    seen: Mutex<Vec<usize>>,
    change: f64,
    threat: Threat,
    goal: Goal,
}

impl Attack for Spy {
    fn name(&self) -> &'static str {
        "spy"
    }
    fn threat(&self) -> Threat {
        self.threat
    }
    fn goal(&self) -> Goal {
        self.goal
    }
    fn restarts(&self) -> usize {
        2
    }
    fn perturb(&self, _: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        self.seen.lock().unwrap().extend(originals.indices);
        Ok(((originals.images * 0.0)? + self.change)?)
    }
}

#[test]
fn only_standing_examples_are_attacked_and_the_first_to_break_one_is_noted() {
    let network = mlp();
    let mut set = Set::of(&network, N);
    set.labels[4] = (set.labels[4] + 1) % CLASSES as u32;
    let victim = Victim::new(&network, BackwardPlan::none());
    let mut evaluation = AttackEvaluation::new(&victim, set.originals(), 4).unwrap();
    let correct = evaluation.correct();
    assert!(!correct.contains(&4) && correct.len() == N - 1);
    let threat = Threat::linf(0.05);
    let pgd = all(threat).remove(3);
    let broken = evaluation.attack(pgd.as_ref(), &correct).unwrap();
    assert!(
        broken > 0 && broken < N - 1,
        "the test wants both kinds: {broken}"
    );
    let standing: Vec<usize> = correct
        .iter()
        .copied()
        .filter(|&i| evaluation.fates()[i].broken_by.is_none())
        .collect();
    // A spy that stays at the original breaks nothing, and sees what stands, once a restart.
    struct Still(Spy);
    impl Attack for Still {
        fn name(&self) -> &'static str {
            "still"
        }
        fn threat(&self) -> Threat {
            Threat::linf(0.1)
        }
        fn restarts(&self) -> usize {
            2
        }
        fn perturb(&self, _: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
            self.0.seen.lock().unwrap().extend(originals.indices);
            copy(originals.images)
        }
    }
    let still = Still(Spy {
        seen: Mutex::default(),
        change: 0.0,
        threat: Threat::linf(0.1),
        goal: Goal::Misclassify,
    });
    assert_eq!(evaluation.attack(&still, &correct).unwrap(), 0);
    let mut seen: Vec<usize> = standing.iter().map(|&i| set.indices[i]).collect();
    seen.extend(seen.clone());
    assert_eq!(*still.0.seen.lock().unwrap(), seen);
    let fates = evaluation.fates();
    assert!(!fates[4].attacked && fates[4].broken_by.is_none());
    assert!(
        fates
            .iter()
            .all(|fate| fate.broken_by.is_none_or(|number| number == 0))
    );
    assert_eq!(evaluation.withstood(), standing.len());
    let wrong = select(evaluation.images(), &[4]).unwrap();
    assert_eq!(values(&wrong), values(&select(&set.images, &[4]).unwrap()));
}

#[test]
fn what_leaves_the_ball_ends_the_attack() {
    let network = mlp();
    let set = Set::of(&network, 2);
    let victim = Victim::new(&network, BackwardPlan::none());
    for (change, words) in [
        (0.5, "outside the ball of 0.1"),
        (f64::NAN, "outside [0, 1]"),
    ] {
        let spy = Spy {
            seen: Mutex::default(),
            change,
            threat: Threat::linf(0.1),
            goal: Goal::Misclassify,
        };
        let mut evaluation = AttackEvaluation::new(&victim, set.originals(), 4).unwrap();
        let error = evaluation.attack(&spy, &[0, 1]).unwrap_err();
        assert!(
            matches!(&error, Error::Failed(text) if text.contains(words)),
            "{error}"
        );
        assert!(
            evaluation
                .fates()
                .iter()
                .all(|fate| fate.broken_by.is_none())
        );
    }
}

#[test]
fn an_attack_that_ends_where_the_model_has_no_answer_is_an_error() {
    struct Overflow;
    impl Module for Overflow {
        fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
            let pixels = crate::nn::structure::flatten(tape, x)?;
            // Finite as long as the first pixel is below one half.
            let first = pixels.tensor().narrow(1, 0, 1)?;
            let huge = ((first - 0.5)?.relu()? * 1e38)?.sqr()?;
            let logits = pixels.tensor().narrow(1, 1, CLASSES)?;
            let logits = logits.broadcast_add(&huge)?;
            Ok(tape.record(logits, false, |_, _| Ok(())))
        }
    }
    let network = Network::build(0, DType::F32, &candle_core::Device::Cpu, None, |_| {
        Ok(Box::new(Overflow))
    })
    .unwrap();
    let mut set = Set::of(&mlp(), 2);
    set.images = (set.images * 0.0).unwrap();
    let victim = Victim {
        name: "overflow".to_owned(),
        ..Victim::new(&network, BackwardPlan::none())
    };
    let spy = Spy {
        seen: Mutex::default(),
        change: 0.9,
        threat: Threat::linf(1.0),
        goal: Goal::Misclassify,
    };
    let mut evaluation = AttackEvaluation::new(&victim, set.originals(), 4).unwrap();
    let error = evaluation.attack(&spy, &[1]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("overflow: its logits of what spy made of image 107 are not finite (inf)"),
        "{error}"
    );
    assert!(evaluation.fates().iter().all(|fate| !fate.attacked));
}

#[test]
fn targeted_attacks_succeed_where_their_class_comes_out() {
    let network = mlp();
    let set = Set::of(&network, N);
    let clean = network.logits(&set.images).unwrap();
    for goal in [Goal::NextLikely, Goal::LeastLikely, Goal::Class(2)] {
        let wanted = craft::goals(goal, std::slice::from_ref(&clean), &set.labels)
            .unwrap()
            .unwrap();
        let pgd = Steps {
            restarts: 2,
            goal,
            ..Steps::pgd(Threat::linf(0.4), 0.05, 20)
        };
        let (fates, _) = run(&network, &set, &[Box::new(pgd)], 4);
        let mut reached = 0;
        for (i, fate) in fates.iter().enumerate() {
            assert_eq!(
                fate.broken_by.is_some(),
                fate.attacked && fate.prediction == wanted[i]
            );
            assert_eq!(fate.attacked, wanted[i] != set.labels[i]);
            if fate.attacked {
                assert!(fate.succeeds(wanted[i], set.labels[i]));
                let third = (0..3).find(|class| ![wanted[i], set.labels[i]].contains(class));
                let third = third.expect("two of three are taken");
                assert!(!fate.succeeds(third, set.labels[i]), "wrong is not enough");
            }
            reached += usize::from(fate.prediction == wanted[i]);
        }
        assert!(reached >= N - 2, "{goal:?}: {reached}");
    }
    let victim = Victim::new(&network, BackwardPlan::none());
    let spy = Spy {
        seen: Mutex::default(),
        change: 0.0,
        threat: Threat::linf(0.1),
        goal: Goal::Class(5),
    };
    let mut evaluation = AttackEvaluation::new(&victim, set.originals(), 4).unwrap();
    let error = evaluation.attack(&spy, &[0]).unwrap_err().to_string();
    assert_eq!(error, "attack.target: expected a class below 5, found 5");
}
