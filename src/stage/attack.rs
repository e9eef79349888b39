//! Task `attack`: adversarial images for a trained model, and what became of each example.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};

use super::StageContext;
use super::assemble::{self, section};
use super::images;
use super::measure::Tally;
use crate::Result;
use crate::attacks::{Attack, Originals, Start, Target, Threat, craft, predictions, to_8bit};
use crate::data::{Batch, Dataset, Loader, Split};
use crate::nn::loss::{Reduction, cross_entropy};
use crate::run::{ExampleRow, Metrics, files, interrupt};

/// What the attack on one batch left.
struct Crafted {
    images: Tensor,
    rows: Vec<ExampleRow>,
}

/// Counts over all examples: clean, after the attack, after the attack and rounding to 8 bits. An example that was
/// wrong before counts as wrong, with the loss of its clean image.
#[derive(Default)]
struct Tallies {
    clean: Tally,
    adversarial: Tally,
    rounded: Tally,
}

/// Attacks every test image that the model classifies correctly.
pub(super) fn run(ctx: &StageContext<'_>) -> Result<Metrics> {
    let spec = section(&ctx.spec.attack, "attack")?;
    let data = section(&ctx.spec.data, "data")?;
    let attack = assemble::attack(spec, spec.kind)?;
    let dataset = assemble::dataset(ctx, Split::Test)?;
    let network = assemble::network(ctx, &dataset)?;
    let plan = assemble::attack_plan(ctx.spec, &network)?;
    let target = Target::new(&network, plan);

    ctx.progress.stage(&ctx.spec.id, 1);
    let loader = Loader::eval(Arc::clone(&dataset), data.eval_batch_size, ctx.device)?;
    ctx.progress.epoch(1, loader.batches() as u64);
    let mut tallies = Tallies::default();
    let mut crafted = Vec::new();
    let mut rows = Vec::new();
    let begun = Instant::now();
    for (index, batch) in loader.enumerate() {
        interrupt::check()?;
        let batch = batch?;
        let result = attack_batch(
            ctx,
            attack.as_ref(),
            &target,
            &dataset,
            &batch,
            &mut tallies,
        )?;
        crafted.push(result.images);
        rows.extend(result.rows);
        ctx.progress
            .batch(index as u64 + 1, None, batch.label_values.len() as u64);
    }
    let seconds = begun.elapsed().as_secs_f64();
    for tally in [
        &mut tallies.clean,
        &mut tallies.adversarial,
        &mut tallies.rounded,
    ] {
        tally.seconds = seconds;
    }

    let images = Tensor::cat(&crafted, 0)?;
    let labels = Tensor::from_slice(&dataset.labels, dataset.len(), &Device::Cpu)?;
    let tensors = BTreeMap::from([
        ("images".to_string(), images.clone()),
        ("labels".to_string(), labels),
    ]);
    ctx.folder.write_tensors(files::ADVERSARIAL, &tensors)?;
    if spec.save_images {
        images::write(
            &ctx.folder.file(files::ADVERSARIAL_IMAGES),
            &dataset,
            &images,
        )?;
    }
    ctx.folder.write_examples(&rows)?;
    let metrics = report(ctx, spec.kind.name(), &tallies, &rows)?;
    ctx.progress.finish();
    Ok(metrics)
}

