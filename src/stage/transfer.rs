//! Task `transfer`: images made on each of several models, judged by all of them.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::StageContext;
use super::assemble::{self, section};
use super::examples::Examples;
use crate::attacks::{Campaign, Fate, Start, Target, predictions, to_8bit};
use crate::data::Split;
use crate::nn::{LinearPlan, Network};
use crate::run::{Metrics, TransferRow, files, interrupt, table};
use crate::spec::{AttackKind, ModelSpec, StageSpec};
use crate::{Error, Result};

/// A model that images are made on and judged by.
struct Entrant<'a> {
    name: &'a str,
    spec: &'a ModelSpec,
    network: Network,
    /// What it is called in errors.
    words: String,
    /// Its answers to the images without an attack.
    clean: Vec<u32>,
}

impl Entrant<'_> {
    fn target(&self, plan: LinearPlan) -> Target<'_> {
        Target {
            name: self.words.clone(),
            check: interrupt::check,
            ..Target::new(&self.network, plan)
        }
    }

    /// Its answers to `images`, which are or were made of the examples.
    fn answers(&self, examples: &Examples, images: &Tensor, batch_size: usize) -> Result<Vec<u32>> {
        let target = self.target(LinearPlan::none());
        let n = examples.labels.len();
        let mut answers = Vec::with_capacity(n);
        for first in (0..n).step_by(batch_size) {
            let count = batch_size.min(n - first);
            let batch = images.narrow(0, first, count)?;
            let indices = &examples.indices[first..first + count];
            answers.extend(predictions(
                &target.sound_logits(&batch, indices, "image")?,
            )?);
        }
        Ok(answers)
    }
}

/// What one attack on one model left.
struct Made {
    images: Tensor,
    /// The same as 8-bit files hold them.
    rounded: Tensor,
    /// What became of each on the model that it was made on.
    fates: Vec<Fate>,
}

/// Fills the matrix, row by row as `transfer.csv` has them; rows that stand are not computed again.
pub(super) fn run(ctx: &StageContext<'_>) -> Result<Metrics> {
    let spec = section(&ctx.spec.transfer, "transfer")?;
    let data = section(&ctx.spec.data, "data")?;
    let kinds = ctx.spec.attack_kinds();
    let dataset = assemble::dataset(ctx, Split::Test)?;
    let mut entrants = Vec::new();
    let examples = Examples::load(dataset.clone(), data.eval_batch_size)?;
    for (name, model) in &spec.models {
        let stage = ctx.spec.with_model(model, false);
        let network = assemble::network(&with_spec(ctx, &stage), &dataset)?;
        let mut entrant = Entrant {
            name,
            spec: model,
            network,
            words: format!("transfer.models.{name}: {}", assemble::model_name(model)),
            clean: Vec::new(),
        };
        entrant.clean = entrant.answers(&examples, &examples.images, data.eval_batch_size)?;
        entrants.push(entrant);
    }
    ctx.progress.stage(&ctx.spec.id, 1);
    let mut rows: Vec<TransferRow> = table::read(&ctx.folder.file(files::TRANSFER))?;
    for &kind in &kinds {
        for &linbp in &spec.linbp {
            for from in &entrants {
                let stands = |to: &Entrant<'_>| {
                    let place = (from.name, to.name, kind.name(), linbp);
                    let mut rows = rows.iter();
                    rows.any(|row| (&*row.from, &*row.to, &*row.attack, row.linbp) == place)
                };
                if entrants.iter().all(stands) {
                    continue;
                }
                let made = make(ctx, from, &examples, kind, linbp)?;
                for to in &entrants {
                    let judge =
                        |images: &Tensor| to.answers(&examples, images, data.eval_batch_size);
                    let (floats, rounded) = (judge(&made.images)?, judge(&made.rounded)?);
                    rows.push(row(
                        from.name,
                        to,
                        kind,
                        linbp,
                        &made.fates,
                        &examples.labels,
                        [floats, rounded],
                    ));
                }
                ctx.folder.write_transfer(&rows)?;
            }
        }
    }
    let metrics = report(ctx, &entrants, &examples.labels, &rows);
    ctx.progress.finish();
    Ok(metrics)
}

