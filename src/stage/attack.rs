//! Task `attack`: adversarial images for a trained model, and what became of each example.

mod attack_run;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use self::attack_run::{AfterAttack, AttackRun};
use super::assemble;
use super::context::StageContext;
use super::evaluation::Tally;
use super::examples::Examples;
use super::images;
use crate::Result;
use crate::attacks::{Attack, AttackEvaluation, Threat, Victim, sanity, to_8bit};
use crate::data::{Dataset, Split};
use crate::experiment::{AttackTask, ModelUse};
use crate::run::{ExampleOutcome, ExampleRow, Metrics, class_text, files, interrupt};

/// Attacks every test image that the model classifies correctly.
pub(super) fn run(ctx: &StageContext<'_>, task: &AttackTask) -> Result<Metrics> {
    let AttackTask {
        attack: spec, data, ..
    } = task;
    let used = ModelUse::new(&task.model, data, &task.linbp, ctx.seed);
    let dataset = assemble::dataset(ctx, data, Split::Test)?;
    let entry = spec.entry()?;
    let attacks = assemble::attacks(spec, &entry, data, dataset.classes.len())?;
    let network = assemble::network(ctx, &used, &dataset)?;
    let plan = assemble::attack_plan(&used, &network)?;
    let victim = Victim {
        name: assemble::model_name(&task.model),
        check: interrupt::check,
        ..Victim::new(&network, plan)
    };
    ctx.progress.stage(ctx.id, 1);
    let examples = Examples::load(Arc::clone(&dataset), data.eval_batch_size)?;
    let threat = assemble::threat(&attacks)?;
    let mut attack_run =
        AttackRun::new(ctx, &victim, &examples, data.eval_batch_size, attacks.len())?;
    attack_run.run(&attacks)?;
    let AttackRun {
        evaluation, state, ..
    } = attack_run;
    let broken = (0..attacks.len()).map(|number| evaluation.broken_by(number));
    let series: Vec<(&dyn Attack, usize)> = attacks.iter().map(AsRef::as_ref).zip(broken).collect();
    if let Some(warning) = sanity::compare(&series, examples.labels.len()) {
        warning.emit();
    }

    save(
        ctx,
        &dataset,
        &evaluation,
        &examples,
        spec.head.save_images.then_some(threat),
    )?;
    let rows = rows(
        &dataset,
        &evaluation,
        &examples,
        &attacks,
        &state.after_attacks,
    )?;
    ctx.folder.write_examples(&rows)?;
    let clean = state.clean.unwrap_or_default();
    let metrics = report(ctx, &entry.name, &clean, state.after_attacks, &rows)?;
    ctx.progress.finish();
    Ok(metrics)
}

fn save(
    ctx: &StageContext<'_>,
    dataset: &Dataset,
    evaluation: &AttackEvaluation<'_>,
    examples: &Examples,
    as_files: Option<Threat>,
) -> Result<()> {
    let labels = examples.labels.as_slice();
    let tensors = BTreeMap::from([
        ("images".to_string(), evaluation.images().clone()),
        ("originals".to_string(), examples.images.clone()),
        (
            "labels".to_string(),
            Tensor::from_slice(labels, labels.len(), &Device::Cpu)?,
        ),
    ]);
    ctx.folder.write_tensors(files::ADVERSARIAL, &tensors)?;
    if let Some(threat) = as_files {
        let folder = ctx.folder.file(files::ADVERSARIAL_IMAGES);
        let rounded = to_8bit(evaluation.images(), &examples.images, threat)?;
        images::write(&folder, dataset, &rounded)?;
    }
    Ok(())
}

/// The rows of `examples.csv`.
fn rows(
    dataset: &Dataset,
    evaluation: &AttackEvaluation<'_>,
    examples: &Examples,
    attacks: &[Box<dyn Attack>],
    after_attacks: &[AfterAttack],
) -> Result<Vec<ExampleRow>> {
    let (clean, confidences) = (
        evaluation.clean_predictions()?,
        evaluation.clean_confidences()?,
    );
    let distances = Threat::distances(evaluation.images(), &examples.images)?;
    let answers_8bit = after_attacks.last().map(|after| &after.answers_8bit);
    let name = |class: u32| class_text(&dataset.classes, class);
    let rows = evaluation.fates().iter().enumerate().map(|(i, fate)| {
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
            clean_confidence: Some(confidences[i]),
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
            adversarial_confidence: Some(fate.confidence),
            adversarial_prediction_8bit: answer_8bit,
            adversarial_prediction_8bit_name: answer_8bit.map(name),
            broken_by: fate
                .broken_by
                .map(|number| attacks[number].name().to_owned()),
            steps: fate.steps,
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
    mut after_attacks: Vec<AfterAttack>,
    rows: &[ExampleRow],
) -> Result<Metrics> {
    // An ensemble has a row of its own beside those of its members.
    if let Some(last) = after_attacks.last().filter(|last| last.attack != kind) {
        let seconds = after_attacks.iter().map(|after| after.floats.seconds).sum();
        let whole = |tally: Tally| Tally { seconds, ..tally };
        after_attacks.push(AfterAttack {
            attack: kind.to_owned(),
            floats: whole(last.floats),
            rounded: whole(last.rounded),
            answers_8bit: last.answers_8bit.clone(),
            succeeded: last.succeeded,
        });
    }
    let mut writer = ctx.folder.metrics(ctx.device)?;
    let mut append = |tally: &Tally, name: &str| {
        let mut row = tally.row(ctx.id, "test", name);
        row.best_accuracy = row.accuracy;
        writer.append(row)
    };
    let mut metrics = Metrics::from([("test_accuracy".to_string(), clean.accuracy())]);
    append(clean, "none")?;
    for AfterAttack {
        attack,
        floats,
        rounded,
        ..
    } in &after_attacks
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
    let last = after_attacks.last().map(|last| last.succeeded);
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
    // What an attack of minimal norm is judged by.
    let broken: Vec<_> = rows
        .iter()
        .filter(|row| row.outcome == ExampleOutcome::Broken)
        .collect();
    let mut mean = |name: &str, of: fn(&ExampleRow) -> Option<f64>| {
        let sum: f64 = broken.iter().filter_map(|row| of(row)).sum();
        if !broken.is_empty() {
            metrics.insert(name.to_owned(), sum / broken.len() as f64);
        }
    };
    mean("mean_broken_linf", |row| row.linf);
    mean("mean_broken_l2", |row| row.l2);
    Ok(metrics)
}
