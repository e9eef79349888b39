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
