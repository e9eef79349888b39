//! The metrics of a transfer, and what it says at its end.

use std::collections::BTreeMap;

use super::entrant::Entrant;
use super::rows::accuracy;
use crate::run::{Metrics, TransferRow};
use crate::stage::context::StageContext;

/// The clean accuracy of each model, and for each attack the mean accuracy of the models that the images were not made on.
pub(super) fn metrics(
    ctx: &StageContext<'_>,
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
        let rule = if row.linbp { "_linbp" } else { "" };
        let name = format!("transfer_{}{rule}_accuracy", row.attack);
        others.entry(name).or_default().push(row.accuracy);
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
