//! `data.augment`: a list of names, or of tables with settings.

use super::{Augmentation, check};
use crate::spec::Fields;
use crate::spec::tagged::read_item;

const EXPECTED: &str = "a list of augmentations";

/// Reads the list; none where the spec has none.
pub(in crate::data) fn read(fields: &mut Fields, key: &'static str) -> Option<Vec<Augmentation>> {
    let list = fields.optional_list(key, EXPECTED, read_item::<Augmentation>)?;
    let list = list.unwrap_or_default();
    if let Err(why) = check(&list) {
        fields.fault(key, &why);
        return None;
    }
    Some(list)
}

/// What tells a list apart: names where nothing but defaults is said.
pub(in crate::data) fn identity(list: &[Augmentation]) -> Result<toml::Value, toml::ser::Error> {
    if list.is_empty() {
        return Ok(toml::Table::new().into());
    }
    let items = list.iter().map(|one| {
        let mut own = one.identity()?;
        let name = toml::Value::from(one.kind().name());
        if own.is_empty() {
            return Ok(name);
        }
        own.insert("kind".into(), name);
        Ok(own.into())
    });
    items.collect::<Result<Vec<_>, _>>().map(Into::into)
}
