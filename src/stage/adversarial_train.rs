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
const ROUND: u16 = 0;

/// Trains on the attacked images.
pub(super) fn run(ctx: &StageContext<'_>) -> Result<Metrics> {
    let spec = section(&ctx.spec.attack, "attack")?;
    let mode = match spec.model_mode {
        ModelMode::Eval => Mode::Eval,
        ModelMode::Train => Mode::Train,
    };
    let fit = Fit::new(ctx)?;
    let data = section(&ctx.spec.data, "data")?;
    let attacks = assemble::attacks(spec, spec.kind, data, fit.classes())?;
    let plan = assemble::attack_plan(ctx.spec, fit.network())?;
    fit.run(&|network, batch, at| {
        let target = Target {
            mode,
            at,
            // Ctrl-C ends training between steps, where there is something to save.
            check: || Ok(()),
            ..Target::new(network, plan.clone())
        };
        let originals = Originals {
            images: &batch.images,
            labels: &batch.label_values,
            indices: &batch.indices,
            start: Start {
                seed: at.seed,
                epoch: at.epoch,
                round: ROUND,
                ..Start::default()
            },
        };
        // An ensemble is no attack to train on, so there is one.
        let mut images = batch.images.clone();
        for attack in &attacks {
            images = craft(attack.as_ref(), &target, originals)?;
        }
        Ok(images)
    })
}
