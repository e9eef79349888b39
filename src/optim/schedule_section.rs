//! `[scheduler]`: how the learning rate changes from epoch to epoch.

use crate::choice::choices;
use crate::spec::fields::Fields;
use crate::spec::range::{Count, InnerShare, NonNegative, Positive, Whole};
use crate::spec::section::section;

choices! {
    /// The schedules. Epochs count from 0.
    SchedulerKind {
        /// The optimizer's rate throughout.
        Constant = "constant",
        /// Times `gamma` at each of `milestones`.
        Step = "step",
        /// Times `gamma` each epoch.
        Exponential = "exponential",
        /// Cosine annealing from the rate to `min_lr` over `t_max` epochs.
        Cosine = "cosine",
        /// Up to `max_lr`, then down far below the start, over the whole training.
        OneCycle = "one-cycle",
    }
}

const GAMMA: f64 = 0.1;
const PCT_START: f64 = 0.3;
const DIV_FACTOR: f64 = 25.0;
const FINAL_DIV_FACTOR: f64 = 1e4;

section! {
    /// How the learning rate changes from epoch to epoch.
    SchedulerSpec {
        /// The schedule: "constant", "step", "exponential", "cosine" or "one-cycle"; default "constant".
        kind: SchedulerKind [or SchedulerKind::Constant],
        /// Epochs at which "step" multiplies the rate, increasing; required for step.
        milestones: Vec<usize> [by read_milestones, or Vec::<usize>::new()],
        /// Factor of "step" and "exponential"; default 0.1, required for exponential.
        gamma: f64 [as Positive, or GAMMA],
        /// Epochs from the highest to the lowest rate of "cosine"; default train.epochs.
        t_max: Option<usize> [optional as Count],
        /// Lowest rate of "cosine"; default 0.
        min_lr: f64 [as NonNegative, or 0.0],
        /// Highest rate of "one-cycle"; required for one-cycle.
        max_lr: Option<f64> [optional as Positive],
        /// Share of "one-cycle" spent rising, in (0, 1); default 0.3.
        pct_start: f64 [as InnerShare, or PCT_START],
        /// "one-cycle" starts at max_lr / div_factor; default 25.
        div_factor: f64 [as Positive, or DIV_FACTOR],
        /// "one-cycle" ends at its start / final_div_factor; default 10000.
        final_div_factor: f64 [as Positive, or FINAL_DIV_FACTOR],
        /// Epochs of linear warm-up from near 0 before any schedule; default 0.
        warmup_epochs: usize [as Whole, or 0],
    }
    check(fields) {
        if let Some(list) = &milestones
            && list.windows(2).any(|pair| pair[0] >= pair[1])
        {
            fields.fault("milestones", &format!("expected epochs in increasing order, found {list:?}"));
        }
        if let Some(kind) = kind {
            let why = format!("scheduler.kind is \"{kind}\"");
            match kind {
                SchedulerKind::Step if milestones.as_ref().is_some_and(Vec::is_empty) => {
                    fields.fault("milestones", "step needs at least one epoch at which the rate changes");
                }
                SchedulerKind::Exponential if !fields.is_written("gamma") => {
                    fields.fault("gamma", "missing; exponential needs the factor of each epoch, such as 0.98");
                }
                SchedulerKind::OneCycle => fields.require_for("max_lr", &max_lr, "one-cycle needs it"),
                _ => {}
            }
            if kind != SchedulerKind::Step {
                fields.idle("milestones", &mut milestones, Vec::new(), &why);
            }
            if !matches!(kind, SchedulerKind::Step | SchedulerKind::Exponential) {
                fields.idle("gamma", &mut gamma, GAMMA, &why);
            }
            if kind != SchedulerKind::Cosine {
                fields.idle("t_max", &mut t_max, None, &why);
                fields.idle("min_lr", &mut min_lr, 0.0, &why);
            }
            if kind != SchedulerKind::OneCycle {
                fields.idle("max_lr", &mut max_lr, None, &why);
                fields.idle("pct_start", &mut pct_start, PCT_START, &why);
                fields.idle("div_factor", &mut div_factor, DIV_FACTOR, &why);
                fields.idle("final_div_factor", &mut final_div_factor, FINAL_DIV_FACTOR, &why);
            } else {
                fields.idle("warmup_epochs", &mut warmup_epochs, 0, "one-cycle rises by itself");
            }
            if kind == SchedulerKind::Cosine && t_max == Some(None) {
                t_max = Some(epochs(fields));
            }
        }
        if fields.used {
            let lr = fields.peek_at::<Positive>("optimizer", "lr").map(f64::from);
            if let (Some(least), Some(lr)) = (min_lr, lr)
                && least > lr
            {
                fields.fault("min_lr", &format!("expected at most optimizer.lr, which is {lr:?}, found {least:?}"));
            }
            if let (Some(warmup), Some(epochs)) = (warmup_epochs, epochs(fields))
                && warmup > epochs
            {
                fields.fault("warmup_epochs", &format!(
                    "expected at most train.epochs, which is {epochs}, found {warmup}: the rate would never reach optimizer.lr"
                ));
            }
        }
    }
}

impl SchedulerSpec {
    /// The settings of a schedule where nothing is said.
    pub fn new(kind: SchedulerKind) -> Self {
        Self {
            kind,
            milestones: Vec::new(),
            gamma: GAMMA,
            t_max: None,
            min_lr: 0.0,
            max_lr: None,
            pct_start: PCT_START,
            div_factor: DIV_FACTOR,
            final_div_factor: FINAL_DIV_FACTOR,
            warmup_epochs: 0,
        }
    }
}

/// The epochs of the training, where they are well formed.
fn epochs(fields: &Fields) -> Option<usize> {
    fields.peek_at::<Count>("train", "epochs").map(usize::from)
}

fn read_milestones(fields: &mut Fields, key: &'static str) -> Option<Vec<usize>> {
    let milestones = fields.optional::<Vec<Count>>(key)?.unwrap_or_default();
    Some(milestones.into_iter().map(usize::from).collect())
}
