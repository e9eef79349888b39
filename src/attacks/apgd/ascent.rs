//! The ascent of APGD (Croce and Hein, arXiv 2003.01690, algorithm 1): steps with momentum whose length is halved, back
//! at the best point, where progress stalls.

use candle_core::Tensor;

use crate::Result;
use crate::attacks::ball::{blend_l2, blend_linf, step_l2, step_linf};
use crate::attacks::craft::predictions;
use crate::attacks::rows::keep;
use crate::attacks::{Norm, Objective, Originals, Threat, Victim};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::perturbation::image_len;
use crate::ops::real::{tensor, view};

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

/// Where a ascent ended.
pub(in crate::attacks) struct Reached<T> {
    /// The misclassified point of the highest loss where there was one, otherwise the point of the highest loss.
    pub images: Vec<T>,
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

/// The examples that still ascend, an image after another in each buffer.
struct Examples<T> {
    examples: Vec<Example>,
    image: usize,
    origin: Vec<T>,
    x: Vec<T>,
    previous: Vec<T>,
    gradient: Vec<T>,
    best_x: Vec<T>,
    best_gradient: Vec<T>,
}

fn copy_image<T: Copy>(from: &[T], to: &mut [T], position: usize, image: usize) {
    let span = position * image..(position + 1) * image;
    to[span.clone()].copy_from_slice(&from[span]);
}

impl<T: Real> Examples<T> {
    /// Leaves the examples behind whose position is not in `kept`, which ascends.
    fn keep(&mut self, kept: &[usize]) {
        let buffers = &mut [
            &mut self.origin,
            &mut self.x,
            &mut self.previous,
            &mut self.gradient,
            &mut self.best_x,
            &mut self.best_gradient,
        ];
        keep(kept, self.image, buffers, &mut self.examples);
    }

    /// The next points, each from its step and the previous movement.
    fn advance(&self, threat: Threat, share: f64) -> Vec<T> {
        let (image, epsilon) = (self.image, threat.epsilon);
        let mut next = self.x.clone();
        chunks_mut(&mut next, image, &|i, out| {
            let step = self.examples[i].step;
            let x = chunk(&self.x, image, i);
            let origin = chunk(&self.origin, image, i);
            let gradient = chunk(&self.gradient, image, i);
            let previous = chunk(&self.previous, image, i);
            match threat.norm {
                Norm::L2 => {
                    step_l2(x, origin, gradient, step, epsilon, out);
                    blend_l2(x, previous, origin, T::of(share), epsilon, out);
                }
                Norm::Linf | Norm::ChannelLinf(_) => {
                    let epsilon = T::of(epsilon);
                    step_linf(x, origin, gradient, T::of(step), epsilon, out);
                    blend_linf(x, previous, origin, T::of(share), epsilon, out);
                }
            }
        });
        next
    }
}

impl Ascent<'_> {
    /// Ascends from a random point of the border of each example's ball.
    ///
    /// # Errors
    /// A ball that is no linf or l2 ball; whatever the victim fails with.
    pub fn run<T: Real>(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<Reached<T>> {
        self.threat.refuse_channels(self.attack)?;
        let Originals {
            images,
            indices,
            start,
            ..
        } = originals;
        let n = images.dim(0)?;
        let begin = self.threat.border_start(images, indices, start, 1.0)?;
        let x = view::<T>(&begin)?.to_vec();
        let origin = view::<T>(images)?.to_vec();
        let mut reached = Reached {
            images: origin.clone(),
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
            image: image_len(images)?,
            previous: x.clone(),
            best_x: x.clone(),
            best_gradient: x.clone(),
            gradient: Vec::new(),
            origin,
            x,
        };
        self.look(victim, originals, &mut examples, &mut reached, 0)?;
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
            let share = if i == 0 { 1.0 } else { SHARE };
            let next = examples.advance(self.threat, share);
            examples.previous = std::mem::replace(&mut examples.x, next);
            self.look(victim, originals, &mut examples, &mut reached, i + 1)?;
            since_check += 1;
            if since_check == windows.length {
                check(&mut examples, since_check);
                since_check = 0;
                windows = windows.next();
            }
        }
        for (position, example) in examples.examples.iter().enumerate() {
            if example.broken.is_none() {
                let best = chunk(&examples.best_x, examples.image, position);
                reached.images[example.row * examples.image..][..examples.image]
                    .copy_from_slice(best);
            }
        }
        Ok(reached)
    }

