//! Where the keys of a section may stand, and what it asks of the stage around it.

use figment::value::{Dict, Value};

use super::section::SectionInfo;
use super::task::TaskKind;

/// A table that may hold keys of a section: the stage's own, the spec's, or that of a stage referred to.
#[derive(Clone, Debug)]
pub(crate) struct Table<'a> {
    /// The dotted path under which the layers hold the table: "attack", "stage.craft.attack".
    pub path: String,
    pub dict: &'a Dict,
    /// The keys that count here; empty for all.
    pub only: &'static [&'static str],
}

impl<'a> Table<'a> {
    /// A table all of whose keys count.
    pub fn all_of(path: String, dict: &'a Dict) -> Self {
        Self {
            path,
            dict,
            only: &[],
        }
    }

    /// Whether the key counts here.
    pub fn counts(&self, key: &str) -> bool {
        self.only.is_empty() || self.only.contains(&key)
    }
}

/// The strongest value of a key.
pub(crate) fn peek<'a>(tables: &[Table<'a>], key: &str) -> Option<&'a Value> {
    let mut tables = tables.iter().filter(|table| table.counts(key));
    tables.find_map(|table| table.dict.get(key))
}

/// The other sections of a stage, and what else a section asks of its surroundings.
pub(crate) trait Surroundings {
    /// What the stage does; nothing where the task itself is faulty: then nothing is called idle or missing on its account.
    fn task(&self) -> Option<TaskKind>;

    /// The tables of a section of the stage, strongest first.
    fn tables(&self, section: &str) -> Vec<Table<'_>>;

    /// All sections with their keys.
    fn sections(&self) -> &[SectionInfo];

    /// Whether the task has a section, or may have it where evaluations attack; true where the task is unknown.
    fn may_use(&self, section: &str) -> bool;

    /// Whether the stage attacks by `[attack]`'s own kind or, as a transfer, by a list in its place.
    fn attacks_by_itself(&self) -> bool;

    /// The ids of all stages.
    fn stages(&self) -> &[String];

    /// What says how the model of another stage is built, strongest first, for one that takes its weights over; nothing where there
    /// is no such stage.
    fn model_of(&self, stage: &str) -> Vec<Table<'_>>;
}
