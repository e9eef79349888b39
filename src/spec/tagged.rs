//! Choices that have settings: a name in the spec, or a table `{ kind = "...", ... }` with settings of the choice's own.

use figment::value::Value;

use super::fields::{Fields, join};
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

    /// See [`identity`].
    fn identity(&self) -> Result<toml::Value, toml::ser::Error>;
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

/// Reads such a choice that a key holds; nothing inside where the key is missing or "none".
pub(crate) fn optional_tagged<T: Tagged>(
    fields: &mut Fields,
    key: &'static str,
) -> Option<Option<T>> {
    let path = join(&fields.path, key);
    let mut tables = Vec::new();
    let written = if fields.is_table(key) {
        fields.opens(key);
        tables = fields.tables_in(key);
        let mut head = fields.part(path.clone(), HEAD, tables.clone());
        head.shared = true;
        let name = head.required_by("kind", |value| name_in(T::NAMES, value))?;
        Some(name)
    } else {
        let names: Vec<&str> = ["none"].iter().chain(T::NAMES).copied().collect();
        fields.optional_by(key, |value| name_in(&names, value))?
    };
    let name = written.filter(|name| name != "none");
    let Some(name) = name else {
        return Some(None);
    };
    let keys = T::keys(&name)?;
    let known: Vec<&str> = HEAD.iter().chain(keys).map(|key| key.name).collect();
    let mut part = fields.part(path, keys, tables);
    part.refuse_all_but(&known, |_| None);
    part.shared = true;
    T::read(&name, part).map(Some)
}

/// What tells such a choice apart, of its name and its settings: the name alone where nothing but defaults is said.
pub(crate) fn identity(name: &str, mut own: toml::Table) -> toml::Value {
    if own.is_empty() {
        return name.into();
    }
    own.insert("kind".into(), name.into());
    own.into()
}

/// The same of a list; of none an empty table, which says that nothing does.
pub(crate) fn list_identity<T: Tagged>(list: &[T]) -> Result<toml::Value, toml::ser::Error> {
    if list.is_empty() {
        return Ok(toml::Table::new().into());
    }
    let items = list.iter().map(T::identity);
    items.collect::<Result<Vec<_>, _>>().map(Into::into)
}

/// The same of one that may be missing.
pub(crate) fn optional_identity<T: Tagged>(
    chosen: &Option<T>,
) -> Result<toml::Value, toml::ser::Error> {
    match chosen {
        Some(chosen) => chosen.identity(),
        None => Ok(toml::Table::new().into()),
    }
}

/// The one of the names that a value is.
fn name_in(names: &[&str], value: &Value) -> Result<String, String> {
    let name = value.as_str().filter(|name| names.contains(name));
    name.map(str::to_owned).ok_or_else(|| one_of(names))
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

            fn identity(&self) -> Result<toml::Value, toml::ser::Error> {
                Ok($crate::spec::tagged::identity(self.kind().name(), self.identity()?))
            }
        }
    };
}
pub(crate) use tagged;
