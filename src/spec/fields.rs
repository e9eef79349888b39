//! Reads the keys of one section of one stage, noting every fault instead of stopping at the first.

use figment::error::Kind;
use figment::value::{Dict, Value};
use serde::Deserialize;

use super::choice::{nearest, one_of};
use super::location::{Locate, Location};
use super::outcome::{Idle, Outcome};
use super::section::Key;
use super::sections::SECTIONS;
use super::task::Task;
use super::uses::Uses;

/// A table that may hold keys of a section: the stage's own, the spec's, or that of a stage referred to.
#[derive(Clone, Debug)]
pub(crate) struct Table<'a> {
    /// The dotted path under which the layers hold the table: "attack", "stage.craft.attack".
    pub path: String,
    pub dict: &'a Dict,
    /// The keys that count here; empty for all.
    pub only: &'static [&'static str],
}

/// The keys of one section as one stage sees them.
pub(crate) struct Fields<'a> {
    /// "attack", or "stage.craft.attack": the key path of the resolved values.
    pub path: String,
    pub keys: &'static [Key],
    /// Strongest first.
    pub tables: Vec<Table<'a>>,
    /// Whether the stage uses the section at all; if not, only what is written is checked.
    pub used: bool,
    pub uses: &'a Uses,
    pub places: &'a dyn Locate,
    pub outcome: &'a mut Outcome,
}

impl<'a> Fields<'a> {
    /// Whether the stage's task is one of these; true where the task is unknown.
    pub fn task_is(&self, tasks: &[Task]) -> bool {
        self.uses.task.is_none_or(|task| tasks.contains(&task))
    }

    /// The value of a key and the path under which it was written.
    fn find(&self, key: &str) -> Option<(&'a Value, String)> {
        let mut tables = self
            .tables
            .iter()
            .filter(|table| table.only.is_empty() || table.only.contains(&key));
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
        let place = self.places.locate(&written, value.tag());
        if self.used {
            self.outcome.provenance.insert(full, place.provenance());
            self.outcome.effective_here.insert(written.clone());
        }
        match read(value) {
            Ok(read) => Some(Some(read)),
            Err(expectation) => {
                self.outcome
                    .fault(&place, &written, &mismatch(&expectation, value));
                None
            }
        }
    }

    /// Whether the key's value is a table, whose parts are read by [`Self::optional_part`].
    pub fn is_table(&self, key: &str) -> bool {
        self.find(key)
            .is_some_and(|(value, _)| value.as_dict().is_some())
    }

    /// Reads a part that may be missing from the table that a key holds.
    pub fn optional_part<T: for<'de> Deserialize<'de>>(
        &mut self,
        key: &'static str,
        part: &str,
    ) -> Option<Option<T>> {
        let full = join(&join(&self.path, key), part);
        let Some((value, written, place)) = self.part(key, part) else {
            return Some(None);
        };
        if self.used {
            self.outcome.provenance.insert(full, place.provenance());
            self.outcome
                .effective_here
                .extend(self.find(key).map(|(_, written)| written));
            self.outcome.effective_here.insert(written.clone());
        }
        match value.deserialize() {
            Ok(read) => Some(Some(read)),
            Err(error) => {
                let message = mismatch(&expected(&error.kind), value);
                self.outcome.fault(&place, &written, &message);
                None
            }
        }
    }

    /// Reads a part of the table that a key holds, which must be there.
    pub fn required_part<T: for<'de> Deserialize<'de>>(
        &mut self,
        key: &'static str,
        part: &str,
    ) -> Option<T> {
        let found = self.optional_part(key, part)?;
        if found.is_none() {
            self.fault(key, &format!("missing; the table needs \"{part}\""));
        }
        found
    }

    fn part(&self, key: &str, part: &str) -> Option<(&'a Value, String, Location)> {
        let (table, written) = self.find(key)?;
        let value = table.as_dict()?.get(part)?;
        let written = join(&written, part);
        let place = self.places.locate(&written, value.tag());
        Some((value, written, place))
    }

    /// Refuses the parts of a key's table that are not among those known, in the words of `elsewhere` where it has some for
    /// the part; whether there was none.
    pub fn refuse_unknown_parts(
        &mut self,
        key: &'static str,
        known: &[&str],
        elsewhere: impl Fn(&str) -> Option<String>,
    ) -> bool {
        let Some((table, _)) = self.find(key) else {
            return true;
        };
        let parts = table.as_dict().into_iter().flat_map(|dict| dict.keys());
        let unknown: Vec<&String> = parts
            .filter(|part| !known.contains(&part.as_str()))
            .collect();
        for part in &unknown {
            if let Some((_, written, place)) = self.part(key, part) {
                let message =
                    elsewhere(part).unwrap_or_else(|| unknown_key(part, known.iter().copied()));
                self.outcome.fault(&place, &written, &message);
            }
        }
        unknown.is_empty()
    }

