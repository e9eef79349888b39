//! `runner keys [SECTION | KEY]`

use clap::Args;

use super::output::out;
use crate::aligned::aligned;
use crate::choice::did_you_mean;
use crate::experiment::sections;
use crate::spec::Key;
use crate::{Error, Result};

pub const HELP: &str = "\
Examples:
  runner keys attack                 what [attack] may hold
  runner keys optimizer.weight_decay";

#[derive(Debug, Args)]
pub struct KeysArgs {
    /// A section, a key in one, or a key of any section: shows what it means
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Lists the keys of a spec by section, with what they mean and their defaults.
///
/// # Errors
/// A name that is neither a section nor a key.
pub fn keys(args: KeysArgs) -> Result<()> {
    let sections = sections();
    let shown = |wanted: &str, section: &str, key: &Key| {
        let path = format!("{section}.{}", key.name);
        wanted == section || wanted == key.name || wanted == path
    };
    let name = args
        .name
        .as_deref()
        .map(|name| name.trim_matches(['[', ']']));
    let mut text = String::new();
    for section in &sections {
        let kept = section.keys.iter();
        let kept = kept.filter(|key| name.is_none_or(|name| shown(name, section.name, key)));
        let lines = lines(kept);
        if !lines.is_empty() {
            text += &format!("[{}]\n{lines}\n", section.name);
        }
    }
    match (text.is_empty(), name) {
        (false, _) | (_, None) => out(text.trim_end_matches('\n')).and_then(|()| out("\n")),
        (true, Some(name)) => {
            let mut known: Vec<&str> = sections.iter().map(|section| section.name).collect();
            known.extend(
                sections
                    .iter()
                    .flat_map(|s| s.keys.iter().map(|key| key.name)),
            );
            let last = name.rsplit('.').next().unwrap_or(name);
            Err(Error::spec(format!(
                "{name}: no section or key of a spec{}; `runner keys` lists them",
                did_you_mean(last, known)
            )))
        }
    }
}

/// A key a line, with its documentation.
pub(super) fn lines<'a>(keys: impl IntoIterator<Item = &'a Key>) -> String {
    aligned(keys.into_iter().map(|key| {
        let doc: Vec<&str> = key.doc.split_whitespace().collect();
        [format!("  {}", key.name), doc.join(" ")]
    }))
}
