//! Task `adversarial-train`: each step trains on adversarial examples made for the model as it is (Madry et al., arXiv
//! 1706.06083), and on them alone.

use candle_core::Tensor;

use super::StageContext;
use super::assemble::{self, section};
use super::fit::Fit;
use crate::attacks::{Checks, Originals, Start, Target, craft};
use crate::nn::{Mode, Param};
use crate::run::{Metrics, interrupt};
use crate::spec::ModelMode;
use crate::{Error, Result};

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
            check: interrupt::check,
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
        // An attack on a model in training mode moves its running statistics.
        let moving = match mode {
            Mode::Eval => &[],
            Mode::Train => network.buffers(),
        };
        let before = moving.iter().map(Param::snapshot);
        let before: Vec<Tensor> = before.collect::<Result<_>>()?;
        // An ensemble is no attack to train on, so there is one.
        let mut crafted = Ok((batch.images.clone(), Checks::default()));
        for attack in &attacks {
            crafted = craft(attack.as_ref(), &target, originals);
        }
        if let Err(Error::Interrupted) = crafted {
            // The batch is dropped: the checkpoint that follows is that of a model which has not seen it.
            for (buffer, values) in moving.iter().zip(&before) {
                buffer.set(values)?;
            }
        }
        crafted
    })
}
