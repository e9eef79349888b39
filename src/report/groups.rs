//! Runs that differ in their seed alone, taken together.

use std::collections::HashMap;

use toml::Value;

use super::comparison::{ComparedRun, Comparison};
use super::settings::lookup;
use crate::run::{RunState, run_number};

/// The mean of a metric over runs, and how far it scatters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub mean: f64,
    /// The standard deviation of a sample; none of a single run.
    pub deviation: Option<f64>,
}

impl Spread {
    /// Of at least one number.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        let deviation = (numbers.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        (!numbers.is_empty()).then_some(Self { mean, deviation })
    }
}

/// Finished runs of the same settings but for their seeds.
#[derive(Debug)]
pub struct Group<'a> {
    pub runs: Vec<&'a ComparedRun>,
}

impl Group<'_> {
    /// The value that all of its runs have of a setting.
    pub fn setting(&self, key: &str) -> Option<&Value> {
        lookup(&self.runs.first()?.settings, key)
    }

    /// A metric over its runs; none where one of them lacks it.
    pub fn spread(&self, metric: &str) -> Option<Spread> {
        let numbers = self.runs.iter().map(|run| run.metrics.get(metric).copied());
        Spread::of(&numbers.collect::<Option<Vec<f64>>>()?)
    }
}

/// Whether a setting is a seed, of all stages or of one.
pub fn is_seed(key: &str) -> bool {
    key == "seed" || key.ends_with(".seed")
}

/// The settings beside seeds that tell groups apart. What follows from those before it, such as the layers that are linear
/// where `linbp.attack` is set, is none of them.
pub fn keys<'a>(comparison: &'a Comparison, groups: &[Group]) -> Vec<&'a str> {
    let mut kept: Vec<&str> = Vec::new();
    for key in comparison.keys.iter().filter(|key| !is_seed(key)) {
        let mut known: HashMap<String, Option<&Value>> = HashMap::new();
        let follows = groups.iter().all(|group| {
            let before: Vec<_> = kept.iter().map(|key| group.setting(key)).collect();
            let value = group.setting(key);
            *known.entry(format!("{before:?}")).or_insert(value) == value
        });
        if !follows {
            kept.push(key);
        }
    }
    kept
}

/// What people call a setting: without its stage where it tells the runs apart in several stages, alike in each run.
pub fn shared_name<'a>(key: &'a str, comparison: &Comparison) -> &'a str {
    fn bare(key: &str) -> Option<&str> {
        Some(key.strip_prefix("stage.")?.split_once('.')?.1)
    }
    let Some(name) = bare(key) else {
        return key;
    };
    // The settings of a run whose files cannot be read are not known.
    let runs = comparison.runs.iter().filter(|run| run.state.is_some());
    let values = |key: &String| -> Vec<Option<&Value>> {
        let values = runs.clone().map(|run| run.settings.get(key));
        values.collect()
    };
    let keys = comparison.keys.iter();
    let same = keys.filter(|key| bare(key) == Some(name)).map(values);
    let mut same = same.filter(|values| values.iter().any(|value| *value != values[0]));
    match (same.next(), same.next()) {
        (Some(one), Some(other)) if one == other && same.all(|values| values == one) => name,
        _ => key,
    }
}

/// The groups of the finished runs, in the order in which they first appear.
pub fn groups(comparison: &Comparison) -> Vec<Group<'_>> {
    let finished = |run: &&ComparedRun| run.state == Some(RunState::Finished);
    let runs = latest(comparison.runs.iter().filter(finished).collect());
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for run in runs {
        let settings = run.settings.iter().filter(|(key, _)| !is_seed(key));
        let settings = format!("{:?}", settings.collect::<Vec<_>>());
        let place = *places.entry(settings).or_insert_with(|| {
            groups.push(Group { runs: Vec::new() });
            groups.len() - 1
        });
        groups[place].runs.push(run);
    }
    groups
}

/// The end of a figure's title where its points are means: over how many seeds, at most where groups have different numbers.
pub fn over_seeds(groups: &[Group]) -> String {
    let counts = || groups.iter().map(|group| group.runs.len());
    match (counts().min(), counts().max()) {
        (_, None | Some(0 | 1)) => String::new(),
        (Some(least), Some(most)) if least < most => {
            format!(" (mean ± std of {least} to {most} seeds)")
        }
        (_, Some(most)) => format!(" (mean ± std of {most} seeds)"),
    }
}

/// Without the runs that a later one of the same settings finished after, whose data or weights were others: two points in one
/// place are no curve.
fn latest(runs: Vec<&ComparedRun>) -> Vec<&ComparedRun> {
    let mut last: HashMap<String, usize> = HashMap::new();
    let named = runs.iter().map(|run| format!("{:?}", run.settings));
    let named: Vec<String> = named.collect();
    for (run, settings) in runs.iter().zip(&named) {
        let number = last.entry(settings.clone()).or_default();
        *number = run_number(&run.run).max(*number);
    }
    let is_last = |(run, settings): &(&ComparedRun, String)| last[settings] == run_number(&run.run);
    let kept = runs.into_iter().zip(named).filter(is_last);
    kept.map(|(run, _)| run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::comparison::Chosen;
    use crate::report::settings::Settings;
    use crate::run::Metrics;

    fn run(name: &str, seed: i64, rate: f64, accuracy: f64, state: RunState) -> ComparedRun {
        ComparedRun {
            run: name.to_owned(),
            state: Some(state),
            error: None,
            settings: Settings::from([
                ("seed".to_owned(), Value::Integer(seed)),
                ("optimizer.lr".to_owned(), Value::Float(rate)),
            ]),
            metrics: Metrics::from([("test_accuracy".to_owned(), accuracy)]),
            stages: Vec::new(),
        }
    }

    #[test]
    fn seeds_are_taken_together_and_of_repeated_runs_the_last() {
        let done = RunState::Finished;
        let comparison = Comparison {
            keys: vec!["optimizer.lr".to_owned(), "seed".to_owned()],
            runs: vec![
                run("x/a", 0, 0.1, 0.5, done),
                run("x/b", 1, 0.1, 0.1, done),
                run("x/b.2", 1, 0.1, 0.7, done),
                run("x/c", 2, 0.1, 0.0, RunState::Failed),
                run("x/d", 0, 0.2, 0.25, done),
            ],
            chosen: Chosen::default(),
        };
        let groups = groups(&comparison);
        assert_eq!(keys(&comparison, &groups), ["optimizer.lr"]);
        let counts: Vec<usize> = groups.iter().map(|group| group.runs.len()).collect();
        assert_eq!(counts, [2, 1]);
        let spread = groups[0].spread("test_accuracy").unwrap();
        assert!((spread.mean - 0.6).abs() < 1e-12);
        assert!((spread.deviation.unwrap() - 0.02f64.sqrt()).abs() < 1e-12);
        assert_eq!(
            groups[1].spread("test_accuracy"),
            Some(Spread {
                mean: 0.25,
                deviation: None
            })
        );
        assert_eq!(groups[1].spread("test_loss"), None);
        assert_eq!(groups[1].setting("optimizer.lr"), Some(&Value::Float(0.2)));
    }
}