fn with_spec<'a>(ctx: &StageContext<'a>, spec: &'a StageSpec) -> StageContext<'a> {
    StageContext {
        spec,
        folder: ctx.folder,
        inputs: ctx.inputs,
        device: ctx.device,
        progress: ctx.progress,
    }
}

/// Attacks the images that `from` classifies correctly.
fn make(
    ctx: &StageContext<'_>,
    from: &Entrant<'_>,
    examples: &Examples,
    kind: AttackKind,
    linbp: bool,
) -> Result<Made> {
    let attack = section(&ctx.spec.attack, "attack")?;
    let data = section(&ctx.spec.data, "data")?;
    let stage = ctx.spec.with_model(from.spec, linbp);
    let plan = assemble::attack_plan(&stage, &from.network)?;
    let target = from.target(plan);
    let start = Start {
        seed: ctx.spec.seed,
        ..Start::default()
    };
    if !linbp {
        for warning in examples.examine(&target, start, data.eval_batch_size)? {
            tracing::warn!(model = from.name, "about the following warning");
            warning.emit();
        }
    }
    let batch_size = data.eval_batch_size;
    let mut campaign = Campaign::new(&target, examples.originals(start), batch_size)?;
    let correct = campaign.correct();
    let members = assemble::attacks(attack, kind, data, examples.classes)?;
    // Members of an ensemble share it.
    let threat = members.first().map(|member| member.threat());
    let threat = threat.ok_or_else(|| Error::spec("attack.attacks: names no attack"))?;
    for member in members {
        let rule = if linbp { "LinBP" } else { "BP" };
        let batches = correct.len().div_ceil(batch_size) as u64;
        let name = format!("{} on {} by {rule}", member.name(), from.name);
        ctx.progress.phase(&name, batches);
        campaign.attack(member.as_ref(), &correct, |_, seen, _| {
            ctx.progress
                .batch(seen.div_ceil(batch_size) as u64, None, batch_size as u64);
        })?;
    }
    Ok(Made {
        rounded: to_8bit(campaign.images(), &examples.images, threat)?,
        images: campaign.images().clone(),
        fates: campaign.fates().to_vec(),
    })
}

fn row(
    from: &str,
    to: &Entrant<'_>,
    kind: AttackKind,
    linbp: bool,
    fates: &[Fate],
    labels: &[u32],
    [floats, rounded]: [Vec<u32>; 2],
) -> TransferRow {
    // The attacked images that the judge, too, classifies correctly without an attack.
    let at_stake: Vec<usize> = (0..labels.len())
        .filter(|&i| fates[i].attacked && to.clean[i] == labels[i])
        .collect();
    let fooled = at_stake
        .iter()
        .filter(|&&i| fates[i].succeeds(floats[i], labels[i]))
        .count();
    TransferRow {
        from: from.to_owned(),
        to: to.name.to_owned(),
        attack: kind.name().to_owned(),
        linbp,
        accuracy: accuracy(&floats, labels),
        accuracy_8bit: accuracy(&rounded, labels),
        success_rate: (!at_stake.is_empty()).then(|| fooled as f64 / at_stake.len() as f64),
    }
}

fn accuracy(answers: &[u32], labels: &[u32]) -> f64 {
    let right = answers.iter().zip(labels).filter(|(a, b)| a == b).count();
    right as f64 / labels.len().max(1) as f64
}

/// The clean accuracy of each model, and for each attack the mean accuracy of the models that the images were not made on.
fn report(
    ctx: &StageContext<'_>,
    entrants: &[Entrant<'_>],
    labels: &[u32],
    rows: &[TransferRow],
) -> Metrics {
    let mut metrics = Metrics::new();
    for entrant in entrants {
        let clean = accuracy(&entrant.clean, labels);
        ctx.progress.line(&format!(
            "{}: accuracy {:.2} % without attack",
            entrant.name,
            100.0 * clean
        ));
        metrics.insert(format!("{}_accuracy", entrant.name), clean);
    }
    let mut others: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.from != row.to) {
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
