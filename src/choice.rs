//! Settings with a fixed list of values, written as text in the spec.

/// Defines an enum whose values are names in the spec; an unknown name is refused with the list.
macro_rules! choices {
    ($(#[$meta:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$inner])* $variant),+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The names as the spec writes them.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name as the spec writes it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The value of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Names;
                impl serde::de::Visitor<'_> for Names {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                        f.write_str(&$crate::choice::one_of($name::NAMES))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::from_name(text).ok_or_else(|| E::unknown_variant(text, $name::NAMES))
                    }
                }
                deserializer.deserialize_any(Names)
            }
        }
    };
}
pub(crate) use choices;

/// "one of "a", "b", "c"": the words for a list of names.
pub(crate) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("one of {}", quoted.join(", "))
}

/// The end of an error: the name that was meant, where one is near.
pub(crate) fn did_you_mean<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(written, names) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None => String::new(),
    }
}

/// The name nearest to what was written, where one is near enough to be what was meant.
pub(crate) fn nearest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase();
    let near = |distance: usize, name: &str| {
        let longer = name.len().max(written.len());
        let slip = longer >= 2 && distance <= (longer / 3).max(1);
        slip || written.len() >= 2 && name.starts_with(&written)
    };
    names
        .into_iter()
        .map(|name| {
            let distance = strsim::damerau_levenshtein(&written, &name.to_lowercase());
            (distance, name)
        })
        .filter(|(distance, name)| near(*distance, name))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["epsilon", "step_size", "k", "norm"];
        assert_eq!(nearest("epsillon", names), Some("epsilon"));
        assert_eq!(nearest("eps", names), Some("epsilon"));
        assert_eq!(nearest("stepsize", names), Some("step_size"));
        assert_eq!(nearest("learning_rate", names), None);
        assert_eq!(nearest("lr", ["rl", "momentum"]), Some("rl"));
        assert_eq!(nearest("x", names), None, "one letter is not near another");
    }
}
