//! Images that leave before the last step end as all steps would leave them, and cost fewer passes.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// The steps, image by image, one pass each.
fn alone(pgd: &Steps, victim: &Victim<'_>, set: &Set) -> Vec<Tensor> {
    let one = |i: usize| {
        let images = set.images.narrow(0, i, 1).unwrap();
        let (labels, indices) = ([set.labels[i]], [set.indices[i]]);
        let originals = Originals::new(&images, &labels, &indices, set.originals().start);
        pgd.perturb(victim, originals).unwrap()
    };
    (0..set.labels.len()).map(one).collect()
}

#[test]
fn iterates_that_come_in_a_circle_end_as_all_steps_would() {
    static PASSES: AtomicUsize = AtomicUsize::new(0);
    for (network, step_size) in [(mlp(), 0.03), (network("wide_resnet10_1", None), 0.008)] {
        let set = Set::of(&network, N);
        let victim = Victim {
            check: || {
                PASSES.fetch_add(1, Ordering::Relaxed);
                Ok(())
            },
            ..Victim::new(&network, BackwardPlan::none())
        };
        for k in [20, 57, 58] {
            for random_start in [false, true] {
                let pgd = Steps {
                    random_start,
                    ..Steps::pgd(Threat::linf(0.03), step_size, k)
                };
                let mut steps = vec![k; N];
                let all = pgd
                    .perturb_all(&victim, set.originals(), Some(&mut steps))
                    .unwrap();
                let (_, counted) = pgd.perturb_counting(&victim, set.originals()).unwrap();
                assert_eq!(counted, Some(steps));
                let found = pgd.perturb(&victim, set.originals()).unwrap();
                assert_eq!(values(&found), values(&all), "{k}, {random_start}");
            }
        }
        // In the large steps of the linear parts most images go to and fro between corners of the ball.
        PASSES.store(0, Ordering::Relaxed);
        alone(
            &Steps::pgd(Threat::linf(0.03), step_size, 200),
            &victim,
            &set,
        );
        let passes = PASSES.load(Ordering::Relaxed);
        assert!(passes < 200 * N * 3 / 4, "{passes} of {}", 200 * N);
    }
}

#[test]
fn an_early_stop_leaves_each_image_as_the_first_step_that_succeeds() {
    let network = mlp();
    let set = Set::of(&network, N);
    let victim = Victim::new(&network, BackwardPlan::none());
    let k = 6;
    let after = |k: usize, early_stop| {
        let pgd = Steps {
            early_stop,
            ..Steps::pgd(Threat::linf(0.1), 0.006, k)
        };
        let images = match k {
            0 => pgd.first(&set.images, set.originals()).unwrap(),
            _ => pgd.perturb(&victim, set.originals()).unwrap(),
        };
        let answers = predictions(&network.logits(&images).unwrap()).unwrap();
        (values(&images), answers)
    };
    let steps: Vec<_> = (0..=k).map(|k| after(k, false)).collect();
    let (found, _) = after(k, true);
    let len = IMAGE.iter().product::<usize>();
    let mut early = 0;
    for i in 0..N {
        let broken = steps
            .iter()
            .position(|(_, answers)| answers[i] != set.labels[i]);
        let last = broken.unwrap_or(k);
        early += usize::from(last < k);
        let here = i * len..(i + 1) * len;
        assert_eq!(found[here.clone()], steps[last].0[here], "image {i}");
    }
    assert!((1..N).contains(&early), "{early}");
}

#[test]
fn a_target_class_is_what_an_early_stop_waits_for() {
    let network = mlp();
    let set = Set::of(&network, N);
    let victim = Victim::new(&network, BackwardPlan::none());
    let pgd = Steps {
        goal: Goal::Class(2),
        early_stop: true,
        ..Steps::pgd(Threat::linf(0.4), 0.02, 30)
    };
    let found = pgd.perturb(&victim, set.originals()).unwrap();
    let answers = predictions(&network.logits(&found).unwrap()).unwrap();
    let reached = answers.iter().filter(|answer| **answer == 2).count();
    assert!(reached >= N - 2, "{answers:?}");
}
