//! Attacks one after another on the same examples: batching, restarts, and which attack broke which example first.

mod kept;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::craft::{confidences, craft_counting, goals, predictions, succeeds};
use super::target_classes::Turns;
use super::{Attack, Originals, Start, Victim};
use crate::nn::loss::{Reduction, cross_entropy};
use crate::ops::rows::{copy, put, select};
use crate::{Error, Result};

pub use kept::{Kept, KeptState};

/// What became of one example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fate {
    /// Whether any attack was tried on it.
    pub attacked: bool,
    /// The class that the attack on it wants for it; nothing where any but its label is as good.
    pub wanted: Option<u32>,
    /// The model's answer to the image that the evaluation ends with.
    pub prediction: u32,
    /// The cross-entropy of that image.
    pub loss: f64,
    /// The softmax probability of that answer.
    #[serde(default)]
    pub confidence: f64,
    /// The position, in the list of attacks, of the first that succeeded.
    pub broken_by: Option<usize>,
    /// The steps that this one took until the model first gave an answer that it wants, as [`Attack::perturb_counting`] counts
    /// them.
    #[serde(default)]
    pub steps: Option<usize>,
}

impl Fate {
    /// Whether `answer`, to an adversarial image of this example of class `label`, is what the attack on it wants.
    pub fn succeeds(&self, answer: u32, label: u32) -> bool {
        succeeds(answer, label, self.wanted)
    }
}

/// Examples under attack. Each attack sees only the examples that no earlier one has broken.
///
/// Success is counted here and nowhere else: an image is checked against the ball and the pixel range, shown to the
/// model, and has succeeded if the model's answer is what the attack's goal asks for. An example that withstands keeps the
/// image of the highest loss.
///
/// It goes by batches, and within a batch by target classes where the attack tries several in turn. Between two of them it
/// can be left, and taken up again by another process, with the same outcome.
pub struct AttackEvaluation<'a> {
    victim: &'a Victim<'a>,
    originals: Originals<'a>,
    batch_size: usize,
    /// The model's logits of the clean images, batch by batch, of as many examples as there are fates.
    clean: Vec<Tensor>,
    images: Tensor,
    fates: Vec<Fate>,
    /// Attacks that have begun.
    attacks: usize,
    /// How far the last of them has come; nothing once it is done.
    course: Option<Course>,
    /// The batch under way, where the attack goes class by class.
    turns: Option<Turns>,
}

/// How far an attack has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Course {
    restart: usize,
    /// Examples before this position were tried in this restart.
    next: usize,
    /// How many those were.
    seen: usize,
    /// The class that the attack wants for each example; nothing where any but the label is as good.
    wanted: Option<Vec<u32>>,
}

/// The next batch of an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub restart: usize,
    /// Places of its examples.
    pub examples: Vec<usize>,
    /// Examples of this restart that earlier batches held.
    pub before: usize,
    /// Examples of this restart in all.
    pub all: usize,
}

impl<'a> AttackEvaluation<'a> {
    /// Examples before the first attack. `batch_size`: images that the model is asked about at once.
    ///
    /// # Errors
    /// No examples, logits that are not finite, or whatever the victim fails with.
    pub fn new(
        victim: &'a Victim<'a>,
        originals: Originals<'a>,
        batch_size: usize,
    ) -> Result<Self> {
        let mut evaluation = Self::begin(victim, originals, batch_size)?;
        while evaluation.look()? {}
        Ok(evaluation)
    }

    /// Examples that the model was not asked about yet: [`Self::look`] does that, before the first attack.
    ///
    /// # Errors
    /// No examples.
    pub fn begin(
        victim: &'a Victim<'a>,
        originals: Originals<'a>,
        batch_size: usize,
    ) -> Result<Self> {
        if originals.labels.is_empty() {
            return Err(Error::failed("there are no images to attack"));
        }
        Ok(Self {
            victim,
            originals,
            batch_size,
            clean: Vec::new(),
            images: copy(originals.images)?,
            fates: Vec::with_capacity(originals.labels.len()),
            attacks: 0,
            course: None,
            turns: None,
        })
    }

