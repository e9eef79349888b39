//! AutoAttack (Croce and Hein, arXiv 2003.01690): several attacks one after another, each on what still stands.

use super::entry::{Entry, Shared, read_item};
use super::settings::{Making, Settings};
use super::{Attack, AttackKind};
use crate::spec::{Fields, repeats, section};
use crate::{Error, Result};

section! {
    /// The settings of AutoAttack.
    AutoAttackSettings {
        /// The members in order, each the name of an attack, which takes what fits from the settings beside this list, or a
        /// table of its own; default the standard version, ["apgd-ce", "apgd-t", "fab-t", "square"].
        attacks: Vec<Entry> [by read_members, identity identity] smoke shrink,
    }
}

impl Settings for AutoAttackSettings {
    const NAME: &'static str = "auto-attack";
    const ABOUT: &'static str = "several attacks in order, each on what still stands";
    const PAPER: &'static str = "Croce and Hein, 2020, arXiv 2003.01690";
    const MEMBERS: Option<&'static [&'static str]> =
        Some(&["apgd-ce", "apgd-t", "fab-t", "square"]);

    fn members(&self) -> &[Entry] {
        &self.attacks
    }

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        let making = Making {
            in_ensemble: true,
            ..*making
        };
        let mut all: Vec<Box<dyn Attack>> = Vec::new();
        for member in &self.attacks {
            all.extend(member.attacks(&making)?);
        }
        let names: Vec<&str> = all.iter().map(|attack| attack.name()).collect();
        match names
            .iter()
            .enumerate()
            .find(|(number, name)| names[..*number].contains(name))
        {
            None => Ok(all),
            Some((_, name)) => Err(Error::spec(format!(
                "{}: expected each attack at most once, found {name} twice",
                Self::NAME
            ))),
        }
    }
}

fn identity(members: &[Entry]) -> Result<toml::Value, toml::ser::Error> {
    let members: Result<Vec<_>, _> = members.iter().map(Entry::identity).collect();
    Ok(members?.into())
}

fn shrink(members: &mut [Entry]) -> bool {
    members
        .iter_mut()
        .fold(false, |any, entry| any | entry.shrink())
}

fn read_members(fields: &mut Fields, key: &'static str) -> Option<Vec<Entry>> {
    let read = |fields: &mut Fields, path: String, item: &figment::value::Value| {
        if item.as_str() == Some(AutoAttackSettings::NAME) {
            fields.fault("attacks", "an ensemble cannot be a member of an ensemble");
            return None;
        }
        read_item(fields, path, item, Shared::Beside, None)
    };
    let members = match fields.optional_list(key, "a list of attacks", read)? {
        Some(members) => members,
        None => {
            let standard = AutoAttackSettings::MEMBERS.unwrap_or_default().iter();
            let path = fields.path.clone();
            standard
                .map(|&name| read_item(fields, path.clone(), &name.into(), Shared::Beside, None))
                .collect::<Option<_>>()?
        }
    };
    if members
        .iter()
        .any(|member| member.settings.kind() == AttackKind::AutoAttack)
    {
        fields.fault(key, "an ensemble cannot be a member of an ensemble");
        return None;
    }
    if members.is_empty() {
        fields.fault(key, "expected at least one attack");
    } else if repeats(&members) {
        fields.fault(key, "expected each attack at most once");
    }
    Some(members)
}
