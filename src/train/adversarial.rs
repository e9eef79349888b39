//! Adversarial training (Madry et al., arXiv 1706.06083): the mean cross-entropy on adversarial images alone, made by the
//! stage's attack for the network as it is; or mixed with that on clean images (Goodfellow et al., arXiv 1412.6572).

use candle_core::Tensor;

use super::{Evaluated, Objective, Step};
use crate::Result;
use crate::attacks::Checks;
use crate::ops::cross_entropy;
use crate::spec::range::Share;
use crate::spec::section;

section! {
    /// Minimises the cross-entropy on adversarial images.
    Adversarial {
        /// The weight of the clean images' cross-entropy, in [0, 1), where the adversarial images' has the rest; default 0.
        mix: f64 [as Share, or 0.0],
    }
}

impl Objective for Adversarial {
    fn attacks(&self) -> bool {
        true
    }

    fn craft(&self, step: &Step<'_>) -> Result<(Tensor, Checks)> {
        step.attacked()
    }

    fn loss(&self, step: &Step<'_>, crafted: &Tensor) -> Result<Evaluated> {
        if self.mix == 0.0 {
            return step.cross_entropy(crafted);
        }
        let share = 1.0 / step.batch.label_values.len().max(1) as f64;
        // One after the other: only one tape is held at a time.
        let weighted = |images: &Tensor, weight: f64| {
            let (tape, logits) = step.forward(images)?;
            let (losses, gradient) =
                cross_entropy::queue(logits.tensor(), step.targets(), weight * share)?;
            Ok::<_, crate::Error>((losses, tape.backward(&logits, gradient)?, logits))
        };
        let (clean, of_clean, _) = weighted(&step.batch.images, self.mix)?;
        let (robust, of_robust, logits) = weighted(crafted, 1.0 - self.mix)?;
        Ok(Evaluated {
            gradients: of_clean.plus(of_robust)?,
            logits: logits.tensor().clone(),
            parts: vec![("clean", clean.sum()?), ("adversarial", robust.sum()?)],
            losses: robust
                .times(1.0 - self.mix)?
                .plus(&(clean.values()? * self.mix)?)?,
            checks: Checks::default(),
        })
    }
}
