//! A setting that the two uses of LinBP have each for itself.

use serde::{Deserialize, Serialize, Serializer};

use super::preset::LinbpUse;
use crate::spec::fields::Fields;

/// A setting for each of the two uses of LinBP. Written as one value where both are the same, otherwise as a table of
/// `train` and `attack`, in which the default stands for the one that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByUse<T> {
    /// For the gradients of the weights.
    pub train: T,
    /// For the gradients of the images.
    pub attack: T,
}

impl<T: Clone> ByUse<T> {
    /// The same for both uses.
    pub fn both(value: T) -> Self {
        Self {
            train: value.clone(),
            attack: value,
        }
    }
}

impl<T> ByUse<T> {
    /// That of one use.
    pub fn of(&self, r#use: LinbpUse) -> &T {
        match r#use {
            LinbpUse::Train => &self.train,
            LinbpUse::Attack => &self.attack,
        }
    }
}

impl<T: PartialEq> ByUse<T> {
    /// Whether one of the uses has this value.
    pub fn has(&self, value: &T) -> bool {
        self.train == *value || self.attack == *value
    }
}

impl<T: PartialEq + Clone> ByUse<T> {
    /// A use that is off makes no difference: it follows the other, and so changes no hash.
    pub(super) fn follow(&mut self, fields: &mut Fields, key: &'static str, off: LinbpUse) {
        if self.train == self.attack {
            return;
        }
        match off {
            LinbpUse::Train => {
                self.train = self.attack.clone();
                fields.idle_part(key, "train", "linbp.train is off");
            }
            LinbpUse::Attack => {
                self.attack = self.train.clone();
                fields.idle_part(key, "attack", "linbp.attack is off");
            }
        }
    }
}

impl<T: Serialize + PartialEq> Serialize for ByUse<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        if self.train == self.attack {
            return self.train.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("train", &self.train)?;
        map.serialize_entry("attack", &self.attack)?;
        map.end()
    }
}

/// Reads one value of type `R` or a table of two, with `default` for what is missing.
pub(super) fn read<R, T>(fields: &mut Fields, key: &'static str, default: T) -> Option<ByUse<T>>
where
    R: for<'de> Deserialize<'de> + Into<T>,
    T: Clone,
{
    let or_default = |read: Option<R>| read.map_or_else(|| default.clone(), Into::into);
    if !fields.is_table(key) {
        return fields
            .optional::<R>(key)
            .map(|read| ByUse::both(or_default(read)));
    }
    let known = fields.refuse_unknown_parts(key, &["train", "attack"]);
    let train = fields.optional_part::<R>(key, "train");
    let attack = fields.optional_part::<R>(key, "attack");
    known.then_some(())?;
    Some(ByUse {
        train: or_default(train?),
        attack: or_default(attack?),
    })
}
