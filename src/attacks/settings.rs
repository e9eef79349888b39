//! What an attack's file says of it, and the list of them that everything else reads.

use figment::value::Dict;

use super::{Attack, Entry, Goal, Objective, Threat};
use crate::ops::logit_score::Score;
use crate::spec::{Key, Section};
use crate::{Error, Result};

/// An attack's own settings, the section that its file defines, with what is known of the attack.
pub(crate) trait Settings: Section {
    /// The name in specs and result files.
    const NAME: &'static str;
    /// What it does, in a line.
    const ABOUT: &'static str;
    const PAPER: &'static str;
    /// Names for it with some of its settings fixed.
    const PRESETS: &'static [Preset] = &[];
    /// Whether a model can be trained on what it finds: it goes up a loss, for every example.
    const IS_FOR_TRAINING: bool = false;
    /// Whether its images are inside the ball that the spec names, so that they say how a model stands against it.
    const IS_FOR_EVALUATION: bool = true;
    /// Whether it asks for gradients, and not for logits alone.
    const HAS_GRADIENTS: bool = true;
    /// Of an ensemble: the members that it has by default.
    const MEMBERS: Option<&'static [&'static str]> = None;

    /// Of an ensemble: its members.
    fn members(&self) -> &[Entry] {
        &[]
    }

    /// Whose units its ball is measured in.
    fn compat(&self) -> Compat {
        Compat::None
    }

    /// The attack: one, or the members of an ensemble in order.
    ///
    /// # Errors
    /// Settings that ask for more classes than there are.
    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>>;
}

/// A name for an attack with some of its settings fixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    pub name: &'static str,
    /// The settings, as TOML.
    pub settings: &'static str,
    /// Where it was published, where that is a paper of its own.
    pub paper: &'static str,
}

impl Preset {
    pub(super) fn settings(&self) -> Dict {
        // A test reads those of all.
        toml::from_str(self.settings).unwrap_or_default()
    }
}

/// An attack as lists and help texts show it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    pub name: &'static str,
    pub about: &'static str,
    pub paper: &'static str,
    /// Its own settings.
    pub keys: &'static [Key],
    /// Names for it with some of them fixed.
    pub presets: &'static [Preset],
    /// Whether a model can be trained on what it finds.
    pub is_for_training: bool,
    /// Whether its images are inside the ball that the spec names.
    pub is_for_evaluation: bool,
    /// Whether it asks for gradients, and not for logits alone.
    pub has_gradients: bool,
    /// Of an ensemble: the members that it has by default.
    pub members: Option<&'static [&'static str]>,
}

impl Description {
    pub(super) const fn of<S: Settings>() -> Self {
        Self {
            name: S::NAME,
            about: S::ABOUT,
            paper: S::PAPER,
            keys: S::KEYS,
            presets: S::PRESETS,
            is_for_training: S::IS_FOR_TRAINING,
            is_for_evaluation: S::IS_FOR_EVALUATION,
            has_gradients: S::HAS_GRADIENTS,
            members: S::MEMBERS,
        }
    }

    /// Its name, and those with some settings fixed.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let presets = self.presets.iter().map(|preset| preset.name);
        std::iter::once(self.name).chain(presets)
    }

    /// Whether the attack has a setting of this name.
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|own| own.name == key)
    }
}

crate::choice::choices! {
    /// Whose units an attack is measured in.
    Compat {
        /// Pixels in [0, 1]; cross-entropy.
        None = "none",
        /// Those of the code that came with the paper (arXiv 2112.11018).
        Original = "original",
    }
}

impl Compat {
    /// What FGSM and I-FGSM ascend: the reference takes the negative log-likelihood of raw logits.
    pub(super) fn loss(self) -> Objective {
        match self {
            Self::None => Objective::CrossEntropy,
            Self::Original => Objective::Score(Score::Logit),
        }
    }
}

/// What an attack is made for, beside its own settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Making {
    pub threat: Threat,
    /// The classes of the model.
    pub classes: usize,
    /// What it is called where a name with fixed settings stands for it.
    pub name: Option<&'static str>,
    /// Whether it is a member of an ensemble, which leaves an example once it is broken.
    pub in_ensemble: bool,
}

