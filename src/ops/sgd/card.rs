//! Stochastic gradient descent on a card, in one launch.

use super::{Factors, Update};
use crate::Result;
use crate::ops::card::{Card, chunks};

pub fn step(card: &dyn Card, updates: &[Update<'_>], factors: Factors) -> Result<()> {
    let rows = updates
        .iter()
        .map(|u| [Some(u.parameter), u.velocity, Some(u.gradient)]);
    let rows: Vec<_> = rows.collect();
    chunks::launch(card, "sgd", &rows, |call| {
        call.floats([factors.rate, factors.decay, factors.momentum])
            .int(usize::from(factors.nesterov))
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Tensor};

    use super::super::cpu;
    use super::*;
    use crate::ops::card::chunks::tests::{flat, tensors, zeros};
    use crate::ops::card::host::{host, within};

    const FACTORS: Factors = Factors {
        rate: 0.1,
        decay: 0.05,
        momentum: 0.9,
        nesterov: true,
    };

    fn updates<'a>(
        parameters: &'a [Tensor],
        velocity: &'a [Tensor],
        gradients: &'a [Tensor],
    ) -> Vec<Update<'a>> {
        let update = |(i, parameter)| Update {
            parameter,
            velocity: velocity.get(i),
            gradient: &gradients[i],
        };
        parameters.iter().enumerate().map(update).collect()
    }

    #[test]
    fn updates_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
            let velocity = || match momentum {
                0.0 => Vec::new(),
                _ => zeros(),
            };
            let (found, expected) = ((tensors(1), velocity()), (tensors(1), velocity()));
            for (seed, rate) in [(100, 0.1), (110, 0.1), (120, 0.02)] {
                let factors = Factors {
                    rate,
                    momentum,
                    nesterov,
                    ..FACTORS
                };
                let g = tensors(seed);
                step(card, &updates(&found.0, &found.1, &g), factors).unwrap();
                cpu::step(&updates(&expected.0, &expected.1, &g), factors).unwrap();
            }
            let (found, expected) = (
                found.0.iter().chain(&found.1),
                expected.0.iter().chain(&expected.1),
            );
            found.zip(expected).for_each(|(f, e)| within(f, e, 1e-6));
        }
    }

    #[test]
    fn one_parameter_moves_as_it_does_among_many() {
        let Some(card) = host() else { return };
        let (many, one) = ((tensors(1), tensors(20)), (tensors(1), tensors(20)));
        let g = tensors(40);
        step(card, &updates(&many.0, &many.1, &g), FACTORS).unwrap();
        for update in updates(&one.0, &one.1, &g) {
            step(card, &[update], FACTORS).unwrap();
        }
        assert_eq!(flat(&one.0), flat(&many.0));
        assert_eq!(flat(&one.1), flat(&many.1));
        assert_ne!(flat(&one.0), flat(&tensors(1)));
    }

    #[test]
    fn tensors_that_do_not_belong_together_are_refused() {
        let Some(card) = host() else { return };
        let (p, g) = (tensors(1), tensors(2));
        let wide = p[0].to_dtype(DType::F64).unwrap();
        let refused = |parameter, velocity, gradient| {
            let update = Update {
                parameter,
                velocity,
                gradient,
            };
            step(card, &[update], FACTORS).is_err()
        };
        assert!(!refused(&p[0], None, &g[0]));
        assert!(refused(&p[0], None, &g[1]));
        assert!(refused(&p[0], Some(&p[1]), &g[0]));
        assert!(refused(&wide, None, &wide));
    }
}
