//! Task `attack`: adversarial images for a trained model, and what became of each example.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};

use super::StageContext;
use super::assemble::{self, section};
use super::examples::Examples;
use super::images;
use super::measure::Tally;
use crate::attacks::{Attack, Campaign, Start, Target, Threat, predictions, sanity, to_8bit};
use crate::data::{Dataset, Split};
use crate::nn::loss::{Reduction, cross_entropy};
use crate::run::{ExampleOutcome, ExampleRow, Metrics, class_text, files, interrupt};
use crate::{Error, Result};

/// Accuracy as the examples stand: as floats, and after rounding to 8 bits. An example that was wrong before counts as
/// wrong, with the loss of its clean image.
struct Standing {
    /// The name of the attack that was the last one.
    attack: String,
    floats: Tally,
    rounded: Tally,
    /// The model's answers to the images rounded to 8 bits.
    answers_8bit: Vec<u32>,
    /// How many of the answers to the attacked images are what the attack wants, and how many of those after rounding.
    succeeded: [usize; 2],
}

/// Attacks every test image that the model classifies correctly.
pub(super) fn run(ctx: &StageContext<'_>) -> Result<Metrics> {
    let spec = section(&ctx.spec.attack, "attack")?;
    let data = section(&ctx.spec.data, "data")?;
    let dataset = assemble::dataset(ctx, Split::Test)?;
    let attacks = assemble::attacks(spec, spec.kind, data, dataset.classes.len())?;
    let network = assemble::network(ctx, &dataset)?;
    let plan = assemble::attack_plan(ctx.spec, &network)?;
    let target = Target {
        name: assemble::model_name(section(&ctx.spec.model, "model")?),
        check: interrupt::check,
        ..Target::new(&network, plan)
    };
    ctx.progress.stage(&ctx.spec.id, 1);
    let examples = Examples::load(Arc::clone(&dataset), data.eval_batch_size)?;
    let start = Start {
        seed: ctx.spec.seed,
        ..Start::default()
    };
    let originals = examples.originals(start);
    for warning in examples.examine(&target, start, data.eval_batch_size)? {
        warning.emit();
    }

    let begun = Instant::now();
    let mut campaign = Campaign::new(&target, originals, data.eval_batch_size)?;
    let mut clean = Tally::default();
    let correct = campaign.correct();
    let losses: Vec<f64> = campaign.fates().iter().map(|fate| fate.loss).collect();
    clean.add(&losses, correct.len() as u64);
    clean.seconds = begun.elapsed().as_secs_f64();
    let clean_predictions: Vec<u32> = campaign
        .fates()
        .iter()
        .map(|fate| fate.prediction)
        .collect();

    let mut standings = Vec::new();
    let mut broken = Vec::new();
    // Members of an ensemble share it.
    let threat = attacks.first().map(|attack| attack.threat());
    let threat = threat.ok_or_else(|| Error::spec("attack.attacks: names no attack"))?;
    for attack in &attacks {
        let begun = Instant::now();
        broken.push(carry_out(
            ctx,
            attack.as_ref(),
            &mut campaign,
            &correct,
            data.eval_batch_size,
        )?);
        let mut standing = judge(
            &target,
            &campaign,
            &examples,
            threat,
            &correct,
            data.eval_batch_size,
        )?;
        let seconds = begun.elapsed().as_secs_f64();
        standing.attack = attack.name().to_owned();
        standing.floats.seconds = seconds;
        standing.rounded.seconds = seconds;
        ctx.progress.line(&format!(
            "{}: {} of {} images stand, accuracy {:.2} % ({:.2} % after rounding to 8 bits), {seconds:.1} s",
            attack.name(),
            standing.floats.correct,
            examples.labels.len(),
            100.0 * standing.floats.accuracy(),
            100.0 * standing.rounded.accuracy(),
        ));
        standings.push(standing);
    }
    let series: Vec<(&dyn Attack, usize)> = attacks.iter().map(AsRef::as_ref).zip(broken).collect();
    if let Some(warning) = sanity::compare(&series, examples.labels.len()) {
        warning.emit();
    }

    save(
        ctx,
        &dataset,
        &campaign,
        &examples,
        spec.save_images.then_some(threat),
    )?;
    let rows = rows(
        &dataset,
        &campaign,
        &examples,
        &attacks,
        &clean_predictions,
        &standings,
    )?;
    ctx.folder.write_examples(&rows)?;
    let metrics = report(ctx, spec.kind.name(), &clean, standings, &rows)?;
    ctx.progress.finish();
    Ok(metrics)
}