    /// Notes that a part of a key's table has no effect here.
    pub fn idle_part(&mut self, key: &'static str, part: &str, why: &str) {
        if let Some((_, written, place)) = self.part(key, part).filter(|_| self.used) {
            let idle = Idle {
                place,
                why: why.to_owned(),
                is_default: false,
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
            place: self.places.locate(&written, value.tag()),
            why: why.to_owned(),
            is_default,
        };
        // The first reason is the one that took the value away.
        self.outcome.idle_here.entry(written).or_insert(idle);
    }

    /// Notes a fault of a key.
    pub fn fault(&mut self, key: &str, message: &str) {
        let (place, key) = self.place(key);
        self.outcome.fault(&place, &key, message);
    }

    /// Notes a fault where a list of names is empty or holds one twice.
    pub fn each_once<T: PartialEq>(&mut self, key: &str, list: &[T], names: &[&str]) {
        if list.is_empty() {
            self.fault(key, &format!("expected at least {}", one_of(names)));
        } else if repeats(list) {
            self.fault(key, "expected each attack at most once");
        }
    }

    /// Notes a remark on a key.
    pub fn warn(&mut self, key: &str, message: &str) {
        if !self.used {
            return;
        }
        let (place, key) = self.place(key);
        self.outcome
            .remarks
            .push(format!("{place}: {key}: {message}"));
    }

    fn place(&self, key: &str) -> (Location, String) {
        match self.find(key) {
            Some((value, written)) => (self.places.locate(&written, value.tag()), written),
            None => (
                self.places.locate_section(&self.path),
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
        for table in self.tables.iter().filter(|table| table.only.is_empty()) {
            for (key, value) in table.dict {
                if self.keys.iter().any(|known| known.name == key) {
                    continue;
                }
                let written = join(&table.path, key);
                let place = self.places.locate(&written, value.tag());
                let message = match self.stage_of(&table.path, key) {
                    Some(full) => format!("unknown key; did you mean \"{full}\"?"),
                    None => unknown_key(key, self.keys.iter().map(|known| known.name)),
                };
                self.outcome.effective_here.insert(written.clone());
                self.outcome.fault(&place, &written, &message);
            }
        }
    }
}

impl Fields<'_> {
    /// The key of a stage that was meant where a section of the spec is named like a stage and has no such key.
    fn stage_of(&self, section: &str, key: &str) -> Option<String> {
        let is_stage = self.uses.stages.iter().any(|id| id == section);
        let is_section = SECTIONS.iter().any(|(name, _)| *name == key);
        (is_stage && is_section).then(|| format!("stage.{section}.{key}"))
    }
}

/// Whether a list holds something twice.
pub(crate) fn repeats<T: PartialEq>(list: &[T]) -> bool {
    let mut places = list.iter().enumerate();
    places.any(|(place, item)| list[..place].contains(item))
}

/// A key of the table at a dotted path; the empty path is the whole spec.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// What other programs and the literature call some keys.
const SYNONYMS: &[(&str, &str)] = &[
    ("alpha", "step_size"),
    ("architecture", "arch"),
    ("eps", "epsilon"),
    ("iterations", "k"),
    ("learning_rate", "lr"),
    ("mu", "decay"),
    ("n_iter", "k"),
    ("n_restarts", "restarts"),
    ("num_epochs", "epochs"),
    ("num_steps", "k"),
    ("steps", "k"),
    ("wd", "weight_decay"),
];

/// The words for a key that the table does not have: what its own key of that meaning or the nearest one is, else the
/// section that has such a key.
pub(crate) fn unknown_key<'a>(key: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let meant = |name: &str| {
        let mut synonyms = SYNONYMS.iter().filter(|(other, _)| *other == key);
        synonyms.any(|(_, meant)| *meant == name)
    };
    let own = known.clone().find(|name| meant(name));
    if let Some(near) = own.or_else(|| nearest(key, known.clone())) {
        return format!("unknown key; did you mean \"{near}\"?");
    }
    let in_sections = |such: &dyn Fn(&str) -> bool| {
        let mut keys = SECTIONS
            .iter()
            .flat_map(|(section, keys)| keys.iter().map(move |key| (section, key.name)));
        keys.find(|(_, name)| such(name))
    };
    match in_sections(&|name| name == key).or_else(|| in_sections(&meant)) {
        Some((section, key)) => format!("unknown key; did you mean \"{section}.{key}\"?"),
        None => format!(
            "unknown key; known are {}",
            known.collect::<Vec<_>>().join(", ")
        ),
    }
}

/// What a value should have been, from serde's error.
fn expected(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(_, words)
        | Kind::InvalidValue(_, words)
        | Kind::InvalidLength(_, words) => plain(words),
        Kind::UnknownVariant(found, names) => match nearest(found, names.iter().copied()) {
            Some(near) => format!("{}; did you mean \"{near}\"?", one_of(names)),
            None => one_of(names),
        },
        other => other.to_string(),
    }
}

/// Serde's words for its own types, in those of the field.
fn plain(words: &str) -> String {
    let plain = match words {
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "path string" | "a string" | "str" => "text in quotes",
        "f64" | "f32" => "a number",
        "usize" | "u64" | "i64" | "u32" => "a whole number",
        other => other,
    };
    plain.to_owned()
}

/// "expected A, found B", with a hint that follows a semicolon of the expectation kept at the end.
fn mismatch(expectation: &str, value: &Value) -> String {
    let found = found(value);
    match expectation.split_once("; ") {
        Some((expected, hint)) => format!("expected {expected}, found {found}; {hint}"),
        None => format!("expected {expectation}, found {found}"),
    }
}

/// A value as TOML writes it, shortened.
pub(crate) fn found(value: &Value) -> String {
    match value {
        Value::Dict(..) => "a table".into(),
        Value::Array(_, items) => {
            let shown: Vec<String> = items.iter().take(8).map(found).collect();
            let more = if items.len() > 8 { ", ..." } else { "" };
            format!("[{}{more}]", shown.join(", "))
        }
        Value::String(_, text) if text.chars().count() > 60 => {
            format!("{:?}...", text.chars().take(60).collect::<String>())
        }
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, letter) => format!("{:?}", letter.to_string()),
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128(), number.to_f64()) {
            (Some(whole), _, _) => whole.to_string(),
            (_, Some(whole), _) => whole.to_string(),
            (_, _, Some(real)) => format!("{real:?}"),
            _ => "a number".into(),
        },
        Value::Empty(..) => "nothing".into(),
    }
}
