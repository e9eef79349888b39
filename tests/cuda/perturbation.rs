//! What attacks keep their books by: steps, distances and rows of images.

use candle_core::{Device, Tensor};
use runner::attacks::Threat;
use runner::ops::perturbation::{Blend, distances, draw_nearer, momentum_step};
use runner::ops::square::{self, Proposal};
use runner::ops::{boundary_step, rows};

use crate::{agree, card, noise};

#[test]
fn what_attacks_step_by() {
    let Some(card) = card() else { return };
    let shape = [4, 3, 16, 16];
    let pixels = |seed| ((noise(seed, &shape) + 1.0).unwrap() * 0.5).unwrap();
    let (x, previous, originals, gradient) = (pixels(1), pixels(2), pixels(3), noise(4, &shape));
    let there = |t: &Tensor| t.to_device(&card).unwrap();
    let (cx, cprevious) = (there(&x), there(&previous));
    let (coriginals, cgradient) = (there(&originals), there(&gradient));
    for threat in [Threat::linf(0.1), Threat::l2(1.0)] {
        let sizes = [0.2, 0.01, 0.05, 0.4];
        let stepped = |x: &Tensor, previous: &Tensor, originals: &Tensor, gradient: &Tensor| {
            let blend = Blend {
                previous,
                share: 0.75,
            };
            momentum_step(x, originals, gradient, blend, threat, &sizes).unwrap()
        };
        agree(
            "a step with momentum",
            &stepped(&cx, &cprevious, &coriginals, &cgradient),
            &stepped(&x, &previous, &originals, &gradient),
            1e-6,
        );
        // Near, far, on the boundary, out of reach.
        let margins = [0.3, -2.0, 0.0, 1e6];
        agree(
            "a step to a boundary",
            &boundary_step::next(&cx, &coriginals, &cgradient, &margins, threat.norm).unwrap(),
            &boundary_step::next(&x, &originals, &gradient, &margins, threat.norm).unwrap(),
            1e-6,
        );
        let vector = |v: Vec<f64>| Tensor::from_vec(v, 4, &Device::Cpu).unwrap();
        agree(
            "distances",
            &vector(distances(&cx, &coriginals, threat.norm).unwrap()),
            &vector(distances(&x, &originals, threat.norm).unwrap()),
            1e-6,
        );
    }
    let (here, cards) = (rows::copy(&x).unwrap(), rows::copy(&cx).unwrap());
    draw_nearer(&here, &originals, &[0, 2], 0.9).unwrap();
    draw_nearer(&cards, &coriginals, &[0, 2], 0.9).unwrap();
    agree("drawn nearer", &cards, &here, 1e-6);
    rows::put(&here, &originals, &[(3, 1), (0, 3)]).unwrap();
    rows::put(&cards, &coriginals, &[(3, 1), (0, 3)]).unwrap();
    agree("rows put", &cards, &here, 1e-6);
    let positions = [3, 0, 3];
    agree(
        "rows chosen",
        &rows::select(&cards, &positions).unwrap(),
        &rows::select(&here, &positions).unwrap(),
        1e-6,
    );
    assert_eq!(rows::select(&cards, &[]).unwrap().dims(), [0, 3, 16, 16]);
    let proposals: Vec<Proposal> = (0..4)
        .map(|i| Proposal {
            window: square::Window {
                top: i,
                left: 2 * i,
                side: 5,
            },
            up: vec![i % 2 == 0, true, false],
        })
        .collect();
    agree(
        "squares",
        &square::propose(&cx, &coriginals, &proposals, 0.1).unwrap(),
        &square::propose(&x, &originals, &proposals, 0.1).unwrap(),
        1e-6,
    );
}
