//! Runs held against each other: those of a name over a setting, paired; and two runs, image by image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Value;

use super::cells::setting;
use super::comparison::{ComparedRun, Comparison};
use super::groups::{Spread, groups, is_seed, keys, shared_name};
use super::paired::{chance, mcnemar, sign_flips};
use super::printed::{Printed, Printing, remark};
use super::settings::lookup;
use super::transfer_pairs;
use super::words::{metric_number, metric_words, unit, value_words};
use crate::choice::did_you_mean;
use crate::run::{ExampleOutcome, ExampleRow, files, metric_rank, runs};
use crate::{Error, Result};

/// The finished runs of a name over `key`: for each of its values and the first one the metrics of both, and the mean
/// difference over pairs of runs that differ in it alone, with how likely chance makes as much.
///
/// # Errors
/// A name without runs; a key in which its finished runs do not differ.
pub fn over(results: &Path, name: &str, key: &str, printing: Printing) -> Result<String> {
    let comparison = Comparison::new(runs(results, Some(name))?);
    let groups = groups(&comparison);
    let known = keys(&comparison, &groups);
    let names = known.iter().map(|known| shared_name(known, &comparison));
    let names: Vec<&str> = names.collect();
    let is_key = |(known, name): (&&str, &&str)| *known == key || *name == key;
    let Some(at) = known.iter().zip(&names).position(is_key) else {
        let words = match names.as_slice() {
            [] => "its finished runs differ in no setting".to_owned(),
            names => format!("its finished runs differ in {}", names.join(", ")),
        };
        return Err(Error::spec(format!(
            "{name}: {key} tells no runs apart; {words}{}",
            did_you_mean(key, names.iter().copied())
        )));
    };
    let (key, called) = (known[at], names[at]);
    // Runs by what they have beside the key, seeds included.
    let mut others: BTreeMap<String, Vec<&ComparedRun>> = BTreeMap::new();
    let mut values: Vec<&Value> = Vec::new();
    for run in groups.iter().flat_map(|group| &group.runs) {
        let rest = known.iter().enumerate().filter(|(place, _)| *place != at);
        let rest: Vec<_> = rest.map(|(_, key)| lookup(&run.settings, key)).collect();
        let seeds: Vec<_> = run
            .settings
            .iter()
            .filter(|(key, _)| is_seed(key))
            .collect();
        others
            .entry(format!("{rest:?} {seeds:?}"))
            .or_default()
            .push(run);
        if let Some(value) = lookup(&run.settings, key)
            && !values.contains(&value)
        {
            values.push(value);
        }
    }
    let metrics = comparison.main_metrics();
    let mut text = String::new();
    let [first, further @ ..] = values.as_slice() else {
        return Ok(text);
    };
    for value in further {
        let pairs: Vec<(&ComparedRun, &ComparedRun)> = others
            .values()
            .filter_map(|runs| {
                let of = |value: &Value| {
                    let mut same = runs
                        .iter()
                        .filter(|run| lookup(&run.settings, key) == Some(value));
                    same.next().copied()
                };
                Some((of(first)?, of(value)?))
            })
            .collect();
        let [one, other] = [first, value].map(|value| value_words(key, Some(value)));
        text += &remark(
            &format!("{name}: {called}, {other} against {one}"),
            printing,
        );
        let header = ["METRIC", &one, &other, "DIFFERENCE", "PAIRS", "P"];
        let rows = metrics.iter().filter_map(|metric| row(metric, &pairs));
        text += &Printed::plain(header, 1, rows).print(printing);
        text.push('\n');
    }
    text += remark(
        "P: how likely chance makes a difference at least so large, by the signs of the pairs' differences (two-sided; at \
         least 2/2^pairs)",
        printing,
    )
    .trim_end();
    Ok(text + "\n")
}

fn row(metric: &str, pairs: &[(&ComparedRun, &ComparedRun)]) -> Option<[String; 6]> {
    let of = |run: &ComparedRun| run.metrics.get(metric).copied();
    let both = pairs
        .iter()
        .filter_map(|(one, other)| Some((of(one)?, of(other)?)));
    let (ones, twos): (Vec<f64>, Vec<f64>) = both.unzip();
    let differences: Vec<f64> = ones.iter().zip(&twos).map(|(one, two)| two - one).collect();
    let [one, two, difference] = [&ones, &twos, &differences].map(|numbers| Spread::of(numbers));
    let scattered = difference?
        .deviation
        .map(|d| format!(" ± {}", metric_number(metric, d)));
    let difference = difference?.mean;
    let sign = if difference >= 0.0 { "+" } else { "" };
    Some([
        format!("{}{}", metric_words(metric), unit(metric).1),
        metric_number(metric, one?.mean),
        metric_number(metric, two?.mean),
        format!(
            "{sign}{}{}",
            metric_number(metric, difference),
            scattered.unwrap_or_default()
        ),
        differences.len().to_string(),
        sign_flips(&differences).map(chance).unwrap_or_default(),
    ])
}

