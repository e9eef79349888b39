//! The ascent of APGD (Croce and Hein, arXiv 2003.01690, algorithm 1): steps with momentum whose length is halved, back
//! at the best point, where progress stalls.

use candle_core::Tensor;

use crate::Result;
use crate::attacks::craft::predictions;
use crate::attacks::rows::keep;
use crate::attacks::{Objective, Originals, Threat, Victim};
use crate::ops::device::bring;
use crate::ops::perturbation::{Blend, momentum_step};
use crate::ops::rows::{copy, put};

/// The share of a step in the next point; the rest is the previous movement.
const SHARE: f64 = 0.75;
/// Fewer rises than this share of a window's steps halve the step.
const RHO: f64 = 0.75;

/// What to ascend, and how far.
pub(in crate::attacks) struct Ascent<'a> {
    /// The attack's name, for errors.
    pub attack: &'static str,
    pub threat: Threat,
    pub k: usize,
    pub objective: Objective,
    pub target_classes: Option<&'a [u32]>,
    /// Whether an example is left as soon as it is misclassified.
    pub stop_at_success: bool,
}

/// Where an ascent ended.
pub(in crate::attacks) struct Reached {
    /// The misclassified point of the highest loss where there was one, otherwise the point of the highest loss.
    pub images: Tensor,
    pub broken: Vec<bool>,
    /// The steps before the first misclassified point; all of them where there was none.
    pub steps: Vec<usize>,
    /// The highest loss before any step, and after each: only recorded while no example is left early.
    pub best: Vec<Vec<f64>>,
}

/// The lengths of the windows after which the step size is checked: 0.22 k at first, shorter by 0.03 k each time, and
/// never shorter than 0.06 k.
#[derive(Clone, Copy, Debug)]
struct Windows {
    length: usize,
    shrink: usize,
    least: usize,
}

impl Windows {
    fn new(k: usize) -> Self {
        let share = |share: f64| ((share * k as f64) as usize).max(1);
        Self {
            length: share(0.22),
            shrink: share(0.03),
            least: share(0.06),
        }
    }

    fn next(self) -> Self {
        let length = self.length.saturating_sub(self.shrink).max(self.least);
        Self { length, ..self }
    }
}

/// One example on its way.
struct Example {
    /// Its position in the batch.
    row: usize,
    step: f64,
    loss: f64,
    best: f64,
    best_at_check: f64,
    halved_at_check: bool,
    /// Steps of the window that raised the loss.
    rises: usize,
    /// The highest loss of a misclassified point.
    broken: Option<f64>,
}

/// The examples that still ascend, an image for each in every tensor.
struct Examples {
    examples: Vec<Example>,
    origin: Tensor,
    x: Tensor,
    previous: Tensor,
    gradient: Tensor,
    best_x: Tensor,
    best_gradient: Tensor,
}

impl Examples {
    /// Leaves the examples behind whose position is not in `kept`, which ascends.
    fn keep(&mut self, kept: &[usize]) -> Result<()> {
        let tensors = &mut [
            &mut self.origin,
            &mut self.x,
            &mut self.previous,
            &mut self.gradient,
            &mut self.best_x,
            &mut self.best_gradient,
        ];
        keep(kept, tensors, &mut self.examples)
    }

    /// The next points, each from its step and the previous movement.
    fn advance(&mut self, threat: Threat, share: f64) -> Result<()> {
        let step_sizes: Vec<f64> = self.examples.iter().map(|example| example.step).collect();
        let blend = Blend {
            previous: &self.previous,
            share,
        };
        let next = momentum_step(
            &self.x,
            &self.origin,
            &self.gradient,
            blend,
            threat,
            &step_sizes,
        )?;
        self.previous = std::mem::replace(&mut self.x, next);
        Ok(())
    }

    /// Halves the steps of those whose loss rose too seldom in the window, or whose best loss stands where it stood at the last
    /// check although the step was not halved there, and brings them back to their best points.
    fn check(&mut self, window: usize) -> Result<()> {
        let mut back = Vec::new();
        for (position, example) in self.examples.iter_mut().enumerate() {
            let seldom = (example.rises as f64) <= RHO * window as f64;
            let stuck = !example.halved_at_check && example.best_at_check >= example.best;
            example.halved_at_check = seldom || stuck;
            example.best_at_check = example.best;
            example.rises = 0;
            if example.halved_at_check {
                example.step /= 2.0;
                back.push((position, position));
            }
        }
        put(&self.x, &self.best_x, &back)?;
        put(&self.gradient, &self.best_gradient, &back)
    }
}

