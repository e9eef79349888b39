//! Updates of Adam and AdamW, see [`crate::optim::Adam`].

use candle_core::Tensor;

use super::chunks;
use crate::Result;
use crate::ops::cuda::Card;
use crate::optim::AdamConfig;

/// A parameter with what its update needs, all float32 and of one shape.
#[derive(Clone, Copy)]
pub struct Update<'a> {
    pub parameter: &'a Tensor,
    /// The average of the gradient.
    pub mean: &'a Tensor,
    /// The average of its square.
    pub square: &'a Tensor,
    pub gradient: &'a Tensor,
}

/// Moves all parameters, in place, in one launch; `steps` counts updates, this one included.
pub fn step_many(
    card: &dyn Card,
    updates: &[Update<'_>],
    config: &AdamConfig,
    steps: u32,
    learning_rate: f64,
) -> Result<()> {
    let AdamConfig {
        betas: [beta1, beta2],
        eps,
        weight_decay,
        decoupled,
    } = *config;
    let rows: Vec<_> = updates
        .iter()
        .map(|update| {
            [
                Some(update.parameter),
                Some(update.mean),
                Some(update.square),
                Some(update.gradient),
            ]
        })
        .collect();
    let (coupled, keep) = match decoupled {
        true => (0.0, 1.0 - learning_rate * weight_decay),
        false => (weight_decay, 1.0),
    };
    let t = f64::from(steps);
    chunks::launch(card, "adam", &rows, |call| {
        call.float(beta1)
            .float(beta2)
            .float(eps)
            .float(coupled)
            .float(keep)
            .float(learning_rate / (1.0 - beta1.powf(t)))
            .float((1.0 - beta2.powf(t)).sqrt())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cuda::host::within;
    use crate::optim::on_card::chunks::tests::{flat, gradients, once, parameters, tensors, zeros};
    use crate::optim::{Adam, Optimizer};

    const CONFIG: AdamConfig = AdamConfig {
        betas: [0.8, 0.95],
        eps: 1e-3,
        weight_decay: 0.1,
        decoupled: false,
    };

    fn updates<'a>(
        parameters: &'a [Tensor],
        (mean, square): (&'a [Tensor], &'a [Tensor]),
        gradients: &'a [Tensor],
    ) -> Vec<Update<'a>> {
        parameters
            .iter()
            .enumerate()
            .map(|(i, parameter)| Update {
                parameter,
                mean: &mean[i],
                square: &square[i],
                gradient: &gradients[i],
            })
            .collect()
    }

    /// Moves one parameter.
    fn step(
        card: &dyn Card,
        update: Update<'_>,
        config: &AdamConfig,
        steps: u32,
        learning_rate: f64,
    ) -> Result<()> {
        step_many(card, &[update], config, steps, learning_rate)
    }

    #[test]
    fn updates_are_those_of_the_cpu() {
        once(|card| {
            for decoupled in [false, true] {
                let config = AdamConfig {
                    decoupled,
                    ..CONFIG
                };
                let (found, mean, square) = (tensors(1), zeros(), zeros());
                let expected = parameters(&found);
                let mut optimizer = Adam::new(config, &expected).unwrap();
                for (steps, rate) in (1..).zip([0.1, 0.1, 0.02]) {
                    let g = tensors(100 * u64::from(steps));
                    let all = updates(&found, (&mean, &square), &g);
                    step_many(card, &all, &config, steps, rate).unwrap();
                    optimizer.step(&gradients(&expected, &g), rate).unwrap();
                }
                for (found, expected) in found.iter().zip(&expected) {
                    within(found, expected.tensor(), 1e-6);
                }
                let state = optimizer.state().unwrap();
                for (i, (mean, square)) in mean.iter().zip(&square).enumerate() {
                    within(mean, &state[&format!("adam.mean.p{i}")], 1e-6);
                    within(square, &state[&format!("adam.square.p{i}")], 1e-6);
                }
            }
        });
    }

    #[test]
    fn one_parameter_moves_as_it_does_among_many() {
        once(|card| {
            let g = tensors(40);
            let (many, means, squares) = (tensors(1), zeros(), zeros());
            let all = updates(&many, (&means, &squares), &g);
            step_many(card, &all, &CONFIG, 1, 0.1).unwrap();
            let (one, mean, square) = (tensors(1), zeros(), zeros());
            for update in updates(&one, (&mean, &square), &g) {
                step(card, update, &CONFIG, 1, 0.1).unwrap();
            }
            assert_eq!(flat(&one), flat(&many));
            assert_eq!(flat(&square), flat(&squares));
            assert_ne!(flat(&one), flat(&tensors(1)));
        });
    }

    #[test]
    fn tensors_that_do_not_belong_together_are_refused() {
        once(|card| {
            let (p, g) = (tensors(1), tensors(2));
            let update = Update {
                parameter: &p[0],
                mean: &g[0],
                square: &g[1],
                gradient: &g[0],
            };
            assert!(step(card, update, &CONFIG, 1, 0.1).is_err());
        });
    }
}
