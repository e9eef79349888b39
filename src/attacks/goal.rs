//! What a perturbed image has to do for the attack to have succeeded, the setting `target`.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Unexpected};
use serde::{Serialize, Serializer};

/// What a perturbed image has to do for the attack to have succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// Be classified as anything but its label: "none".
    #[default]
    Misclassify,
    /// Be classified as the class that the model holds likeliest beside the label: "next-likely".
    NextLikely,
    /// Be classified as the class that the model holds least likely: "least-likely".
    LeastLikely,
    /// Be classified as this class, written as its number; examples of that class are left alone.
    Class(u32),
}

impl Serialize for Goal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Misclassify => serializer.serialize_str("none"),
            Self::NextLikely => serializer.serialize_str("next-likely"),
            Self::LeastLikely => serializer.serialize_str("least-likely"),
            Self::Class(class) => serializer.serialize_u32(*class),
        }
    }
}

impl<'de> Deserialize<'de> for Goal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl de::Visitor<'_> for Words {
            type Value = Goal;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("\"none\", \"next-likely\", \"least-likely\" or the number of a class")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Goal, E> {
                match text {
                    "none" => Ok(Goal::Misclassify),
                    "next-likely" => Ok(Goal::NextLikely),
                    "least-likely" => Ok(Goal::LeastLikely),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Goal, E> {
                let class = u32::try_from(value).map(Goal::Class);
                class.map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Goal, E> {
                let class = u32::try_from(value).map(Goal::Class);
                class.map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
            }
        }
        deserializer.deserialize_any(Words)
    }
}
