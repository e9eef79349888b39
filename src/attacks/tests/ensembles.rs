//! Ensembles by losses: what an attack gets is the mean of what their members give.

use super::*;
use crate::attacks::ila::Ila;
use crate::ops::logit_score::Score;

#[test]
fn an_ensemble_by_losses_gives_mean_gradients_and_answers_by_mean_logits() {
    let networks = [network("wide_resnet10_1", None), mlp()];
    let mean = Network::mean(&[("a", &networks[0]), ("b", &networks[1])]).unwrap();
    let set = Set::of(&mean, 5);
    let plain = |network| Victim::new(network, BackwardPlan::none());
    let by_losses = Victim {
        members: networks.iter().map(plain).collect(),
        ..plain(&mean)
    };
    let half = |a: &Tensor, b: &Tensor| values(&((a + b).unwrap() * 0.5).unwrap());
    for objective in [
        Objective::CrossEntropy,
        Objective::Score(Score::Dlr),
        Objective::Score(Score::Margin),
    ] {
        let of = |victim: &Victim<'_>| {
            let found = victim.ascend(&set.images, objective, &set.labels, None);
            found.unwrap()
        };
        let [a, b] = networks.each_ref().map(|network| of(&plain(network)));
        let found = of(&by_losses);
        assert_eq!(values(&found.gradient), half(&a.gradient, &b.gradient));
        assert_eq!(values(&found.logits), half(&a.logits, &b.logits));
        for (i, loss) in found.loss.per_example.iter().enumerate() {
            let expected = 0.5 * (a.loss.per_example[i] + b.loss.per_example[i]);
            assert!((loss - expected).abs() < 1e-12, "{loss} {expected}");
        }
        assert_ne!(values(&found.gradient), values(&of(&plain(&mean)).gradient));
        let alone = by_losses.objective_gradient(&set.images, objective, &set.labels, None);
        assert_eq!(values(&alone.unwrap()), values(&found.gradient));
        let (gradient, answers) = by_losses
            .answered_gradient(&set.images, objective, &set.labels, None)
            .unwrap();
        assert_eq!(values(&gradient), values(&found.gradient));
        assert_eq!(answers, set.labels);
    }
    assert_eq!(by_losses.passes.get(), [0, 3 * 3 * 5]);
    let threat = Threat::linf(0.1);
    let of_features = Ila::new(threat, 0.02, 3, None);
    let error = of_features.perturb(&by_losses, set.originals());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("by logits alone"), "{error}");
    crafted(&Steps::pgd(threat, 0.02, 3), &by_losses, &set);
}
