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
}

/// Defines a section. Each field says after its type how it is read:
///
/// - `[required]`, `[optional]` (the type is an `Option`), `[or default]`: read as its own type;
/// - `[required as T]`, `[optional as T]`, `[as T, or default]`: read as the range type `T`, stored as the plain one;
/// - `[by function]`: read by `fn(&mut Fields, &'static str) -> Option<FieldType>`.
///
/// The `check` block sees every field as an `Option` (nothing where it was faulty) and may note further faults.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[doc = $doc:literal])+ $(#[serde($($serde:tt)+)])? $field:ident : $type:ty [$($how:tt)+] ),* $(,)?
        }
        $(check($fields:ident) $check:block)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub struct $name {
            $( $(#[doc = $doc])+ $(#[serde($($serde)+)])? pub $field: $type, )*
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
    ($fields:ident, $key:expr, by $reader:expr) => {
        $reader(&mut $fields, $key)
    };
}
pub(crate) use read_field;
