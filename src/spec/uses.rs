//! What a stage does with its sections: its task and its attacks.

use super::sections::{AttackKind, EnsembleMember, SchedulerKind};
use super::task::Task;

/// What a section needs to know of its stage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses {
    /// Nothing where the task itself is faulty: then nothing is called idle or missing on its account.
    pub task: Option<Task>,
    /// The attacks that the stage carries out.
    pub attacks: Vec<AttackKind>,
    /// The same once more, each with every attack that it consists of: auto-attack with its members, others with
    /// themselves.
    parts: Vec<(AttackKind, AttackKind)>,
    /// Whether the stage carries out the attack that `attack.kind` names because it names it, or others alone.
    pub by_kind: bool,
    /// What other sections say that one depends on.
    pub beside: Beside,
    /// The ids of all stages.
    pub stages: Vec<String>,
}

/// What a section needs to know of the others, each where it is there and well formed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    pub schedule: Option<SchedulerKind>,
    pub lr: Option<f64>,
    pub epochs: Option<usize>,
    /// The classes of the data, where its kind says how many there are.
    pub classes: Option<usize>,
}

impl Uses {
    /// `members` are those of auto-attack.
    pub fn new(task: Option<Task>, attacks: Vec<AttackKind>, members: &[EnsembleMember]) -> Self {
        let mut parts = Vec::new();
        for &attack in &attacks {
            match attack {
                AttackKind::AutoAttack => {
                    parts.extend(members.iter().map(|member| (attack, member.kind())));
                }
                single => parts.push((single, single)),
            }
        }
        Self {
            task,
            attacks,
            parts,
            by_kind: true,
            ..Self::default()
        }
    }

    /// Whether the attacks by gradient steps start at random where the spec does not say; nothing where some do and some
    /// do not.
    pub fn random_start(&self) -> Option<bool> {
        let steps = self
            .parts
            .iter()
            .filter(|(_, part)| part.has_gradient_steps());
        let mut starts = steps.map(|(_, part)| part.has_random_start());
        let first = starts.next()?;
        starts.all(|start| start == first).then_some(first)
    }

    /// Whether some attack, or member of one, is such.
    pub fn some(&self, such: impl Fn(AttackKind) -> bool) -> bool {
        self.parts.iter().any(|&(_, part)| such(part))
    }

    /// Whether some attack, or member of one, may be such: [`Self::some`], or nothing is known of the attacks. Nothing is
    /// called idle then.
    pub fn any(&self, such: impl Fn(AttackKind) -> bool) -> bool {
        self.parts.is_empty() || self.some(such)
    }

    /// The first attack that is not such, or has a member that is not.
    pub fn other(&self, such: impl Fn(AttackKind) -> bool) -> Option<AttackKind> {
        let mut parts = self.parts.iter();
        parts
            .find(|&&(_, part)| !such(part))
            .map(|&(attack, _)| attack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_attack_is_what_it_consists_of() {
        let attacks = vec![AttackKind::Pgd, AttackKind::AutoAttack];
        let uses = Uses::new(None, attacks, &[EnsembleMember::Square]);
        assert!(uses.any(AttackKind::has_queries) && !uses.any(AttackKind::has_targets));
        assert_eq!(
            uses.other(AttackKind::has_gradient_steps),
            Some(AttackKind::AutoAttack)
        );
        assert_eq!(
            uses.other(|kind| kind.has_gradient_steps() || kind.has_queries()),
            None
        );
        let unknown = Uses::default();
        assert!(unknown.any(AttackKind::has_targets) && !unknown.some(AttackKind::has_targets));
    }
}
