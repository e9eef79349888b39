//! Updates of stochastic gradient descent, see [`crate::optim::Sgd`].

use candle_core::Tensor;

use super::chunks;
use crate::Result;
use crate::ops::cuda::Card;
use crate::optim::SgdConfig;

/// A parameter with what its update needs, all float32 and of one shape.
#[derive(Clone, Copy)]
pub struct Update<'a> {
    pub parameter: &'a Tensor,
    /// None without momentum.
    pub velocity: Option<&'a Tensor>,
    pub gradient: &'a Tensor,
}

/// Moves all parameters, in place, in one launch.
pub fn step_many(
    card: &dyn Card,
    updates: &[Update<'_>],
    config: &SgdConfig,
    learning_rate: f64,
) -> Result<()> {
    let rows: Vec<_> = updates
        .iter()
        .map(|update| {
            [
                Some(update.parameter),
                update.velocity,
                Some(update.gradient),
            ]
        })
        .collect();
    chunks::launch(card, "sgd", &rows, |call| {
        call.float(learning_rate)
            .float(config.weight_decay)
            .float(config.momentum)
            .int(usize::from(config.nesterov))
    })
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::ops::cuda::host::within;
    use crate::optim::on_card::chunks::tests::{flat, gradients, once, parameters, tensors, zeros};
    use crate::optim::{Optimizer, Sgd};

    const CONFIG: SgdConfig = SgdConfig {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.05,
    };

    fn updates<'a>(
        parameters: &'a [Tensor],
        velocity: &'a [Tensor],
        gradients: &'a [Tensor],
    ) -> Vec<Update<'a>> {
        parameters
            .iter()
            .enumerate()
            .map(|(i, parameter)| Update {
                parameter,
                velocity: velocity.get(i),
                gradient: &gradients[i],
            })
            .collect()
    }

    /// Moves one parameter.
    fn step(
        card: &dyn Card,
        parameter: &Tensor,
        velocity: Option<&Tensor>,
        gradient: &Tensor,
        config: &SgdConfig,
        learning_rate: f64,
    ) -> Result<()> {
        let update = Update {
            parameter,
            velocity,
            gradient,
        };
        step_many(card, &[update], config, learning_rate)
    }

    #[test]
    fn updates_are_those_of_the_cpu() {
        once(|card| {
            for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
                let config = SgdConfig {
                    momentum,
                    nesterov,
                    ..CONFIG
                };
                let found = tensors(1);
                let velocity = match momentum {
                    0.0 => Vec::new(),
                    _ => zeros(),
                };
                let expected = parameters(&found);
                let mut optimizer = Sgd::new(config, &expected).unwrap();
                for (step, rate) in [0.1, 0.1, 0.02].into_iter().enumerate() {
                    let g = tensors(100 + 10 * step as u64);
                    let all = updates(&found, &velocity, &g);
                    step_many(card, &all, &config, rate).unwrap();
                    optimizer.step(&gradients(&expected, &g), rate).unwrap();
                }
                for (found, expected) in found.iter().zip(&expected) {
                    within(found, expected.tensor(), 1e-6);
                }
                let state = optimizer.state().unwrap();
                for (i, velocity) in velocity.iter().enumerate() {
                    within(velocity, &state[&format!("momentum.p{i}")], 1e-6);
                }
            }
        });
    }

    #[test]
    fn one_parameter_moves_as_it_does_among_many() {
        once(|card| {
            let (many, one) = (tensors(1), tensors(1));
            let (many_velocity, one_velocity) = (tensors(20), tensors(20));
            let g = tensors(40);
            let all = updates(&many, &many_velocity, &g);
            step_many(card, &all, &CONFIG, 0.1).unwrap();
            for ((p, v), g) in one.iter().zip(&one_velocity).zip(&g) {
                step(card, p, Some(v), g, &CONFIG, 0.1).unwrap();
            }
            assert_eq!(flat(&one), flat(&many));
            assert_eq!(flat(&one_velocity), flat(&many_velocity));
            assert_ne!(flat(&one), flat(&tensors(1)));
        });
    }

    #[test]
    fn tensors_that_do_not_belong_together_are_refused() {
        once(|card| {
            let (p, g) = (tensors(1), tensors(2));
            let wide = p[0].to_dtype(DType::F64).unwrap();
            assert!(step(card, &p[0], None, &g[1], &CONFIG, 0.1).is_err());
            assert!(step(card, &p[0], Some(&p[1]), &g[0], &CONFIG, 0.1).is_err());
            assert!(step(card, &wide, None, &wide, &CONFIG, 0.1).is_err());
            assert!(step_many(card, &[], &CONFIG, 0.1).is_ok());
        });
    }
}