impl Ascent<'_> {
    /// Ascends from a random point of the border of each example's ball.
    ///
    /// # Errors
    /// A ball that is no linf or l2 ball; whatever the victim fails with.
    pub fn run(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Reached> {
        self.threat.refuse_channels(self.attack)?;
        let Originals { indices, start, .. } = originals;
        // From the first step to the last where the network is.
        let images = bring(originals.images, victim.network.device())?;
        let x = self.threat.border_start(&images, indices, start, 1.0)?;
        let n = indices.len();
        let mut reached = Reached {
            images: copy(&images)?,
            broken: vec![false; n],
            steps: vec![self.k; n],
            best: Vec::new(),
        };
        let examples = (0..n).map(|row| Example {
            row,
            step: 2.0 * self.threat.epsilon,
            loss: f64::NEG_INFINITY,
            best: f64::NEG_INFINITY,
            best_at_check: f64::NEG_INFINITY,
            halved_at_check: true,
            rises: 0,
            broken: None,
        });
        let mut examples = Examples {
            examples: examples.collect(),
            previous: x.clone(),
            best_x: copy(&x)?,
            best_gradient: copy(&x)?,
            gradient: x.clone(),
            origin: images,
            x,
        };
        self.look(victim, originals.labels, &mut examples, &mut reached, 0)?;
        for example in &mut examples.examples {
            example.best_at_check = example.best;
            example.rises = 0;
        }
        let mut windows = Windows::new(self.k);
        let mut since_check = 0;
        for i in 0..self.k {
            if examples.examples.is_empty() {
                break;
            }
            examples.advance(self.threat, if i == 0 { 1.0 } else { SHARE })?;
            self.look(victim, originals.labels, &mut examples, &mut reached, i + 1)?;
            since_check += 1;
            if since_check == windows.length {
                examples.check(since_check)?;
                since_check = 0;
                windows = windows.next();
            }
        }
        let standing = examples.examples.iter().enumerate();
        let standing = standing.filter(|(_, example)| example.broken.is_none());
        let standing: Vec<_> = standing.map(|(at, example)| (at, example.row)).collect();
        put(&reached.images, &examples.best_x, &standing)?;
        reached.images = bring(&reached.images, originals.images.device())?;
        Ok(reached)
    }

    /// Asks the victim about the present points, remembers the best ones and leaves out who is done.
    fn look(
        &self,
        victim: &Victim<'_>,
        labels: &[u32],
        examples: &mut Examples,
        reached: &mut Reached,
        step: usize,
    ) -> Result<()> {
        let of_rows = |all: &[u32]| -> Vec<u32> {
            let examples = examples.examples.iter();
            examples.map(|example| all[example.row]).collect()
        };
        let (labels, target_classes) = (of_rows(labels), self.target_classes.map(of_rows));
        let (objective, target_classes) = (self.objective, target_classes.as_deref());
        // No step follows the last point: it needs no gradient.
        let (logits, losses) = if step < self.k {
            let ascent = victim.ascend(&examples.x, objective, &labels, target_classes)?;
            examples.gradient = ascent.gradient;
            (ascent.logits, ascent.loss.per_example)
        } else {
            let logits = victim.logits(&examples.x)?;
            let losses = objective.evaluate(&logits, &labels, target_classes)?;
            (logits, losses.per_example)
        };
        let found = predictions(&logits)?;
        let (mut better, mut broken) = (Vec::new(), Vec::new());
        for (position, example) in examples.examples.iter_mut().enumerate() {
            let loss = losses[position];
            example.rises += usize::from(loss > example.loss);
            example.loss = loss;
            if loss > example.best {
                example.best = loss;
                better.push((position, position));
            }
            if found[position] != labels[position] && example.broken.is_none_or(|best| loss > best)
            {
                example.broken = Some(loss);
                broken.push((position, example.row));
                if !std::mem::replace(&mut reached.broken[example.row], true) {
                    reached.steps[example.row] = step;
                }
            }
        }
        put(&examples.best_x, &examples.x, &better)?;
        put(&examples.best_gradient, &examples.gradient, &better)?;
        put(&reached.images, &examples.x, &broken)?;
        if self.stop_at_success {
            let all = examples.examples.iter().enumerate();
            let kept = all.filter(|(_, example)| example.broken.is_none());
            let kept: Vec<usize> = kept.map(|(position, _)| position).collect();
            examples.keep(&kept)
        } else {
            let best = examples.examples.iter().map(|example| example.best);
            reached.best.push(best.collect());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_of_the_paper() {
        // Checkpoints of 100 iterations: 0, 22, 41, 57, 70, 80, 87, 93, 99.
        let mut windows = Windows::new(100);
        let mut at = Vec::new();
        let mut sum = 0;
        while sum + windows.length <= 100 {
            sum += windows.length;
            at.push(sum);
            windows = windows.next();
        }
        assert_eq!(at, [22, 41, 57, 70, 80, 87, 93, 99]);
        assert_eq!(Windows::new(1).next().length, 1);
    }
}
