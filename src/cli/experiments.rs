//! `runner experiments [NAME]`

use clap::Args;

use super::output::out;
use crate::choice::did_you_mean;
use crate::{Error, Result};

pub const HELP: &str = "\
Examples:
  runner experiments                                what there is, what for, and how long it takes
  runner experiments quickstart > quickstart.toml   one of them, to run or to change";

/// The list of the specs that the program brings along.
macro_rules! shipped {
    ($($name:literal,)+) => {
        /// Name and text of each.
        const SHIPPED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../experiments/", $name, ".toml"))),)+];
    };
}

shipped! {
    "adv_train_mnv2",
    "attack_cifar10",
    "cifar10_mobilenet_v2",
    "collapse_mnist",
    "equal_compute_cifar10",
    "extra_ema_cifar10",
    "fast_at_small",
    "fast_cifar10",
    "free_cifar10",
    "linbp_grid_cifar10",
    "linbp_layers_cifar10",
    "linbp_surrogates_cifar10",
    "linbp_where_cifar10",
    "mart_cifar10",
    "mnist_carlini_cnn",
    "mnist_lenet5",
    "mnist_madry_cnn",
    "mnist_mlp",
    "quickstart",
    "sim_one_layer_training",
    "sim_two_layer_attack",
    "trades_awp_cifar10",
    "trades_cifar10",
    "transfer_cifar10",
    "transfer_ingredients_cifar10",
}

#[derive(Debug, Args)]
pub struct ExperimentsArgs {
    /// The experiment whose spec is wanted
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Lists the experiments that the program brings along, or prints the spec of one.
///
/// # Errors
/// An unknown name.
pub fn experiments(args: ExperimentsArgs) -> Result<()> {
    let Some(name) = args.name else {
        let entries = SHIPPED.iter().map(|(name, text)| {
            let [purpose, time] = ["Purpose:", "Expected time:"].map(|word| said(text, word));
            format!("{name}\n  {purpose}\n  time: {time}\n")
        });
        return out(&entries.collect::<Vec<_>>().join("\n"));
    };
    let wanted = name.trim_end_matches(".toml");
    match SHIPPED.iter().find(|(name, _)| *name == wanted) {
        Some((_, text)) => out(text),
        None => Err(Error::spec(format!(
            "{name}: no such experiment{}; `runner experiments` lists them",
            did_you_mean(wanted, SHIPPED.iter().map(|(name, _)| *name))
        ))),
    }
}

/// What the opening comment of a spec says after a word, to the end of the sentence, in one line.
fn said(text: &str, word: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix('#'));
    let lines = comment.skip_while(|line| !line.trim_start().starts_with(word));
    let is_next = |line: &&str| line.trim_start().starts_with(word) || line.starts_with("      ");
    let words: Vec<&str> = lines
        .take_while(is_next)
        .flat_map(str::split_whitespace)
        .collect();
    let words = words.join(" ");
    words.trim_start_matches(word).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_lie_there_are_listed_and_say_what_they_are_for() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let entries = std::fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let specs = paths.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
        let mut found: Vec<String> = specs
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        found.sort();
        let listed: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, found);
        for (name, text) in SHIPPED {
            let [purpose, time] = ["Purpose:", "Expected time:"].map(|word| said(text, word));
            assert!(
                purpose.len() > 20 && time.len() > 2,
                "{name}: {purpose}, {time}"
            );
        }
    }
}
