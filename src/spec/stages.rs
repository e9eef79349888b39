//! Reads the stages of a spec from its merged layers.

mod links;

use figment::value::{Dict, Tag, Value};

use super::experiment::StageSpec;
use super::fields::{Fields, Table, found, join, unknown_key};
use super::location::Locate;
use super::outcome::{Idle, Outcome};
use super::precision::PrecisionChoice;
use super::range::{Count, Positive, Seed};
use super::references::Link;
use super::section::{Key, Section};
use super::sections::{
    AttackKind, CheckpointSpec, EnsembleMember, EvalAttack, EvaluateSpec, LinbpSpec, SECTIONS,
    SchedulerKind, SchedulerSpec, StageRef, WeightsRef,
};
use super::task::Task;
use super::uses::{Beside, Uses};
use crate::data::DataKind;

/// The keys of a stage beside its sections.
const HEAD: &[Key] = &[
    Key {
        name: "task",
        doc: "what the stage does: \"simulate\", \"train\", \"adversarial-train\", \"attack\", \"evaluate\" or \"transfer\"",
    },
    Key {
        name: "seed",
        doc: "the seed of every random number; default 0",
    },
    Key {
        name: "precision",
        doc: "how exactly a card computes: \"f32\", \"tf32\" or \"bf16\"; default \"tf32\" there, the CPU has \"f32\" alone",
    },
];

/// The names of [`HEAD`].
pub(crate) const HEAD_NAMES: &[&str] = &["task", "seed", "precision"];

/// What a stage that refers to another one's weights takes over from its model, where it does not say so itself.
const FROM_MODEL: &[&str] = &["arch", "activation", "stem", "dropout", "widths"];

/// What a stage that judges on another one's images takes over from its data, where it does not say so itself.
const FROM_DATA: &[&str] = &["kind", "dir", "image_size", "normalize", "test_limit"];

/// A stage as far as it could be read.
pub(crate) struct ReadStage {
    pub id: String,
    pub task: Option<Task>,
    pub links: Vec<Link>,
    /// Nothing where the stage has faults.
    pub spec: Option<StageSpec>,
}

/// Reads the stages.
pub(crate) struct StageReader<'a> {
    pub merged: &'a Dict,
    /// The ids in order; empty for a spec of one task.
    pub stages: &'a [String],
    pub places: &'a dyn Locate,
    pub outcome: &'a mut Outcome,
}

/// How one stage's sections are found and what it needs them for.
struct Scope<'a> {
    id: &'a str,
    /// "stage.craft", or empty for a spec of one task.
    prefix: String,
    uses: Uses,
}

impl<'a> StageReader<'a> {
    /// Reads one stage, noting its faults.
    pub fn read(&mut self, id: &'a str) -> ReadStage {
        let mut scope = Scope {
            id,
            prefix: self.prefix(id),
            uses: Uses::default(),
        };
        self.refuse_unknown_keys(&scope.prefix);
        let mut head = self.fields(&scope, &scope.prefix, HEAD, self.head_tables(&scope), true);
        let task: Option<Task> = head.required("task");
        let seed = head
            .optional::<Seed>("seed")
            .map(|seed| seed.map_or(0, Seed::get));
        let precision = head.optional::<PrecisionChoice>("precision");
        scope.uses = self.uses(&scope, task);
        let attacks = !scope.uses.attacks.is_empty();

        let data = self.section(&scope, "data");
        let model = self.section(&scope, "model");
        let linbp = self.section(&scope, "linbp");
        let optimizer = self.section(&scope, "optimizer");
        let scheduler = self.section(&scope, "scheduler");
        let train = self.section(&scope, "train");
        let attack = self.section(&scope, "attack");
        let evaluate = self.section(&scope, "evaluate");
        let checkpoint = self.section(&scope, "checkpoint");
        let simulate = self.section(&scope, "simulate");
        let transfer = self.section(&scope, "transfer");
        self.outcome.end_stage();

        let spec = || {
            let task = task?;
            // A section that is used and faulty makes the stage faulty; one that is not used is left out.
            fn need<S>(section: Option<S>, used: bool) -> Option<Option<S>> {
                if used { section.map(Some) } else { Some(None) }
            }
            fn used_or_default<S: Default>(section: Option<S>, used: bool) -> Option<S> {
                if used { section } else { Some(S::default()) }
            }
            let uses = |section| task.uses(section, attacks);
            Some(StageSpec {
                id: id.to_owned(),
                task,
                seed: seed?,
                precision: precision?,
                data: need(data, uses("data"))?,
                model: need(model, uses("model"))?,
                linbp: used_or_default::<LinbpSpec>(linbp, uses("linbp"))?,
                optimizer: need(optimizer, uses("optimizer"))?,
                scheduler: used_or_default::<SchedulerSpec>(scheduler, uses("scheduler"))?,
                train: need(train, uses("train"))?,
                attack: need(attack, uses("attack"))?,
                evaluate: used_or_default::<EvaluateSpec>(evaluate, uses("evaluate"))?,
                checkpoint: used_or_default::<CheckpointSpec>(checkpoint, uses("checkpoint"))?,
                simulate: need(simulate, uses("simulate"))?,
                transfer: need(transfer, uses("transfer"))?,
            })
        };
        ReadStage {
            id: id.to_owned(),
            task,
            links: self.links(&scope),
            spec: spec(),
        }
    }

