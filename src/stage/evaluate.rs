//! Task `evaluate`: loss and accuracy of a model on the test images, or on another stage's adversarial images.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::assemble;
use super::context::StageContext;
use super::evaluation::{Evaluation, Event, Measured};
use crate::attacks::{Kept, KeptState};
use crate::data::Split;
use crate::experiment::{EvaluateTask, ModelUse};
use crate::run::{Metrics, files, interrupt};
use crate::weights::Tensors;
use crate::{Error, Result};

/// How far the stage has come, beside its tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    measured: Measured,
    evaluation: Option<KeptState>,
    /// The labels of what has logits.
    labels: Vec<u32>,
}

/// Logits of batches, by attack.
type Logits = BTreeMap<String, Vec<Tensor>>;

/// How the tensors are named that hold them.
const LOGITS: &str = "logits.";

/// What the stage has done, to be written.
fn work(state: &State, logits: &Logits) -> Result<(Tensors, State)> {
    let mut state = state.clone();
    let mut tensors = Tensors::new();
    for (attack, batches) in logits {
        tensors.insert(format!("{LOGITS}{attack}"), Tensor::cat(batches, 0)?);
    }
    if let Some(kept) = state.measured.evaluation.take() {
        tensors.extend(kept.tensors);
        state.evaluation = Some(kept.state);
    }
    Ok((tensors, state))
}

/// What was written, taken up.
fn taken_up(mut tensors: Tensors, mut state: State) -> (Logits, State) {
    let mut logits = Logits::new();
    tensors.retain(|name, tensor| match name.strip_prefix(LOGITS) {
        None => true,
        Some(attack) => {
            logits.insert(attack.to_owned(), vec![tensor.clone()]);
            false
        }
    });
    state.measured.evaluation = state.evaluation.take().map(|state| Kept { tensors, state });
    (logits, state)
}

/// Measures once under each of `evaluate.attacks`.
pub(super) fn run(ctx: &StageContext<'_>, task: &EvaluateTask) -> Result<Metrics> {
    interrupt::check()?;
    let used = ModelUse::new(&task.model, &task.data, &task.linbp, ctx.seed);
    let dataset = assemble::dataset(ctx, &task.data, Split::Test)?;
    let network = assemble::network(ctx, &used, &dataset)?;
    let (evaluate, attack) = (&task.evaluate, task.attack.as_ref());
    let evaluation = Evaluation::new(ctx, &used, evaluate, attack, &network, dataset)?;
    ctx.progress.stage(ctx.id, 1);
    let save = task.evaluate.save_logits;
    let first = evaluation.names().next();
    let (mut interim, found) = ctx.folder.interim::<State>()?;
    let (mut logits, mut state) = match found {
        Some((tensors, state)) => taken_up(tensors, state),
        None => Default::default(),
    };
    let mut measured = state.measured.clone();
    let outcome = evaluation.run(ctx, &network, 0, &mut measured, |event, measured| {
        state.measured = measured.clone();
        if let (true, Event::Batch(attack, batch, truth)) = (save, event) {
            logits
                .entry(attack.to_owned())
                .or_default()
                .push(batch.to_device(&Device::Cpu)?);
            if Some(attack) == first {
                state.labels.extend_from_slice(truth);
            }
        }
        interim.done(|| work(&state, &logits))
    });
    let tallies = interim.ended(outcome, || work(&state, &logits))?;
    let labels = state.labels;
    let mut writer = ctx.folder.metrics(ctx.device)?;
    let mut metrics = Metrics::new();
    for (attack, tally) in tallies {
        let mut row = tally.row(ctx.id, "test", attack);
        row.best_accuracy = row.accuracy;
        writer.append(row)?;
        let name = match attack {
            "none" => "test".to_string(),
            attack => format!("test_{attack}"),
        };
        ctx.progress.line(&format!(
            "{name} accuracy {:.2} %, loss {:.4}",
            100.0 * tally.accuracy(),
            tally.mean_loss()
        ));
        metrics.insert(format!("{name}_accuracy"), tally.accuracy());
        metrics.insert(format!("{name}_loss"), tally.mean_loss());
    }
    if save {
        let count = labels.len();
        let labels = Tensor::from_vec(labels, count, &Device::Cpu)?;
        let mut tensors = BTreeMap::from([("labels".to_string(), labels)]);
        for (attack, batches) in logits {
            // `logits` are those of the clean images, as long as they were asked for.
            let name = match attack.as_str() {
                "none" => "logits".to_string(),
                attack => format!("logits.{attack}"),
            };
            tensors.insert(name, Tensor::cat(&batches, 0)?);
        }
        ctx.folder
            .write_tensors(files::LOGITS, &tensors)
            .map_err(|e| Error::failed(format!("the logits could not be saved: {e}")))?;
    }
    ctx.progress.finish();
    Ok(metrics)
}
