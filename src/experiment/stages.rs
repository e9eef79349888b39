//! Reads the stages of a spec from its merged layers.

mod links;

use figment::value::{Dict, Tag, Value};

use super::experiment::StageSpec;
use super::references::Link;
use super::tasks::Task;
use crate::attacks::lists_attacks;
use crate::models::WeightsRef;
use crate::ops::precision::Precision;
use crate::spec::StageRef;
use crate::spec::fields::{Fields, join};
use crate::spec::location::Locate;
use crate::spec::outcome::{Idle, Outcome};
use crate::spec::range::Seed;
use crate::spec::section::{Key, Section, SectionInfo, SectionReader};
use crate::spec::surroundings::{Surroundings, Table, peek};
use crate::spec::task::{HEAD, HEAD_NAMES, TaskKind};
use crate::spec::words::{found, unknown_key};

/// What a stage that refers to another one's weights takes over from its model, where it does not say so itself.
const FROM_MODEL: &[&str] = &["arch", "activation", "stem", "dropout", "widths", "layers"];

/// What a stage that judges on another one's images takes over from its data, where it does not say so itself.
const FROM_DATA: &[&str] = &[
    "kind",
    "dir",
    "image_size",
    "resize",
    "normalize",
    "test_limit",
];

/// A stage as far as it could be read.
pub(crate) struct ReadStage {
    pub id: String,
    pub task: Option<TaskKind>,
    pub links: Vec<Link>,
    /// Nothing where the stage has faults.
    pub spec: Option<StageSpec>,
}

/// Reads the stages.
pub(crate) struct StageReader<'a> {
    pub merged: &'a Dict,
    /// The ids in order; empty for a spec of one task.
    pub stages: &'a [String],
    /// All sections with their keys.
    pub sections: &'a [SectionInfo],
    pub locations: &'a dyn Locate,
    pub outcome: &'a mut Outcome,
}

/// How one stage's sections are found and what it needs them for.
pub(crate) struct Scope<'a> {
    merged: &'a Dict,
    stages: &'a [String],
    sections: &'a [SectionInfo],
    id: &'a str,
    /// "stage.craft", or empty for a spec of one task.
    prefix: String,
    task: Option<TaskKind>,
    /// Whether evaluations attack.
    attacks: bool,
}

impl Surroundings for Scope<'_> {
    fn task(&self) -> Option<TaskKind> {
        self.task
    }

    fn tables(&self, section: &str) -> Vec<Table<'_>> {
        self.chain(self.id, section, &mut Vec::new())
    }

    fn sections(&self) -> &[SectionInfo] {
        self.sections
    }

    fn may_use(&self, section: &str) -> bool {
        self.task.is_none_or(|task| task.uses(section, true))
    }

    fn attacks_by_itself(&self) -> bool {
        self.task.is_none_or(|task| task.uses("attack", false))
    }

    fn stages(&self) -> &[String] {
        self.stages
    }

    fn model_of(&self, stage: &str) -> Vec<Table<'_>> {
        if !self.stages.iter().any(|id| id == stage) {
            return Vec::new();
        }
        let mut tables = self.chain(stage, "model", &mut Vec::new());
        tables.iter_mut().for_each(|table| table.only = FROM_MODEL);
        tables
    }
}

impl<'a> StageReader<'a> {
    /// Reads one stage, noting its faults.
    pub fn read(&mut self, id: &'a str) -> ReadStage {
        let mut scope = Scope {
            merged: self.merged,
            stages: self.stages,
            sections: self.sections,
            id,
            prefix: String::new(),
            task: None,
            attacks: false,
        };
        scope.prefix = scope.prefix_of(id);
        self.refuse_unknown_keys(&scope);
        let tables = scope.head_tables();
        let mut head = self.fields(&scope, &scope.prefix, HEAD, tables, true);
        // What stands beside them are the sections.
        head.shared = true;
        let task: Option<TaskKind> = head.required("task");
        let seed = head
            .optional::<Seed>("seed")
            .map(|seed| seed.map_or(0, Seed::get));
        let precision = head.optional::<Precision>("precision");
        scope.task = task;
        scope.attacks = lists_attacks(&scope);
        let mut sections = Sections {
            reader: self,
            scope: &scope,
        };
        let read = task.and_then(|kind| Task::read(kind, &mut sections));
        self.check_unused(&scope);
        self.outcome.end_reading();
        let spec = || {
            Some(StageSpec {
                id: id.to_owned(),
                seed: seed?,
                precision: precision?,
                task: read?,
            })
        };
        ReadStage {
            id: id.to_owned(),
            task,
            links: self.links(&scope),
            spec: spec(),
        }
    }

    /// Looks for faults in the sections that the task has no use for.
    fn check_unused(&mut self, scope: &Scope<'a>) {
        for section in self
            .sections
            .iter()
            .filter(|section| !scope.uses(section.name))
        {
            if let Some(fields) = self
                .open(scope, section.name, &[])
                .filter(|fields| !fields.tables.is_empty())
            {
                (section.check)(fields);
            }
        }
    }

