//! `[optimizer]`: how gradients become updates.

use figment::value::Value;

use super::schedule_section::SchedulerKind;
use crate::choice::choices;
use crate::spec::fields::Fields;
use crate::spec::range::{NonNegative, Pair, Positive, Share};
use crate::spec::section::section;

choices! {
    /// The optimizers.
    OptimizerKind {
        /// Stochastic gradient descent, with momentum where it is set.
        Sgd = "sgd",
        /// Adam (Kingma and Ba, 2015); weight decay is added to the gradient.
        Adam = "adam",
        /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
        Adamw = "adamw",
    }
}

const BETAS: [f64; 2] = [0.9, 0.999];
const EPS: f64 = 1e-8;

section! {
    /// How gradients become updates.
    OptimizerSpec {
        /// The rule: "sgd", "adam" or "adamw"; default "sgd".
        kind: OptimizerKind [or OptimizerKind::Sgd],
        /// Learning rate, which the scheduler changes; required, but for one-cycle, which has a max_lr.
        lr: Option<f64> [optional as Positive],
        /// Momentum of sgd, in [0, 1); default 0.
        momentum: f64 [as Share, or 0.0],
        /// Nesterov's form of momentum, sgd only; default false.
        nesterov: bool [or false],
        /// Weight decay (l2 penalty; decoupled for adamw); default 0.
        weight_decay: f64 [as NonNegative, or 0.0],
        /// Leave parameters of one dimension, which are biases and the scales and shifts of norms, without weight decay; default
        /// false.
        no_decay: bool [or false],
        /// The largest l2 norm of all gradients together: longer ones are scaled down to it; default none.
        clip_norm: Option<f64> [optional as Positive],
        /// Decay rates of adam's and adamw's two averages, each in [0, 1); default [0.9, 0.999].
        betas: [f64; 2] [as Pair<Share>, or BETAS],
        /// Added to adam's and adamw's denominator; default 1e-8.
        eps: f64 [as Positive, or EPS],
    }
    check(fields) {
        match schedule(fields) {
            Some(SchedulerKind::OneCycle) => {
                fields.idle("lr", &mut lr, None, "one-cycle takes its rates from scheduler.max_lr");
            }
            Some(schedule) => {
                fields.require_for("lr", &lr, &format!("the schedule {schedule} starts from it"));
            }
            None => {}
        }
        if weight_decay == Some(0.0) {
            fields.idle("no_decay", &mut no_decay, false, "there is no optimizer.weight_decay");
        }
        match kind {
            Some(OptimizerKind::Sgd) => {
                fields.idle("betas", &mut betas, BETAS, "only adam and adamw use it");
                fields.idle("eps", &mut eps, EPS, "only adam and adamw use it");
                if nesterov == Some(true) && momentum == Some(0.0) {
                    fields.fault("nesterov", "needs optimizer.momentum above 0");
                }
            }
            Some(kind) => {
                fields.idle("momentum", &mut momentum, 0.0, &format!("{kind} has its own averages; see optimizer.betas"));
                fields.idle("nesterov", &mut nesterov, false, "only sgd uses it");
            }
            None => {}
        }
    }
}

impl OptimizerSpec {
    /// The settings of an optimizer where nothing is said.
    pub fn new(kind: OptimizerKind) -> Self {
        Self {
            kind,
            lr: None,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            no_decay: false,
            clip_norm: None,
            betas: BETAS,
            eps: EPS,
        }
    }
}

/// The kind of schedule, where it is well formed.
fn schedule(fields: &Fields) -> Option<SchedulerKind> {
    match fields.peek_at::<Value>("scheduler", "kind") {
        None => Some(SchedulerKind::Constant),
        Some(kind) => kind.deserialize().ok(),
    }
}
