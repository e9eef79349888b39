//! Free adversarial training (Shafahi et al., arXiv 1904.12843): each batch is trained on several times in a row, and the
//! backward pass that gives the gradients of the weights gives those of the images too, along whose signs one perturbation
//! goes on, from update to update and from batch to batch.
//!
//! With `d` the perturbation, `(batch size, C, H, W)` and 0 at first, an update trains on `clamp(x + d, 0, 1)`; then
//! `d <- clamp(d + s sign(g), -epsilon, epsilon)`, `s` the attack's step size and `g` the gradient with respect to `d` of the
//! mean cross-entropy, which is 0 where `x + d` left the pixel range, as in the authors' code
//! (github.com/mahyarnajibi/FreeAdversarialTraining). A last smaller batch moves the first rows of `d` alone. An epoch counts
//! every batch once, whatever is repeated: the published budget of E epochs is E / m of these, and schedules go by updates.

use candle_core::Tensor;

use super::statistics::undisturbed;
use super::{Evaluated, Objective, Step};
use crate::attacks::{self, Attack, Checks, Goal, Norm, Steps};
use crate::nn::{Mode, Pass, Tape};
use crate::ops::cross_entropy;
use crate::ops::device::bring;
use crate::spec::range::Count;
use crate::spec::section;
use crate::{Error, Result};

section! {
    /// Minimises the cross-entropy on adversarial images, each batch several times; one backward pass gives both gradients.
    Free {
        /// Updates on each batch, m in the paper; default 8, as in the paper for CIFAR-10.
        replays: usize [as Count, or 8],
    }
}

/// The attack's one step as that of `"free"`.
fn step_of(attack: &dyn Attack) -> Result<&Steps> {
    let fits = |steps: &&Steps| {
        steps.k == 1
            && steps.is_plain()
            && !steps.random_start
            && steps.goal == Goal::Misclassify
            && steps.objective == attacks::Objective::CrossEntropy
            && steps.threat.norm == Norm::Linf
    };
    attack.steps().filter(fits).ok_or_else(|| {
        Error::spec(format!(
            "attack: \"free\" moves its perturbation by single steps in the norm \"linf\": kind \"fgsm\", or \"i-fgsm\" with \
             k = 1 and a step_size of its own, without momentum, transform, loss, random_start, target or compat; found \"{}\" with others",
            attack.name()
        ))
    })
}

impl Free {
    /// The perturbation for a batch of images where the network is, `(N, C, H, W)`: the first rows of what is kept.
    fn perturbation(step: &Step<'_>, images: &Tensor) -> Result<Tensor> {
        match step.adversary()?.kept() {
            Some(kept) => Ok(kept.narrow(0, 0, images.dim(0)?)?),
            None => Ok(images.zeros_like()?),
        }
    }
}

impl Objective for Free {
    fn attacks(&self) -> bool {
        true
    }

    fn updates(&self) -> usize {
        self.replays
    }

    fn check_attack(&self, attack: &dyn Attack, mode: Mode) -> Result<()> {
        step_of(attack)?;
        if mode != Mode::Train {
            return Err(Error::spec(
                "attack.model_mode: \"free\" takes the gradients of the images from the training pass: \"train\"",
            ));
        }
        Ok(())
    }

    fn craft(&self, step: &Step<'_>) -> Result<(Tensor, Checks)> {
        let attack = step_of(step.adversary()?.attack.as_ref())?;
        let originals = bring(&step.batch.images, step.network.device())?;
        let images = (&originals + Self::perturbation(step, &originals)?)?.clamp(0.0, 1.0)?;
        let checks = attack.threat.check(attack.name, &images, &originals)?;
        Ok((images, checks))
    }

    fn loss(&self, step: &Step<'_>, crafted: &Tensor) -> Result<Evaluated> {
        let adversary = step.adversary()?;
        let pass = Pass {
            input: adversary.plan == *step.plan,
            ..Pass::training(step.plan.clone(), step.at)
        };
        let one_for_both = pass.input;
        let tape = Tape::new(pass);
        let logits = step.network.forward(&tape, &tape.input(crafted))?;
        let targets = step.targets();
        let weight = 1.0 / targets.labels.len().max(1) as f64;
        let (losses, gradient) = cross_entropy::queue(logits.tensor(), targets, weight)?;
        let mut gradients = tape.backward(&logits, gradient)?;
        if !one_for_both {
            gradients = gradients.with_input(image_gradient(step, crafted, weight)?);
        }
        Ok(Evaluated {
            gradients,
            logits: logits.tensor().clone(),
            losses,
            parts: Vec::new(),
            checks: Checks::default(),
        })
    }

    fn updated(&self, step: &Step<'_>, found: &Evaluated) -> Result<()> {
        let adversary = step.adversary()?;
        let attack = step_of(adversary.attack.as_ref())?;
        let originals = bring(&step.batch.images, step.network.device())?;
        let perturbation = Self::perturbation(step, &originals)?;
        let unclamped = (originals + &perturbation)?;
        let inside = unclamped.eq(&unclamped.clamp(0.0, 1.0)?)?;
        let gradient = found.gradients.image()?;
        let along = (gradient.sign()? * inside.to_dtype(gradient.dtype())?)?;
        let moved = (perturbation + (along * attack.step_size)?)?;
        let epsilon = attack.threat.epsilon;
        let moved = moved.clamp(-epsilon, epsilon)?;
        let n = moved.dim(0)?;
        adversary.keep(match adversary.kept() {
            Some(kept) if kept.dim(0)? > n => {
                Tensor::cat(&[&moved, &kept.narrow(0, n, kept.dim(0)? - n)?], 0)?
            }
            _ => moved,
        });
        Ok(())
    }
}

/// The gradient of the mean cross-entropy with respect to the images of a training pass, with the activations of the attack
/// linear backwards: a pass of its own, where those of the weights' gradients are others. Running statistics, which the
/// training pass has moved, stay.
fn image_gradient(step: &Step<'_>, images: &Tensor, weight: f64) -> Result<Tensor> {
    let plan = step.adversary()?.plan.clone();
    undisturbed(step.network, || {
        let tape = Tape::new(Pass::attack(plan, Mode::Train, step.at));
        let logits = step.network.forward(&tape, &tape.input(images))?;
        let (_, gradient) = cross_entropy::queue(logits.tensor(), step.targets(), weight)?;
        tape.backward(&logits, gradient)?.input()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::Threat;

    #[test]
    fn other_attacks_and_modes_are_refused() {
        let free = Free { replays: 8 };
        let threat = |norm| Threat { norm, epsilon: 0.1 };
        let linf = threat(Norm::Linf);
        let check = |attack: Steps, mode| free.check_attack(&attack, mode);
        assert!(check(Steps::fgsm(linf), Mode::Train).is_ok());
        assert!(check(Steps::i_fgsm(linf, 0.05, 1), Mode::Train).is_ok());
        for attack in [
            Steps::fgsm(threat(Norm::L2)),
            Steps::fgsm_rs(linf, 1.25),
            Steps::i_fgsm(linf, 0.05, 2),
            Steps {
                goal: Goal::NextLikely,
                ..Steps::fgsm(linf)
            },
        ] {
            let error = check(attack, Mode::Train).unwrap_err().to_string();
            assert!(error.starts_with("attack: \"free\" moves"), "{error}");
        }
        let error = check(Steps::fgsm(linf), Mode::Eval).unwrap_err();
        assert!(error.to_string().ends_with("training pass: \"train\""));
    }
}
