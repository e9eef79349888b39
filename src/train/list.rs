//! The objectives by name: what the spec reads, and what is left of it in the resolved spec.

/// Defines the list: each objective's type, a section with its settings, and its name in the spec.
macro_rules! objectives {
    ($($module:ident::$objective:ident = $name:literal),+ $(,)?) => {
        $(pub mod $module;)+

        $crate::choice::choices! {
            /// The objectives.
            ObjectiveKind { $($objective = $name),+ }
        }

        impl ObjectiveKind {
            /// Its own settings.
            pub fn keys(self) -> &'static [$crate::spec::Key] {
                use $crate::spec::Section;
                match self {
                    $(Self::$objective => $module::$objective::KEYS),+
                }
            }

            /// Reads its settings.
            pub(crate) fn read(self, fields: $crate::spec::Fields<'_>) -> Option<ChosenObjective> {
                use $crate::spec::Section;
                match self {
                    $(Self::$objective => $module::$objective::read(fields).map(ChosenObjective::$objective)),+
                }
            }
        }

        /// An objective with its settings.
        #[derive(Clone, Debug, PartialEq)]
        pub enum ChosenObjective {
            $($objective($module::$objective)),+
        }

        impl ChosenObjective {
            /// Its name.
            pub fn kind(&self) -> ObjectiveKind {
                match self {
                    $(Self::$objective(_) => ObjectiveKind::$objective),+
                }
            }

            /// See [`Section::identity`](crate::spec::Section::identity).
            pub(crate) fn identity(&self) -> Result<toml::Table, toml::ser::Error> {
                match self {
                    $(Self::$objective(objective) => $crate::spec::Section::identity(objective)),+
                }
            }
        }

        impl serde::Serialize for ChosenObjective {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let own = match self {
                    $(Self::$objective(objective) => toml::Table::try_from(objective)),+
                };
                let mut table = own.map_err(serde::ser::Error::custom)?;
                if table.is_empty() {
                    return serializer.serialize_str(self.kind().name());
                }
                table.insert("kind".into(), self.kind().name().into());
                table.serialize(serializer)
            }
        }

        impl std::ops::Deref for ChosenObjective {
            type Target = dyn Objective;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$objective(objective) => objective),+
                }
            }
        }
    };
}
pub(super) use objectives;
