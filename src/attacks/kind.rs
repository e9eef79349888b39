//! The names of the attacks, as specs and result files write them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::AttackKind;
use super::settings::{Description, Variant};
use crate::choice::one_of;
use crate::spec::Key;

impl AttackKind {
    /// The name.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// The attack of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What a name in a list of attacks stands for: an attack, or one with a setting fixed.
    pub fn of_entry(name: &str) -> Option<(Self, Option<Variant>)> {
        if let Some(kind) = Self::from_name(name) {
            return Some((kind, None));
        }
        Self::ALL.iter().find_map(|&kind| {
            let mut variants = kind.description().variants.iter();
            let variant = variants.find(|variant| variant.name == name)?;
            Some((kind, Some(*variant)))
        })
    }

    /// All names that a list of attacks can hold.
    pub fn entry_names() -> Vec<&'static str> {
        let names = |kind: &Self| {
            let Description { name, variants, .. } = kind.description();
            std::iter::once(*name).chain(variants.iter().map(|variant| variant.name))
        };
        let listed = Self::ALL.iter();
        let listed = listed.filter(|kind| kind.description().is_for_evaluation);
        listed.flat_map(names).collect()
    }

    /// The settings of all attacks, each once.
    pub fn all_keys() -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for key in Self::ALL.iter().flat_map(|kind| kind.description().keys) {
            if !keys.iter().any(|known| known.name == key.name) {
                keys.push(*key);
            }
        }
        keys
    }

    /// The names of the attacks that have a setting.
    pub fn with_key(key: &str) -> Vec<&'static str> {
        let all = Self::ALL.iter().map(|kind| kind.description());
        all.filter(|attack| attack.has(key))
            .map(|attack| attack.name)
            .collect()
    }
}

impl fmt::Display for AttackKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for AttackKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for AttackKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl de::Visitor<'_> for Names {
            type Value = AttackKind;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(&one_of(AttackKind::NAMES))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<AttackKind, E> {
                AttackKind::from_name(text)
                    .ok_or_else(|| E::unknown_variant(text, AttackKind::NAMES))
            }
        }
        deserializer.deserialize_any(Names)
    }
}
