//! Attacks whose books lie on a card, with the host in its place, end where they end on the CPU.

use super::*;
use crate::ops::card::host::on_host;

#[test]
fn searches_on_a_card_end_where_those_of_the_cpu_end() {
    let network = mlp();
    let set = Set::of(&network, N);
    // Some of them once more as members of an ensemble, which leave images that are broken.
    let names = ["apgd", "apgd-ce", "apgd-t", "fab", "fab-t", "square"];
    for threat in [Threat::linf(0.02), Threat::l2(0.3)] {
        let attacks = || {
            let all = all(threat).into_iter();
            all.filter(|attack| names.contains(&attack.name()))
        };
        assert_eq!(attacks().count(), 9);
        for attack in attacks() {
            let victim = || Victim::new(&network, BackwardPlan::none());
            let here = crafted(attack.as_ref(), &victim(), &set);
            assert_ne!(values(&here), values(&set.images), "{}", attack.name());
            on_host(|| {
                let there = crafted(attack.as_ref(), &victim(), &set);
                let pairs = values(&here).into_iter().zip(values(&there));
                let apart: Vec<f32> = pairs.map(|(a, b)| (a - b).abs()).collect();
                let of_image = apart.chunks(IMAGE.iter().product());
                // Rounding decides near a tie, and all that follows is another search then: of one image, not of more.
                let others = of_image.filter(|image| image.iter().any(|d| *d > 1e-3));
                assert!(others.count() <= 1, "{} {threat:?}", attack.name());
            });
        }
    }
}

#[test]
fn images_leave_on_a_card_as_they_do_on_the_cpu() {
    let network = mlp();
    let set = Set::of(&network, N);
    let victim = Victim::new(&network, BackwardPlan::none());
    let attack = Steps {
        early_stop: true,
        ..Steps::pgd(Threat::linf(0.1), 0.02, 6)
    };
    let run = || attack.perturb_counting(&victim, set.originals()).unwrap();
    let (here, steps) = run();
    on_host(|| {
        let (there, found) = run();
        assert_eq!(found, steps);
        let pairs = values(&here).into_iter().zip(values(&there));
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-3));
    });
    assert!(steps.unwrap().iter().any(|&taken| taken < 6));
}
