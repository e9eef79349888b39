//! What holds for every attack: bounds, strength, independence of batching.

use super::*;

#[test]
fn every_attack_stays_in_the_ball_and_the_pixel_range() {
    let network = mlp();
    let set = Set::of(&network, N);
    let victim = Victim::new(&network, BackwardPlan::none());
    for threat in [
        Threat::linf(0.01),
        Threat::linf(0.3),
        Threat::l2(0.05),
        Threat::l2(3.0),
    ] {
        for restart in 0..2 {
            for attack in all(threat) {
                let start = Start {
                    restart,
                    ..set.originals().start
                };
                let found = attack
                    .perturb(
                        &victim,
                        Originals {
                            start,
                            ..set.originals()
                        },
                    )
                    .unwrap();
                for (i, distance) in Threat::distances(&found, &set.images)
                    .unwrap()
                    .iter()
                    .enumerate()
                {
                    let far = if threat.norm == Norm::L2 {
                        distance.l2
                    } else {
                        distance.linf
                    };
                    let name = attack.name();
                    assert!(
                        far <= threat.epsilon * (1.0 + 1e-5) + 1e-7,
                        "{name} {threat:?} image {i}: {far}"
                    );
                }
                assert!(
                    values(&found).iter().all(|v| (0.0..=1.0).contains(v)),
                    "{}",
                    attack.name()
                );
            }
        }
    }
}

#[test]
fn in_a_ball_of_radius_0_every_attack_leaves_the_originals() {
    let network = mlp();
    let set = Set::of(&network, N);
    let victim = Victim::new(&network, BackwardPlan::none());
    for threat in [Threat::linf(0.0), Threat::l2(0.0)] {
        for attack in all(threat) {
            let found = crafted(attack.as_ref(), &victim, &set);
            assert_eq!(values(&found), values(&set.images), "{}", attack.name());
        }
        let (fates, found) = run(&network, &set, &all(threat), 4);
        assert!(
            fates
                .iter()
                .all(|fate| fate.attacked && fate.broken_by.is_none())
        );
        assert_eq!(found, values(&set.images));
    }
}

#[test]
fn every_attack_breaks_a_weak_model_in_a_large_ball() {
    let network = mlp();
    let set = Set::of(&network, N);
    for threat in [Threat::linf(0.4), Threat::l2(6.0)] {
        for attack in all(threat) {
            let name = attack.name();
            let (fates, _) = run(&network, &set, &[attack], 4);
            let broken = fates.iter().filter(|fate| fate.broken_by.is_some()).count();
            assert!(broken >= N - 2, "{name} {threat:?}: {broken} of {N}");
        }
    }
}

#[test]
fn results_do_not_depend_on_batching() {
    for network in [mlp(), network("wide_resnet10_1", None)] {
        let set = Set::of(&network, 7);
        for threat in [Threat::linf(0.02), Threat::l2(0.3)] {
            for attack in 0..all(threat).len() {
                let of =
                    |batch_size| run(&network, &set, &all(threat)[attack..=attack], batch_size);
                let (whole, single) = (of(64), of(1));
                let name = all(threat)[attack].name();
                assert!(whole == of(64), "{name} is not deterministic");
                assert_eq!(whole.0, single.0, "{name}: fates");
                assert!(
                    whole.1 == single.1 && whole.1 == of(3).1,
                    "{name}: images depend on the batch"
                );
            }
        }
    }
}

#[test]
fn seeds_and_restarts_change_random_attacks_and_no_others() {
    let network = mlp();
    let set = Set::of(&network, 3);
    let victim = Victim::new(&network, BackwardPlan::none());
    let base = set.originals().start;
    for attack in all(Threat::l2(0.3)) {
        let of = |start| {
            values(
                &attack
                    .perturb(
                        &victim,
                        Originals {
                            start,
                            ..set.originals()
                        },
                    )
                    .unwrap(),
            )
        };
        let first = of(base);
        let changes = [
            Start { seed: 10, ..base },
            Start { restart: 1, ..base },
            Start { attack: 1, ..base },
        ];
        for (position, change) in changes.into_iter().enumerate() {
            let named = AttackName::find(attack.name()).unwrap();
            let can_choose = named.kind.description().has("random_start");
            let random = match attack.name() {
                "vmi-fgsm" | "vni-fgsm" | "di-fgsm" | "admix" | "ssa" => true,
                // Those that start from the original have no use for a second try.
                _ if can_choose => attack.restarts() > 1,
                // From the second run on these start at random, and only then.
                "fab" | "fab-t" => position == 1,
                // The importance of this network's last features is the weights behind them, whatever the mask.
                "fmn" | "ila" | "fia" => false,
                _ => true,
            };
            assert_eq!(of(change) != first, random, "{} {change:?}", attack.name());
        }
    }
}
