//! Learning-rate schedules as pure functions of the position in a training.

use std::f64::consts::PI;

use super::{OptimizerSpec, SchedulerKind, SchedulerSpec};
use crate::{Error, Result};

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

/// The learning rates of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// What the rates start from, or in one-cycle reach: the optimizer's own, or `max_lr`.
    base: f64,
    settings: SchedulerSpec,
}

impl Schedule {
    /// The schedule of an optimizer's rate.
    ///
    /// # Errors
    /// The key that says the rate is missing.
    pub fn new(settings: &SchedulerSpec, optimizer: &OptimizerSpec) -> Result<Self> {
        let (key, base) = match settings.kind {
            SchedulerKind::OneCycle => ("scheduler.max_lr", settings.max_lr),
            _ => ("optimizer.lr", optimizer.lr),
        };
        Ok(Self {
            base: base.ok_or_else(|| Error::spec(format!("{key}: {} needs it", settings.kind)))?,
            settings: settings.clone(),
        })
    }

    /// The learning rate of the step at `position`. All kinds but one-cycle change from epoch to epoch; a warm-up rises step
    /// by step to what they say.
    ///
    /// Cosine: `min + (base - min) (1 + cos(pi epoch / t_max)) / 2` (Loshchilov and Hutter, arXiv 1608.03983). One-cycle:
    /// from `max / div` up to `max` in the first `pct_start` of all steps, then down to `max / div / final_div`, both along
    /// a cosine (Smith and Topin, arXiv 1708.07120, in torch's default form).
    pub fn learning_rate(&self, position: Position) -> f64 {
        let (base, settings) = (self.base, &self.settings);
        let epoch = position.epoch as f64;
        let rate = match settings.kind {
            SchedulerKind::Constant => base,
            SchedulerKind::Step => {
                let milestones = settings.milestones.iter();
                let passed = milestones.filter(|&&m| position.epoch >= m).count();
                base * settings.gamma.powi(passed as i32)
            }
            SchedulerKind::Exponential => base * settings.gamma.powf(epoch),
            SchedulerKind::Cosine => {
                let (min, t_max) = (settings.min_lr, settings.t_max.unwrap_or(position.epochs));
                min + (base - min) * (1.0 + (PI * epoch / t_max as f64).cos()) / 2.0
            }
            SchedulerKind::OneCycle => {
                let total = (position.epochs * position.steps_per_epoch) as f64;
                let step = (position.epoch * position.steps_per_epoch + position.step) as f64;
                let start = base / settings.div_factor;
                let last = start / settings.final_div_factor;
                let peak = settings.pct_start * total - 1.0;
                if step <= peak {
                    between(start, base, step / peak.max(1.0))
                } else {
                    between(base, last, (step - peak) / (total - 1.0 - peak).max(1.0))
                }
            }
        };
        if position.epoch < settings.warmup_epochs {
            let done = position.progress() + 1.0 / position.steps_per_epoch.max(1) as f64;
            rate * (done / settings.warmup_epochs as f64).min(1.0)
        } else {
            rate
        }
    }
}

impl Schedule {
    /// The first epoch, from 0, in which a training of so many epochs has other rates than one of `fewer` by the schedule
    /// `before`; none where the longer one begins as the shorter.
    pub fn first_difference(&self, epochs: usize, before: &Self, fewer: usize) -> Option<usize> {
        let steps_per_epoch = 8;
        let differs = |epoch: usize, step: usize| {
            let at = |epochs: usize| Position {
                epoch,
                step,
                steps_per_epoch,
                epochs,
            };
            self.learning_rate(at(epochs)) != before.learning_rate(at(fewer))
        };
        (0..fewer).find(|&epoch| (0..steps_per_epoch).any(|step| differs(epoch, step)))
    }
}

/// From `a` to `b` along half a cosine, `share` in [0, 1].
fn between(a: f64, b: f64, share: f64) -> f64 {
    b + (a - b) * (1.0 + (PI * share.clamp(0.0, 1.0)).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::OptimizerKind;

    /// The schedule of a base rate, with settings that differ from the defaults.
    fn schedule(base: f64, kind: SchedulerKind, set: impl FnOnce(&mut SchedulerSpec)) -> Schedule {
        let mut settings = SchedulerSpec::new(kind);
        set(&mut settings);
        Schedule { base, settings }
    }

    fn at(schedule: &Schedule, epoch: usize) -> f64 {
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
    fn a_longer_training_begins_alike_where_no_rate_depends_on_its_length() {
        let length = |kind, set: fn(&mut SchedulerSpec)| schedule(0.1, kind, set);
        for alike in [
            length(SchedulerKind::Constant, |s| s.warmup_epochs = 3),
            length(SchedulerKind::Step, |s| s.milestones = vec![2, 7]),
            length(SchedulerKind::Exponential, |_| ()),
            length(SchedulerKind::Cosine, |s| s.t_max = Some(10)),
        ] {
            assert_eq!(alike.first_difference(9, &alike, 5), None, "{alike:?}");
        }
        // A cosine begins at the same rate, one-cycle in the same fraction of it.
        let cosine = length(SchedulerKind::Cosine, |_| ());
        assert_eq!(cosine.first_difference(9, &cosine, 5), Some(1));
        let one_cycle = length(SchedulerKind::OneCycle, |_| ());
        assert_eq!(one_cycle.first_difference(9, &one_cycle, 5), Some(0));
    }

    #[test]
    fn step_divides_at_each_milestone() {
        let step = schedule(0.1, SchedulerKind::Step, |s| s.milestones = vec![100, 150]);
        close(at(&step, 99), 0.1);
        close(at(&step, 100), 0.01);
        close(at(&step, 150), 0.001);
    }

    #[test]
    fn exponential_multiplies_each_epoch() {
        let exponential = schedule(0.1, SchedulerKind::Exponential, |s| s.gamma = 0.98);
        close(at(&exponential, 3), 0.1 * 0.98 * 0.98 * 0.98);
    }

    #[test]
    fn cosine_ends_half_way_when_t_max_is_twice_the_epochs() {
        let cosine = schedule(0.1, SchedulerKind::Cosine, |s| s.t_max = Some(200));
        close(at(&cosine, 0), 0.1);
        close(at(&cosine, 100), 0.05);
        close(at(&cosine, 200), 0.0);
        // Where it is not said, over the whole training.
        close(at(&schedule(0.1, SchedulerKind::Cosine, |_| ()), 50), 0.05);
    }

    #[test]
    fn warmup_rises_to_the_rate() {
        let schedule = schedule(0.4, SchedulerKind::Constant, |s| s.warmup_epochs = 2);
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

    #[test]
    fn a_missing_rate_is_named() {
        let optimizer = OptimizerSpec::new(OptimizerKind::Sgd);
        let error = |kind| Schedule::new(&SchedulerSpec::new(kind), &optimizer).unwrap_err();
        let text = error(SchedulerKind::OneCycle).to_string();
        assert!(text.starts_with("scheduler.max_lr:"), "{text}");
        let text = error(SchedulerKind::Step).to_string();
        assert!(text.starts_with("optimizer.lr:"), "{text}");
    }

    /// Values of torch.optim.lr_scheduler.OneCycleLR(max_lr=1.0, total_steps=10), torch 2.11.
    #[test]
    fn one_cycle_matches_torch() {
        let schedule = schedule(1.0, SchedulerKind::OneCycle, |_| ());
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
