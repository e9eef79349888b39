//! A section inside another: the table that one of its keys holds.

use super::fields::{Fields, join};
use super::section::Section;
use super::surroundings::Table;

impl<'a> Fields<'a> {
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
}

/// [`Section::identity`] of a section inside another, empty where there is none.
pub(crate) fn inner_identity<S: Section>(
    inner: &Option<S>,
) -> Result<toml::Value, toml::ser::Error> {
    let table = inner.as_ref().map(S::identity).transpose()?;
    Ok(table.unwrap_or_default().into())
}

/// [`Section::shrink`] of a section inside another; whether anything changed.
pub(crate) fn inner_shrink<S: Section>(inner: &mut Option<S>) -> bool {
    inner
        .as_mut()
        .is_some_and(|inner| !inner.shrink().is_empty())
}