impl Making {
    /// Checks the target class, which `attack` names in the error, against the classes that there are.
    pub fn goal(&self, attack: &str, goal: Goal) -> Result<Goal> {
        match goal {
            Goal::Class(class) if class as usize >= self.classes => Err(Error::spec(format!(
                "{attack}: target: expected the number of a class, below {}, found {class}",
                self.classes
            ))),
            goal => Ok(goal),
        }
    }

    /// How many wrong classes an attack goes for in turn: as many as it says, otherwise nine, or all where there are fewer.
    pub fn target_classes(&self, attack: &str, count: Option<usize>) -> Result<usize> {
        let wrong = self.classes.saturating_sub(1);
        match count {
            None => Ok(wrong.min(9)),
            Some(count) if count <= wrong => Ok(count),
            Some(count) => Err(Error::spec(format!(
                "{attack}: n_target_classes: expected at most {wrong}, the wrong ones of {} classes, found {count}",
                self.classes
            ))),
        }
    }

    /// Refuses a loss that is not defined for so few classes.
    pub fn require(&self, attack: &str, loss: Objective) -> Result<()> {
        if self.classes >= loss.classes() {
            return Ok(());
        }
        Err(Error::spec(format!(
            "{attack}: takes a model of at least {} classes, and the data has {}; choose another attack",
            loss.classes(),
            self.classes
        )))
    }
}

/// The list of the attacks: a line for each file, with the name of each attack in it and the type of its settings, a
/// [`Settings`].
macro_rules! attacks {
    ($($module:ident: $($variant:ident($settings:ident)),+;)+) => {
        $(pub mod $module;)+

        /// The attacks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AttackKind { $($($variant),+),+ }

        impl AttackKind {
            /// All of them, in the order of the list.
            pub const ALL: &'static [Self] = &[$($(Self::$variant),+),+];

            /// Their names.
            pub const NAMES: &'static [&'static str] =
                &[$($(<$module::$settings as settings::Settings>::NAME),+),+];

            /// What is known of it.
            pub fn description(self) -> &'static settings::Description {
                match self {
                    $($(Self::$variant => {
                        const FOUND: &settings::Description = &settings::Description::of::<$module::$settings>();
                        FOUND
                    })+)+
                }
            }

            /// Reads the settings of the attack.
            pub(crate) fn read(self, fields: $crate::spec::Fields) -> Option<AttackSettings> {
                use $crate::spec::Section;
                match self {
                    $($(Self::$variant => $module::$settings::read(fields).map(AttackSettings::$variant),)+)+
                }
            }
        }

        /// An attack's own settings.
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        #[expect(missing_docs)]
        pub enum AttackSettings { $($($variant($module::$settings)),+),+ }

        impl AttackSettings {
            /// Whose they are.
            pub fn kind(&self) -> AttackKind {
                match self { $($(Self::$variant(_) => AttackKind::$variant,)+)+ }
            }

            pub(crate) fn members(&self) -> &[Entry] {
                match self { $($(Self::$variant(own) => settings::Settings::members(own),)+)+ }
            }

            pub(crate) fn compat(&self) -> settings::Compat {
                match self { $($(Self::$variant(own) => settings::Settings::compat(own),)+)+ }
            }

            pub(crate) fn attacks(&self, making: &settings::Making) -> $crate::Result<Vec<Box<dyn Attack>>> {
                match self { $($(Self::$variant(own) => settings::Settings::attacks(own, making),)+)+ }
            }

            /// See [`Section::identity`](crate::spec::Section::identity).
            pub(crate) fn identity(&self) -> Result<toml::Table, toml::ser::Error> {
                match self { $($(Self::$variant(own) => $crate::spec::Section::identity(own),)+)+ }
            }

            /// See [`Section::shrink`](crate::spec::Section::shrink).
            pub(crate) fn shrink(&mut self) -> Vec<&'static str> {
                match self { $($(Self::$variant(own) => $crate::spec::Section::shrink(own),)+)+ }
            }
        }
    };
}
pub(super) use attacks;
