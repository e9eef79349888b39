//! `[checkpoint]`: how often a training run writes down where it stands.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::spec::range::Count;
use crate::spec::section::section;

section! {
    /// How often a training run writes down where it stands. Changes no result.
    CheckpointSpec {
        /// Time between checkpoints: "1 epoch", "500 steps" or "10 min"; default "1 epoch".
        every: Interval [or Interval::Epochs(1)],
        /// Checkpoints kept, the best one besides; default 2.
        keep: usize [as Count, or 2],
    }
}

/// A stretch of a training run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Passes over the training set.
    Epochs(u64),
    /// Updates of the weights.
    Steps(u64),
    /// Minutes on the clock.
    Minutes(u64),
}

impl FromStr for Interval {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split_whitespace();
        let (number, unit) = (words.next().ok_or(())?, words.next().ok_or(())?);
        let number: u64 = number.parse().map_err(|_| ())?;
        if words.next().is_some() || number == 0 || number > 1_000_000_000 {
            return Err(());
        }
        match unit {
            "epoch" | "epochs" => Ok(Self::Epochs(number)),
            "step" | "steps" => Ok(Self::Steps(number)),
            "min" | "minute" | "minutes" => Ok(Self::Minutes(number)),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let plural = |number: u64| if number == 1 { "" } else { "s" };
        match *self {
            Self::Epochs(number) => write!(f, "{number} epoch{}", plural(number)),
            Self::Steps(number) => write!(f, "{number} step{}", plural(number)),
            Self::Minutes(number) => write!(f, "{number} min"),
        }
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl de::Visitor<'_> for Words {
            type Value = Interval;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an interval such as \"1 epoch\", \"500 steps\" or \"10 min\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Interval, E> {
                text.parse()
                    .map_err(|()| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_and_written_alike() {
        for text in ["1 epoch", "3 epochs", "1 step", "500 steps", "10 min"] {
            assert_eq!(
                text.parse::<Interval>()
                    .map(|interval| interval.to_string()),
                Ok(text.into())
            );
        }
        for text in [
            "",
            "epoch",
            "0 epochs",
            "1",
            "1 epoch more",
            "-1 steps",
            "1.5 min",
            "2000000000 steps",
        ] {
            assert_eq!(text.parse::<Interval>(), Err(()), "{text}");
        }
    }
}