    /// Asks the model about the next batch of clean images. Returns whether there was one.
    ///
    /// # Errors
    /// Logits that are not finite, or whatever the victim fails with.
    pub fn look(&mut self) -> Result<bool> {
        let first = self.fates.len();
        let count = self.batch_size.min(self.originals.labels.len() - first);
        if count == 0 {
            return Ok(false);
        }
        let images = self.originals.images.narrow(0, first, count)?;
        let indices = &self.originals.indices[first..first + count];
        let logits = self.victim.sound_logits(&images, indices, "image")?;
        let labels = &self.originals.labels[first..first + count];
        let losses = cross_entropy(&logits, labels, Reduction::Sum)?.per_example;
        let answers = predictions(&logits)?.into_iter().zip(confidences(&logits)?);
        for ((prediction, confidence), loss) in answers.zip(losses) {
            self.fates.push(Fate {
                attacked: false,
                wanted: None,
                prediction,
                loss,
                confidence,
                broken_by: None,
                steps: None,
            });
        }
        self.clean.push(logits);
        Ok(true)
    }

    /// The examples that the model classifies correctly as they stand: before the first attack those that an attack can
    /// break.
    pub fn correct(&self) -> Vec<usize> {
        let fates = self.fates.iter().zip(self.originals.labels).enumerate();
        let correct = fates.filter(|(_, (fate, label))| fate.prediction == **label);
        correct.map(|(i, _)| i).collect()
    }

    /// The model's answers to the clean images.
    pub fn clean_predictions(&self) -> Result<Vec<u32>> {
        let answers = self.clean.iter().map(predictions);
        Ok(answers.collect::<Result<Vec<_>>>()?.concat())
    }

    /// The softmax probabilities of those answers.
    pub fn clean_confidences(&self) -> Result<Vec<f64>> {
        let shares = self.clean.iter().map(confidences);
        Ok(shares.collect::<Result<Vec<_>>>()?.concat())
    }

    /// The examples that the model classified correctly before the first attack.
    pub fn right_before(&self) -> Result<Vec<usize>> {
        let answers = self.clean_predictions()?;
        let pairs = answers.iter().zip(self.originals.labels).enumerate();
        let right = pairs.filter(|(_, (answer, label))| answer == label);
        Ok(right.map(|(i, _)| i).collect())
    }

    /// Tries an attack, with its restarts, on those of `examples` that still stand. Returns how many it broke.
    pub fn attack(&mut self, attack: &dyn Attack, examples: &[usize]) -> Result<usize> {
        while let Some(batch) = self.next_batch(attack, examples)? {
            self.attempt(attack, &batch)?;
        }
        Ok(self.broken_by(self.attacks - 1))
    }

    /// The next batch of an attack with its restarts on those of `examples`, positions in ascending order, that still stand;
    /// nothing when it is done. The first call begins the attack, or goes on with the one that the evaluation was left in.
    pub fn next_batch(&mut self, attack: &dyn Attack, examples: &[usize]) -> Result<Option<Batch>> {
        let mut course = match self.course.take() {
            Some(course) => course,
            None => {
                let wanted = goals(attack.goal(), &self.clean, self.originals.labels)?;
                self.attacks += 1;
                Course {
                    restart: 0,
                    next: 0,
                    seen: 0,
                    wanted,
                }
            }
        };
        while course.restart < attack.restarts().max(1) {
            let rest = examples.iter().copied().filter(|&i| {
                // Nothing has to be done to an example whose label is what a targeted attack wants.
                let idle = course.wanted.as_ref().map(|wanted| wanted[i])
                    == Some(self.originals.labels[i]);
                i >= course.next && self.fates[i].broken_by.is_none() && !idle
            });
            let mut rest: Vec<usize> = rest.collect();
            if !rest.is_empty() {
                let all = course.seen + rest.len();
                rest.truncate(self.batch_size);
                let batch = Batch {
                    restart: course.restart,
                    examples: rest,
                    before: course.seen,
                    all,
                };
                self.course = Some(course);
                return Ok(Some(batch));
            }
            course = Course {
                restart: course.restart + 1,
                next: 0,
                seen: 0,
                ..course
            };
        }
        Ok(None)
    }