    /// Asks the victim about the present points, remembers the best ones and leaves out who is done.
    fn look<T: Real>(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        examples: &mut Examples<T>,
        reached: &mut Reached<T>,
        step: usize,
    ) -> Result<()> {
        let rows: Vec<usize> = examples
            .examples
            .iter()
            .map(|example| example.row)
            .collect();
        let labels: Vec<u32> = rows.iter().map(|&row| originals.labels[row]).collect();
        let target_classes = self
            .target_classes
            .map(|all| rows.iter().map(|&row| all[row]).collect::<Vec<u32>>());
        let mut shape = originals.images.dims().to_vec();
        shape[0] = rows.len();
        let x: Tensor = tensor(examples.x.clone(), shape)?;
        let (objective, target_classes) = (self.objective, target_classes.as_deref());
        // No step follows the last point: it needs no gradient.
        let (logits, losses) = if step < self.k {
            let ascent = victim.ascend(&x, objective, &labels, target_classes)?;
            examples.gradient = view::<T>(&ascent.gradient)?.to_vec();
            (ascent.logits, ascent.loss.per_example)
        } else {
            let logits = victim.logits(&x)?;
            let losses = objective.evaluate(&logits, &labels, target_classes)?;
            (logits, losses.per_example)
        };
        let found = predictions(&logits)?;
        let image = examples.image;
        for (position, example) in examples.examples.iter_mut().enumerate() {
            let loss = losses[position];
            example.rises += usize::from(loss > example.loss);
            example.loss = loss;
            if loss > example.best {
                example.best = loss;
                copy_image(&examples.x, &mut examples.best_x, position, image);
                copy_image(
                    &examples.gradient,
                    &mut examples.best_gradient,
                    position,
                    image,
                );
            }
            if found[position] != labels[position] && example.broken.is_none_or(|best| loss > best)
            {
                example.broken = Some(loss);
                if !std::mem::replace(&mut reached.broken[example.row], true) {
                    reached.steps[example.row] = step;
                }
                reached.images[example.row * image..][..image].copy_from_slice(chunk(
                    &examples.x,
                    image,
                    position,
                ));
            }
        }
        if self.stop_at_success {
            let all = examples.examples.iter().enumerate();
            let kept = all.filter(|(_, example)| example.broken.is_none());
            let kept: Vec<usize> = kept.map(|(position, _)| position).collect();
            if kept.len() < examples.examples.len() {
                examples.keep(&kept);
            }
        } else {
            reached.best.push(
                examples
                    .examples
                    .iter()
                    .map(|example| example.best)
                    .collect(),
            );
        }
        Ok(())
    }
}

/// Halves the steps of those whose loss rose too seldom in the window, or whose best loss stands where it stood at the
/// last check although the step was not halved there, and brings them back to their best points.
fn check<T: Real>(examples: &mut Examples<T>, window: usize) {
    for (position, example) in examples.examples.iter_mut().enumerate() {
        let seldom = (example.rises as f64) <= RHO * window as f64;
        let stuck = !example.halved_at_check && example.best_at_check >= example.best;
        example.halved_at_check = seldom || stuck;
        example.best_at_check = example.best;
        example.rises = 0;
        if example.halved_at_check {
            example.step /= 2.0;
            copy_image(&examples.best_x, &mut examples.x, position, examples.image);
            copy_image(
                &examples.best_gradient,
                &mut examples.gradient,
                position,
                examples.image,
            );
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
