//! The watch over catastrophic overfitting: a training on single-step images can lose, within an epoch, all robustness
//! against attacks of several steps (Wong, Rice and Kolter, arXiv 2001.03994). After each epoch PGD attacks the same images,
//! by true gradients; where its accuracy falls too far, the training does what the spec says.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::Training;
use crate::attacks::{self, AttackSpec, Steps, Threat};
use crate::data::{Dataset, validation};
use crate::experiment::ModelUse;
use crate::nn::BackwardPlan;
use crate::spec::Norm;
use crate::stage::context::StageContext;
use crate::stage::evaluation::{Evaluation, Event, Measured};
use crate::train::guard_section::{GuardSpec, OnCollapse};
use crate::{Error, Result};

/// The name of its rows in `metrics.csv`.
const SPLIT: &str = "guard";

/// Steps of PGD that lead from the middle of the ball to its border.
const STEPS_TO_BORDER: f64 = 4.0;

/// The watch of a training.
pub(super) struct Guard {
    spec: GuardSpec,
    evaluation: Evaluation,
    /// The network after the last epoch, which "restore" goes back to.
    earlier: BTreeMap<String, Tensor>,
}

/// What the watch has seen: part of the training's state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Watched {
    /// Accuracy after the epoch before.
    before: Option<f64>,
    /// Accuracy after this one, where it is known already.
    now: Option<f64>,
    /// How far its measurement has come.
    measured: Measured,
    /// Whether weights were restored, which ends the training.
    pub restored: bool,
}

impl Watched {
    /// What the next epoch starts with.
    pub fn next(self) -> Self {
        Self {
            before: self.now,
            restored: self.restored,
            ..Self::default()
        }
    }
}

impl Guard {
    /// The watch over a training against `attack`'s ball, on some images of `set`.
    pub fn new(
        ctx: &StageContext<'_>,
        used: &ModelUse<'_>,
        spec: &GuardSpec,
        attack: &AttackSpec,
        set: &Dataset,
    ) -> Result<Self> {
        let epsilon = attack.head.epsilon.get();
        let norm = match attack.head.norm {
            Norm::Linf => attacks::Norm::Linf,
            Norm::L2 => attacks::Norm::L2,
        };
        let pgd = Steps::pgd(Threat { norm, epsilon }, epsilon / STEPS_TO_BORDER, spec.k);
        let images = Arc::new(validation::sample(set, spec.images, ctx.seed));
        let plan = BackwardPlan::none();
        Ok(Self {
            spec: spec.clone(),
            evaluation: Evaluation::under(ctx, used, Box::new(pgd), plan, images)?,
            earlier: BTreeMap::new(),
        })
    }

    fn restores(&self) -> bool {
        self.spec.on_collapse == OnCollapse::Restore
    }

    /// What of the network a checkpoint within an epoch holds for "restore".
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.earlier
    }

    /// Takes up what [`Self::tensors`] gave.
    pub fn take_up(&mut self, tensors: BTreeMap<String, Tensor>) {
        self.earlier = tensors;
    }
}

impl Training<'_> {
    /// Measures after epoch `done` where there is a guard, and acts on a collapse. Words for the line of the epoch go to `line`.
    pub(super) fn watch(&mut self, done: u64, line: &mut Vec<String>) -> Result<()> {
        let Some(guard) = &self.guard else {
            return Ok(());
        };
        if self.state.watched.restored {
            return Ok(());
        }
        let (network, measured) = (&self.network, &mut self.state.watched.measured);
        let heard = |_: Event<'_>, _: &Measured| Ok(());
        let found = guard
            .evaluation
            .run(self.ctx, network, done, measured, heard)?;
        let found = found.into_iter().next();
        let found = found.map(|(attack, tally)| (attack.to_owned(), tally));
        let (attack, tally) = found.ok_or_else(|| Error::failed("a guard without an attack"))?;
        let (drop, on_collapse) = (guard.spec.drop, guard.spec.on_collapse);
        self.record(SPLIT, &attack, &tally, None)?;
        let now = tally.accuracy();
        self.state.watched.now = Some(now);
        line.push(format!(
            "guard accuracy under {attack} {:.2} %",
            100.0 * now
        ));
        let before = self.state.watched.before.unwrap_or(now);
        if before - now <= drop {
            return Ok(());
        }
        let what = format!(
            "stage {}: catastrophic overfitting in epoch {done}: accuracy under {attack} on the guard's {} images fell from \
             {:.1} % to {:.1} %",
            self.ctx.id,
            tally.examples,
            100.0 * before,
            100.0 * now
        );
        match on_collapse {
            OnCollapse::Stop => Err(Error::failed(format!(
                "{what}; train.guard.on_collapse = \"stop\" ends the run. An attack of more steps or more noise (pgd, n-fgsm), \
                 or a smaller step, is the usual remedy"
            ))),
            OnCollapse::Warn => {
                tracing::warn!("{what}; the training goes on");
                Ok(())
            }
            OnCollapse::Restore => {
                if let Some(guard) = &self.guard {
                    self.network.load(&guard.earlier)?;
                }
                self.state.watched.restored = true;
                tracing::warn!(
                    "{what}; the training ends with the weights of epoch {}",
                    done - 1
                );
                Ok(())
            }
        }
    }

    /// Keeps the network as it is after a whole epoch, for "restore".
    pub(super) fn keep_for_guard(&mut self) -> Result<()> {
        if let Some(guard) = self.guard.as_mut().filter(|guard| guard.restores()) {
            guard.earlier = self.network.state()?;
        }
        Ok(())
    }
}
