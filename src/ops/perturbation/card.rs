//! Perturbations on a card, of float32 images.

use candle_core::{DType, Tensor};

use super::{Blend, Checks, Norm, Threat};
use crate::Result;
use crate::ops::card::{Call, Card, THREADS, expect};

pub fn step(
    card: &dyn Card,
    images: &Tensor,
    originals: &Tensor,
    gradient: &Tensor,
    threat: Threat,
    step_size: f64,
) -> Result<Tensor> {
    let (n, c, h, w) = float32(images)?;
    let out = card.scratch(originals.dims(), DType::F32)?;
    let mut call = match threat.norm {
        Norm::L2 => Call::examples("perturbation", "perturbation_step_l2", n, c * h * w),
        _ => Call::rows("perturbation", "perturbation_step_linf", n * c, h * w),
    };
    call = call.tensors([images, originals, gradient, &out]);
    call = match threat.norm {
        Norm::L2 => call.int(c * h * w).doubles([step_size, threat.epsilon]),
        _ => {
            let sizes = [step_size, threat.epsilon].map(|size| threat.units().map(|u| size * u));
            call.ints([h * w, c]).floats(sizes.into_iter().flatten())
        }
    };
    card.launch(&call)?;
    Ok(out)
}

pub fn momentum_step(
    card: &dyn Card,
    images: &Tensor,
    originals: &Tensor,
    gradient: &Tensor,
    blend: Blend<'_>,
    threat: Threat,
    step_sizes: &[f64],
) -> Result<Tensor> {
    let (n, c, h, w) = float32(images)?;
    let width = c * h * w;
    let step_sizes = Tensor::from_slice(step_sizes, n, card.device())?;
    let out = card.scratch(images.dims(), DType::F32)?;
    let tensors = [
        images,
        blend.previous,
        originals,
        gradient,
        &step_sizes,
        &out,
    ];
    let call = match threat.norm {
        Norm::L2 => {
            let kernel = "perturbation_momentum_step_l2";
            let call = Call::examples("perturbation", kernel, n, width).tensors(tensors);
            call.int(width).double(threat.epsilon).float(blend.share)
        }
        Norm::Linf | Norm::ChannelLinf(_) => {
            let kernel = "perturbation_momentum_step_linf";
            let call = Call::rows("perturbation", kernel, n, width).tensors(tensors);
            call.int(width).float(threat.epsilon).float(blend.share)
        }
    };
    card.launch(&call)?;
    Ok(out)
}

pub fn distances(
    card: &dyn Card,
    images: &Tensor,
    originals: &Tensor,
    norm: Norm,
) -> Result<Vec<f64>> {
    let (n, c, h, w) = float32(images)?;
    let found = card.scratch(&[n], DType::F64)?;
    let threat = Threat { norm, epsilon: 0.0 };
    card.launch(
        &Call::examples("perturbation", "perturbation_distances", n, c * h * w)
            .tensors([images, originals, &found])
            .ints([c * h * w, h * w, usize::from(norm == Norm::L2)])
            .doubles(threat.units()),
    )?;
    Ok(found.to_vec1()?)
}

pub fn draw_nearer(
    card: &dyn Card,
    images: &Tensor,
    originals: &Tensor,
    positions: &[usize],
    share: f64,
) -> Result<()> {
    let (n, c, h, w) = float32(images)?;
    expect::indexable("images", &[n])?;
    if positions.is_empty() {
        return Ok(());
    }
    let places: Vec<u32> = positions.iter().map(|&position| position as u32).collect();
    let places = Tensor::from_vec(places, positions.len(), card.device())?;
    let kernel = "perturbation_draw_nearer";
    card.launch(
        &Call::rows("perturbation", kernel, positions.len(), c * h * w)
            .tensors([images, originals, &places])
            .int(c * h * w)
            .float(share),
    )
}

pub fn add_normalised(
    card: &dyn Card,
    momentum: &Tensor,
    gradient: &Tensor,
    decay: f64,
) -> Result<()> {
    let (n, c, h, w) = float32(momentum)?;
    card.launch(
        &Call::examples("perturbation", "perturbation_accumulate", n, c * h * w)
            .tensors([momentum, gradient])
            .int(c * h * w)
            .float(decay),
    )
}

/// Counts the images that are not as they should be, without waiting for the answer.
pub fn check(
    card: &dyn Card,
    images: &Tensor,
    originals: &Tensor,
    threat: Threat,
    _: &str,
) -> Result<Checks> {
    let (n, c, h, w) = float32(images)?;
    expect::indexable("an attack's result", &[n])?;
    let wrong = card.scratch(&[n], DType::U32)?;
    let faults = card.scratch(&[2], DType::U32)?;
    let [unit0, unit1, unit2] = threat.units();
    card.launch(
        &Call::examples("perturbation", "perturbation_inspect", n, c * h * w)
            .tensors([images, originals, &wrong])
            .ints([c * h * w, h * w, usize::from(threat.norm == Norm::L2)])
            .doubles([unit0, unit1, unit2, threat.epsilon + threat.slack()]),
    )?;
    card.launch(
        &Call::blocks("perturbation", "perturbation_count", [1, 1, 1])
            .threads(THREADS)
            .tensors([&wrong, &faults])
            .int(n),
    )?;
    Ok(Checks {
        faults: vec![faults],
    })
}

