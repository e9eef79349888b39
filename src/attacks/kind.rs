//! The names of the attacks, as specs and result files write them.

use std::fmt;
use std::sync::LazyLock;

use figment::value::Dict;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::AttackKind;
use super::settings::{Description, Preset};
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

    /// All names that a list of attacks can hold.
    pub fn entry_names() -> Vec<&'static str> {
        let all = Self::ALL.iter().map(|kind| kind.description());
        let listed = all.filter(|attack| attack.is_for_evaluation);
        listed.flat_map(Description::names).collect()
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

/// What a name in a spec stands for: an attack, or one with some of its settings fixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttackName {
    pub kind: AttackKind,
    pub preset: Option<&'static Preset>,
}

impl AttackName {
    /// What that name stands for.
    pub fn find(name: &str) -> Option<Self> {
        let of_kind = |&kind: &AttackKind| {
            let Description {
                name: own, presets, ..
            } = kind.description();
            let preset = presets.iter().find(|preset| preset.name == name);
            (*own == name || preset.is_some()).then_some(Self { kind, preset })
        };
        AttackKind::ALL.iter().find_map(of_kind)
    }

    /// All names.
    pub fn all() -> &'static [&'static str] {
        static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
            let all = AttackKind::ALL.iter();
            all.flat_map(|kind| kind.description().names()).collect()
        });
        &NAMES
    }

    /// The name.
    pub fn name(self) -> &'static str {
        self.preset
            .map_or_else(|| self.kind.name(), |preset| preset.name)
    }

    /// The settings that it fixes.
    pub(super) fn fixed(self) -> Dict {
        self.preset.map(Preset::settings).unwrap_or_default()
    }
}

impl fmt::Display for AttackName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for AttackName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for AttackName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl de::Visitor<'_> for Names {
            type Value = AttackName;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(&one_of(AttackName::all()))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<AttackName, E> {
                AttackName::find(text).ok_or_else(|| E::unknown_variant(text, AttackName::all()))
            }
        }
        deserializer.deserialize_any(Names)
    }
}
