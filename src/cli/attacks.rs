//! `runner attacks [NAME]`

use clap::Args;

use super::keys::lines;
use super::output::out;
use crate::aligned::aligned;
use crate::attacks::momentum::MomentumKind;
use crate::attacks::transform::TransformKind;
use crate::attacks::{AttackKind, AttackName, AttackSpec, Description, Preset};
use crate::choice::{did_you_mean, one_of};
use crate::spec::{Key, Section};
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
        Some(name) => match AttackName::find(&name) {
            Some(named) => out(&settings(named)),
            None => {
                let names = AttackName::all();
                let hint = did_you_mean(&name, names.iter().copied());
                Err(Error::spec(format!(
                    "expected {}, found \"{name}\"{hint}",
                    one_of(names)
                )))
            }
        },
    }
}

/// An attack a line, and a line for each name that fixes settings of it.
fn list() -> String {
    let rows = AttackKind::ALL.iter().flat_map(|kind| {
        let attack = kind.description();
        let presets = attack.presets.iter();
        let presets = presets.map(|preset| {
            [preset.name, &*consists_of(attack, preset), preset.paper].map(str::to_owned)
        });
        let own = [attack.name, attack.about, attack.paper].map(str::to_owned);
        std::iter::once(own).chain(presets).collect::<Vec<_>>()
    });
    aligned(rows)
}

/// What a preset stands for, in words.
fn consists_of(attack: &Description, preset: &Preset) -> String {
    format!(
        "{} with {}",
        attack.name,
        preset.settings.replace('\n', ", ")
    )
}

/// The settings of an attack, and those that all of them share.
fn settings(named: AttackName) -> String {
    let attack = named.kind.description();
    let mut text = match named.preset {
        None => String::new(),
        Some(preset) => format!("{}: {}\n", preset.name, consists_of(attack, preset)),
    };
    text += &format!("{}: {} ({})\n", attack.name, attack.about, attack.paper);
    for preset in attack.presets {
        text += &format!(
            "also {}: {}\n",
            preset.name,
            preset.settings.replace('\n', ", ")
        );
    }
    text += &format!("\n{}", lines(attack.keys));
    if attack.has("momentum") {
        let kinds = MomentumKind::ALL.iter();
        text += &ingredients(
            "momentum",
            kinds.map(|kind| (kind.name(), kind.about(), kind.keys())),
        );
    }
    if attack.has("transform") {
        let kinds = TransformKind::ALL.iter();
        text += &ingredients(
            "transform",
            kinds.map(|kind| (kind.name(), kind.about(), kind.keys())),
        );
    }
    text += &format!("\nof every attack:\n{}", lines(AttackSpec::KEYS));
    text
}

/// What a setting chooses from: name, what it does with the paper, and its own settings.
type Ingredient = (&'static str, [&'static str; 2], &'static [Key]);

/// The choices that a setting has, a line each, and below it one for each of their own settings.
fn ingredients(setting: &str, all: impl Iterator<Item = Ingredient>) -> String {
    let rows = all.flat_map(|(name, [about, paper], keys)| {
        let head = [format!("  {name}"), format!("{about} ({paper})")];
        let own = keys.iter().map(|key| {
            let doc: Vec<&str> = key.doc.split_whitespace().collect();
            [format!("    {}", key.name), doc.join(" ")]
        });
        std::iter::once(head).chain(own).collect::<Vec<_>>()
    });
    format!("\nin {setting}:\n{}", aligned(rows))
}
