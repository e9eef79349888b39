//! Momentum and input transformations, each by itself.

use super::*;
use crate::attacks::draws::Draws;
use crate::attacks::transform::{
    Admix, DiverseInput, InputTransform, Moment, ScaleInvariant, Spectrum, Transform,
    TranslationInvariant,
};

fn inner(a: &Tensor, b: &Tensor) -> f64 {
    let product = (a * b).unwrap().sum_all().unwrap();
    product.to_scalar::<f64>().unwrap()
}

/// Images of two sides, in f64.
fn wide(n: usize) -> Tensor {
    let images = images(n).narrow(3, 0, 7).unwrap();
    images.to_dtype(DType::F64).unwrap().contiguous().unwrap()
}

#[test]
fn gradients_go_back_the_way_that_images_came() {
    let x = wide(5);
    let labels = [0, 1, 2, 0, 1];
    let indices = [3, 1, 4, 15, 9];
    let originals = Originals::new(&x, &labels, &indices, Start::default());
    let draws = Draws::new(originals);
    let list = [
        InputTransform::DiverseInput(DiverseInput {
            probability: 0.7,
            resize: 0.6,
        }),
        InputTransform::ScaleInvariant(ScaleInvariant { copies: 3 }),
        InputTransform::Admix(Admix {
            copies: 2,
            share: 0.2,
        }),
    ];
    for one in &list {
        let mut changed = false;
        for copy in 0..one.copies() {
            let moment = Moment {
                copy,
                epsilon: 0.1,
                shared: draws.next(),
                own: draws.next(),
            };
            let change = one.change(&x, &moment).unwrap();
            let moved = (change.apply(&x).unwrap() - &x).unwrap();
            changed |= inner(&moved, &moved) > 1e-6;
            let at_zero = change.apply(&x.zeros_like().unwrap()).unwrap();
            let linear = (change.apply(&x).unwrap() - at_zero).unwrap();
            let gradient = wide(5).affine(-1.7, 0.4).unwrap();
            let expected = inner(&linear, &gradient);
            let found = inner(&x, &change.pull_back(gradient).unwrap());
            assert!((found - expected).abs() < 1e-10, "{:?} {copy}", one.kind());
        }
        assert!(changed, "{:?} does nothing", one.kind());
    }
}

#[test]
fn smaller_images_lie_on_zeros() {
    let ones = wide(1).ones_like().unwrap();
    let diverse = DiverseInput {
        probability: 1.0,
        resize: 0.5,
    };
    let mut seen = std::collections::BTreeSet::new();
    for index in 0..40 {
        let (labels, indices) = ([0], [index]);
        let draws = Draws::new(Originals::new(&ones, &labels, &indices, Start::default()));
        let own = draws.next();
        let [rows, columns] = diverse.draw([10, 7], &mut own.rng(0)).unwrap();
        assert!(
            (5..10).contains(&rows.length) && rows.before + rows.length <= 10,
            "{rows:?}"
        );
        assert!((4..=7).contains(&columns.length) && columns.before + columns.length <= 7);
        seen.insert((rows.length, rows.before));
        let moment = Moment {
            copy: 0,
            epsilon: 0.1,
            shared: own,
            own,
        };
        let found = diverse
            .change(&ones, &moment)
            .unwrap()
            .apply(&ones)
            .unwrap();
        let total = found.sum_all().unwrap().to_scalar::<f64>().unwrap();
        let expected = (3 * rows.length * columns.length) as f64;
        assert!((total - expected).abs() < 1e-9, "{total} {expected}");
        let row = rows.before;
        let corner = found.get(0).unwrap().get(0).unwrap().get(row).unwrap();
        let corner: Vec<f64> = corner.to_vec1().unwrap();
        assert!((corner[columns.before] - 1.0).abs() < 1e-12, "{corner:?}");
    }
    assert!(seen.len() > 8, "{seen:?}");
}

