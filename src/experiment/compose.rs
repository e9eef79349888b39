//! From merged layers to a checked experiment: one point of a sweep, or the only one.

use figment::value::{Dict, Value};

use super::experiment::{ExperimentSpec, StageSpec};
use super::references::{self, Link};
use super::sections::sections;
use super::stages::{StageReader, first_leaf, refuse_unknown};
use crate::models::{Layer, ModelSpec, Moment, WeightsRef, layers_as_text};
use crate::spec::fields::join;
use crate::spec::layers::Point;
use crate::spec::location::{Locate, Location};
use crate::spec::outcome::Outcome;
use crate::spec::task::{HEAD_NAMES, TaskKind};
use crate::spec::words::found;

/// Reads the experiment. Nothing where it has faults; all of them are noted.
pub(crate) fn compose(point: &Point, outcome: &mut Outcome) -> Option<ExperimentSpec> {
    let layers = point.layers;
    let (stages, stem) = (layers.stages.as_slice(), layers.stem());
    let merged = point.merged();
    let sections = sections();
    refuse_unknown(
        &merged,
        "",
        &[
            "name",
            "task",
            "seed",
            "precision",
            "sweep",
            "launcher",
            "stage",
        ],
        stages,
        &sections,
        point,
        outcome,
    );
    let name = read_name(&merged, &stem, point, outcome);
    refuse_unknown_stages(&merged, stages, point, outcome);

    let main = [StageSpec::MAIN.to_owned()];
    let ids = match stages {
        // Stages that have no sound id are no reason to look for a spec of one task.
        [] if layers.refused_stages => stages,
        [] => &main,
        _ => stages,
    };
    let mut reader = StageReader {
        merged: &merged,
        stages,
        sections: &sections,
        locations: point,
        outcome,
    };
    let read: Vec<_> = ids.iter().map(|id| reader.read(id)).collect();
    let tasks: Vec<_> = read
        .iter()
        .map(|stage| (stage.id.clone(), stage.task))
        .collect();
    let links: Vec<Link> = read.iter().flat_map(|stage| stage.links.clone()).collect();
    if !layers.refused_stages {
        references::check(&tasks, &links, !stages.is_empty(), outcome);
    }
    let specs: Vec<StageSpec> = read.into_iter().filter_map(|stage| stage.spec).collect();
    compare_with_sources(&specs, &links, outcome);
    refuse_missing_averages(&specs, &links, outcome);
    if !outcome.is_sound() {
        return None;
    }
    note_shadowed(&merged, point, outcome);
    Some(ExperimentSpec {
        name: name?,
        stages: specs,
        staged: !stages.is_empty(),
        provenance: std::mem::take(&mut outcome.provenance),
        warnings: outcome.warnings(),
    })
}

fn read_name(
    merged: &Dict,
    stem: &str,
    locations: &dyn Locate,
    outcome: &mut Outcome,
) -> Option<String> {
    let expected =
        "expected up to 100 letters, digits, -, _ and . (not first), for the folder under results/";
    match merged.get("name") {
        Some(Value::String(tag, name)) if is_name(name) => {
            let location = locations.locate("name", *tag);
            outcome
                .provenance
                .insert("name".into(), location.provenance());
            Some(name.clone())
        }
        Some(other) => {
            let location = locations.locate("name", other.tag());
            outcome.fault(
                &location,
                "name",
                &format!("{expected}, found {}", found(other)),
            );
            None
        }
        None if is_name(stem) => {
            outcome.provenance.insert("name".into(), "default".into());
            Some(stem.to_owned())
        }
        None => {
            outcome.fault(
                &locations.locate_section("name"),
                "name",
                &format!("missing; {expected}"),
            );
            None
        }
    }
}

/// Whether a text can be an experiment's name: it becomes a folder.
fn is_name(text: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    (1..=100).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with('.')
}

/// Refuses settings of stages that no file lists.
fn refuse_unknown_stages(
    merged: &Dict,
    stages: &[String],
    locations: &dyn Locate,
    outcome: &mut Outcome,
) {
    let Some(written) = merged.get("stage") else {
        return;
    };
    let Some(table) = written.as_dict() else {
        let location = locations.locate("stage", written.tag());
        outcome.fault(
            &location,
            "stage",
            &format!("expected stage.ID.KEY, found {}", found(written)),
        );
        return;
    };
    for (id, value) in table.iter().filter(|(id, _)| !stages.contains(id)) {
        let (path, leaf) = first_leaf(&format!("stage.{id}"), value);
        let location = locations.locate(&path, leaf.tag());
        let message = if stages.is_empty() {
            "this spec lists no [[stage]]".to_owned()
        } else {
            format!("unknown stage; the stages are {}", stages.join(", "))
        };
        outcome.fault(&location, &format!("stage.{id}"), &message);
    }
}