/// The transfers of a run, `NAME/RUN`: its attacks held against each other on the same surrogate and judge.
///
/// # Errors
/// No such run, or one without a transfer by several methods.
pub fn within(results: &Path, name: &str, printing: Printing) -> Result<String> {
    let run = found(results, name)?;
    let methods = transfer_pairs::methods(results, &run, printing)?;
    methods.ok_or_else(|| {
        Error::spec(format!(
            "{name}: has no transfer by two methods to hold against each other, or is of an early version; two runs are \
             compared by a second NAME/RUN, all of a name by --over KEY"
        ))
    })
}

/// Two runs, each `NAME/RUN`: the settings in which they differ, their metrics, and where both attacked the same images, on
/// how many the attacks of one alone succeeded.
///
/// # Errors
/// No such run.
pub fn two(results: &Path, names: [&str; 2], printing: Printing) -> Result<String> {
    let [one, other] = [found(results, names[0])?, found(results, names[1])?];
    let keys: BTreeSet<&String> = one.settings.keys().chain(other.settings.keys()).collect();
    let differing = keys
        .into_iter()
        .filter(|key| one.settings.get(*key) != other.settings.get(*key));
    let header = ["SETTING", names[0], names[1]];
    let cell = |run: &ComparedRun, key: &str| setting(run.settings.get(key));
    let rows = differing.map(|key| [key.clone(), cell(&one, key), cell(&other, key)]);
    let mut text = Printed::plain(header, 3, rows).print(printing);
    let metrics: BTreeSet<&String> = one.metrics.keys().chain(other.metrics.keys()).collect();
    let mut metrics: Vec<&String> = metrics.into_iter().collect();
    metrics.sort_by_cached_key(|metric| metric_rank(metric));
    let header = ["METRIC", names[0], names[1], "DIFFERENCE"];
    let rows = metrics.into_iter().map(|metric| {
        let [a, b] = [&one, &other].map(|run| run.metrics.get(metric).copied());
        let shown =
            |value: Option<f64>| value.map(|v| metric_number(metric, v)).unwrap_or_default();
        let difference = a.zip(b).map(|(a, b)| b - a);
        let sign = if difference.is_some_and(|d| d >= 0.0) {
            "+"
        } else {
            ""
        };
        let name = format!("{}{}", metric_words(metric), unit(metric).1);
        [
            name,
            shown(a),
            shown(b),
            format!("{sign}{}", shown(difference)),
        ]
    });
    text += &format!("\n{}", Printed::plain(header, 1, rows).print(printing));
    text += &transfer_pairs::between(results, &one, &other, printing)?;
    if let Some(words) = images(results, &one, &other)? {
        text += &format!("\n{}\n", remark(&words, printing).trim_end());
    }
    Ok(text)
}

/// A run by `NAME/RUN`, of whose last part the beginning or the end is enough where no other has it.
fn found(results: &Path, path: &str) -> Result<ComparedRun> {
    let Some((name, run)) = path.trim_end_matches('/').rsplit_once('/') else {
        return Err(Error::spec(format!(
            "{path}: expected a run as NAME/RUN; `runner list {path}` shows them"
        )));
    };
    let name = name.rsplit('/').next().unwrap_or(name);
    let mut all = runs(results, Some(name))?;
    if all.iter().any(|listed| listed.run == run) {
        all.retain(|listed| listed.run == run);
    } else {
        all.retain(|listed| listed.run.starts_with(run) || listed.run.ends_with(run));
    }
    let (found, count) = (all.pop(), all.len() + 1);
    match (found, count) {
        (Some(listed), 1) => {
            let mut comparison = Comparison::new(vec![listed]);
            Ok(comparison.runs.remove(0))
        }
        (Some(_), count) => Err(Error::spec(format!(
            "{path}: {count} runs are called so; give more of the name"
        ))),
        (None, _) => Err(Error::spec(format!(
            "{path}: no such run; `runner list {name}` shows them"
        ))),
    }
}

/// McNemar's test on the images that both runs attacked.
fn images(results: &Path, one: &ComparedRun, other: &ComparedRun) -> Result<Option<String>> {
    let read = |run: &ComparedRun| -> Result<BTreeMap<String, bool>> {
        let mut broken = BTreeMap::new();
        for stage in &run.stages {
            let path = results
                .join(&run.run)
                .join(&stage.record.folder)
                .join(files::EXAMPLES);
            for row in ExampleRow::read(&path)? {
                let attacked =
                    [ExampleOutcome::Broken, ExampleOutcome::Withstood].contains(&row.outcome);
                if attacked {
                    let name = format!("{} {}", stage.record.id, row.name);
                    broken.insert(name, row.outcome == ExampleOutcome::Broken);
                }
            }
        }
        Ok(broken)
    };
    let (first, second) = (read(one)?, read(other)?);
    let both = first
        .iter()
        .filter_map(|(name, one)| Some((*one, *second.get(name)?)));
    let both: Vec<(bool, bool)> = both.collect();
    if both.is_empty() {
        return Ok(None);
    }
    let count = |pair: (bool, bool)| both.iter().filter(|found| **found == pair).count();
    let (alone, other_alone) = (count((true, false)), count((false, true)));
    Ok(Some(format!(
        "Of {} images that both attacked, {} were broken by both, {alone} by {} alone, {other_alone} by {} alone: P = {} \
         (McNemar, exact)",
        both.len(),
        count((true, true)),
        one.run,
        other.run,
        chance(mcnemar(alone, other_alone)),
    )))
}
