//! The macro that defines a section of the spec once: its struct, its list of keys, and its reader.

use super::fields::Fields;

/// A key of a section and its documentation (meaning, unit, default).
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub doc: &'static str,
}

/// A section that can be read from the layers of a spec.
pub(crate) trait Section: Sized {
    /// Its keys in the order of the struct.
    const KEYS: &'static [Key];

    /// Reads every key, noting every fault; nothing where there was one.
    fn read(fields: Fields) -> Option<Self>;

    /// The settings that tell two sections apart: those that are not what their key has stood for since it exists. So a
    /// key that is added with a default changes no hash, and a default that changes (`was`) changes the hash of those
    /// who rely on it.
    ///
    /// # Errors
    /// A value that TOML cannot hold.
    fn identity(&self) -> Result<toml::Table, toml::ser::Error>;

    /// Brings the numbers down to those of a trial run; the keys that changed.
    fn shrink(&mut self) -> Vec<&'static str>;
}

/// Reads the sections of a stage.
pub(crate) trait SectionReader {
    /// Reads a section that the task has; nothing where it is faulty.
    fn section<S: Section>(&mut self, name: &'static str) -> Option<S>;

    /// Reads a section that the task may have; nothing inside where it has no use for it.
    fn section_if_used<S: Section>(&mut self, name: &'static str) -> Option<Option<S>>;
}

/// A section by name.
#[derive(Clone, Debug)]
pub struct SectionInfo {
    pub name: &'static str,
    pub keys: Vec<Key>,
    /// Reads it for its faults alone.
    pub(crate) check: fn(Fields),
}

impl SectionInfo {
    pub(crate) fn of<S: Section>(name: &'static str) -> Self {
        Self {
            name,
            keys: S::KEYS.to_vec(),
            check: |mut fields| {
                fields.keys = S::KEYS;
                drop(S::read(fields));
            },
        }
    }
}

/// Defines a section. Each field says after its type how it is read:
///
/// - `[required]`, `[optional]` (the type is an `Option`), `[or default]`: read as its own type;
/// - `[required as T]`, `[optional as T]`, `[as T, or default]`: read as the range type `T`, stored as the plain one;
/// - `[by function]`, `[by function, or default]`, `[by function, optional]`: read by `fn(&mut Fields, &'static str) -> Option<FieldType>`;
/// - `[by function, identity other]`: the same, where `fn(&FieldType) -> Result<toml::Value, _>` says what tells it apart;
///   an empty table says that nothing does.
///
/// then, where the default is not the first one that the key had, `was` and that one, see [`Section::identity`]; and where
/// a trial run takes less, `smoke` and the most that it takes, or a `fn(&mut FieldType) -> bool` that sees to it.
///
/// The `check` block sees every field as an `Option` (nothing where it was faulty) and may note further faults.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident : $type:ty [$($how:tt)+] $(was $was:literal)? $(smoke $most:tt)? ),*
            $(,)?
        }
        $(check($fields:ident) $check:block)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )*
        }

        impl $crate::spec::section::Section for $name {
            const KEYS: &'static [$crate::spec::section::Key] = &[
                $( $crate::spec::section::Key { name: stringify!($field), doc: concat!($($doc),+) }, )*
            ];

            #[allow(unused_mut)]
            fn read(mut fields: $crate::spec::fields::Fields) -> Option<Self> {
                fields.refuse_unknown_keys();
                $( let mut $field: Option<$type> =
                    $crate::spec::section::read_field!(fields, stringify!($field), $($how)+); )*
                $( let $fields = &mut fields; $check )?
                Some(Self { $( $field: $field?, )* })
            }

            #[allow(unused_variables, unused_mut)]
            fn identity(&self) -> Result<toml::Table, toml::ser::Error> {
                let mut table = toml::Table::new();
                // A default may depend on the fields before it.
                $( let $field = Some(self.$field.clone()); )*
                $( if $crate::spec::section::is_set!(self.$field, [$($was)?], $($how)+) {
                    let value = $crate::spec::section::value_of!(self.$field, $($how)+)?;
                    if !value.as_table().is_some_and(toml::Table::is_empty) {
                        table.insert(stringify!($field).into(), value);
                    }
                } )*
                Ok(table)
            }

            #[allow(unused_mut)]
            fn shrink(&mut self) -> Vec<&'static str> {
                let mut changed = Vec::new();
                $( $( if $crate::spec::section::shrink!(self.$field, $most) {
                    changed.push(stringify!($field));
                } )? )*
                changed
            }
        }
    };
}
pub(crate) use section;

