//! Gradients brought to the norms of others on a card.

use candle_core::Tensor;

use crate::Result;
use crate::ops::card::{Call, Card, expect, suffix};

pub fn to_norms_of(card: &dyn Card, x: &Tensor, reference: &Tensor) -> Result<Tensor> {
    let examples = x.dim(0)?;
    let width = x.elem_count() / examples.max(1);
    expect::indexable("bringing to the norms of others", &[width])?;
    let y = card.scratch(x.dims(), x.dtype())?;
    card.launch(
        &Call::examples("rescale", "rescale_to_norms", examples, width)
            .of(suffix(x.dtype())?)
            .tensors([x, reference, &y])
            .int(width),
    )?;
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{close, each_type, numbers};

    #[test]
    fn every_example_has_its_own_factor_as_on_the_cpu() {
        each_type(|card, dtype| {
            for shape in [vec![3, 5, 7, 11], vec![2, 1], vec![2, 33, 64]] {
                let width: usize = shape[1..].iter().product();
                let mut x = numbers(&shape, 1, 1e-3);
                // The last example has no direction.
                x[(shape[0] - 1) * width..].fill(0.0);
                let x = card.tensor(&x, &shape, dtype);
                let reference = card.tensor(&numbers(&shape, 2, 3.0), &shape, dtype);
                let y = to_norms_of(card, &x, &reference).unwrap();
                let expected = cpu::to_norms_of(&card.wide(&x), &card.wide(&reference)).unwrap();
                close(&y, &expected, dtype);
            }
        });
    }

    #[test]
    fn examples_of_norm_zero_stay_and_references_of_norm_zero_count() {
        each_type(|card, dtype| {
            let x = card.tensor(&[3.0, 4.0, 0.0, 0.0, 0.0, 2.0], &[3, 2], dtype);
            let reference = card.tensor(&[6.0, 8.0, 1.0, 1.0, 0.0, 0.0], &[3, 2], dtype);
            let y = card.wide(&to_norms_of(card, &x, &reference).unwrap());
            assert_eq!(
                y.to_vec2::<f64>().unwrap(),
                [[6.0, 8.0], [0.0, 0.0], [0.0, 0.0]]
            );
        });
    }
}
