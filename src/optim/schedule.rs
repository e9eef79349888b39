//! Learning-rate schedules as pure functions of the position in a training.

use std::f64::consts::PI;

/// A position in a training: nothing else decides the learning rate, so nothing has to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Step within the epoch, from 0.
    pub step: usize,
    pub steps_per_epoch: usize,
    /// Epochs of the whole training.
    pub epochs: usize,
}

impl Position {
    /// Epochs done, with fractions.
    fn progress(&self) -> f64 {
        self.epoch as f64 + self.step as f64 / self.steps_per_epoch.max(1) as f64
    }
}

/// The shape of a schedule. All but one-cycle change from epoch to epoch.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// The base rate.
    Constant,
    /// Times `gamma` at each of the epochs `milestones`.
    Step { milestones: Vec<usize>, gamma: f64 },
    /// Times `gamma` each epoch.
    Exponential { gamma: f64 },
    /// `min + (base - min) (1 + cos(pi epoch / t_max)) / 2` (Loshchilov and Hutter, arXiv 1608.03983).
    Cosine { t_max: usize, min: f64 },
    /// From `max / div` up to `max` in the first `pct_start` of all steps, then down to `max / div / final_div`, both
    /// along a cosine, step by step (Smith and Topin, arXiv 1708.07120, in torch's default form).
    OneCycle {
        max: f64,
        pct_start: f64,
        div: f64,
        final_div: f64,
    },
}

/// A schedule with its warm-up.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The optimizer's learning rate.
    pub base: f64,
    pub shape: Shape,
    /// Epochs in which the rate rises linearly, step by step, to what the shape says.
    pub warmup_epochs: usize,
}

impl Schedule {
    /// The learning rate of the step at `position`.
    pub fn learning_rate(&self, position: Position) -> f64 {
        let epoch = position.epoch as f64;
        let rate = match &self.shape {
            Shape::Constant => self.base,
            Shape::Step { milestones, gamma } => {
                let passed = milestones.iter().filter(|&&m| position.epoch >= m).count();
                self.base * gamma.powi(passed as i32)
            }
            Shape::Exponential { gamma } => self.base * gamma.powf(epoch),
            Shape::Cosine { t_max, min } => {
                min + (self.base - min) * (1.0 + (PI * epoch / *t_max as f64).cos()) / 2.0
            }
            Shape::OneCycle {
                max,
                pct_start,
                div,
                final_div,
            } => {
                let total = (position.epochs * position.steps_per_epoch) as f64;
                let step = (position.epoch * position.steps_per_epoch + position.step) as f64;
                let (start, last) = (max / div, max / div / final_div);
                let peak = pct_start * total - 1.0;
                if step <= peak {
                    between(start, *max, step / peak.max(1.0))
                } else {
                    between(*max, last, (step - peak) / (total - 1.0 - peak).max(1.0))
                }
            }
        };
        let warmup = self.warmup_epochs as f64;
        if position.epoch < self.warmup_epochs {
            let done = position.progress() + 1.0 / position.steps_per_epoch.max(1) as f64;
            rate * (done / warmup).min(1.0)
        } else {
            rate
        }
    }
}

/// From `a` to `b` along half a cosine, `share` in [0, 1].
fn between(a: f64, b: f64, share: f64) -> f64 {
    b + (a - b) * (1.0 + (PI * share.clamp(0.0, 1.0)).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(shape: Shape, epoch: usize) -> f64 {
        let schedule = Schedule {
            base: 0.1,
            shape,
            warmup_epochs: 0,
        };
        schedule.learning_rate(Position {
            epoch,
            step: 0,
            steps_per_epoch: 10,
            epochs: 100,
        })
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1e-3), "{a} is not {b}");
    }

    #[test]
    fn step_divides_at_each_milestone() {
        let shape = || Shape::Step {
            milestones: vec![100, 150],
            gamma: 0.1,
        };
        close(at(shape(), 99), 0.1);
        close(at(shape(), 100), 0.01);
        close(at(shape(), 150), 0.001);
    }

    #[test]
    fn exponential_multiplies_each_epoch() {
        close(
            at(Shape::Exponential { gamma: 0.98 }, 3),
            0.1 * 0.98 * 0.98 * 0.98,
        );
    }

    #[test]
    fn cosine_ends_half_way_when_t_max_is_twice_the_epochs() {
        let shape = || Shape::Cosine {
            t_max: 200,
            min: 0.0,
        };
        close(at(shape(), 0), 0.1);
        close(at(shape(), 100), 0.05);
        close(at(shape(), 200), 0.0);
    }

    #[test]
    fn warmup_rises_to_the_shape() {
        let schedule = Schedule {
            base: 0.4,
            shape: Shape::Constant,
            warmup_epochs: 2,
        };
        let rate = |epoch, step| {
            schedule.learning_rate(Position {
                epoch,
                step,
                steps_per_epoch: 4,
                epochs: 10,
            })
        };
        close(rate(0, 0), 0.05);
        close(rate(1, 3), 0.4);
        close(rate(2, 0), 0.4);
    }

    /// Values of torch.optim.lr_scheduler.OneCycleLR(max_lr=1.0, total_steps=10), torch 2.11.
    #[test]
    fn one_cycle_matches_torch() {
        let schedule = Schedule {
            base: 1.0,
            shape: Shape::OneCycle {
                max: 1.0,
                pct_start: 0.3,
                div: 25.0,
                final_div: 1e4,
            },
            warmup_epochs: 0,
        };
        let expected = [
            0.040000000000000036,
            0.52,
            1.0,
            0.9504846320134738,
            0.8117456539497631,
            0.6112620219362893,
            0.3887419780637108,
            0.18825834605023691,
            0.04951936798652628,
            4e-06,
        ];
        for (step, expected) in expected.into_iter().enumerate() {
            let found = schedule.learning_rate(Position {
                epoch: step / 5,
                step: step % 5,
                steps_per_epoch: 5,
                epochs: 2,
            });
            assert!(
                (found - expected).abs() < 1e-9,
                "step {step}: {found}, torch has {expected}"
            );
        }
    }
}
