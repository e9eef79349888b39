//! Which activations LinBP makes linear, as a spec says it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

const EXPECTED: &str = "\"default\", \"all\", \"none\", \"search\", \"from:NAME\", or a list of names or globs such as [\"layer4.*\"]";

/// The activations that linear backpropagation makes linear, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layers {
    /// The published choice for the architecture.
    Default,
    /// Every activation.
    All,
    /// No activation: other rules than those of activations act alone.
    None,
    /// The activation of this name and every later one.
    From(String),
    /// Every activation that one of these globs matches.
    Names(Vec<String>),
    /// What the task `transfer` finds best.
    Search,
}

impl fmt::Display for Layers {
    /// As a spec has it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::From(name) => write!(f, "from:{name}"),
            Self::Names(globs) => write!(f, "{globs:?}"),
            Self::Search => f.write_str("search"),
        }
    }
}

impl Serialize for Layers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Names(globs) => globs.serialize(serializer),
            word => serializer.collect_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for Layers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> de::Visitor<'de> for Words {
            type Value = Layers;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Layers, E> {
                match (text, text.strip_prefix("from:")) {
                    ("default", _) => Ok(Layers::Default),
                    ("all", _) => Ok(Layers::All),
                    ("search", _) => Ok(Layers::Search),
                    ("none", _) => Ok(Layers::None),
                    (_, Some(name)) if !name.is_empty() => Ok(Layers::From(name.into())),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Layers, A::Error> {
                let mut globs = Vec::new();
                while let Some(glob) = seq.next_element::<String>()? {
                    if globset::Glob::new(&glob).is_err() {
                        return Err(de::Error::custom(format!(
                            "{EXPECTED}; \"{glob}\" is no valid glob"
                        )));
                    }
                    globs.push(glob);
                }
                if globs.is_empty() {
                    return Err(de::Error::invalid_length(0, &self));
                }
                Ok(Layers::Names(globs))
            }
        }
        deserializer.deserialize_any(Words)
    }
}
