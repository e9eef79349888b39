//! From the settings of `[attack]` to attacks.

use crate::attacks::{
    self, Apgd, ApgdLoss, Attack, Fab, Goal, Objective, Schedule, Square, Steps, Threat,
};
use crate::spec::{
    AttackKind, AttackLoss, AttackSpec, AttackTarget, Compat, DataSpec, EnsembleMember, Norm,
    StageSpec,
};
use crate::{Error, Result};

/// Units of colour channels where images are not normalised.
const PIXELS: [f64; 3] = [1.0; 3];

/// The attack of the given kind with the section's settings, on a model of so many classes: one, or the members of
/// AutoAttack in order.
///
/// # Errors
/// Settings that are missing, or that ask for more classes than there are.
pub(in crate::stage) fn attacks(
    spec: &AttackSpec,
    kind: AttackKind,
    data: &DataSpec,
    classes: usize,
) -> Result<Vec<Box<dyn Attack>>> {
    let maker = Maker::new(spec, kind, data, classes);
    let step = |settings: fn(Threat, f64, usize, f64) -> Steps| {
        let (step_size, k) = maker.steps()?;
        maker.aimed(settings(maker.threat, step_size, k, spec.decay))
    };
    let whole = "attack.kind";
    let one: Box<dyn Attack> = match kind {
        AttackKind::Fgsm => Box::new(maker.aimed(Steps::fgsm(maker.threat))?),
        AttackKind::IFgsm => Box::new(step(|threat, size, k, _| Steps::i_fgsm(threat, size, k))?),
        AttackKind::MiFgsm => Box::new(step(Steps::mi_fgsm)?),
        AttackKind::Pgd => Box::new(step(|threat, size, k, _| Steps::pgd(threat, size, k))?),
        AttackKind::Apgd => {
            let loss = match spec.loss {
                AttackLoss::Ce => ApgdLoss::CrossEntropy,
                AttackLoss::Dlr => {
                    maker.require("attack.loss", "dlr", Objective::Dlr)?;
                    ApgdLoss::Dlr
                }
            };
            Box::new(maker.apgd("apgd", loss, false))
        }
        AttackKind::ApgdT => Box::new(maker.apgd_t(whole, false)?),
        AttackKind::Fab => Box::new(maker.fab("fab", None, false)),
        AttackKind::FabT => Box::new(maker.fab("fab-t", Some(maker.targets()?), false)),
        AttackKind::Square => Box::new(maker.square(Schedule::OfQueries)),
        AttackKind::AutoAttack => {
            let members = spec.attacks.iter();
            return members.map(|&member| maker.member(member)).collect();
        }
    };
    Ok(vec![one])
}

/// The threat model of an attack, or of the members of one, which share it.
///
/// # Errors
/// No attack.
pub(in crate::stage) fn threat(attacks: &[Box<dyn Attack>]) -> Result<Threat> {
    let first = attacks.first().map(|attack| attack.threat());
    first.ok_or_else(|| Error::spec("attack.attacks: names no attack"))
}

/// Whether the stage's attacks can be carried out on a model of so many classes.
///
/// # Errors
/// The first setting that they cannot be carried out with.
pub fn check_attacks(stage: &StageSpec, classes: usize) -> Result<()> {
    let (Some(spec), Some(data)) = (&stage.attack, &stage.data) else {
        return Ok(());
    };
    for kind in stage.attack_kinds() {
        attacks(spec, kind, data, classes)?;
    }
    if stage
        .train
        .as_ref()
        .is_some_and(|train| train.objective.attacks())
    {
        super::training_attack(stage, classes)?;
    }
    Ok(())
}

/// Makes attacks of one section.
struct Maker<'a> {
    spec: &'a AttackSpec,
    kind: AttackKind,
    threat: Threat,
    original: bool,
    classes: usize,
}

impl<'a> Maker<'a> {
    fn new(spec: &'a AttackSpec, kind: AttackKind, data: &DataSpec, classes: usize) -> Self {
        let original = spec.compat == Compat::Original && kind.has_original();
        let epsilon = spec.epsilon.get();
        let threat = match spec.norm {
            // The reference clips normalised values to 2 epsilon around the original.
            Norm::Linf if original => Threat {
                norm: attacks::Norm::ChannelLinf(units(data)),
                epsilon: 2.0 * epsilon,
            },
            Norm::Linf => Threat {
                norm: attacks::Norm::Linf,
                epsilon,
            },
            Norm::L2 => Threat {
                norm: attacks::Norm::L2,
                epsilon,
            },
        };
        Self {
            spec,
            kind,
            threat,
            original,
            classes,
        }
    }