/// Reads one field in the way that its definition names; see [`section!`].
macro_rules! read_field {
    ($fields:ident, $key:expr, required) => {
        $fields.required($key)
    };
    ($fields:ident, $key:expr, required as $range:ty) => {
        $fields.required::<$range>($key).map(Into::into)
    };
    ($fields:ident, $key:expr, optional) => {
        $fields.optional($key)
    };
    ($fields:ident, $key:expr, optional as $range:ty) => {
        $fields
            .optional::<$range>($key)
            .map(|value| value.map(Into::into))
    };
    ($fields:ident, $key:expr, or $default:expr) => {
        $fields
            .optional($key)
            .map(|value| value.unwrap_or($default))
    };
    ($fields:ident, $key:expr, as $range:ty, or $default:expr) => {
        $fields
            .optional::<$range>($key)
            .map(|value| value.map(Into::into).unwrap_or($default))
    };
    ($fields:ident, $key:expr, by $reader:expr $(, $($rest:tt)+)?) => {
        $reader(&mut $fields, $key)
    };
}
pub(crate) use read_field;

/// Whether a field tells its section apart; see [`Section::identity`].
macro_rules! is_set {
    ($value:expr, [], optional $($how:tt)*) => {
        $value.is_some()
    };
    ($value:expr, [], by $reader:expr, optional) => {
        $value.is_some()
    };
    ($value:expr, [], or $default:expr) => {
        $value != $default
    };
    ($value:expr, [], as $range:ty, or $default:expr) => {
        $value != $default
    };
    ($value:expr, [], by $reader:expr, or $default:expr) => {
        $value != $default
    };
    ($value:expr, [], $($how:tt)+) => {
        true
    };
    ($value:expr, [$was:literal], $($how:tt)+) => {
        $value != $was
    };
}
pub(crate) use is_set;

/// What a field that tells its section apart is in there.
macro_rules! value_of {
    ($value:expr, by $reader:expr, identity $identity:expr) => {
        $identity(&$value)
    };
    ($value:expr, $($how:tt)+) => {
        toml::Value::try_from(&$value)
    };
}
pub(crate) use value_of;

/// Brings a field down: a number to a literal, anything else by a function of it; whether it changed.
macro_rules! shrink {
    ($value:expr, $most:literal) => {
        $crate::spec::section::cap(&mut $value, $most)
    };
    ($value:expr, $by:ident) => {
        $by(&mut $value)
    };
}
pub(crate) use shrink;

/// [`Section::identity`] of a section inside another, empty where there is none.
pub(crate) fn inner_identity<S: Section>(
    inner: &Option<S>,
) -> Result<toml::Value, toml::ser::Error> {
    let table = inner.as_ref().map(S::identity).transpose()?;
    Ok(table.unwrap_or_default().into())
}

/// [`Section::shrink`] of a section inside another; whether anything changed.
pub(crate) fn inner_shrink<S: Section>(inner: &mut Option<S>) -> bool {
    inner
        .as_mut()
        .is_some_and(|inner| !inner.shrink().is_empty())
}

/// Brings a number down to the most that there may be; whether it was more.
pub(crate) fn cap(value: &mut usize, most: usize) -> bool {
    let more = *value > most;
    *value = most.min(*value);
    more
}

#[cfg(test)]
mod tests {
    use super::Section;

    section! {
        /// A section as it was first.
        First {
            /// A number.
            number: usize [or 1],
        }
    }

    section! {
        /// The same with a key more.
        More {
            /// A number.
            number: usize [or 1],
            /// A key that came later.
            later: bool [or false],
        }
    }

    section! {
        /// The same with another default.
        Changed {
            /// A number.
            number: usize [or 2] was 1,
        }
    }

    #[test]
    fn an_added_key_leaves_old_results_found_and_a_changed_default_does_not() {
        let first = |number| First { number }.identity().unwrap();
        let more = |number, later| More { number, later }.identity().unwrap();
        assert_eq!((first(1), first(3)), (more(1, false), more(3, false)));
        assert_ne!(first(1), more(1, true));
        let changed = |number| Changed { number }.identity().unwrap();
        assert_ne!(
            changed(2),
            first(1),
            "what is not written means something else"
        );
        assert_eq!(changed(1), first(1), "the old default, written out");
    }
}