#[test]
fn smoothing_keeps_sums_away_from_the_borders_and_does_nothing_to_images() {
    let x = wide(2);
    let smooth = TranslationInvariant { kernel: 3 };
    let (labels, indices) = ([0, 1], [0, 1]);
    let draws = Draws::new(Originals::new(&x, &labels, &indices, Start::default()));
    let own = draws.next();
    let moment = Moment {
        copy: 0,
        epsilon: 0.1,
        shared: own,
        own,
    };
    let change = smooth.change(&x, &moment).unwrap();
    assert_eq!(inner(&change.apply(&x).unwrap(), &x), inner(&x, &x));
    let mut spike = vec![0.0; x.elem_count()];
    spike[3 * 7 + 4] = 1.0;
    let spike = Tensor::from_vec(spike, x.shape(), &Device::Cpu).unwrap();
    let found = change.pull_back(spike).unwrap();
    let channel: Vec<Vec<f64>> = found.get(0).unwrap().get(0).unwrap().to_vec2().unwrap();
    // One pixel is three deviations away.
    let side = (-4.5f64).exp() / (1.0 + 2.0 * (-4.5f64).exp());
    for (row, column, expected) in [
        (3, 4, (1.0 - 2.0 * side).powi(2)),
        (2, 4, side * (1.0 - 2.0 * side)),
        (4, 5, side * side),
        (5, 4, 0.0),
    ] {
        assert!(
            (channel[row][column] - expected).abs() < 1e-12,
            "{row} {column}"
        );
    }
}

#[test]
fn a_spectrum_without_noise_and_factors_is_the_image() {
    let x = wide(2);
    let (labels, indices) = ([0, 1], [0, 1]);
    let draws = Draws::new(Originals::new(&x, &labels, &indices, Start::default()));
    let far = |rho: f64, noise: f64| {
        let own = draws.next();
        let moment = Moment {
            copy: 0,
            epsilon: 0.1,
            shared: own,
            own,
        };
        let spectrum = Spectrum {
            copies: 1,
            rho,
            noise,
        };
        let found = spectrum.change(&x, &moment).unwrap().apply(&x).unwrap();
        let difference = (found - &x).unwrap();
        inner(&difference, &difference).sqrt()
    };
    assert!(far(0.0, 0.0) < 1e-12);
    assert!(far(0.5, 0.0) > 0.1 && far(0.0, 1.0) > 0.1);
}

#[test]
fn others_are_of_another_class() {
    let mut rng = stream(0, Purpose::AttackWay, 0, 0, 0);
    let labels = [4, 4, 7, 4, 9];
    let drawn: Vec<usize> = (0..40)
        .map(|_| Admix::draw(4, &labels, &mut rng).unwrap())
        .collect();
    assert!(drawn.iter().all(|place| [2, 4].contains(place)));
    assert!(drawn.contains(&2) && drawn.contains(&4));
    let error = Admix::draw(4, &[4, 4], &mut rng).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("all that are attacked are of class 4"),
        "{error}"
    );
}

#[test]
fn presets_are_what_they_say() {
    for name in AttackName::all() {
        let Some(preset) = AttackName::find(name).unwrap().preset else {
            continue;
        };
        assert!(!preset.settings().is_empty(), "{name}: {}", preset.settings);
    }
    let steps = "step_size = 0.02\nk = 2";
    for (name, written) in [
        ("mi-fgsm", "momentum = \"accumulated\""),
        (
            "vni-fgsm",
            "momentum = { kind = \"variance\", nesterov = true }",
        ),
        (
            "si-ni-fgsm",
            "momentum = \"nesterov\"\ntransform = [\"scale-invariant\"]",
        ),
        (
            "ssa",
            "momentum = \"accumulated\"\ntransform = [{ kind = \"spectrum\", rho = 0.5 }]",
        ),
    ] {
        let preset = entry(&format!("kind = \"{name}\"\n{steps}"));
        let spelled = entry(&format!("kind = \"i-fgsm\"\n{written}\n{steps}"));
        assert_eq!(preset.settings, spelled.settings, "{name}");
        assert_eq!([&*preset.name, &*spelled.name], [name, "i-fgsm"]);
    }
}