    fn goal(&self) -> Result<Goal> {
        Ok(match self.spec.target {
            AttackTarget::None => Goal::Misclassify,
            AttackTarget::NextLikely => Goal::NextLikely,
            AttackTarget::LeastLikely => Goal::LeastLikely,
            AttackTarget::Class(class) if (class as usize) < self.classes => Goal::Class(class),
            AttackTarget::Class(class) => {
                return Err(Error::spec(format!(
                    "attack.target: expected the number of a class, below {}, found {class}",
                    self.classes
                )));
            }
        })
    }

    fn steps(&self) -> Result<(f64, usize)> {
        match (self.spec.step_size, self.spec.k) {
            (Some(step_size), Some(k)) => Ok((step_size.get(), k.get())),
            _ => Err(Error::spec(format!(
                "attack.step_size and attack.k: {} needs both",
                self.kind
            ))),
        }
    }

    fn budget(&self) -> usize {
        self.spec.k.map_or(AttackKind::BUDGET, |k| k.get())
    }

    /// How many wrong classes an attack goes for in turn.
    fn targets(&self) -> Result<usize> {
        let wrong = self.classes.saturating_sub(1);
        match self.spec.n_target_classes {
            None => Ok(AttackKind::target_classes(self.classes)),
            Some(count) if count <= wrong => Ok(count),
            Some(count) => Err(Error::spec(format!(
                "attack.n_target_classes: expected at most {wrong}, the wrong ones of {} classes, found {count}",
                self.classes
            ))),
        }
    }

    /// Refuses a loss that is not defined for so few classes; `key` is the setting whose value asks for it.
    fn require(&self, key: &str, value: &str, loss: Objective) -> Result<()> {
        if self.classes >= loss.classes() {
            return Ok(());
        }
        Err(Error::spec(format!(
            "{key}: \"{value}\" takes a model of at least {} classes, and the data has {}; choose another",
            loss.classes(),
            self.classes
        )))
    }

    /// The settings that all attacks of fixed step size have.
    fn aimed(&self, steps: Steps) -> Result<Steps> {
        Ok(Steps {
            random_start: self.spec.random_start.unwrap_or(steps.random_start),
            restarts: self.spec.restarts,
            // The reference takes the negative log-likelihood of raw logits, except in its PGD.
            objective: match self.original && self.kind != AttackKind::Pgd {
                true => Objective::Logit,
                false => Objective::CrossEntropy,
            },
            goal: self.goal()?,
            ..steps
        })
    }

    /// A member of AutoAttack, which leaves an example once it is broken.
    fn member(&self, member: EnsembleMember) -> Result<Box<dyn Attack>> {
        let name = member.name();
        let key = "attack.attacks";
        Ok(match member {
            EnsembleMember::ApgdCe => Box::new(self.apgd(name, ApgdLoss::CrossEntropy, true)),
            EnsembleMember::ApgdDlr => {
                self.require(key, name, Objective::Dlr)?;
                Box::new(self.apgd(name, ApgdLoss::Dlr, true))
            }
            EnsembleMember::ApgdT => Box::new(self.apgd_t(key, true)?),
            EnsembleMember::Fab => Box::new(self.fab(name, None, true)),
            EnsembleMember::FabT => Box::new(self.fab(name, Some(self.targets()?), true)),
            // As the standard version has it: squares shrink as in 10,000 queries, of which it takes half.
            EnsembleMember::Square => Box::new(self.square(Schedule::Published)),
        })
    }

    fn apgd(&self, name: &'static str, loss: ApgdLoss, stop_at_success: bool) -> Apgd {
        Apgd {
            name,
            threat: self.threat,
            k: self.budget(),
            restarts: self.spec.restarts,
            loss,
            stop_at_success,
        }
    }

    fn apgd_t(&self, key: &str, stop_at_success: bool) -> Result<Apgd> {
        self.require(key, "apgd-t", Objective::TargetedDlr)?;
        let loss = ApgdLoss::TargetedDlr {
            classes: self.targets()?,
        };
        Ok(self.apgd("apgd-t", loss, stop_at_success))
    }

    fn fab(&self, name: &'static str, targets: Option<usize>, stop_at_success: bool) -> Fab {
        Fab {
            name,
            threat: self.threat,
            k: self.budget(),
            restarts: self.spec.restarts,
            targets,
            stop_at_success,
        }
    }

    fn square(&self, schedule: Schedule) -> Square {
        Square {
            threat: self.threat,
            queries: self.spec.n_queries,
            restarts: self.spec.restarts,
            schedule,
        }
    }
}

/// What one normalised unit is in pixels, channel by channel.
fn units(data: &DataSpec) -> [f64; 3] {
    let Some((_, std)) = data.normalize.statistics() else {
        return PIXELS;
    };
    let last = std.last().copied().unwrap_or(1.0);
    std::array::from_fn(|channel| std.get(channel).copied().unwrap_or(last))
}

#[cfg(test)]
#[path = "attacks_tests.rs"]
mod tests;