    /// Reads a section; nothing where it is faulty or was not written and is not used.
    fn section<S: Section>(&mut self, scope: &Scope<'a>, name: &'static str) -> Option<S> {
        let attacks = !scope.uses.attacks.is_empty();
        let used = scope.uses.task.is_some_and(|task| task.uses(name, attacks));
        let tables = self.tables(scope, name)?;
        let path = join(&scope.prefix, name);
        let own = tables.iter().filter(|table| table.only.is_empty());
        let written: Vec<(String, String, Tag)> = own
            .filter_map(|table| {
                let (key, value) = table.dict.iter().next()?;
                Some((table.path.clone(), join(&table.path, key), value.tag()))
            })
            .collect();
        for (table, first, tag) in written {
            if used || scope.uses.task.is_none() {
                self.outcome.effective_here.insert(table);
            } else if let Some(task) = scope.uses.task {
                // A layer knows the places of values; the header of a section only stands in a file.
                let mut place = self.places.locate(&first, tag);
                if place.file.is_some() {
                    place = self.places.locate_section(&table);
                }
                let idle = Idle {
                    place,
                    why: format!("the task {task} does not use it"),
                    is_default: false,
                };
                self.outcome.idle_here.insert(table, idle);
            }
        }
        if tables.is_empty() && !used {
            return None;
        }
        S::read(self.fields(scope, &path, S::KEYS, tables, used))
    }

