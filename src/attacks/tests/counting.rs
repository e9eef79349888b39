//! The steps after which an attack first succeeded, against attacks of so many steps.

use super::*;
use crate::attacks::momentum::{Accumulated, Momentum};

/// Whether each image is broken by what the attack makes of it.
fn broken(attack: &dyn Attack, victim: &Victim<'_>, set: &Set) -> Vec<bool> {
    let images = attack.perturb(victim, set.originals()).unwrap();
    let answers = predictions(&victim.network.logits(&images).unwrap()).unwrap();
    let pairs = answers.iter().zip(&set.labels);
    pairs.map(|(answer, label)| answer != label).collect()
}

/// Checks the steps of `of(all)` against `of(k)` for every smaller number; gives how many images it took some steps, but not all.
fn hold<A: Attack>(set: &Set, victim: &Victim<'_>, all: usize, of: impl Fn(usize) -> A) -> usize {
    let attack = of(all);
    let (images, steps) = attack.perturb_counting(victim, set.originals()).unwrap();
    assert_eq!(
        values(&images),
        values(&attack.perturb(victim, set.originals()).unwrap())
    );
    let steps = steps.unwrap();
    let by_steps: Vec<Vec<bool>> = (1..=all).map(|k| broken(&of(k), victim, set)).collect();
    for (i, &steps) in steps.iter().enumerate() {
        let first = by_steps.iter().position(|broken| broken[i]);
        assert_eq!(
            steps.max(1),
            first.map_or(all, |first| first + 1),
            "image {i}"
        );
    }
    steps
        .iter()
        .filter(|steps| (2..all).contains(*steps))
        .count()
}

#[test]
fn steps_are_those_of_the_shortest_attack_that_succeeds() {
    let network = mlp();
    let set = Set::of(&network, N);
    let victim = Victim::new(&network, BackwardPlan::none());
    let threat = Threat::linf(0.1);
    for momentum in [None, Some(Momentum::Accumulated(Accumulated {}))] {
        for early_stop in [false, true] {
            let found = hold(&set, &victim, 8, |k| Steps {
                momentum: momentum.clone(),
                early_stop,
                ..Steps::pgd(threat, 0.006, k)
            });
            assert!(found > 0, "{momentum:?}");
        }
    }
    // A number of queries is that of proposals after the first.
    let found = hold(&set, &victim, 30, |k| Square {
        threat: Threat::linf(0.04),
        queries: k - 1,
        restarts: 1,
        schedule: Schedule::Published,
    });
    assert!(found > 0);
}

#[test]
fn an_evaluation_keeps_the_steps_of_the_try_that_succeeded() {
    let network = mlp();
    let set = Set::of(&network, N);
    let attack = Steps {
        early_stop: true,
        ..Steps::pgd(Threat::linf(0.1), 0.006, 8)
    };
    let (fates, _) = run(&network, &set, &[Box::new(attack)], 4);
    let mut broken = 0;
    for fate in &fates {
        assert_eq!(fate.steps.is_some(), fate.broken_by.is_some());
        assert!((1.0 / CLASSES as f64..=1.0).contains(&fate.confidence));
        broken += usize::from(fate.steps.is_some_and(|steps| (1..8).contains(&steps)));
    }
    assert!(broken > 0);
}
