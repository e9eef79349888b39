//! The objectives by name: what the spec reads, and what is left of it in the resolved spec.

/// Defines the list: each objective's type, which holds its settings, and its name in the spec.
macro_rules! objectives {
    ($($module:ident::$objective:ident = $name:literal),+ $(,)?) => {
        $crate::spec::choice::choices! {
            /// The objectives.
            ObjectiveKind { $($objective = $name),+ }
        }

        impl ObjectiveKind {
            /// The settings beside `kind` in the table `train.objective`.
            pub fn keys(self) -> &'static [$crate::spec::Key] {
                match self {
                    $(Self::$objective => <$module::$objective as objective::Settings>::KEYS),+
                }
            }

            /// Reads its settings from the table that `key` holds, where it holds one.
            pub(crate) fn read(
                self,
                fields: &mut $crate::spec::fields::Fields<'_>,
                key: &'static str,
            ) -> Option<ChosenObjective> {
                match self {
                    $(Self::$objective => {
                        objective::Settings::read(fields, key).map(ChosenObjective::$objective)
                    })+
                }
            }
        }

        /// An objective with its settings.
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(tag = "kind")]
        pub enum ChosenObjective {
            $(#[serde(rename = $name)] $objective($module::$objective)),+
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
