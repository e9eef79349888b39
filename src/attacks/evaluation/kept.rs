//! Campaigns that are left and taken up again.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::super::target_classes::{self, Turns};
use super::super::{Originals, Victim};
use super::{AttackEvaluation, Course, Fate};
use crate::ops::rows::copy;
use crate::{Error, Result};

const IMAGES: &str = "evaluation.images";
const CLEAN: &str = "evaluation.clean";
const TURNS: &str = "evaluation.turns";

/// All that an evaluation needs to go on: tensors, and the rest.
#[derive(Clone, Debug)]
pub struct Kept {
    pub tensors: BTreeMap<String, Tensor>,
    pub state: KeptState,
}

/// What an evaluation keeps beside its tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptState {
    fates: Vec<Fate>,
    attacks: usize,
    course: Option<Course>,
    turns: Option<target_classes::Course>,
}

impl KeptState {
    /// How many attacks have begun.
    pub fn attacks(&self) -> usize {
        self.attacks
    }
}

impl<'a> AttackEvaluation<'a> {
    /// The evaluation as it stands.
    pub fn kept(&self) -> Result<Kept> {
        let mut tensors = BTreeMap::from([(IMAGES.to_owned(), copy(&self.images)?)]);
        if !self.clean.is_empty() {
            tensors.insert(CLEAN.to_owned(), Tensor::cat(&self.clean, 0)?);
        }
        let mut turns = None;
        if let Some(under_way) = &self.turns {
            let (images, course) = under_way.kept()?;
            tensors.insert(TURNS.to_owned(), images);
            turns = Some(course);
        }
        Ok(Kept {
            tensors,
            state: KeptState {
                fates: self.fates.clone(),
                attacks: self.attacks,
                course: self.course.clone(),
                turns,
            },
        })
    }

    /// Goes on from what [`Self::kept`] gave, with the same victim, originals and size of batches.
    ///
    /// # Errors
    /// What belongs to other originals.
    pub fn resume(
        victim: &'a Victim<'a>,
        originals: Originals<'a>,
        batch_size: usize,
        kept: &Kept,
    ) -> Result<Self> {
        let strange = || Error::failed("the attack that was left belongs to other images");
        let mut evaluation = Self::begin(victim, originals, batch_size)?;
        let KeptState {
            fates,
            attacks,
            course,
            turns,
        } = &kept.state;
        let n = originals.labels.len();
        let tensor = |name: &str| kept.tensors.get(name);
        let images = tensor(IMAGES).filter(|images| images.dims() == originals.images.dims());
        evaluation.images = copy(images.ok_or_else(strange)?)?;
        if let Some(clean) = tensor(CLEAN) {
            evaluation.clean.push(clean.clone());
        }
        let clean = evaluation.clean.first().map(Tensor::dims2);
        let (rows, classes) = clean.unwrap_or(Ok((0, 0)))?;
        let begun = course.is_some() || *attacks > 0;
        let wanted = course.as_ref().and_then(|course| course.wanted.as_ref());
        let sound = rows == fates.len()
            && (fates.len() == n || fates.len() < n && !begun)
            && (course.is_none() || *attacks > 0)
            && wanted.is_none_or(|wanted| wanted.len() == n)
            && fates.iter().all(|fate| {
                (fate.prediction as usize) < classes
                    && fate.broken_by.is_none_or(|number| number < *attacks)
            });
        if !sound {
            return Err(strange());
        }
        if let (Some(images), Some(turns)) = (tensor(TURNS), turns) {
            let turns = Turns::resume(images, turns, classes)?;
            evaluation.turns = Some(turns.ok_or_else(strange)?);
        }
        evaluation.fates = fates.clone();
        evaluation.attacks = *attacks;
        evaluation.course = course.clone();
        Ok(evaluation)
    }
}