/// The sizes of images that kernels take.
fn float32(images: &Tensor) -> Result<(usize, usize, usize, usize)> {
    expect::tensor("images", images, images.dims(), DType::F32)?;
    Ok(images.dims4()?)
}

#[cfg(test)]
mod tests {
    use super::super::{agree, counted, cpu};
    use super::*;
    use crate::ops::card::host::{Host, close, host, numbers, within};

    const SHAPES: [[usize; 4]; 5] = [
        [3, 3, 32, 32],
        [2, 1, 5, 7],
        [2, 5, 9, 3],
        [1, 2, 1, 1],
        [130, 1, 2, 3],
    ];

    /// Pixels in [0, 1], many at the ends of the range.
    fn pixels(card: &Host, shape: &[usize], seed: u64) -> Tensor {
        let values: Vec<f32> = numbers(shape, seed, 1.0)
            .iter()
            .map(|v| (v + 0.5).clamp(0.0, 1.0))
            .collect();
        card.tensor(&values, shape, DType::F32)
    }

    /// A gradient with some zeros, and no direction at all in the first image.
    fn gradient(card: &Host, shape: &[usize; 4]) -> Tensor {
        let width: usize = shape[1..].iter().product();
        let mut values = numbers(shape, 5, 1e-3);
        values.iter_mut().step_by(3).for_each(|v| *v = 0.0);
        if shape[0] > 1 {
            values[..width].fill(0.0);
        }
        card.tensor(&values, shape, DType::F32)
    }

    fn threats() -> [Threat; 4] {
        let of = |norm, epsilon| Threat { norm, epsilon };
        [
            of(Norm::Linf, 8.0 / 255.0),
            of(Norm::Linf, 1.0),
            of(Norm::ChannelLinf([0.2, 0.25, 0.3]), 0.1),
            of(Norm::L2, 0.5),
        ]
    }

    /// Images out of range and out of their ball.
    fn faults(card: &Host, threat: Threat, images: &Tensor, originals: &Tensor) -> Vec<u32> {
        let checks = check(card, images, originals, threat, "test").unwrap();
        let found = checks.faults[0].to_vec1().unwrap();
        assert_eq!(checks.resolve().is_ok(), found == [0, 0]);
        found
    }

