//! `attack.target`: the class that a targeted attack aims at.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Unexpected};
use serde::{Serialize, Serializer};

/// The class that adversarial images are to be classified as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttackTarget {
    /// Any but the true one.
    None,
    /// The likeliest wrong one of each image.
    NextLikely,
    /// The least likely one of each image.
    LeastLikely,
    /// This one.
    Class(u32),
}

const WORDS: &str = "\"none\", \"next-likely\", \"least-likely\" or the number of a class";

impl Serialize for AttackTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::NextLikely => serializer.serialize_str("next-likely"),
            Self::LeastLikely => serializer.serialize_str("least-likely"),
            Self::Class(class) => serializer.serialize_u32(*class),
        }
    }
}

impl<'de> Deserialize<'de> for AttackTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl de::Visitor<'_> for Words {
            type Value = AttackTarget;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(WORDS)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<AttackTarget, E> {
                match text {
                    "none" => Ok(AttackTarget::None),
                    "next-likely" => Ok(AttackTarget::NextLikely),
                    "least-likely" => Ok(AttackTarget::LeastLikely),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<AttackTarget, E> {
                let class = u32::try_from(value);
                class
                    .map(AttackTarget::Class)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<AttackTarget, E> {
                let class = u32::try_from(value);
                class
                    .map(AttackTarget::Class)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
            }
        }
        deserializer.deserialize_any(Words)
    }
}
