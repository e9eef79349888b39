//! Task `evaluate`: loss and accuracy of a model on the test images, or on another stage's adversarial images.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::StageContext;
use super::assemble;
use super::measure::Evaluation;
use crate::data::Split;
use crate::run::{Metrics, files, interrupt};
use crate::{Error, Result};

/// Measures once under each of `evaluate.attacks`.
pub(super) fn run(ctx: &StageContext<'_>) -> Result<Metrics> {
    interrupt::check()?;
    let dataset = assemble::dataset(ctx, Split::Test)?;
    let network = assemble::network(ctx, &dataset)?;
    let evaluation = Evaluation::new(ctx, &network, dataset)?;
    ctx.progress.stage(&ctx.spec.id, 1);
    let mut logits: BTreeMap<&str, Vec<Tensor>> = BTreeMap::new();
    let mut labels = Vec::new();
    let first = evaluation.names().next();
    let save = ctx.spec.evaluate.save_logits;
    let tallies = evaluation.run(ctx, &network, 0, |attack, batch, truth| {
        if save {
            logits.entry(attack).or_default().push(batch.clone());
            if Some(attack) == first {
                labels.extend_from_slice(truth);
            }
        }
    })?;
    let mut writer = ctx.folder.metrics(ctx.device)?;
    let mut metrics = Metrics::new();
    for (attack, tally) in tallies {
        let mut row = tally.row(&ctx.spec.id, "test", attack);
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
            let name = match attack {
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