    #[test]
    fn steps_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        for threat in threats() {
            for shape in SHAPES {
                let originals = pixels(card, &shape, 1);
                let gradient = gradient(card, &shape);
                let mut x = originals.clone();
                // The third step leaves the ball before it is projected.
                for _ in 0..3 {
                    let size = threat.epsilon / 2.5;
                    let y = step(card, &x, &originals, &gradient, threat, size).unwrap();
                    let expected = cpu::step(&x, &originals, &gradient, threat, size).unwrap();
                    match threat.norm {
                        Norm::L2 => close(&y, &expected, DType::F32),
                        _ => within(&y, &expected, 0.0),
                    }
                    x = y;
                }
                assert_eq!(faults(card, threat, &x, &originals), [0, 0]);
            }
        }
    }

    #[test]
    fn steps_with_momentum_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        for threat in [threats()[0], threats()[3]] {
            for shape in SHAPES {
                let originals = pixels(card, &shape, 1);
                let gradient = gradient(card, &shape);
                let (mut x, mut previous) = (originals.clone(), pixels(card, &shape, 2));
                let sizes: Vec<f64> = (0..shape[0])
                    .map(|i| threat.epsilon * (0.3 + 0.2 * (i % 7) as f64))
                    .collect();
                for share in [1.0, 0.75, 0.75] {
                    let blend = Blend {
                        previous: &previous,
                        share,
                    };
                    let y = momentum_step(card, &x, &originals, &gradient, blend, threat, &sizes);
                    let y = y.unwrap();
                    let expected =
                        cpu::momentum_step(&x, &originals, &gradient, blend, threat, &sizes)
                            .unwrap();
                    match threat.norm {
                        Norm::L2 => close(&y, &expected, DType::F32),
                        _ => within(&y, &expected, 0.0),
                    }
                    previous = std::mem::replace(&mut x, y);
                }
                assert_eq!(faults(card, threat, &x, &originals), [0, 0]);
            }
        }
    }

    #[test]
    fn distances_and_what_is_drawn_nearer_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        for shape in SHAPES {
            let (x, originals) = (pixels(card, &shape, 1), pixels(card, &shape, 2));
            for threat in threats() {
                let found = distances(card, &x, &originals, threat.norm).unwrap();
                let expected = cpu::distances(&x, &originals, threat.norm).unwrap();
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                }
            }
            let positions = [shape[0] - 1];
            let y = x.copy().unwrap();
            draw_nearer(card, &y, &originals, &positions, 0.9).unwrap();
            draw_nearer(card, &y, &originals, &[], 0.9).unwrap();
            cpu::draw_nearer(&x, &originals, &positions, 0.9).unwrap();
            within(&y, &x, 0.0);
        }
    }

    #[test]
    fn momentum_takes_up_normalised_gradients() {
        let Some(card) = host() else { return };
        for shape in SHAPES {
            let momentum = card.tensor(&numbers(&shape, 1, 1.0), &shape, DType::F32);
            let gradient = gradient(card, &shape);
            let flat = |t: &Tensor| card.wide(t).flatten_from(1).unwrap();
            let length = flat(&gradient).abs().unwrap().sum_keepdim(1).unwrap();
            let length = length.maximum(1e-300).unwrap();
            let share = flat(&gradient).broadcast_div(&length).unwrap();
            let expected = ((flat(&momentum) * 0.9).unwrap() + share).unwrap();
            add_normalised(card, &momentum, &gradient, 0.9).unwrap();
            close(&momentum.flatten_from(1).unwrap(), &expected, DType::F32);
        }
    }

    #[test]
    fn every_fault_is_counted_and_none_is_forgotten() {
        let Some(card) = host() else { return };
        let shape = [4, 3, 5, 7];
        let width = 105;
        let middle = vec![0.5f32; 4 * width];
        let originals = card.tensor(&middle, &shape, DType::F32);
        let found = |threat: Threat, changes: &[(usize, usize, f32)]| {
            let mut values = middle.clone();
            for &(image, pixel, value) in changes {
                values[image * width + pixel] = value;
            }
            let images = card.tensor(&values, &shape, DType::F32);
            let found = faults(card, threat, &images, &originals);
            // The CPU's check finds the same.
            let checked = cpu::check(&images, &originals, threat, "test");
            assert_eq!(checked.is_ok(), found == [0, 0]);
            found
        };
        let [linf, _, channels, l2] = threats();
        let edge = (8.0 / 255.0) as f32;
        assert_eq!(found(linf, &[(0, 0, 0.5 + edge)]), [0, 0]);
        assert_eq!(found(linf, &[(3, 104, 0.5 + edge + 1e-4)]), [0, 1]);
        assert_eq!(found(linf, &[(3, 104, 0.5 - edge - 1e-4)]), [0, 1]);
        // 0.1 of the second channel's unit is 0.025, of the third's 0.03.
        assert_eq!(found(channels, &[(1, 104, 0.5299)]), [0, 0]);
        assert_eq!(found(channels, &[(1, 35, 0.5299)]), [0, 1]);
        // Two changes that only together leave the ball.
        assert_eq!(found(l2, &[(2, 7, 0.1)]), [0, 0]);
        assert_eq!(found(l2, &[(2, 7, 0.1), (2, 104, 0.1)]), [0, 1]);
        assert_eq!(
            found(linf, &[(0, 3, 1.01), (2, 4, -0.01), (2, 5, 2.0)]),
            [2, 2]
        );
        assert_eq!(found(l2, &[(3, 104, f32::NAN)]), [1, 0]);
        assert_eq!(found(linf, &[(0, 0, f32::INFINITY)]), [1, 1]);
        let checks = |pixel: f32| {
            let images = card.tensor(&[pixel; 420], &shape, DType::F32);
            check(card, &images, &originals, linf, "test").unwrap()
        };
        let mut all = checks(0.5);
        all.join(checks(0.7));
        all.join(checks(0.5));
        let message = all.resolve().unwrap_err().to_string();
        assert!(message.contains("[0, 4] of them"), "{message}");
    }

    #[test]
    fn other_shapes_and_types_are_errors() {
        let Some(card) = host() else { return };
        let x = card.tensor(&[0.5; 12], &[1, 3, 2, 2], DType::F32);
        assert!(agree("images", &x, &x).is_ok());
        assert!(agree("images", &x, &x.reshape((3, 1, 2, 2)).unwrap()).is_err());
        let wide = card.wide(&x);
        assert!(agree("images", &x, &wide).is_err());
        for threat in threats() {
            assert!(step(card, &wide, &wide, &wide, threat, 0.1).is_err());
            assert!(check(card, &wide, &wide, threat, "test").is_err());
        }
        assert!(add_normalised(card, &wide, &wide, 1.0).is_err());
        assert!(counted(&x, &[0.1]).is_ok() && counted(&x, &[]).is_err());
        assert!(super::super::within(&x, &[0]).is_ok() && super::super::within(&x, &[1]).is_err());
    }
}
