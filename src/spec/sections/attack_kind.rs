//! The attacks by name, and which settings each of them has.

use crate::spec::choice::choices;

choices! {
    /// The attacks.
    AttackKind {
        /// One signed gradient step of length epsilon (Goodfellow et al., 2015).
        Fgsm = "fgsm",
        /// `k` steps of length `step_size`, each projected back into the ball (Kurakin et al., 2017).
        IFgsm = "i-fgsm",
        /// As I-FGSM, along a gradient accumulated over the steps (Dong et al., 2018).
        MiFgsm = "mi-fgsm",
        /// As I-FGSM, from a uniformly random point of the ball (Madry et al., 2018).
        Pgd = "pgd",
        /// `k` steps that choose their own size (Croce and Hein, 2020).
        Apgd = "apgd",
        /// APGD towards each of the likeliest wrong classes.
        ApgdT = "apgd-t",
        /// `k` steps to the nearest boundary of a class (Croce and Hein, 2020).
        Fab = "fab",
        /// FAB towards each of the likeliest wrong classes.
        FabT = "fab-t",
        /// Random search by logits alone (Andriushchenko et al., 2020).
        Square = "square",
        /// Several of them one after another, each on what still stands (Croce and Hein, 2020).
        AutoAttack = "auto-attack",
    }
}

/// What is true of auto-attack is true of its members, [`EnsembleMember::kind`], and not of itself.
impl AttackKind {
    /// The steps of the attacks that need no `step_size`, where the spec does not say.
    pub const BUDGET: usize = 100;

    /// The wrong classes that the attacks on one class after another go for, of so many classes in all, where the spec does
    /// not say.
    pub fn target_classes(classes: usize) -> usize {
        classes.saturating_sub(1).min(9)
    }

    /// Whether the attack takes `k` steps of `step_size`.
    pub fn has_step_size(self) -> bool {
        matches!(self, Self::IFgsm | Self::MiFgsm | Self::Pgd)
    }

    /// Whether the attack takes `k` steps and chooses their size.
    pub fn has_budget(self) -> bool {
        matches!(self, Self::Apgd | Self::ApgdT | Self::Fab | Self::FabT)
    }

    /// Whether the attack is a loop of gradient steps: it can start at random or not, and aim at a class.
    pub fn has_gradient_steps(self) -> bool {
        self == Self::Fgsm || self.has_step_size()
    }

    /// Whether it starts at random where the spec does not say.
    pub fn has_random_start(self) -> bool {
        self == Self::Pgd
    }

    /// Whether the attack goes for several target classes in turn.
    pub fn has_targets(self) -> bool {
        matches!(self, Self::ApgdT | Self::FabT)
    }

    /// Whether the attack counts queries.
    pub fn has_queries(self) -> bool {
        self == Self::Square
    }

    /// Whether the attack asks for gradients, and not for logits alone.
    pub fn has_gradients(self) -> bool {
        !self.has_queries()
    }

    /// Whether the reference has it in units of its own.
    pub fn has_original(self) -> bool {
        matches!(self, Self::Fgsm | Self::IFgsm | Self::Pgd)
    }

    /// Whether a model can be trained on what the attack finds: it goes up a loss, for every example.
    pub fn is_for_training(self) -> bool {
        self.has_gradient_steps() || matches!(self, Self::Apgd | Self::ApgdT)
    }
}

choices! {
    /// The members of AutoAttack.
    EnsembleMember {
        /// APGD on the cross-entropy.
        ApgdCe = "apgd-ce",
        /// APGD on the difference of logits ratio.
        ApgdDlr = "apgd-dlr",
        /// APGD on the targeted difference of logits ratio.
        ApgdT = "apgd-t",
        /// FAB to the nearest boundary.
        Fab = "fab",
        /// FAB towards each of the likeliest wrong classes.
        FabT = "fab-t",
        /// Random search by logits alone.
        Square = "square",
    }
}

impl EnsembleMember {
    /// The standard version, in its order.
    pub const STANDARD: [Self; 4] = [Self::ApgdCe, Self::ApgdT, Self::FabT, Self::Square];

    /// The attack that it is when it stands alone.
    pub fn kind(self) -> AttackKind {
        match self {
            Self::ApgdCe | Self::ApgdDlr => AttackKind::Apgd,
            Self::ApgdT => AttackKind::ApgdT,
            Self::Fab => AttackKind::Fab,
            Self::FabT => AttackKind::FabT,
            Self::Square => AttackKind::Square,
        }
    }
}

choices! {
    /// What APGD ascends.
    AttackLoss {
        /// The cross-entropy.
        Ce = "ce",
        /// The difference of logits ratio, which does not change with the scale of the logits.
        Dlr = "dlr",
    }
}

choices! {
    /// Whose units an attack is measured in.
    Compat {
        /// Pixels in [0, 1]; cross-entropy.
        None = "none",
        /// Those of the code that came with the paper.
        Original = "original",
    }
}
