//! The metrics of a transfer, and what it says at its end.

use std::collections::BTreeMap;

use super::entrant::Entrant;
use super::rows::accuracy;
use crate::experiment::TransferTask;
use crate::run::{Metrics, TransferMetric, TransferRow};
use crate::stage::context::StageContext;
use crate::stage::transfer_section::AttackedImages;

/// The clean accuracy of each model, and for each attack and rule the mean over the models that the images were not made on: of
/// their success rates over the images that all have right, and of their accuracies where images are attacked that not all have
/// right.
pub(super) fn metrics(
    ctx: &StageContext<'_>,
    task: &TransferTask,
    entrants: &[Entrant<'_>],
    answers: &[Vec<u32>],
    labels: &[u32],
    rows: &[TransferRow],
) -> Metrics {
    let mut metrics = Metrics::new();
    for (entrant, answers) in entrants.iter().zip(answers) {
        let clean = accuracy(answers, labels);
        ctx.progress.line(&format!(
            "{}: accuracy {:.2} % without attack",
            entrant.name,
            100.0 * clean
        ));
        metrics.insert(format!("{}_accuracy", entrant.name), clean);
    }
    let mut others: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.is_white_box()) {
        if let Some(rate) = row.common_success_rate {
            others
                .entry(row.metric(TransferMetric::SuccessRate))
                .or_default()
                .push(rate);
        }
        if task.transfer.images == AttackedImages::RightForSurrogate {
            others
                .entry(row.metric(TransferMetric::Accuracy))
                .or_default()
                .push(row.accuracy);
        }
    }
    for (name, values) in others {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        ctx.progress.line(&format!(
            "{name}: {:.2} % on average over other models",
            100.0 * mean
        ));
        metrics.insert(name, mean);
    }
    metrics
}