    fn fields<'f>(
        &'f mut self,
        scope: &'f Scope<'a>,
        path: &str,
        keys: &'static [Key],
        tables: Vec<Table<'f>>,
        used: bool,
    ) -> Fields<'f>
    where
        'a: 'f,
    {
        Fields {
            path: path.to_owned(),
            keys,
            tables,
            used,
            uses: &scope.uses,
            places: self.places,
            outcome: self.outcome,
        }
    }

    fn prefix(&self, id: &str) -> String {
        if self.stages.is_empty() {
            String::new()
        } else {
            format!("stage.{id}")
        }
    }

    /// The stage's own table, where the spec lists stages.
    fn stage_table(&self, id: &str) -> Option<&'a Dict> {
        self.merged.get("stage")?.as_dict()?.get(id)?.as_dict()
    }

    fn head_tables(&self, scope: &Scope<'a>) -> Vec<Table<'a>> {
        let own = self
            .stage_table(scope.id)
            .map(|dict| (scope.prefix.clone(), dict));
        let tables = own.into_iter().chain([(String::new(), self.merged)]);
        tables
            .map(|(path, dict)| Table {
                path,
                dict,
                only: HEAD_NAMES,
            })
            .collect()
    }

    /// The tables of a section, strongest first; nothing where one of them is no table.
    fn tables(&mut self, scope: &Scope<'a>, name: &'static str) -> Option<Vec<Table<'a>>> {
        let mut sound = true;
        for (path, value) in self.written(scope.id, name) {
            if value.as_dict().is_none() {
                let place = self.places.locate(&path, value.tag());
                self.outcome.fault(
                    &place,
                    &path,
                    &format!("expected a table, found {}", found(value)),
                );
                sound = false;
            }
        }
        sound.then(|| self.chain(scope.id, name, &mut Vec::new()))
    }

    /// What is written under a section's name for a stage: in its own table, then in the spec's.
    fn written(&self, id: &str, name: &str) -> Vec<(String, &'a Value)> {
        let own = self.stage_table(id).and_then(|stage| stage.get(name));
        let own = own.map(|value| (format!("{}.{name}", self.prefix(id)), value));
        let top = self.merged.get(name).map(|value| (name.to_owned(), value));
        own.into_iter().chain(top).collect()
    }

    /// The tables of a section: the stage's own, those of the stage it refers to, the spec's.
    fn chain(&self, id: &str, name: &'static str, seen: &mut Vec<String>) -> Vec<Table<'a>> {
        seen.push(id.to_owned());
        let written = self.written(id, name).into_iter();
        let mut tables: Vec<Table> = written
            .filter_map(|(path, value)| {
                Some(Table {
                    path,
                    dict: value.as_dict()?,
                    only: &[],
                })
            })
            .collect();
        let referred = |key: &str| tables.iter().find_map(|table| table.dict.get(key)).cloned();
        let (only, target) = match name {
            "model" => match referred("weights").and_then(|value| value.deserialize().ok()) {
                Some(WeightsRef::Stage(id, _)) => (FROM_MODEL, Some(id)),
                _ => (FROM_MODEL, None),
            },
            "data" => {
                let target = referred("adversarial").and_then(|value| value.deserialize().ok());
                (FROM_DATA, target.map(|StageRef(id)| id))
            }
            _ => (&[][..], None),
        };
        if let Some(target) =
            target.filter(|target| self.stages.contains(target) && !seen.contains(target))
        {
            let own = usize::from(tables.first().is_some_and(|table| table.path != name));
            let mut inherited = self.chain(&target, name, seen);
            // The spec's own table comes last, once.
            inherited.retain(|table| table.path != name);
            inherited.iter_mut().for_each(|table| table.only = only);
            tables.splice(own..own, inherited);
        }
        tables
    }

    /// The attacks that a stage carries out: its own, and those of its evaluations.
    fn uses(&self, scope: &Scope<'a>, task: Option<Task>) -> Uses {
        let peek = |name: &'static str, key: &str| self.peek(scope.id, name, key);
        let mut attacks = Vec::new();
        let mut by_kind = task.is_none_or(|task| task.uses("attack", false));
        if task.is_none_or(|task| task.uses("attack", false)) {
            let kind =
                peek("attack", "kind").and_then(|kind| kind.deserialize::<AttackKind>().ok());
            attacks.extend(kind);
        }
        if task == Some(Task::Transfer) {
            let list = peek("transfer", "attacks")
                .and_then(|list| list.deserialize::<Vec<AttackKind>>().ok());
            // The kind of [attack] is one of several only where the list names it.
            if let Some(list) = list.filter(|list| !list.is_empty()) {
                attacks = list;
                by_kind = false;
            }
        }
        if task.is_none_or(|task| task.uses("evaluate", false)) {
            let evaluations = peek("evaluate", "attacks")
                .and_then(|list| list.deserialize::<Vec<EvalAttack>>().ok());
            for evaluation in evaluations.unwrap_or_default() {
                if let EvalAttack::Attack(kind) = evaluation
                    && !attacks.contains(&kind)
                {
                    attacks.push(kind);
                }
            }
        }
        let members = peek("attack", "attacks")
            .and_then(|list| list.deserialize::<Vec<EnsembleMember>>().ok());
        let standard = EnsembleMember::STANDARD.to_vec();
        let mut uses = Uses::new(task, attacks, &members.unwrap_or(standard));
        uses.by_kind = by_kind;
        uses.beside = self.beside(scope.id);
        uses.stages = self.stages.to_vec();
        uses
    }

    /// The strongest value of a key of a stage's section.
    fn peek(&self, id: &str, name: &'static str, key: &str) -> Option<Value> {
        let tables = self.chain(id, name, &mut Vec::new());
        let mut tables = tables
            .iter()
            .filter(|table| table.only.is_empty() || table.only.contains(&key));
        tables.find_map(|table| table.dict.get(key)).cloned()
    }

    fn beside(&self, id: &str) -> Beside {
        let peek = |name, key| self.peek(id, name, key);
        let kind: Option<&'static DataKind> =
            peek("data", "kind").and_then(|kind| kind.deserialize().ok());
        Beside {
            schedule: match peek("scheduler", "kind") {
                None => Some(SchedulerKind::Constant),
                Some(kind) => kind.deserialize().ok(),
            },
            lr: peek("optimizer", "lr")
                .and_then(|lr| lr.deserialize::<Positive>().ok())
                .map(f64::from),
            epochs: peek("train", "epochs")
                .and_then(|epochs| epochs.deserialize::<Count>().ok())
                .map(usize::from),
            classes: kind
                .and_then(|kind| kind.classes)
                .map(|classes| classes.len()),
        }
    }

    fn refuse_unknown_keys(&mut self, prefix: &str) {
        let Some(table) = prefix
            .strip_prefix("stage.")
            .and_then(|id| self.stage_table(id))
        else {
            return;
        };
        refuse_unknown(table, prefix, HEAD_NAMES, &[], self.places, self.outcome);
    }
}

/// The first value below a table: a layer knows the places of values, not of tables.
pub(crate) fn first_leaf<'a>(path: &str, value: &'a Value) -> (String, &'a Value) {
    match value.as_dict().and_then(|dict| dict.iter().next()) {
        Some((key, inner)) => first_leaf(&join(path, key), inner),
        None => (path.to_owned(), value),
    }
}

/// Refuses the keys of a spec or a stage that are neither sections nor among `heads`; of a spec, `stages` are the ids.
pub(crate) fn refuse_unknown(
    table: &Dict,
    path: &str,
    heads: &[&str],
    stages: &[String],
    places: &dyn Locate,
    outcome: &mut Outcome,
) {
    let known = heads
        .iter()
        .copied()
        .chain(SECTIONS.iter().map(|(name, _)| *name));
    for (key, value) in table {
        if !known.clone().any(|known| known == key) {
            let written = join(path, key);
            let message = match stages.contains(key) {
                true => {
                    let (meant, _) = first_leaf(&written, value);
                    format!("unknown key; did you mean \"stage.{meant}\"?")
                }
                false => unknown_key(key, known.clone()),
            };
            let place = places.locate(&written, value.tag());
            outcome.fault(&place, &written, &message);
        }
    }
}