/// Compares the model of each stage that takes another one's weights with the model that left them.
fn compare_with_sources(specs: &[StageSpec], links: &[Link], outcome: &mut Outcome) {
    let find = |id: &str| specs.iter().find(|stage| stage.id == id);
    for link in links {
        let (Some(user), Some(source)) = (find(&link.from), find(&link.target)) else {
            continue;
        };
        // A transfer's models have a normalisation in common, and architectures of their own.
        let (Some((_, trained)), [(_, model)]) =
            (source.task.models().pop(), &user.task.models()[..])
        else {
            continue;
        };
        let is_source =
            matches!(&model.weights, Some(WeightsRef::Stage(id, _)) if *id == source.id);
        if !is_source || !link.key.ends_with("weights") || user.task.kind() == TaskKind::Transfer {
            continue;
        }
        let layers = match (&model.layers, &trained.layers) {
            (Some(these), Some(those)) => Layer::agree(these, those),
            (these, those) => these == those,
        };
        if (&model.arch, &model.widths) != (&trained.arch, &trained.widths) || !layers {
            let message = format!(
                "the weights of \"@{}\" are those of {}, and the model here is {}",
                source.id,
                words(trained),
                words(model)
            );
            outcome.fault(&link.location, &link.key, &message);
        }
        let normalize = |stage: &StageSpec| stage.task.data().map(|data| data.normalize.clone());
        if normalize(user) != normalize(source) {
            outcome.remarks.push(format!(
                "{}: {}: the model was trained with another data.normalize than is set here",
                link.location, link.key
            ));
        }
        if model.activation != trained.activation {
            outcome.remarks.push(format!(
                "{}: {}: the model was trained with another model.activation than is set here",
                link.location, link.key
            ));
        }
    }
}

/// Refuses references to an average that the stage does not make.
fn refuse_missing_averages(specs: &[StageSpec], links: &[Link], outcome: &mut Outcome) {
    let find = |id: &str| specs.iter().find(|stage| stage.id == id);
    for link in links {
        let (Some(user), Some(source)) = (find(&link.from), find(&link.target)) else {
            continue;
        };
        let Some(training) = source.task.training() else {
            continue;
        };
        for (key, model) in user.task.models() {
            let moment = match &model.weights {
                Some(WeightsRef::Stage(id, moment)) if *id == source.id => *moment,
                _ => continue,
            };
            let made = training.train.average.as_ref();
            let made = made.is_some_and(|average| average.kind.name() == moment.name());
            if matches!(moment, Moment::Ema | Moment::Swa)
                && !made
                && link.key.ends_with(&format!("{key}.weights"))
            {
                let id = &source.id;
                let message = format!(
                    "the stage \"{id}\" makes no such average: its train.average is to be {{ kind = \"{moment}\", ... }}"
                );
                outcome.fault(&link.location, &link.key, &message);
            }
        }
    }
}

fn words(model: &ModelSpec) -> String {
    let arch = &model.arch;
    match (&model.widths, &model.layers) {
        (Some(widths), _) => format!("{arch} with widths {widths:?}"),
        (_, Some(layers)) => format!("{arch} with layers {}", layers_as_text(layers)),
        (None, None) => arch.clone(),
    }
}

/// Notes the settings of the whole spec that every stage sets for itself.
fn note_shadowed(merged: &Dict, locations: &dyn Locate, outcome: &mut Outcome) {
    let sections = sections();
    let sections = sections
        .iter()
        .filter_map(|section| Some((section.name, merged.get(section.name)?.as_dict()?)));
    let heads = HEAD_NAMES
        .iter()
        .filter_map(|name| Some((name, merged.get(*name)?)))
        .filter(|(name, _)| !outcome.was_seen(name))
        .map(|(name, value)| (locations.locate(name, value.tag()), (*name).to_owned()));
    let shadowed: Vec<(Location, String)> = sections
        .filter(|(name, _)| outcome.was_effective(name))
        .flat_map(|(name, dict)| {
            dict.iter()
                .map(move |(key, value)| (join(name, key), value))
        })
        .filter(|(path, _)| !outcome.was_seen(path))
        .map(|(path, value)| (locations.locate(&path, value.tag()), path))
        .chain(heads)
        .collect();
    for (location, path) in shadowed {
        let why = format!("every stage sets its own; one stage's key is stage.ID.{path}");
        outcome.idle(path, location, &why);
    }
}
