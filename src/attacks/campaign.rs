//! Attacks one after another on the same examples: batching, restarts, and which attack broke which example first.

use candle_core::Tensor;

use super::driver::{craft, goals, predictions};
use super::rows::{copy, put, select};
use super::{Attack, Originals, Start, Target};
use crate::nn::loss::{Reduction, cross_entropy};
use crate::{Error, Result};

/// What became of one example.
#[derive(Clone, Debug, PartialEq)]
pub struct Fate {
    /// Whether any attack was tried on it.
    pub attacked: bool,
    /// The class that the attack on it wants for it; nothing where any but its label is as good.
    pub wanted: Option<u32>,
    /// The model's answer to the image that the campaign ends with.
    pub prediction: u32,
    /// The cross-entropy of that image.
    pub loss: f64,
    /// The place, in the list of attacks, of the first that succeeded.
    pub broken_by: Option<usize>,
}

impl Fate {
    /// Whether `answer`, to an adversarial image of this example of class `label`, is what the attack on it wants. The
    /// one rule of success, whatever was done to the image since: nothing, rounding, or another model that looks at it.
    pub fn succeeds(&self, answer: u32, label: u32) -> bool {
        match self.wanted {
            None => answer != label,
            Some(wanted) => answer == wanted,
        }
    }
}

/// Examples under attack. Each attack sees only the examples that no earlier one has broken.
///
/// Success is counted here and nowhere else: an image is checked against the ball and the pixel range, shown to the
/// model, and has succeeded if the model's answer is what the attack's goal asks for. An example that withstands keeps the
/// image of the highest loss.
pub struct Campaign<'a> {
    target: &'a Target<'a>,
    originals: Originals<'a>,
    batch_size: usize,
    /// The model's logits of the clean images.
    clean: Tensor,
    images: Tensor,
    fates: Vec<Fate>,
    /// Attacks so far.
    attacks: usize,
}

impl<'a> Campaign<'a> {
    /// Examples before the first attack. `batch_size`: images that the model is asked about at once.
    ///
    /// # Errors
    /// No examples, logits that are not finite, or whatever the target fails with.
    pub fn new(
        target: &'a Target<'a>,
        originals: Originals<'a>,
        batch_size: usize,
    ) -> Result<Self> {
        let n = originals.labels.len();
        if n == 0 {
            return Err(Error::failed("there are no images to attack"));
        }
        let mut clean = Vec::new();
        let mut fates = Vec::with_capacity(n);
        for first in (0..n).step_by(batch_size) {
            let count = batch_size.min(n - first);
            let images = originals.images.narrow(0, first, count)?;
            let indices = &originals.indices[first..first + count];
            let logits = target.sound_logits(&images, indices, "image")?;
            let labels = &originals.labels[first..first + count];
            let losses = cross_entropy(&logits, labels, Reduction::Sum)?.per_example;
            for (prediction, loss) in predictions(&logits)?.into_iter().zip(losses) {
                fates.push(Fate {
                    attacked: false,
                    wanted: None,
                    prediction,
                    loss,
                    broken_by: None,
                });
            }
            clean.push(logits);
        }
        Ok(Self {
            target,
            originals,
            batch_size,
            clean: Tensor::cat(&clean, 0)?,
            images: copy(originals.images)?,
            fates,
            attacks: 0,
        })
    }

    /// The examples that the model classifies correctly: those that an attack can break.
    pub fn correct(&self) -> Vec<usize> {
        let fates = self.fates.iter().zip(self.originals.labels).enumerate();
        let correct = fates.filter(|(_, (fate, label))| fate.prediction == **label);
        correct.map(|(i, _)| i).collect()
    }

    /// Tries an attack, with its restarts, on those of `examples` that still stand. Returns how many it broke. `done` hears
    /// of every batch: restart, examples of it that the batches so far held, examples of it in all.
    pub fn attack(
        &mut self,
        attack: &dyn Attack,
        examples: &[usize],
        mut done: impl FnMut(usize, usize, usize),
    ) -> Result<usize> {
        let number = self.attacks;
        self.attacks += 1;
        let wanted = goals(attack.goal(), &self.clean, self.originals.labels)?;
        let mut broken = 0;
        for restart in 0..attack.restarts().max(1) {
            let standing: Vec<usize> = examples
                .iter()
                .copied()
                .filter(|&i| self.fates[i].broken_by.is_none())
                // Nothing has to be done to an example whose label is what a targeted attack wants.
                .filter(|&i| {
                    let wanted = wanted.as_ref().map(|wanted| wanted[i]);
                    wanted != Some(self.originals.labels[i])
                })
                .collect();
            let mut seen = 0;
            for batch in standing.chunks(self.batch_size) {
                let start = Start {
                    attack: number as u16,
                    restart: restart as u16,
                    ..self.originals.start
                };
                broken += self.attempt(attack, batch, wanted.as_deref(), start)?;
                seen += batch.len();
                done(restart, seen, standing.len());
            }
        }
        Ok(broken)
    }

    /// One attempt at a batch.
    fn attempt(
        &mut self,
        attack: &dyn Attack,
        batch: &[usize],
        wanted: Option<&[u32]>,
        start: Start,
    ) -> Result<usize> {
        let images = select(self.originals.images, batch)?;
        let labels: Vec<u32> = batch.iter().map(|&i| self.originals.labels[i]).collect();
        let indices: Vec<usize> = batch.iter().map(|&i| self.originals.indices[i]).collect();
        let originals = Originals {
            images: &images,
            labels: &labels,
            indices: &indices,
            start,
        };
        let found = craft(attack, self.target, originals)?;
        let what = format!("what {} made of image", attack.name());
        let logits = self.target.sound_logits(&found, &indices, &what)?;
        let losses = cross_entropy(&logits, &labels, Reduction::Sum)?.per_example;
        let answers = predictions(&logits)?;
        let mut broken = 0;
        let mut taken = Vec::new();
        for (k, &i) in batch.iter().enumerate() {
            let fate = &mut self.fates[i];
            fate.wanted = wanted.map(|wanted| wanted[i]);
            let success = fate.succeeds(answers[k], labels[k]);
            if success || !fate.attacked || losses[k] > fate.loss {
                taken.push((k, i));
                fate.prediction = answers[k];
                fate.loss = losses[k];
            }
            fate.attacked = true;
            if success {
                fate.broken_by = Some(self.attacks - 1);
                broken += 1;
            }
        }
        put(&self.images, &found, &taken)?;
        Ok(broken)
    }

    /// What became of each example.
    pub fn fates(&self) -> &[Fate] {
        &self.fates
    }

    /// The images `(N, C, H, W)` as they stand: adversarial ones, and originals of what was not attacked. The next attack
    /// changes them in place.
    pub fn images(&self) -> &Tensor {
        &self.images
    }

    /// How many of all examples are classified correctly as they stand.
    pub fn withstood(&self) -> usize {
        self.correct().len()
    }
}