/// One attack with its restarts, with progress.
fn carry_out(
    ctx: &StageContext<'_>,
    attack: &dyn Attack,
    campaign: &mut Campaign<'_>,
    examples: &[usize],
    batch_size: usize,
) -> Result<usize> {
    let mut phase = None;
    campaign.attack(attack, examples, |restart, seen, all| {
        if phase != Some(restart) {
            phase = Some(restart);
            let name = match restart {
                0 => attack.name().to_owned(),
                restart => format!("{}, restart {restart}", attack.name()),
            };
            ctx.progress.phase(&name, all.div_ceil(batch_size) as u64);
        }
        let batch = seen.div_ceil(batch_size);
        ctx.progress
            .batch(batch as u64, None, (seen - (batch - 1) * batch_size) as u64);
    })
}

/// Asks the model about the images as they stand, rounded to 8 bits. Images that were wrong before are not asked about.
fn judge(
    target: &Target<'_>,
    campaign: &Campaign<'_>,
    examples: &Examples,
    threat: Threat,
    correct: &[usize],
    batch_size: usize,
) -> Result<Standing> {
    let labels = &examples.labels;
    let fates = campaign.fates();
    let mut answers: Vec<u32> = fates.iter().map(|fate| fate.prediction).collect();
    let losses: Vec<f64> = fates.iter().map(|fate| fate.loss).collect();
    let mut rounded_losses = losses.clone();
    for batch in correct.chunks(batch_size) {
        let places: Vec<u32> = batch.iter().map(|&i| i as u32).collect();
        let places = Tensor::from_vec(places, batch.len(), campaign.images().device())?;
        let images = campaign.images().index_select(&places, 0)?;
        let originals = examples.images.index_select(&places, 0)?;
        let images = to_8bit(&images, &originals, threat)?;
        let indices: Vec<usize> = batch.iter().map(|&i| examples.indices[i]).collect();
        let what = "the 8-bit form of adversarial image";
        let logits = target.sound_logits(&images, &indices, what)?;
        let truth: Vec<u32> = batch.iter().map(|&i| labels[i]).collect();
        let found = cross_entropy(&logits, &truth, Reduction::Sum)?.per_example;
        for ((&i, answer), loss) in batch.iter().zip(predictions(&logits)?).zip(found) {
            answers[i] = answer;
            rounded_losses[i] = loss;
        }
    }
    let right = |answers: &[u32]| {
        let right = correct.iter().filter(|&&i| answers[i] == labels[i]);
        right.count() as u64
    };
    let mut floats = Tally::default();
    let standing: Vec<u32> = fates.iter().map(|fate| fate.prediction).collect();
    floats.add(&losses, right(&standing));
    let mut rounded = Tally::default();
    rounded.add(&rounded_losses, right(&answers));
    let succeeded = |answers: &[u32]| {
        let attacked = fates.iter().enumerate().filter(|(_, fate)| fate.attacked);
        let succeeded = attacked.filter(|(i, fate)| fate.succeeds(answers[*i], labels[*i]));
        succeeded.count()
    };
    Ok(Standing {
        attack: String::new(),
        floats,
        rounded,
        succeeded: [succeeded(&standing), succeeded(&answers)],
        answers_8bit: answers,
    })
}

fn save(
    ctx: &StageContext<'_>,
    dataset: &Dataset,
    campaign: &Campaign<'_>,
    examples: &Examples,
    as_files: Option<Threat>,
) -> Result<()> {
    let labels = examples.labels.as_slice();
    let tensors = BTreeMap::from([
        ("images".to_string(), campaign.images().clone()),
        ("originals".to_string(), examples.images.clone()),
        (
            "labels".to_string(),
            Tensor::from_slice(labels, labels.len(), &Device::Cpu)?,
        ),
    ]);
    ctx.folder.write_tensors(files::ADVERSARIAL, &tensors)?;
    if let Some(threat) = as_files {
        let folder = ctx.folder.file(files::ADVERSARIAL_IMAGES);
        let rounded = to_8bit(campaign.images(), &examples.images, threat)?;
        images::write(&folder, dataset, &rounded)?;
    }
    Ok(())
}

