//! Adam on a card, in one launch.

use super::{Factors, Update};
use crate::Result;
use crate::ops::card::{Card, chunks};

pub fn step(card: &dyn Card, updates: &[Update<'_>], factors: Factors) -> Result<()> {
    let rows = updates
        .iter()
        .map(|u| [u.parameter, u.mean, u.square, u.gradient].map(Some));
    let rows: Vec<_> = rows.collect();
    chunks::launch(card, "adam", &rows, |call| {
        call.float(factors.beta1)
            .float(factors.beta2)
            .float(factors.eps)
            .float(factors.coupled)
            .float(factors.keep)
            .float(factors.rate)
            .float(factors.correction)
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::super::cpu;
    use super::*;
    use crate::ops::card::chunks::tests::{flat, tensors, zeros};
    use crate::ops::card::host::{host, within};

    const FACTORS: Factors = Factors {
        beta1: 0.8,
        beta2: 0.95,
        eps: 1e-3,
        coupled: 0.1,
        keep: 0.99,
        rate: 0.5,
        correction: 0.4,
    };

    /// Parameters, means and squares.
    type State = [Vec<Tensor>; 3];

    fn begin() -> State {
        [tensors(1), zeros(), zeros()]
    }

    fn updates<'a>([p, m, v]: &'a State, gradients: &'a [Tensor]) -> Vec<Update<'a>> {
        let update = |i: usize| Update {
            parameter: &p[i],
            mean: &m[i],
            square: &v[i],
            gradient: &gradients[i],
        };
        (0..p.len()).map(update).collect()
    }

    #[test]
    fn updates_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        let (found, expected) = (begin(), begin());
        for (seed, rate) in [(100, 0.5), (200, 0.3), (300, 0.05)] {
            let factors = Factors { rate, ..FACTORS };
            let g = tensors(seed);
            step(card, &updates(&found, &g), factors).unwrap();
            cpu::step(&updates(&expected, &g), factors).unwrap();
        }
        let pairs = found.iter().flatten().zip(expected.iter().flatten());
        pairs.for_each(|(found, expected)| within(found, expected, 1e-6));
    }

    #[test]
    fn one_parameter_moves_as_it_does_among_many() {
        let Some(card) = host() else { return };
        let (many, one, g) = (begin(), begin(), tensors(40));
        step(card, &updates(&many, &g), FACTORS).unwrap();
        for update in updates(&one, &g) {
            step(card, &[update], FACTORS).unwrap();
        }
        for (one, many) in one.iter().zip(&many) {
            assert_eq!(flat(one), flat(many));
        }
        assert_ne!(flat(&one[0]), flat(&tensors(1)));
    }

    #[test]
    fn tensors_that_do_not_belong_together_are_refused() {
        let Some(card) = host() else { return };
        let (p, g) = (tensors(1), tensors(2));
        let update = Update {
            parameter: &p[0],
            mean: &g[0],
            square: &g[1],
            gradient: &g[0],
        };
        assert!(step(card, &[update], FACTORS).is_err());
    }
}
