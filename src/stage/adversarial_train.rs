//! Task `adversarial-train`: each step trains on adversarial examples made for the model as it is (Madry et al., arXiv
//! 1706.06083), and on them alone.

use super::StageContext;
use super::assemble::{self, section};
use super::fit::Fit;
use crate::Result;
use crate::attacks::{Originals, Start, Target, craft};
use crate::nn::Mode;
use crate::run::Metrics;
use crate::spec::ModelMode;

/// Tells the random starts of training from those of evaluations in the same epoch.
const ROUND: u64 = 0;

/// Trains on the attacked images.
pub(super) fn run(ctx: &StageContext<'_>) -> Result<Metrics> {
    let spec = section(&ctx.spec.attack, "attack")?;
    let attack = assemble::attack(spec, spec.kind)?;
    let mode = match spec.model_mode {
        ModelMode::Eval => Mode::Eval,
        ModelMode::Train => Mode::Train,
    };
    let fit = Fit::new(ctx)?;
    let plan = assemble::attack_plan(ctx.spec, fit.network())?;
    fit.run(&|network, batch, at| {
        let target = Target {
            network,
            plan: plan.clone(),
            mode,
            at,
        };
        let originals = Originals {
            images: &batch.images,
            labels: &batch.label_values,
            indices: &batch.indices,
            start: Start {
                seed: at.seed,
                epoch: at.epoch,
                round: ROUND,
            },
        };
        craft(attack.as_ref(), &target, originals)
    })
}