    /// Carries out the next batch of the attack under way, or one of its target classes. Returns whether the batch is
    /// done; otherwise it is the next one still.
    pub fn attempt(&mut self, attack: &dyn Attack, batch: &Batch) -> Result<bool> {
        let positions = batch.examples.as_slice();
        let images = select(self.originals.images, positions)?;
        let labels: Vec<u32> = positions
            .iter()
            .map(|&i| self.originals.labels[i])
            .collect();
        let indices: Vec<usize> = positions
            .iter()
            .map(|&i| self.originals.indices[i])
            .collect();
        let start = Start {
            attack: (self.attacks - 1) as u16,
            restart: batch.restart as u16,
            ..self.originals.start
        };
        let originals = Originals {
            pool: (self.originals.images, self.originals.labels),
            ..Originals::new(&images, &labels, &indices, start)
        };
        let (found, steps) = match attack.in_turn() {
            None => {
                let (found, checks, steps) = craft_counting(attack, self.victim, originals)?;
                checks.resolve()?;
                (found, steps)
            }
            Some(in_turn) => {
                let turns = match &mut self.turns {
                    Some(turns) => turns,
                    none => none.insert(Turns::new(in_turn, self.victim, originals)?),
                };
                if turns.images().dims() != images.dims() {
                    return Err(Error::failed("a batch was taken up with other images"));
                }
                if !turns.is_done() {
                    turns.advance(in_turn, self.victim, originals)?;
                }
                if !turns.is_done() {
                    return Ok(false);
                }
                let checks = attack
                    .threat()
                    .check(attack.name(), turns.images(), &images)?;
                checks.resolve()?;
                (turns.images().clone(), None)
            }
        };
        self.judge(attack, batch, originals, &found, steps.as_deref())?;
        self.turns = None;
        Ok(true)
    }

    /// Counts what an attack made of a batch.
    fn judge(
        &mut self,
        attack: &dyn Attack,
        batch: &Batch,
        originals: Originals<'_>,
        found: &Tensor,
        steps: Option<&[usize]>,
    ) -> Result<()> {
        let labels = originals.labels;
        let what = format!("what {} made of image", attack.name());
        let logits = self.victim.sound_logits(found, originals.indices, &what)?;
        let losses = cross_entropy(&logits, labels, Reduction::Sum)?.per_example;
        let (answers, confidences) = (predictions(&logits)?, confidences(&logits)?);
        let course = self
            .course
            .as_mut()
            .ok_or_else(|| Error::failed("a batch of an attack that has not begun"))?;
        let mut taken = Vec::new();
        for (k, &i) in batch.examples.iter().enumerate() {
            let fate = &mut self.fates[i];
            fate.wanted = course.wanted.as_ref().map(|wanted| wanted[i]);
            let success = fate.succeeds(answers[k], labels[k]);
            if success || !fate.attacked || losses[k] > fate.loss {
                taken.push((k, i));
                fate.prediction = answers[k];
                fate.confidence = confidences[k];
                fate.loss = losses[k];
            }
            fate.attacked = true;
            if success {
                fate.broken_by = Some(self.attacks - 1);
                fate.steps = steps.map(|steps| steps[k]);
            }
        }
        course.seen += batch.examples.len();
        course.next = batch.examples.last().map_or(course.next, |last| last + 1);
        put(&self.images, found, &taken)
    }

    /// Whether an attack has begun and is not done.
    pub fn is_under_way(&self) -> bool {
        self.course.is_some()
    }

    /// How many attacks are done.
    pub fn done(&self) -> usize {
        self.attacks - usize::from(self.course.is_some())
    }

    /// How many examples the attack at that position in the list broke.
    pub fn broken_by(&self, number: usize) -> usize {
        let broken = self
            .fates
            .iter()
            .filter(|fate| fate.broken_by == Some(number));
        broken.count()
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