/// The rows of `examples.csv`.
fn rows(
    dataset: &Dataset,
    campaign: &Campaign<'_>,
    examples: &Examples,
    attacks: &[Box<dyn Attack>],
    clean: &[u32],
    standings: &[Standing],
) -> Result<Vec<ExampleRow>> {
    let distances = Threat::distances(campaign.images(), &examples.images)?;
    let answers_8bit = standings.last().map(|standing| &standing.answers_8bit);
    let name = |class: u32| class_text(&dataset.classes, class);
    let rows = campaign.fates().iter().enumerate().map(|(i, fate)| {
        let (index, label) = (examples.indices[i], examples.labels[i]);
        let row = ExampleRow {
            index,
            name: format!(
                "{}/{}",
                dataset.classes[label as usize], dataset.names[index]
            ),
            label,
            label_name: name(label),
            clean_prediction: clean[i],
            clean_prediction_name: name(clean[i]),
            outcome: match (fate.attacked, fate.broken_by) {
                (true, Some(_)) => ExampleOutcome::Broken,
                (true, None) => ExampleOutcome::Withstood,
                (false, _) if clean[i] == label => ExampleOutcome::NotAttacked,
                (false, _) => ExampleOutcome::Misclassified,
            },
            ..ExampleRow::default()
        };
        if !fate.attacked {
            return row;
        }
        let answer_8bit = answers_8bit.map(|answers| answers[i]);
        ExampleRow {
            adversarial_prediction: Some(fate.prediction),
            adversarial_prediction_name: Some(name(fate.prediction)),
            adversarial_prediction_8bit: answer_8bit,
            adversarial_prediction_8bit_name: answer_8bit.map(name),
            broken_by: fate
                .broken_by
                .map(|number| attacks[number].name().to_owned()),
            linf: Some(distances[i].linf),
            l2: Some(distances[i].l2),
            ..row
        }
    });
    Ok(rows.collect())
}

/// Writes the rows of `metrics.csv` and says what came out.
fn report(
    ctx: &StageContext<'_>,
    kind: &str,
    clean: &Tally,
    mut standings: Vec<Standing>,
    rows: &[ExampleRow],
) -> Result<Metrics> {
    // An ensemble has a row of its own beside those of its members.
    if let Some(last) = standings.last().filter(|last| last.attack != kind) {
        let seconds = standings
            .iter()
            .map(|standing| standing.floats.seconds)
            .sum();
        let whole = |tally: Tally| Tally { seconds, ..tally };
        standings.push(Standing {
            attack: kind.to_owned(),
            floats: whole(last.floats),
            rounded: whole(last.rounded),
            answers_8bit: last.answers_8bit.clone(),
            succeeded: last.succeeded,
        });
    }
    let mut writer = ctx.folder.metrics(ctx.device)?;
    let mut append = |tally: &Tally, name: &str| {
        let mut row = tally.row(&ctx.spec.id, "test", name);
        row.best_accuracy = row.accuracy;
        writer.append(row)
    };
    let mut metrics = Metrics::from([("test_accuracy".to_string(), clean.accuracy())]);
    append(clean, "none")?;
    for Standing {
        attack,
        floats,
        rounded,
        ..
    } in &standings
    {
        append(floats, attack)?;
        append(rounded, &format!("{attack}-8bit"))?;
        metrics.insert(format!("test_{attack}_accuracy"), floats.accuracy());
        metrics.insert(format!("test_{attack}_8bit_accuracy"), rounded.accuracy());
    }
    let attacked = rows
        .iter()
        .filter(|row| row.adversarial_prediction.is_some());
    let attacked = attacked.count();
    let last = standings.last().map(|last| last.succeeded);
    let [succeeded, rounded_succeeded] = last.unwrap_or_default();
    let rate = |count: usize| count as f64 / attacked.max(1) as f64;
    let wrong = rows
        .iter()
        .filter(|row| row.clean_prediction != row.label)
        .count();
    ctx.progress.line(&format!(
        "{} images: {wrong} wrong before, {} withstood {kind}, {succeeded} broken; success rate {:.2} % ({:.2} % after \
         rounding to 8 bits)",
        rows.len(),
        attacked - succeeded,
        100.0 * rate(succeeded),
        100.0 * rate(rounded_succeeded),
    ));
    metrics.insert("success_rate".to_string(), rate(succeeded));
    metrics.insert("success_rate_8bit".to_string(), rate(rounded_succeeded));
    Ok(metrics)
}
