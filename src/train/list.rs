//! The objectives by name.

/// Defines the list: each objective's type, a section with its settings, and its name in the spec.
macro_rules! objectives {
    ($($module:ident::$objective:ident = $name:literal),+ $(,)?) => {
        $(pub mod $module;)+

        $crate::spec::tagged! {
            /// The objectives.
            ObjectiveKind;
            /// An objective with its settings.
            ChosenObjective: Objective;
            $($module::$objective = $name),+
        }
    };
}
pub(super) use objectives;
