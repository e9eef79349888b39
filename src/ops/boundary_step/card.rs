//! Steps to a boundary on a card, of float32 images.

use candle_core::{DType, Tensor};

use super::{ALPHA_MAX, ETA};
use crate::Result;
use crate::ops::card::{Call, Card, expect};
use crate::ops::perturbation::Norm;

pub fn next(
    card: &dyn Card,
    images: &Tensor,
    originals: &Tensor,
    gradients: &Tensor,
    margins: &[f64],
    norm: Norm,
) -> Result<Tensor> {
    let (n, c, h, w) = images.dims4()?;
    expect::tensor("images", images, images.dims(), DType::F32)?;
    let margins = Tensor::from_slice(margins, n, card.device())?;
    let out = card.scratch(images.dims(), DType::F32)?;
    card.launch(
        &Call::examples("boundary_step", "boundary_step", n, c * h * w)
            .tensors([images, originals, gradients, &margins, &out])
            .ints([c * h * w, usize::from(norm == Norm::L2)])
            .doubles([ETA, ALPHA_MAX]),
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::{check, cpu};
    use super::*;
    use crate::ops::card::host::{close, host, numbers};

    #[test]
    fn steps_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        for shape in [[3, 3, 32, 32], [5, 1, 5, 7], [2, 2, 3, 1]] {
            let pixels = |seed| {
                let values = numbers(&shape, seed, 0.7);
                let values: Vec<f32> = values.iter().map(|v| (v + 0.5).clamp(0.0, 1.0)).collect();
                card.tensor(&values, &shape, DType::F32)
            };
            let (x, o) = (pixels(1), pixels(2));
            let mut gradient = numbers(&shape, 3, 1.0);
            gradient.iter_mut().step_by(3).for_each(|v| *v = 0.0);
            let gradient = card.tensor(&gradient, &shape, DType::F32);
            // Near, far, on the boundary, out of reach.
            let margins = [0.3, -2.0, 0.0, 1e6, -0.01];
            for norm in [Norm::Linf, Norm::L2] {
                let margins = &margins[..shape[0]];
                let found = next(card, &x, &o, &gradient, margins, norm).unwrap();
                let expected = cpu::next(&x, &o, &gradient, margins, norm).unwrap();
                close(&found, &expected, DType::F32);
            }
        }
    }

    #[test]
    fn other_shapes_and_types_are_errors() {
        let Some(card) = host() else { return };
        let x = card.tensor(&[0.5; 12], &[1, 3, 2, 2], DType::F32);
        assert!(check(&x, &x, &x, &[0.1]).is_ok());
        assert!(check(&x, &x, &x, &[0.1, 0.2]).is_err());
        assert!(check(&x, &x, &x.reshape((3, 1, 2, 2)).unwrap(), &[0.1]).is_err());
        let wide = card.wide(&x);
        assert!(next(card, &wide, &wide, &wide, &[0.1], Norm::Linf).is_err());
    }
}
