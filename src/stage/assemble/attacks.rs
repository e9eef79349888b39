//! From the settings of attacks to attacks on a stage's model.

use crate::attacks::{Attack, AttackSpec, Entry, Threat, activation};
use crate::data::DataSpec;
use crate::experiment::Task;
use crate::nn::Network;
use crate::{Error, Result};

/// The attacks that an entry stands for, on a model of so many classes: one, or the members of an ensemble in order.
///
/// # Errors
/// Settings that ask for more classes than there are.
pub(in crate::stage) fn attacks(
    spec: &AttackSpec,
    entry: &Entry,
    data: &DataSpec,
    classes: usize,
) -> Result<Vec<Box<dyn Attack>>> {
    entry.attacks(&spec.making(entry, units(data), classes)?)
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
pub fn check_attacks(task: &Task, classes: usize) -> Result<()> {
    let (Some(spec), Some(data)) = (task.attack(), task.data()) else {
        return Ok(());
    };
    for entry in task.attacks() {
        attacks(spec, &entry, data, classes)?;
    }
    if let Some(task) = task
        .training()
        .filter(|task| task.train.objective.attacks())
    {
        super::training_attack(task, classes)?;
    }
    Ok(())
}

/// Whether the network has the activations whose features the stage's attacks work on.
///
/// # Errors
/// The first name that it does not have.
pub fn check_features(task: &Task, network: &Network, classes: usize) -> Result<()> {
    let (Some(spec), Some(data)) = (task.attack(), task.data()) else {
        return Ok(());
    };
    for entry in task.attacks() {
        for attack in attacks(spec, &entry, data, classes)? {
            if let Some(layer) = attack.layer() {
                let key = format!("{}: layer", entry.name);
                activation(&key, layer, network.activations())?;
            }
        }
    }
    Ok(())
}

/// What one normalised unit is in pixels, channel by channel; 1 where images are not normalised.
fn units(data: &DataSpec) -> [f64; 3] {
    let Some((_, std)) = data.normalize.statistics() else {
        return [1.0; 3];
    };
    let last = std.last().copied().unwrap_or(1.0);
    std::array::from_fn(|channel| std.get(channel).copied().unwrap_or(last))
}
