//! Reads the keys of one section of one stage, noting every fault instead of stopping at the first.

use figment::value::Value;
use serde::Deserialize;

use super::location::{Locate, Location};
use super::outcome::{Idle, Outcome};
use super::section::{Key, Section};
use super::surroundings::{Surroundings, Table, peek};
use super::task::TaskKind;
use super::words::{expected, mismatch, unknown_key};

/// The keys of one section as one stage sees them.
pub(crate) struct Fields<'a> {
    /// "attack", or "stage.craft.attack": the key path of the resolved values.
    pub path: String,
    pub keys: &'static [Key],
    /// Strongest first.
    pub tables: Vec<Table<'a>>,
    /// Whether the stage uses the section at all; if not, only what is written is checked.
    pub used: bool,
    /// Whether the tables hold keys of others beside these: whoever knows all of them looks for unknown ones.
    pub shared: bool,
    pub around: &'a dyn Surroundings,
    pub locations: &'a dyn Locate,
    pub outcome: &'a mut Outcome,
}

impl<'a> Fields<'a> {
    /// Other keys, in the same tables or in some that these hold.
    pub fn part<'b>(
        &'b mut self,
        path: String,
        keys: &'static [Key],
        tables: Vec<Table<'b>>,
    ) -> Fields<'b> {
        Fields {
            path,
            keys,
            tables,
            used: self.used,
            shared: self.shared,
            around: self.around,
            locations: self.locations,
            outcome: self.outcome,
        }
    }

    /// Whether the stage's task is one of these; true where the task is unknown.
    pub fn task_is(&self, tasks: &[TaskKind]) -> bool {
        self.around.task().is_none_or(|task| tasks.contains(&task))
    }

    /// The strongest value of a key of another section of the stage where it is well formed; notes nothing.
    pub fn peek_at<T: for<'de> Deserialize<'de>>(&self, section: &str, key: &str) -> Option<T> {
        peek(&self.around.tables(section), key)?.deserialize().ok()
    }

    /// Reads a list that may be missing, item by item; `read` gets the path of each.
    pub fn optional_list<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        mut read: impl FnMut(&mut Self, String, &'a Value) -> Option<T>,
    ) -> Option<Option<Vec<T>>> {
        let list = self.optional_by(key, |value| match value {
            Value::Array(..) => Ok(()),
            _ => Err(expected.to_owned()),
        })?;
        let (Some(()), Some((Value::Array(_, items), path))) = (list, self.find(key)) else {
            return Some(None);
        };
        let items = items.iter().enumerate();
        let read: Vec<Option<T>> = items
            .map(|(number, item)| read(self, format!("{path}[{number}]"), item))
            .collect();
        read.into_iter().collect::<Option<_>>().map(Some)
    }

    /// Notes that a value inside a list, at a dotted path, is not what was expected.
    pub fn refuse_item<T>(&mut self, path: &str, item: &Value, expected: &str) -> Option<T> {
        let location = self.locations.locate(path, item.tag());
        self.outcome
            .fault(&location, path, &mismatch(expected, item));
        None
    }

    /// The value of a key and the path under which it was written.
    fn find(&self, key: &str) -> Option<(&'a Value, String)> {
        let mut tables = self.tables.iter().filter(|table| table.counts(key));
        tables.find_map(|table| Some((table.dict.get(key)?, join(&table.path, key))))
    }

    /// Whether some layer sets the key.
    pub fn is_written(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The key's value where it is there and well formed; notes nothing.
    pub fn peek<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Option<T> {
        self.find(key)?.0.deserialize().ok()
    }

    /// Reads a key that may be missing. The outer `Option` is nothing where the value is faulty.
    pub fn optional<T: for<'de> Deserialize<'de>>(
        &mut self,
        key: &'static str,
    ) -> Option<Option<T>> {
        self.optional_by(key, |value| {
            value.deserialize().map_err(|error| expected(&error.kind))
        })
    }

    /// Reads a key that must be there.
    pub fn required<T: for<'de> Deserialize<'de>>(&mut self, key: &'static str) -> Option<T> {
        self.required_by(key, |value| {
            value.deserialize().map_err(|error| expected(&error.kind))
        })
    }

    /// Reads a key that must be there by a function that says, on failure, what it expected.
    pub fn required_by<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let found = self.optional_by(key, read)?;
        if found.is_none() && self.used {
            let doc = self.doc(key);
            self.fault(key, &format!("missing; {doc}"));
        }
        found
    }

    fn optional_by<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let full = join(&self.path, key);
        let Some((value, written)) = self.find(key) else {
            if self.used {
                self.outcome.provenance.insert(full, "default".into());
            }
            return Some(None);
        };
        let location = self.locations.locate(&written, value.tag());
        if self.used {
            self.outcome.provenance.insert(full, location.provenance());
            self.outcome.effective_here.insert(written.clone());
        }
        match read(value) {
            Ok(read) => Some(Some(read)),
            Err(expectation) => {
                self.outcome
                    .fault(&location, &written, &mismatch(&expectation, value));
                None
            }
        }
    }

    /// Whether the key's value is a table, whose parts are read by [`Self::optional_part`].
    pub fn is_table(&self, key: &str) -> bool {
        self.find(key)
            .is_some_and(|(value, _)| value.as_dict().is_some())
    }

    /// Notes that the table which a key holds is read key by key.
    pub fn opens(&mut self, key: &str) {
        if self.used {
            let written = self.find(key).map(|(_, written)| written);
            self.outcome.effective_here.extend(written);
        }
    }

    /// The tables that a key holds, strongest first.
    pub fn tables_in(&self, key: &str) -> Vec<Table<'a>> {
        let holding = self.tables.iter().filter(|table| table.counts(key));
        let tables = holding.filter_map(|table| {
            let dict = table.dict.get(key)?.as_dict()?;
            Some(Table::all_of(join(&table.path, key), dict))
        });
        tables.collect()
    }

    /// Reads the section that a key holds as a table; nothing inside where the key is missing or "none".
    pub fn optional_section<S: Section>(&mut self, key: &'static str) -> Option<Option<S>> {
        if !self.is_table(key) {
            self.optional_by(key, |value| match value.as_str() {
                Some("none") => Ok(()),
                _ => Err("a table of settings, or \"none\"".to_owned()),
            })?;
            return Some(None);
        }
        self.opens(key);
        let tables = self.tables_in(key);
        S::read(self.part(join(&self.path, key), S::KEYS, tables)).map(Some)
    }

    /// Reads a part that may be missing from the table that a key holds.
    pub fn optional_part<T: for<'de> Deserialize<'de>>(
        &mut self,
        key: &'static str,
        part: &str,
    ) -> Option<Option<T>> {
        let full = join(&join(&self.path, key), part);
        let Some((value, written, location)) = self.part_of(key, part) else {
            return Some(None);
        };
        if self.used {
            self.outcome.provenance.insert(full, location.provenance());
            self.opens(key);
            self.outcome.effective_here.insert(written.clone());
        }
        match value.deserialize() {
            Ok(read) => Some(Some(read)),
            Err(error) => {
                let message = mismatch(&expected(&error.kind), value);
                self.outcome.fault(&location, &written, &message);
                None
            }
        }
    }

    fn part_of(&self, key: &str, part: &str) -> Option<(&'a Value, String, Location)> {
        let (table, written) = self.find(key)?;
        let value = table.as_dict()?.get(part)?;
        let written = join(&written, part);
        let location = self.locations.locate(&written, value.tag());
        Some((value, written, location))
    }

    /// Refuses the parts of a key's table that are not among those known; whether there was none.
    pub fn refuse_unknown_parts(&mut self, key: &'static str, known: &[&str]) -> bool {
        let Some((table, _)) = self.find(key) else {
            return true;
        };
        let parts = table.as_dict().into_iter().flat_map(|dict| dict.keys());
        let unknown: Vec<&String> = parts
            .filter(|part| !known.contains(&part.as_str()))
            .collect();
        for part in &unknown {
            if let Some((_, written, location)) = self.part_of(key, part) {
                let sections = self.around.sections();
                let message = unknown_key(part, known.iter().copied(), sections);
                self.outcome.fault(&location, &written, &message);
            }
        }
        unknown.is_empty()
    }

    /// Notes that a part of a key's table has no effect here.
    pub fn idle_part(&mut self, key: &'static str, part: &str, why: &str) {
        if let Some((_, written, location)) = self.part_of(key, part).filter(|_| self.used) {
            let idle = Idle {
                location,
                why: why.to_owned(),
                is_default: false,
                is_fault: false,
            };
            self.outcome.idle_here.insert(written, idle);
        }
    }

    /// Notes a fault where the key is missing although `why`.
    pub fn require_for<T>(&mut self, key: &'static str, read: &Option<Option<T>>, why: &str) {
        if matches!(read, Some(None)) && self.used {
            let doc = self.doc(key);
            self.fault(key, &format!("missing; {why}: {doc}"));
        }
    }

    /// Notes that a setting has no effect here and puts the default in its place.
    pub fn idle<T: PartialEq>(
        &mut self,
        key: &'static str,
        read: &mut Option<T>,
        default: T,
        why: &str,
    ) {
        let Some((value, written)) = self.find(key) else {
            if read.is_some() {
                *read = Some(default);
            }
            return;
        };
        let Some(read) = read else {
            return;
        };
        let is_default = *read == default;
        *read = default;
        if !self.used {
            return;
        }
        if !is_default {
            self.outcome
                .provenance
                .insert(join(&self.path, key), "default".into());
        }
        let idle = Idle {
            location: self.locations.locate(&written, value.tag()),
            why: why.to_owned(),
            is_default,
            is_fault: false,
        };
        // The first reason is the one that took the value away.
        self.outcome.idle_here.entry(written).or_insert(idle);
    }

    /// Notes a fault of a key.
    pub fn fault(&mut self, key: &str, message: &str) {
        let (location, key) = self.location(key);
        self.outcome.fault(&location, &key, message);
    }

    /// Notes a remark on a key.
    pub fn warn(&mut self, key: &str, message: &str) {
        if !self.used {
            return;
        }
        let (location, key) = self.location(key);
        self.outcome
            .remarks
            .push(format!("{location}: {key}: {message}"));
    }

    fn location(&self, key: &str) -> (Location, String) {
        match self.find(key) {
            Some((value, written)) => (self.locations.locate(&written, value.tag()), written),
            None => (
                self.locations.locate_section(&self.path),
                join(&self.path, key),
            ),
        }
    }

    fn doc(&self, key: &str) -> &'static str {
        let found = self.keys.iter().find(|known| known.name == key);
        let doc = found.map_or("", |found| found.doc.trim().trim_end_matches('.'));
        doc.split("; required").next().unwrap_or(doc)
    }

    /// Refuses every key of the tables that the section does not have.
    pub fn refuse_unknown_keys(&mut self) {
        if !self.shared {
            let known: Vec<&str> = self.keys.iter().map(|known| known.name).collect();
            self.refuse_all_but(&known, |_| None);
        }
    }

    /// Refuses every key of the tables that is not `known`. One for which `elsewhere` knows words is another choice's: it
    /// is a fault only where no stage and no point of a sweep makes that choice.
    pub fn refuse_all_but(&mut self, known: &[&str], elsewhere: impl Fn(&str) -> Option<String>) {
        for table in self.tables.iter().filter(|table| table.only.is_empty()) {
            for (key, value) in table.dict {
                if known.contains(&key.as_str()) {
                    continue;
                }
                let written = join(&table.path, key);
                let location = self.locations.locate(&written, value.tag());
                if let Some(why) = elsewhere(key) {
                    if self.used {
                        let idle = Idle {
                            location,
                            why,
                            is_default: false,
                            is_fault: true,
                        };
                        self.outcome.idle_here.insert(written, idle);
                    }
                    continue;
                }
                let message = match self.stage_of(&table.path, key) {
                    Some(full) => format!("unknown key; did you mean \"{full}\"?"),
                    None => unknown_key(key, known.iter().copied(), self.around.sections()),
                };
                self.outcome.effective_here.insert(written.clone());
                self.outcome.fault(&location, &written, &message);
            }
        }
    }

    /// The key of a stage that was meant where a section of the spec is named like a stage and has no such key.
    fn stage_of(&self, section: &str, key: &str) -> Option<String> {
        let is_stage = self.around.stages().iter().any(|id| id == section);
        let mut sections = self.around.sections().iter();
        let is_section = sections.any(|section| section.name == key);
        (is_stage && is_section).then(|| format!("stage.{section}.{key}"))
    }
}

/// Whether a list holds something twice.
pub(crate) fn repeats<T: PartialEq>(list: &[T]) -> bool {
    let mut locations = list.iter().enumerate();
    locations.any(|(location, item)| list[..location].contains(item))
}

/// A key of the table at a dotted path; the empty path is the whole spec.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
