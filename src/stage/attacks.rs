//! From the settings of `[attack]` to attacks.

use crate::attacks::{
    self, Apgd, ApgdLoss, Attack, Fab, Fgsm, Goal, IFgsm, MiFgsm, Objective, Pgd, Square, Threat,
};
use crate::spec::{
    AttackKind, AttackLoss, AttackSpec, AttackTarget, Compat, DataSpec, EnsembleMember, Norm,
};
use crate::{Error, Result};

/// Units of colour channels where images are not normalised.
const PIXELS: [f64; 3] = [1.0; 3];

/// The attack of the given kind with the section's settings: one, or the members of AutoAttack in order.
///
/// # Errors
/// Settings that are missing.
pub(super) fn attacks(
    spec: &AttackSpec,
    kind: AttackKind,
    data: &DataSpec,
) -> Result<Vec<Box<dyn Attack>>> {
    let maker = Maker::new(spec.with_kind(kind), data);
    match kind {
        AttackKind::AutoAttack => {
            let members = maker.spec.attacks.iter();
            members.map(|&member| maker.member(member)).collect()
        }
        _ => Ok(vec![maker.single(kind)?]),
    }
}

/// Makes attacks of one section.
struct Maker {
    spec: AttackSpec,
    threat: Threat,
    original: bool,
}

impl Maker {
    fn new(spec: AttackSpec, data: &DataSpec) -> Self {
        let original = spec.compat == Compat::Original && spec.kind.has_original();
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
            threat,
            original,
        }
    }

    fn goal(&self) -> Goal {
        match self.spec.target {
            AttackTarget::None => Goal::Misclassify,
            AttackTarget::NextLikely => Goal::NextLikely,
            AttackTarget::LeastLikely => Goal::LeastLikely,
            AttackTarget::Class(class) => Goal::Class(class),
        }
    }

    fn steps(&self) -> Result<(f64, usize)> {
        match (self.spec.step_size, self.spec.k) {
            (Some(step_size), Some(k)) => Ok((step_size.get(), k.get())),
            _ => Err(Error::spec(format!(
                "attack.step_size and attack.k: {} needs both",
                self.spec.kind
            ))),
        }
    }

    fn budget(&self) -> usize {
        self.spec.k.map_or(AttackKind::BUDGET, |k| k.get())
    }

    fn single(&self, kind: AttackKind) -> Result<Box<dyn Attack>> {
        let (threat, goal) = (self.threat, self.goal());
        let random_start = self.spec.random_start;
        // Without a random start every try is the same.
        let restarts = if random_start { self.spec.restarts } else { 1 };
        // The reference takes the negative log-likelihood of raw logits, except in its PGD.
        let objective = match self.original && kind != AttackKind::Pgd {
            true => Objective::Logit,
            false => Objective::CrossEntropy,
        };
        Ok(match kind {
            AttackKind::Fgsm => Box::new(Fgsm {
                threat,
                random_start,
                restarts,
                objective,
                goal,
            }),
            AttackKind::IFgsm => {
                let (step_size, k) = self.steps()?;
                Box::new(IFgsm {
                    threat,
                    step_size,
                    k,
                    random_start,
                    restarts,
                    objective,
                    goal,
                })
            }
            AttackKind::MiFgsm => {
                let (step_size, k) = self.steps()?;
                let decay = self.spec.decay;
                Box::new(MiFgsm {
                    threat,
                    step_size,
                    k,
                    decay,
                    random_start,
                    restarts,
                    objective,
                    goal,
                })
            }
            AttackKind::Pgd => {
                let (step_size, k) = self.steps()?;
                Box::new(Pgd {
                    threat,
                    step_size,
                    k,
                    random_start,
                    restarts,
                    objective,
                    goal,
                })
            }
            AttackKind::Apgd => {
                let loss = match self.spec.loss {
                    AttackLoss::Ce => ApgdLoss::CrossEntropy,
                    AttackLoss::Dlr => ApgdLoss::Dlr,
                };
                self.apgd("apgd", loss, false)
            }
            AttackKind::ApgdT => self.apgd_t(false),
            AttackKind::Fab => self.fab("fab", None, false),
            AttackKind::FabT => self.fab("fab-t", Some(self.spec.n_target_classes), false),
            AttackKind::Square => self.square(),
            AttackKind::AutoAttack => {
                return Err(Error::failed("auto-attack is several attacks"));
            }
        })
    }

    /// A member of AutoAttack, which leaves an example once it is broken.
    fn member(&self, member: EnsembleMember) -> Result<Box<dyn Attack>> {
        let name = member.name();
        Ok(match member {
            EnsembleMember::ApgdCe => self.apgd(name, ApgdLoss::CrossEntropy, true),
            EnsembleMember::ApgdDlr => self.apgd(name, ApgdLoss::Dlr, true),
            EnsembleMember::ApgdT => self.apgd_t(true),
            EnsembleMember::Fab => self.fab(name, None, true),
            EnsembleMember::FabT => self.fab(name, Some(self.spec.n_target_classes), true),
            EnsembleMember::Square => self.square(),
        })
    }

    fn apgd(&self, name: &'static str, loss: ApgdLoss, stop_at_success: bool) -> Box<dyn Attack> {
        Box::new(Apgd {
            name,
            threat: self.threat,
            k: self.budget(),
            restarts: self.spec.restarts,
            loss,
            stop_at_success,
        })
    }

    fn apgd_t(&self, stop_at_success: bool) -> Box<dyn Attack> {
        let loss = ApgdLoss::TargetedDlr {
            classes: self.spec.n_target_classes,
        };
        self.apgd("apgd-t", loss, stop_at_success)
    }

    fn fab(
        &self,
        name: &'static str,
        targets: Option<usize>,
        stop_at_success: bool,
    ) -> Box<dyn Attack> {
        Box::new(Fab {
            name,
            threat: self.threat,
            k: self.budget(),
            restarts: self.spec.restarts,
            targets,
            stop_at_success,
        })
    }

    fn square(&self) -> Box<dyn Attack> {
        Box::new(Square {
            threat: self.threat,
            queries: self.spec.n_queries,
            restarts: self.spec.restarts,
        })
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
