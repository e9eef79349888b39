//! Numbers that carry their range: a value outside is refused where it is parsed, in words.
//!
//! Each type says what it expected ("a whole number from 1 to 1000000") through serde's `expecting`; the reader of
//! the sections adds where the value came from and what was found.

use std::fmt;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};

use super::norm::Norm;

/// Defines numbers: the name and type of each, what reads it, where it lies, and the words for what is expected.
macro_rules! ranges {
    ($($(#[$meta:meta])* $name:ident($inner:ty) by $reader:ident, $inside:expr, $words:literal;)+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
        pub struct $name($inner);

        impl $name {
            /// The number, or nothing where it lies outside the range.
            pub fn new(value: $inner) -> Option<Self> {
                let inside: fn($inner) -> bool = $inside;
                inside(value).then_some(Self(value))
            }

            /// The number.
            pub fn get(self) -> $inner {
                self.0
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (words, new) = ($words, Self::new);
                deserializer.deserialize_any($reader { words, new })
            }
        }
    )+ };
}

/// Reads a whole number.
struct Integral<I, T> {
    words: &'static str,
    new: fn(I) -> Option<T>,
}

impl<I: TryFrom<i64> + TryFrom<u64>, T> Visitor<'_> for Integral<I, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.words)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        let inside = I::try_from(value).ok().and_then(self.new);
        inside.ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        let inside = I::try_from(value).ok().and_then(self.new);
        inside.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
    }
}

/// Reads a real number; `"8/255"` is a fraction.
struct Real<T> {
    words: &'static str,
    new: fn(f64) -> Option<T>,
}

impl<T> Visitor<'_> for Real<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.words)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        (self.new)(value).ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        (self.new)(value as f64).ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let value = fraction(text).and_then(self.new);
        value.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

ranges! {
    /// A number of things of which there is at least one: images per batch, epochs, repeats.
    Count(usize) by Integral, |n| (1..=1_000_000_000).contains(&n), "a whole number from 1 to 1000000000";

    /// A number of things of which there may be none.
    Whole(usize) by Integral, |n| n <= 1_000_000_000, "a whole number from 0 to 1000000000";

    /// A seed; bounded by the integers that TOML can hold, so that a resolved spec can be read again.
    Seed(u64) by Integral, |n| n <= i64::MAX as u64, "a whole number from 0 to 9223372036854775807";

    /// The steps of an iterative attack, `k` in the literature.
    Iterations(usize) by Integral, |n| (1..=1_000_000).contains(&n), "a whole number from 1 to 1000000";

    /// The tries of an attack on an example.
    Restarts(usize) by Integral, |n| (1..=1000).contains(&n), "a whole number from 1 to 1000";

    /// Any number.
    Finite(f64) by Real, f64::is_finite, "a finite number";

    /// A number above zero, such as a learning rate.
    Positive(f64) by Real, |x| x > 0.0 && x.is_finite(), "a number above 0";

    /// A number of at least zero, such as a weight decay.
    NonNegative(f64) by Real, |x| x >= 0.0 && x.is_finite(), "a number of at least 0";

    /// A share that may be nothing and is never the whole, such as a momentum or a dropout rate.
    Share(f64) by Real, |x| (0.0..1.0).contains(&x), "a number in [0, 1)";

    /// A share strictly between nothing and the whole.
    InnerShare(f64) by Real, |x| x > 0.0 && x < 1.0, "a number in (0, 1)";

    /// A share that may be nothing and may be the whole, such as a probability; or an intensity.
    Portion(f64) by Real, |x| (0.0..=1.0).contains(&x), "a number in [0, 1]";

    /// A parameter of a beta distribution, within what floating-point numbers can draw from.
    Concentration(f64) by Real, |x| (0.01..=1000.0).contains(&x), "a number from 0.01 to 1000";

    /// The length of one attack step, in pixel units (images lie in [0, 1]).
    StepSize(f64) by Real, |x| x > 0.0 && x.is_finite(), "a number above 0, or a fraction such as \"2/255\"";
}

/// A list of exactly two, such as a height and a width: serde alone passes over what follows the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair<T>([T; 2]);