fn attack_batch(
    ctx: &StageContext<'_>,
    attack: &dyn Attack,
    target: &Target<'_>,
    dataset: &Dataset,
    batch: &Batch,
    tallies: &mut Tallies,
) -> Result<Crafted> {
    let clean_logits = target.logits(&batch.images)?;
    let clean = predictions(&clean_logits)?;
    let clean_losses =
        cross_entropy(&clean_logits, &batch.label_values, Reduction::Sum)?.per_example;
    let standing: Vec<usize> = (0..clean.len())
        .filter(|&i| clean[i] == batch.label_values[i])
        .collect();
    tallies.clean.add(&clean_losses, standing.len() as u64);

    let mut rows: Vec<ExampleRow> = (0..clean.len())
        .map(|i| ExampleRow {
            index: batch.indices[i],
            name: dataset.names[batch.indices[i]].clone(),
            label: batch.label_values[i],
            clean_prediction: clean[i],
            ..ExampleRow::default()
        })
        .collect();
    let (mut losses, mut rounded_losses) = (clean_losses.clone(), clean_losses);
    let (mut withstood, mut rounded_withstood) = (0, 0);
    let mut images = batch.images.clone();
    if !standing.is_empty() {
        let chosen: Vec<u32> = standing.iter().map(|&i| i as u32).collect();
        let chosen = Tensor::from_vec(chosen, standing.len(), batch.images.device())?;
        let originals = batch.images.index_select(&chosen, 0)?;
        let labels: Vec<u32> = standing.iter().map(|&i| batch.label_values[i]).collect();
        let indices: Vec<usize> = standing.iter().map(|&i| batch.indices[i]).collect();
        let start = Start {
            seed: ctx.spec.seed,
            ..Start::default()
        };
        let perturbed = craft(
            attack,
            target,
            Originals {
                images: &originals,
                labels: &labels,
                indices: &indices,
                start,
            },
        )?;
        let logits = target.logits(&perturbed)?;
        let rounded_logits = target.logits(&to_8bit(&perturbed)?)?;
        let (found, rounded) = (predictions(&logits)?, predictions(&rounded_logits)?);
        let after = cross_entropy(&logits, &labels, Reduction::Sum)?.per_example;
        let rounded_after = cross_entropy(&rounded_logits, &labels, Reduction::Sum)?.per_example;
        let distances = Threat::distances(&perturbed, &originals)?;
        for (k, &i) in standing.iter().enumerate() {
            losses[i] = after[k];
            rounded_losses[i] = rounded_after[k];
            withstood += u64::from(found[k] == labels[k]);
            rounded_withstood += u64::from(rounded[k] == labels[k]);
            let row = &mut rows[i];
            row.adversarial_prediction = Some(found[k]);
            row.adversarial_prediction_8bit = Some(rounded[k]);
            row.broken_by = (found[k] != labels[k]).then(|| attack.name().to_string());
            row.linf = Some(distances[k].linf);
            row.l2 = Some(distances[k].l2);
        }
        images = scatter_rows(&images, &standing, &perturbed)?;
    }
    tallies.adversarial.add(&losses, withstood);
    tallies.rounded.add(&rounded_losses, rounded_withstood);
    Ok(Crafted { images, rows })
}

/// `images` with the rows `at` replaced by those of `new`.
fn scatter_rows(images: &Tensor, at: &[usize], new: &Tensor) -> Result<Tensor> {
    let mut next = at.iter().enumerate().peekable();
    let mut rows = Vec::with_capacity(images.dim(0)?);
    for i in 0..images.dim(0)? {
        rows.push(match next.next_if(|&(_, &place)| place == i) {
            Some((k, _)) => new.narrow(0, k, 1)?,
            None => images.narrow(0, i, 1)?,
        });
    }
    Ok(Tensor::cat(&rows, 0)?)
}

/// Writes the rows of `metrics.csv` and says what came out.
fn report(
    ctx: &StageContext<'_>,
    attack: &str,
    tallies: &Tallies,
    rows: &[ExampleRow],
) -> Result<Metrics> {
    let mut writer = ctx.folder.metrics(ctx.device)?;
    let rounded = format!("{attack}-8bit");
    for (name, tally) in [
        ("none", &tallies.clean),
        (attack, &tallies.adversarial),
        (rounded.as_str(), &tallies.rounded),
    ] {
        let mut row = tally.row(&ctx.spec.id, "test", name);
        row.best_accuracy = row.accuracy;
        writer.append(row)?;
    }
    let attacked = rows
        .iter()
        .filter(|row| row.adversarial_prediction.is_some())
        .count();
    let succeeded = rows.iter().filter(|row| row.broken_by.is_some()).count();
    let rounded_succeeded = rows
        .iter()
        .filter(|row| {
            row.adversarial_prediction_8bit
                .is_some_and(|found| found != row.label)
        })
        .count();
    let rate = |count: usize| count as f64 / attacked.max(1) as f64;
    ctx.progress.line(&format!(
        "{} images: {} wrong before, {} withstood {attack}, {succeeded} broken; success rate {:.2} % ({:.2} % after \
         rounding to 8 bits)",
        rows.len(),
        rows.len() - attacked,
        attacked - succeeded,
        100.0 * rate(succeeded),
        100.0 * rate(rounded_succeeded),
    ));
    Ok(Metrics::from([
        ("test_accuracy".to_string(), tallies.clean.accuracy()),
        (
            format!("test_{attack}_accuracy"),
            tallies.adversarial.accuracy(),
        ),
        (
            format!("test_{attack}_8bit_accuracy"),
            tallies.rounded.accuracy(),
        ),
        ("success_rate".to_string(), rate(succeeded)),
        ("success_rate_8bit".to_string(), rate(rounded_succeeded)),
    ]))
}
