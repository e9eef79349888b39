//! Choices that have settings: a name in the spec, or a table `{ kind = "...", ... }` with settings of the choice's own.

use figment::value::Value;

use super::fields::Fields;
use super::section::Key;
use super::surroundings::Table;
use super::words::found;
use crate::choice::{did_you_mean, one_of};

/// The key of a table that is not the choice's own.
pub(crate) const HEAD: &[Key] = &[Key {
    name: "kind",
    doc: "which one it is",
}];

/// What [`tagged!`](tagged) defines: the names, and the values that they stand for.
pub(crate) trait Tagged: Sized {
    const NAMES: &'static [&'static str];

    /// The settings of the choice of a name; none where there is no such name.
    fn keys(name: &str) -> Option<&'static [Key]>;

    /// Reads the settings of the choice of that name.
    fn read(name: &str, fields: Fields<'_>) -> Option<Self>;
}

/// Reads an item of a list of such choices, written at `path`.
pub(crate) fn read_item<T: Tagged>(fields: &mut Fields, path: String, item: &Value) -> Option<T> {
    let tables: Vec<Table> = item
        .as_dict()
        .map_or(Vec::new(), |dict| vec![Table::all_of(path.clone(), dict)]);
    let name = match item {
        Value::Dict(_, dict) if !dict.contains_key("kind") => {
            fields
                .part(path.clone(), HEAD, tables.clone())
                .required::<String>("kind");
            return None;
        }
        Value::Dict(_, dict) => &dict["kind"],
        name => name,
    };
    let Some((name, keys)) = name.as_str().and_then(|name| Some((name, T::keys(name)?))) else {
        let near = did_you_mean(name.as_str().unwrap_or_default(), T::NAMES.iter().copied());
        let message = format!("expected {}, found {}{near}", one_of(T::NAMES), found(name));
        fields
            .outcome
            .fault(&fields.locations.locate(&path, name.tag()), &path, &message);
        return None;
    };
    let known: Vec<&str> = HEAD.iter().chain(keys).map(|key| key.name).collect();
    let mut part = fields.part(path, keys, tables);
    part.refuse_all_but(&known, |_| None);
    part.shared = true;
    T::read(name, part)
}

/// Defines such a choice from a list of sections with their names: the enum `$kind` of the names, and the enum `$chosen` of
/// the sections, which is a `$trait` through whichever it holds.
macro_rules! tagged {
    (
        $(#[$kind_doc:meta])* $kind:ident;
        $(#[$chosen_doc:meta])* $chosen:ident: $trait:ident;
        $($module:ident::$section:ident = $name:literal),+ $(,)?
    ) => {
        $crate::choice::choices! {
            $(#[$kind_doc])*
            $kind { $($section = $name),+ }
        }

        impl $kind {
            /// Its own settings.
            pub fn keys(self) -> &'static [$crate::spec::Key] {
                use $crate::spec::Section;
                match self {
                    $(Self::$section => $module::$section::KEYS),+
                }
            }

            /// Reads its settings.
            pub(crate) fn read(self, fields: $crate::spec::Fields<'_>) -> Option<$chosen> {
                use $crate::spec::Section;
                match self {
                    $(Self::$section => $module::$section::read(fields).map($chosen::$section)),+
                }
            }
        }

        $(#[$chosen_doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs)]
        pub enum $chosen {
            $($section($module::$section)),+
        }

        impl $chosen {
            /// Which one it is.
            pub fn kind(&self) -> $kind {
                match self {
                    $(Self::$section(_) => $kind::$section),+
                }
            }

            /// See [`Section::identity`](crate::spec::Section::identity).
            pub(crate) fn identity(&self) -> Result<toml::Table, toml::ser::Error> {
                match self {
                    $(Self::$section(own) => $crate::spec::Section::identity(own)),+
                }
            }
        }

        impl serde::Serialize for $chosen {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let own = match self {
                    $(Self::$section(own) => toml::Table::try_from(own)),+
                };
                let mut table = own.map_err(serde::ser::Error::custom)?;
                if table.is_empty() {
                    return serializer.serialize_str(self.kind().name());
                }
                table.insert("kind".into(), self.kind().name().into());
                table.serialize(serializer)
            }
        }

        impl std::ops::Deref for $chosen {
            type Target = dyn $trait;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$section(own) => own),+
                }
            }
        }

        impl $crate::spec::tagged::Tagged for $chosen {
            const NAMES: &'static [&'static str] = $kind::NAMES;

            fn keys(name: &str) -> Option<&'static [$crate::spec::Key]> {
                $kind::from_name(name).map($kind::keys)
            }

            fn read(name: &str, fields: $crate::spec::Fields<'_>) -> Option<Self> {
                $kind::from_name(name)?.read(fields)
            }
        }
    };
}
pub(crate) use tagged;
