//! Single attacks against what is known of their results.

use super::*;
use crate::attacks::apgd::ascent::Ascent;
use crate::ops::logit_score::Score;
use crate::ops::real::view;

#[test]
fn the_best_loss_of_apgd_never_falls() {
    let network = network("wide_resnet10_1", None);
    let set = Set::of(&network, 5);
    let victim = Victim::new(&network, BackwardPlan::none());
    for objective in [Objective::CrossEntropy, Objective::Score(Score::Dlr)] {
        let ascent = Ascent {
            attack: "apgd",
            threat: Threat::linf(0.02),
            k: 25,
            objective,
            target_classes: None,
            stop_at_success: false,
        };
        let best = ascent.run(&victim, set.originals()).unwrap().best;
        assert_eq!(best.len(), 26);
        for pair in best.windows(2) {
            assert!(
                pair[0]
                    .iter()
                    .zip(&pair[1])
                    .all(|(before, after)| after >= before)
            );
        }
        let rose = (0..5).filter(|&i| best[25][i] > best[0][i]).count();
        assert_eq!(rose, 5, "{objective:?}");
    }
}

#[test]
fn fab_finds_the_exact_distance_of_a_linear_model() {
    let network = network("mlp", Some(Vec::new()));
    let len = IMAGE.iter().product::<usize>();
    // Far from the ends of the pixel range, which would lengthen the way.
    let middle = tensor(vec![0.5f32; len], (1, 3, 10, 10)).unwrap();
    let logits = network
        .logits(&middle)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    let label = predictions(&network.logits(&middle).unwrap()).unwrap()[0];
    let victim = Victim::new(&network, BackwardPlan::none());
    let norms = [Norm::Linf, Norm::L2];
    for norm in norms {
        let mut nearest = f64::INFINITY;
        for class in (0..CLASSES as u32).filter(|&class| class != label) {
            let ascent = victim
                .gradient(&middle, |z| {
                    Objective::Score(Score::Margin).evaluate(z, &[label], Some(&[class]))
                })
                .unwrap();
            let logit_gradient: Vec<f32> = view::<f32>(&ascent.gradient).unwrap().to_vec();
            let dual = match norm {
                Norm::L2 => logit_gradient
                    .iter()
                    .map(|g| f64::from(*g).powi(2))
                    .sum::<f64>()
                    .sqrt(),
                _ => logit_gradient.iter().map(|g| f64::from(g.abs())).sum(),
            };
            nearest =
                nearest.min(f64::from(logits[label as usize] - logits[class as usize]) / dual);
        }
        for (share, broken) in [(1.1, true), (0.99, false)] {
            for target_classes in [None, Some(CLASSES - 1)] {
                let threat = Threat {
                    norm,
                    epsilon: nearest * share,
                };
                let fab = Fab {
                    name: "fab",
                    threat,
                    k: 20,
                    restarts: 1,
                    target_classes,
                    stop_at_success: false,
                };
                let set = Set {
                    images: middle.clone(),
                    labels: vec![label],
                    indices: vec![0],
                };
                let (fates, images) = run(&network, &set, &[Box::new(fab)], 1);
                assert_eq!(
                    fates[0].broken_by.is_some(),
                    broken,
                    "{norm:?} {share} {target_classes:?}"
                );
                if broken {
                    let found = tensor(images, (1, 3, 10, 10)).unwrap();
                    let distance = Threat::distances(&found, &middle).unwrap()[0];
                    let far = if norm == Norm::L2 {
                        distance.l2
                    } else {
                        distance.linf
                    };
                    assert!(
                        (far / nearest - 1.0).abs() < 0.06,
                        "{norm:?}: {far} {nearest}"
                    );
                }
            }
        }
    }
}
