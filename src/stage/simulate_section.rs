//! `[simulate]`: the two student-teacher simulations, in float64.

use crate::choice::choices;
use crate::spec::range::{Count, Positive};
use crate::spec::section::section;

choices! {
    /// The simulations.
    SimulationKind {
        /// An adversarial input of a two-layer network moves towards a target input.
        TwoLayerAttack = "two-layer-attack",
        /// A one-layer student learns a teacher's weights.
        OneLayerTraining = "one-layer-training",
    }
}

choices! {
    /// What is made of the gradient in a step of the two-layer attack.
    StepRule {
        /// Divided by its l2 norm.
        L2 = "l2",
        /// Its sign.
        Sign = "sign",
        /// As it is.
        Raw = "raw",
    }
}

impl StepRule {
    /// The customary step size of the rule.
    pub fn default_step_size(self) -> f64 {
        match self {
            Self::L2 => 0.05,
            Self::Sign => 0.005,
            Self::Raw => 0.001,
        }
    }
}

const STEP_SIZE_TRAINING: f64 = 0.001;
const EPSILON: f64 = 0.25;
const HIDDEN: usize = 20;
const OUTPUTS: usize = 10;
const BATCH: usize = 100;

section! {
    /// The two student-teacher simulations, in float64.
    SimulateSpec {
        /// The simulation: "two-layer-attack" or "one-layer-training"; required.
        kind: SimulationKind [required],
        /// Independent draws, over which figures average; default 10.
        repeats: usize [as Count, or 10] smoke 2,
        /// Steps of each repeat; default 100 for two-layer-attack, 10000 for one-layer-training.
        steps: usize [as Count, or if is_attack(kind) { 100 } else { 10_000 }] smoke 100,
        /// What a step makes of the gradient: "l2", "sign" or "raw"; two-layer-attack only; default "l2".
        step_rule: StepRule [or StepRule::L2],
        /// Length of a step, in one-layer-training the learning rate; default 0.05 for l2, 0.005 for sign, 0.001 otherwise.
        step_size: f64 [as Positive, or if is_attack(kind) {
            step_rule.unwrap_or(StepRule::L2).default_step_size()
        } else {
            STEP_SIZE_TRAINING
        }],
        /// Largest change of an input element; two-layer-attack only; default 0.25.
        epsilon: f64 [as Positive, or EPSILON],
        /// Input dimension; default 100 for two-layer-attack, 10 for one-layer-training.
        inputs: usize [as Count, or if is_attack(kind) { 100 } else { 10 }],
        /// Hidden units; two-layer-attack only; default 20.
        hidden: usize [as Count, or HIDDEN],
        /// Outputs; two-layer-attack only; default 10.
        outputs: usize [as Count, or OUTPUTS],
        /// Fresh rows per step; one-layer-training only; default 100.
        batch: usize [as Count, or BATCH],
        /// Steps between recorded rows, the last always; default 1.
        record_every: usize [as Count, or 1],
    }
    check(fields) {
        match kind {
            Some(SimulationKind::TwoLayerAttack) => {
                fields.idle("batch", &mut batch, BATCH, "only one-layer-training draws rows");
            }
            Some(SimulationKind::OneLayerTraining) => {
                let why = "only two-layer-attack uses it";
                fields.idle("step_rule", &mut step_rule, StepRule::L2, why);
                fields.idle("epsilon", &mut epsilon, EPSILON, why);
                fields.idle("hidden", &mut hidden, HIDDEN, why);
                fields.idle("outputs", &mut outputs, OUTPUTS, why);
            }
            None => {}
        }
    }
}

fn is_attack(kind: Option<SimulationKind>) -> bool {
    kind != Some(SimulationKind::OneLayerTraining)
}
