//! `runner attacks [NAME]`

use clap::Args;

use super::keys::lines;
use super::output::out;
use crate::aligned::aligned;
use crate::attacks::{AttackKind, AttackSpec};
use crate::choice::{did_you_mean, one_of};
use crate::spec::Section;
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct AttacksArgs {
    /// An attack: shows its settings
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Lists the attacks, or the settings of one.
///
/// # Errors
/// An attack that is not known.
pub fn attacks(args: AttacksArgs) -> Result<()> {
    match args.name {
        None => out(&list()),
        Some(name) => match AttackKind::from_name(&name) {
            Some(kind) => out(&settings(kind)),
            None => {
                let hint = did_you_mean(&name, AttackKind::NAMES.iter().copied());
                let names = one_of(AttackKind::NAMES);
                Err(Error::spec(format!(
                    "expected {names}, found \"{name}\"{hint}"
                )))
            }
        },
    }
}

/// An attack a line.
fn list() -> String {
    let all = AttackKind::ALL.iter().map(|kind| kind.description());
    aligned(all.map(|attack| [attack.name, attack.about, attack.paper].map(str::to_owned)))
}

/// The settings of an attack, and those that all of them share.
fn settings(kind: AttackKind) -> String {
    let attack = kind.description();
    let mut text = format!("{}: {} ({})\n", attack.name, attack.about, attack.paper);
    for variant in attack.variants {
        text += &format!(
            "in lists also {}: {} = \"{}\"\n",
            variant.name, variant.key, variant.value
        );
    }
    text += &format!(
        "\n{}\nof every attack:\n{}",
        lines(attack.keys),
        lines(AttackSpec::KEYS)
    );
    text
}
