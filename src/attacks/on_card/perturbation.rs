//! The steps of attacks and the check of what they return, see [`Threat`]. Images are float32 `(N, C, H, W)`.

use candle_core::{DType, Tensor};

use crate::Result;
use crate::attacks::{Norm, Threat};
use crate::ops::cuda::{Call, Card, THREADS, expect};

/// The images after one ascent step: along the gradient's sign (linf) or direction (l2), projected into the ball and
/// the pixel range. A zero gradient moves nothing.
pub fn step(
    card: &dyn Card,
    threat: Threat,
    images: &Tensor,
    originals: &Tensor,
    gradient: &Tensor,
    step_size: f64,
) -> Result<Tensor> {
    match threat.norm {
        Norm::Linf | Norm::ChannelLinf(_) => {
            step_linf(card, threat, images, originals, gradient, step_size)
        }
        Norm::L2 => step_l2(card, threat.epsilon, images, originals, gradient, step_size),
    }
}

/// [`step`] in linf, in units of the channels.
fn step_linf(
    card: &dyn Card,
    threat: Threat,
    images: &Tensor,
    originals: &Tensor,
    gradient: &Tensor,
    step_size: f64,
) -> Result<Tensor> {
    let (n, c, h, w) = agree("an attack's step", originals, &[images, gradient])?;
    let out = card.scratch(originals.dims(), DType::F32)?;
    let mut call = Call::rows("perturbation", "perturbation_step_linf", n * c, h * w)
        .pointer(card.address(images)?)
        .pointer(card.address(originals)?)
        .pointer(card.address(gradient)?)
        .pointer(card.address(&out)?)
        .int(h * w)
        .int(c);
    for size in [step_size, threat.epsilon] {
        for unit in units(threat.norm) {
            call = call.float(size * unit);
        }
    }
    card.launch(&call)?;
    Ok(out)
}

/// [`step`] in l2.
fn step_l2(
    card: &dyn Card,
    epsilon: f64,
    images: &Tensor,
    originals: &Tensor,
    gradient: &Tensor,
    step_size: f64,
) -> Result<Tensor> {
    let (n, c, h, w) = agree("an attack's step", originals, &[images, gradient])?;
    let out = card.scratch(originals.dims(), DType::F32)?;
    card.launch(
        &Call::examples("perturbation", "perturbation_step_l2", n, c * h * w)
            .pointer(card.address(images)?)
            .pointer(card.address(originals)?)
            .pointer(card.address(gradient)?)
            .pointer(card.address(&out)?)
            .int(c * h * w)
            .double(step_size)
            .double(epsilon),
    )?;
    Ok(out)
}

/// `momentum` becomes `decay momentum + g / |g|_1` in each image, in place; a zero gradient adds nothing. Nobody else
/// may read `momentum`.
pub fn add_normalised(
    card: &dyn Card,
    momentum: &Tensor,
    gradient: &Tensor,
    decay: f64,
) -> Result<()> {
    let (n, c, h, w) = agree("a gradient's accumulation", gradient, &[momentum])?;
    card.launch(
        &Call::examples("perturbation", "perturbation_accumulate", n, c * h * w)
            .pointer(card.address(momentum)?)
            .pointer(card.address(gradient)?)
            .int(c * h * w)
            .float(decay),
    )
}

/// Counts for [`check`] to add to, both 0: images with a pixel that is not finite or outside [0, 1], and images outside
/// their ball.
pub fn no_faults(card: &dyn Card) -> Result<Tensor> {
    Ok(Tensor::zeros(2, DType::U32, card.device())?)
}

/// Checks as [`Threat::check`] does whether every image is finite, within the pixel range and within the ball, without
/// waiting for the answer: `faults`, see [`no_faults`], counts the images that are not, over any number of calls.
pub fn check(
    card: &dyn Card,
    threat: Threat,
    images: &Tensor,
    originals: &Tensor,
    faults: &Tensor,
) -> Result<()> {
    let (n, c, h, w) = agree("an attack's result", originals, &[images])?;
    expect::tensor("faults", faults, &[2], DType::U32)?;
    expect::indexable("an attack's result", &[n])?;
    let wrong = card.scratch(&[n], DType::U32)?;
    let [unit0, unit1, unit2] = units(threat.norm);
    card.launch(
        &Call::examples("perturbation", "perturbation_inspect", n, c * h * w)
            .pointer(card.address(images)?)
            .pointer(card.address(originals)?)
            .pointer(card.address(&wrong)?)
            .int(c * h * w)
            .int(h * w)
            .int(usize::from(threat.norm == Norm::L2))
            .double(unit0)
            .double(unit1)
            .double(unit2)
            .double(threat.epsilon + threat.slack()),
    )?;
    card.launch(
        &Call::blocks("perturbation", "perturbation_count", [1, 1, 1])
            .threads(THREADS)
            .pointer(card.address(&wrong)?)
            .pointer(card.address(faults)?)
            .int(n),
    )
}

