//! `results.csv`: everything that the runs of a name measured, one measurement a row. What a measurement is of, the attack
//! above all, stands in cells and not in names of columns, so that one selection and one grouping answer a question.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::cells::{setting, write_table};
use super::comparison::{ComparedRun, ComparedStage, Comparison};
use super::settings::{lookup, of_stage};
use crate::attacks::AttackName;
use crate::error::Result;
use crate::run::table::columns;
use crate::run::{Method, MetricsRow};
use crate::spec::TaskKind;

/// The columns before the settings that tell the runs apart.
const RUN_COLUMNS: [&str; 2] = ["run", "state"];

/// One measurement, whose columns are its fields in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Measurement {
    stage: String,
    task: String,
    /// Epochs done, of a training.
    epoch: Option<u64>,
    /// Optimizer steps done, of a training.
    step: Option<u64>,
    /// `train`, `test`, `validation` or `guard`; missing in simulations.
    split: Option<String>,
    /// `none`, or the attack that the examples were under; missing in simulations.
    attack: Option<String>,
    /// Whether the images were rounded to 8 bits: `none` or `8bit`; missing in simulations.
    rounding: Option<&'static str>,
    /// How the gradients of the attack, or in simulations of the method, were computed: `bp` or `linbp`.
    gradient: Option<&'static str>,
    /// The model that the images were made on, where that is the question: in the task `transfer`.
    surrogate: Option<String>,
    /// The model that was shown these images.
    victim: Option<String>,
    /// Whether it is the last of its run, stage, split, attack and rounding.
    #[serde(rename = "final")]
    is_final: bool,
    accuracy: Option<f64>,
    best_accuracy: Option<f64>,
    loss: Option<f64>,
    success_rate: Option<f64>,
    l1_distance: Option<f64>,
    lr: Option<f64>,
    examples: Option<u64>,
    seconds: Option<f64>,
    examples_per_second: Option<f64>,
}

/// Writes the table to `path`.
pub fn write(path: &Path, comparison: &Comparison) -> Result<()> {
    let columns = columns::<Measurement>();
    // Where `task` is swept, the column of the stages says it.
    let keys = comparison.keys.iter();
    let keys: Vec<&String> = keys.filter(|key| !columns.contains(key)).collect();
    let header = RUN_COLUMNS.map(str::to_owned).into_iter();
    let header = header
        .chain(keys.iter().copied().cloned())
        .chain(columns.clone());
    let mut rows = Vec::new();
    for run in &comparison.runs {
        let mut cells = vec![run.run.clone(), run.state_name().to_owned()];
        cells.extend(keys.iter().map(|key| setting(lookup(&run.settings, key))));
        for measurement in run.stages.iter().flat_map(|stage| measurements(run, stage)) {
            rows.push((cells.clone(), measurement));
        }
    }
    write_table(path, header, rows.into_iter())
}

/// What a stage measured.
fn measurements(run: &ComparedRun, stage: &ComparedStage) -> Vec<Measurement> {
    let mut found = of_metrics(run, stage);
    found.extend(of_transfer(run, stage));
    found.extend(of_simulation(stage));
    found
}

fn blank(stage: &ComparedStage) -> Measurement {
    Measurement {
        stage: stage.record.id.clone(),
        task: stage.record.task.clone(),
        is_final: true,
        ..Measurement::default()
    }
}