    /// The tables of a section, to be read; nothing where one of them is no table.
    fn open<'f>(
        &'f mut self,
        scope: &'f Scope<'a>,
        name: &'static str,
        keys: &'static [Key],
    ) -> Option<Fields<'f>> {
        let used = scope.uses(name);
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
            if used || scope.task.is_none() {
                self.outcome.effective_here.insert(table);
            } else if let Some(task) = scope.task {
                // A layer knows the locations of values; the header of a section only stands in a file.
                let mut location = self.locations.locate(&first, tag);
                if location.file.is_some() {
                    location = self.locations.locate_section(&table);
                }
                let idle = Idle {
                    location,
                    why: format!("the task {task} does not use it"),
                    is_default: false,
                    is_fault: false,
                };
                self.outcome.idle_here.insert(table, idle);
            }
        }
        Some(self.fields(scope, &path, keys, tables, used))
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
            shared: false,
            around: scope,
            locations: self.locations,
            outcome: self.outcome,
        }
    }

    /// The tables of a section, strongest first; nothing where one of them is no table.
    fn tables(&mut self, scope: &Scope<'a>, name: &'static str) -> Option<Vec<Table<'a>>> {
        let mut sound = true;
        for (path, value) in scope.written(scope.id, name) {
            if value.as_dict().is_none() {
                let location = self.locations.locate(&path, value.tag());
                self.outcome.fault(
                    &location,
                    &path,
                    &format!("expected a table, found {}", found(value)),
                );
                sound = false;
            }
        }
        sound.then(|| scope.chain(scope.id, name, &mut Vec::new()))
    }

    fn refuse_unknown_keys(&mut self, scope: &Scope<'a>) {
        if scope.prefix.is_empty() {
            return;
        }
        if let Some(table) = scope.stage_table(scope.id) {
            let prefix = &scope.prefix;
            refuse_unknown(
                table,
                prefix,
                HEAD_NAMES,
                &[],
                self.sections,
                self.locations,
                self.outcome,
            );
        }
    }
}

/// The sections of one stage.
struct Sections<'r, 'a> {
    reader: &'r mut StageReader<'a>,
    scope: &'r Scope<'a>,
}

impl SectionReader for Sections<'_, '_> {
    fn section<S: Section>(&mut self, name: &'static str) -> Option<S> {
        S::read(self.reader.open(self.scope, name, S::KEYS)?)
    }

    fn section_if_used<S: Section>(&mut self, name: &'static str) -> Option<Option<S>> {
        match self.scope.uses(name) {
            true => self.section(name).map(Some),
            false => Some(None),
        }
    }
}

impl<'a> Scope<'a> {
    fn uses(&self, section: &str) -> bool {
        self.task
            .is_some_and(|task| task.uses(section, self.attacks))
    }

    fn prefix_of(&self, id: &str) -> String {
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

    fn head_tables(&self) -> Vec<Table<'a>> {
        let own = self
            .stage_table(self.id)
            .map(|dict| (self.prefix.clone(), dict));
        let tables = own.into_iter().chain([(String::new(), self.merged)]);
        tables
            .map(|(path, dict)| Table {
                path,
                dict,
                only: HEAD_NAMES,
            })
            .collect()
    }

    /// What is written under a section's name for a stage: in its own table, then in the spec's.
    fn written(&self, id: &str, name: &str) -> Vec<(String, &'a Value)> {
        let own = self.stage_table(id).and_then(|stage| stage.get(name));
        let own = own.map(|value| (format!("{}.{name}", self.prefix_of(id)), value));
        let top = self.merged.get(name).map(|value| (name.to_owned(), value));
        own.into_iter().chain(top).collect()
    }

    /// The tables of a section: the stage's own, those of the stage it refers to, the spec's.
    fn chain(&self, id: &str, name: &str, seen: &mut Vec<String>) -> Vec<Table<'a>> {
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
        let referred = |key: &str| peek(&tables, key);
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
}

/// The first value below a table: a layer knows the locations of values, not of tables.
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
    sections: &[SectionInfo],
    locations: &dyn Locate,
    outcome: &mut Outcome,
) {
    let known = heads
        .iter()
        .copied()
        .chain(sections.iter().map(|section| section.name));
    for (key, value) in table {
        if !known.clone().any(|known| known == key) {
            let written = join(path, key);
            let message = match stages.contains(key) {
                true => {
                    let (meant, _) = first_leaf(&written, value);
                    format!("unknown key; did you mean \"stage.{meant}\"?")
                }
                false => unknown_key(key, known.clone(), sections),
            };
            let location = locations.locate(&written, value.tag());
            outcome.fault(&location, &written, &message);
        }
    }
}
