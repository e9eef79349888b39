//! The augmentations by name: what the spec reads, and what is left of it in the resolved spec.

/// Defines the list: each augmentation's file, its type, a section with its settings, and its name in the spec.
macro_rules! augmentations {
    ($($module:ident::$augmentation:ident = $name:literal),+ $(,)?) => {
        $(mod $module; pub use $module::$augmentation;)+

        $crate::spec::tagged! {
            /// The augmentations.
            AugmentationKind;
            /// An augmentation with its settings.
            Augmentation: Augment;
            $($module::$augmentation = $name),+
        }

        impl AugmentationKind {
            /// What it does, in a line, and where it was published.
            pub fn about(self) -> [&'static str; 2] {
                match self {
                    $(Self::$augmentation => $augmentation::ABOUT),+
                }
            }
        }
    };
}
pub(super) use augmentations;
