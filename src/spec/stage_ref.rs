//! References between stages.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// Another stage's result, written `"@id"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRef(pub String);

impl Serialize for StageRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("@{}", self.0))
    }
}

impl<'de> Deserialize<'de> for StageRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl de::Visitor<'_> for Words {
            type Value = StageRef;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("another stage, written \"@id\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StageRef, E> {
                match text.strip_prefix('@') {
                    Some(id) if !id.is_empty() => Ok(StageRef(id.into())),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}