impl<T: Into<U>, U> From<Pair<T>> for [U; 2] {
    fn from(pair: Pair<T>) -> Self {
        pair.0.map(Into::into)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pair<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Vec::<T>::deserialize(deserializer)?;
        let count = found.len();
        let pair = found.try_into().map(Self);
        pair.map_err(|_| de::Error::invalid_length(count, &"a list of two numbers"))
    }
}

/// The radius of an attack's ball around the original image, in pixel units (images lie in [0, 1]). At 0, where curves
/// over it begin, the ball holds the original alone.
///
/// In the linf norm at most 1, where every image lies within reach; in the l2 norm at most [`Epsilon::L2_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub struct Epsilon(f64);

impl Epsilon {
    /// The largest radius in the l2 norm: twice the distance between a black and a white image of 3x16x16 pixels and
    /// beyond any radius in use.
    pub const L2_MAX: f64 = 100.0;

    /// The radius, or nothing where it lies outside the range of the norm.
    pub fn new(value: f64, norm: Norm) -> Option<Self> {
        // Adding 0 makes one value of the two zeros.
        (0.0..=Self::max(norm))
            .contains(&value)
            .then_some(Self(value + 0.0))
    }

    /// The largest radius that the norm allows.
    pub fn max(norm: Norm) -> f64 {
        match norm {
            Norm::Linf => 1.0,
            Norm::L2 => Self::L2_MAX,
        }
    }

    /// The radius.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// Reads `"8/255"`.
pub(crate) fn fraction(text: &str) -> Option<f64> {
    let (above, below) = text.split_once('/')?;
    let above: f64 = above.trim().parse().ok()?;
    let below: f64 = below.trim().parse().ok()?;
    let value = above / below;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use figment::value::Value;

    fn read<T: for<'de> Deserialize<'de>>(value: impl Into<Value>) -> Option<T> {
        value.into().deserialize().ok()
    }

    #[test]
    fn whole_numbers_end_where_they_say() {
        assert_eq!(read::<Iterations>(1i64).map(Iterations::get), Some(1));
        assert_eq!(
            read::<Iterations>(1_000_000i64).map(Iterations::get),
            Some(1_000_000)
        );
        for outside in [0i64, -1, 1_000_001, i64::MAX, i64::MIN] {
            assert_eq!(read::<Iterations>(outside), None, "{outside}");
        }
        assert_eq!(read::<Whole>(0i64).map(Whole::get), Some(0));
        assert_eq!(read::<Seed>(i64::MAX).map(Seed::get), Some(i64::MAX as u64));
        assert_eq!(read::<Iterations>(2.0), None, "a float is no whole number");
    }

    #[test]
    fn real_numbers_are_finite_and_inside() {
        assert_eq!(read::<Positive>(0.5).map(Positive::get), Some(0.5));
        assert_eq!(read::<Positive>(2i64).map(Positive::get), Some(2.0));
        for outside in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(read::<Positive>(outside), None, "{outside}");
        }
        assert_eq!(read::<Share>(0.0).map(Share::get), Some(0.0));
        assert_eq!(read::<Share>(1.0), None);
        assert_eq!(read::<InnerShare>(0.0), None);
    }

    #[test]
    fn fractions_are_read() {
        assert_eq!(
            read::<StepSize>("2/255").map(StepSize::get),
            Some(2.0 / 255.0)
        );
        for text in ["2/0", "/255", "two", "2", "-1/2"] {
            assert_eq!(read::<StepSize>(text), None, "{text}");
        }
    }

    #[test]
    fn epsilon_is_bounded_by_its_norm() {
        assert!(Epsilon::new(1.0, Norm::Linf).is_some());
        assert!(Epsilon::new(8.0, Norm::Linf).is_none());
        assert!(Epsilon::new(8.0, Norm::L2).is_some());
        assert!(Epsilon::new(f64::NAN, Norm::L2).is_none());
        assert!(Epsilon::new(0.0, Norm::L2).is_some());
        assert!(Epsilon::new(-0.1, Norm::L2).is_none());
    }

    #[test]
    fn a_pair_has_two() {
        assert_eq!(
            read::<Pair<Share>>(vec![0.5, 0.25]).map(<[f64; 2]>::from),
            Some([0.5, 0.25])
        );
        for other in [vec![0.5], vec![0.5, 0.25, 0.1], vec![0.5, 2.0]] {
            assert_eq!(read::<Pair<Share>>(other.clone()), None, "{other:?}");
        }
    }
}