/// The rows of `metrics.csv`.
fn of_metrics(run: &ComparedRun, stage: &ComparedStage) -> Vec<Measurement> {
    let id = &stage.record.id;
    let linbp = of_stage(&run.settings, id, "linbp.attack").and_then(toml::Value::as_bool);
    let kind = of_stage(&run.settings, id, "attack.kind").and_then(toml::Value::as_str);
    let is_training = TaskKind::from_name(&stage.record.task).is_some_and(TaskKind::is_training);
    let mut last: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for row in &stage.rows {
        let epoch = last.entry((&row.split, &row.attack)).or_default();
        *epoch = row.epoch.max(*epoch);
    }
    let rows = stage.rows.iter().map(|row: &MetricsRow| {
        let (attack, rounding, suffix) = match row.attack.strip_suffix("-8bit") {
            Some(attack) => (attack, "8bit", "_8bit"),
            None => (row.attack.as_str(), "none", ""),
        };
        // The stage knows the rate of its attack as a whole.
        let rate = (kind == Some(attack)).then(|| format!("success_rate{suffix}"));
        Measurement {
            epoch: is_training.then_some(row.epoch),
            step: is_training.then_some(row.step),
            split: Some(row.split.clone()),
            attack: Some(attack.to_owned()),
            rounding: Some(rounding),
            gradient: linbp.and_then(|linbp| gradient(run, id, attack, linbp)),
            is_final: last.get(&(&*row.split, &*row.attack)) == Some(&row.epoch),
            accuracy: row.accuracy,
            best_accuracy: row.best_accuracy,
            loss: row.loss,
            success_rate: rate.and_then(|rate| stage.record.metrics.get(&rate).copied()),
            lr: row.lr,
            examples: row.examples,
            seconds: row.seconds,
            examples_per_second: row.examples_per_second,
            ..blank(stage)
        }
    });
    rows.collect()
}

/// The rows of `transfer.csv`, each for floats and for 8 bits, after the models' accuracy without an attack.
fn of_transfer(run: &ComparedRun, stage: &ComparedStage) -> Vec<Measurement> {
    let mut found: Vec<Measurement> = Vec::new();
    for row in &stage.transfer {
        let clean = stage.record.metrics.get(&format!("{}_accuracy", row.to));
        let is_new = found
            .iter()
            .all(|other| other.victim.as_ref() != Some(&row.to));
        if let (Some(&accuracy), true) = (clean, is_new) {
            found.push(Measurement {
                split: Some("test".to_owned()),
                attack: Some("none".to_owned()),
                rounding: Some("none"),
                victim: Some(row.to.clone()),
                accuracy: Some(accuracy),
                ..blank(stage)
            });
        }
    }
    for row in &stage.transfer {
        let floats = Measurement {
            split: Some("test".to_owned()),
            attack: Some(row.attack.clone()),
            rounding: Some("none"),
            gradient: gradient(run, &stage.record.id, &row.attack, row.linbp),
            surrogate: Some(row.from.clone()),
            victim: Some(row.to.clone()),
            accuracy: Some(row.accuracy),
            success_rate: row.success_rate,
            ..blank(stage)
        };
        let rounded = row.accuracy_8bit.map(|accuracy| Measurement {
            rounding: Some("8bit"),
            accuracy: Some(accuracy),
            success_rate: None,
            ..floats.clone()
        });
        found.push(floats);
        found.extend(rounded);
    }
    found
}

/// The means over the repeats of a simulation at its end.
fn of_simulation(stage: &ComparedStage) -> Vec<Measurement> {
    let methods = [Method::Bp, Method::Linbp].into_iter();
    let rows = methods.filter_map(|method| {
        let last = |what| {
            let name = format!("{}_{what}", method.name());
            stage.record.metrics.get(&name).copied()
        };
        Some(Measurement {
            gradient: Some(method.name()),
            l1_distance: Some(last("l1_distance")?),
            loss: last("loss"),
            ..blank(stage)
        })
    });
    rows.collect()
}

/// The gradient that an attack of the stage follows; `None` where it follows none.
pub(super) fn gradient(
    run: &ComparedRun,
    id: &str,
    attack: &str,
    linbp: bool,
) -> Option<&'static str> {
    let listed = |key| {
        let list = of_stage(&run.settings, id, key).and_then(toml::Value::as_array);
        let mut named = list
            .into_iter()
            .flatten()
            .filter(|entry| entry.get("name").and_then(toml::Value::as_str) == Some(attack));
        Some(AttackName::find(named.next()?.get("kind")?.as_str()?)?.kind)
    };
    let kind = match AttackName::find(attack) {
        Some(named) => Some(named.kind),
        None => ["evaluate.attacks", "transfer.attacks"]
            .into_iter()
            .find_map(listed),
    };
    let method = if linbp { Method::Linbp } else { Method::Bp };
    kind?.description().has_gradients.then(|| method.name())
}