/// The units of the first two channels and of all further ones.
pub(super) fn units(norm: Norm) -> [f64; 3] {
    [norm.unit(0), norm.unit(1), norm.unit(2)]
}

/// The shape of `images`, which the others must have as well; all are float32.
fn agree(what: &str, images: &Tensor, others: &[&Tensor]) -> Result<(usize, usize, usize, usize)> {
    let (n, c, h, w) = images.dims4()?;
    expect::indexable(what, &[c, h, w])?;
    for tensor in others.iter().chain([&images]) {
        expect::tensor(what, tensor, images.dims(), DType::F32)?;
    }
    Ok((n, c, h, w))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cuda::host::{Host, close, host, numbers, within};

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

    fn counts(faults: &Tensor) -> Vec<u32> {
        faults.to_vec1().unwrap()
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
                    let y = step(card, threat, &x, &originals, &gradient, size).unwrap();
                    let expected = threat.step(&x, &originals, &gradient, size).unwrap();
                    match threat.norm {
                        Norm::L2 => close(&y, &expected, DType::F32),
                        _ => within(&y, &expected, 0.0),
                    }
                    x = y;
                }
                let faults = no_faults(card).unwrap();
                check(card, threat, &x, &originals, &faults).unwrap();
                assert_eq!(counts(&faults), [0, 0]);
            }
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
        let found = |threat: Threat, changes: &[(usize, usize, f32)], faults: &Tensor| {
            let mut values = middle.clone();
            for &(image, pixel, value) in changes {
                values[image * width + pixel] = value;
            }
            let images = card.tensor(&values, &shape, DType::F32);
            check(card, threat, &images, &originals, faults).unwrap();
            // The CPU's check finds the same.
            let clean = counts(faults) == [0, 0];
            assert_eq!(threat.check("test", &images, &originals).is_ok(), clean);
            counts(faults)
        };
        let fresh = || no_faults(card).unwrap();
        let [linf, _, channels, l2] = threats();
        let edge = (8.0 / 255.0) as f32;
        assert_eq!(found(linf, &[(0, 0, 0.5 + edge)], &fresh()), [0, 0]);
        assert_eq!(
            found(linf, &[(3, 104, 0.5 + edge + 1e-4)], &fresh()),
            [0, 1]
        );
        assert_eq!(
            found(linf, &[(3, 104, 0.5 - edge - 1e-4)], &fresh()),
            [0, 1]
        );
        // 0.1 of the second channel's unit is 0.025, of the third's 0.03.
        assert_eq!(found(channels, &[(1, 104, 0.5299)], &fresh()), [0, 0]);
        assert_eq!(found(channels, &[(1, 35, 0.5299)], &fresh()), [0, 1]);
        // Two changes that only together leave the ball.
        assert_eq!(found(l2, &[(2, 7, 0.1)], &fresh()), [0, 0]);
        assert_eq!(found(l2, &[(2, 7, 0.1), (2, 104, 0.1)], &fresh()), [0, 1]);
        let far = found(linf, &[(0, 3, 1.01), (2, 4, -0.01), (2, 5, 2.0)], &fresh());
        assert_eq!(far, [2, 2]);
        let faults = fresh();
        assert_eq!(found(l2, &[(3, 104, f32::NAN)], &faults), [1, 0]);
        assert_eq!(found(linf, &[(0, 0, f32::INFINITY)], &faults), [2, 1]);
        assert_eq!(found(linf, &[(1, 0, 0.9)], &faults), [2, 2]);
    }

    #[test]
    fn other_shapes_and_types_are_errors() {
        let Some(card) = host() else { return };
        let x = card.tensor(&[0.5; 12], &[1, 3, 2, 2], DType::F32);
        let other = x.reshape((3, 1, 2, 2)).unwrap();
        for threat in threats() {
            assert!(step(card, threat, &x, &x, &other, 0.1).is_err());
            assert!(step(card, threat, &card.wide(&x), &x, &x, 0.1).is_err());
            assert!(check(card, threat, &x, &x, &x).is_err());
        }
        assert!(add_normalised(card, &other, &x, 1.0).is_err());
    }
}
