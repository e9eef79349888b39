//! The command line: one file per command.

mod attacks;
mod check;
mod compare;
mod completions;
mod data;
mod devices;
mod experiments;
mod gc;
mod graph;
mod init;
mod keys;
mod list;
mod man;
mod models;
mod output;
mod point;
mod report;
mod request;
mod rm;
mod run;
mod stop;
mod tensorboard;
mod verify;
mod watch;
mod weights;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  runner experiments/quickstart.toml               run it; once more: resume it, or report it
  runner experiments/quickstart.toml attack.k=20   override any key of the spec
  runner a.toml --sweep linbp.attack=false,true    one run a value; --jobs 2: two at a time
  runner a.toml --smoke                            shrink any spec to seconds
  runner a.toml --dry-run                          check everything, show what would run
  runner check experiments/*.toml                  every fault of a spec at once
  runner verify experiments/verify/closed_form.toml   claimed figures against measured ones
  runner data get mnist                            fetch and verify a data set, into data/mnist

Layers of a spec, weakest first: defaults, the file it extends, the spec, RUNNER_ATTACK__K=10 in the
environment, KEY=VALUE on the command line. Paths in a spec are relative to the working directory.
A spec that is named like a command is reached as ./check.

Exit codes: 0 done, 1 failed, 2 bad usage or spec, 130 interrupted with a checkpoint written.";

/// Runs adversarial-robustness experiments from TOML specs.
#[derive(Debug, Parser)]
#[command(
    name = "runner",
    version,
    after_help = EXAMPLES,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every fault of a spec at once, with file, line, key and what was expected
    #[command(after_help = "\
Examples:
  runner check experiments/*.toml                  also that data and weights are there and fit
  runner check a.toml attack.k=20 --sweep seed=0,1")]
    Check(check::CheckArgs),
    /// The stages of a spec and what they use of each other; of a sweep, its points
    #[command(after_help = "\
Examples:
  runner graph experiments/quickstart.toml
  runner graph a.toml --format dot | dot -Tsvg > a.svg")]
    Graph(graph::GraphArgs),
    /// The runs under results/: state, age, progress, time left, last metrics; some of them, or the best first
    #[command(after_help = list::HELP)]
    List(list::ListArgs),
    /// Runs while they are under way, on the terminal: progress, speed, memory, curves, log
    #[command(after_help = watch::HELP)]
    Watch(watch::WatchArgs),
    /// Ask the runs of a name that are under way to write a checkpoint and end
    #[command(after_help = stop::HELP)]
    Stop(stop::StopArgs),
    /// Set runs aside, so that they run anew; nothing is deleted
    #[command(after_help = rm::HELP)]
    Rm(rm::RmArgs),
    /// Stages that no run needs any more, and decoded images
    #[command(after_help = gc::HELP)]
    Gc(gc::GcArgs),
    /// Carry out one run that another process planned
    #[command(hide = true, after_help = point::HELP)]
    Point(point::PointArgs),
    /// Figures of all runs of a name, its tables (summary.csv, a row per run; results.csv, a row per measurement) and report.html,
    /// a page with all of it
    #[command(after_help = "\
Examples:
  runner report quickstart
  runner report mnist --format latex > table.tex
  runner report mnist --figures pdf                each figure as PDF too
  runner report mnist --metrics test_pgd_accuracy --over attack.epsilon
  runner report robust --robustbench               records of its evaluations by AutoAttack
  runner report quickstart --provenance > appendix.txt")]
    Report(report::ReportArgs),
    /// The metrics of runs as event files, for TensorBoard
    #[command(after_help = tensorboard::HELP)]
    Tensorboard(tensorboard::TensorboardArgs),
    /// Hold runs against each other: over a setting, paired; or two of them, image by image
    #[command(after_help = compare::HELP)]
    Compare(compare::CompareArgs),
    /// Hold figures that a file claims against what runs measure
    #[command(after_help = verify::HELP)]
    Verify(verify::VerifyArgs),
    /// Architectures; for one: its activations by name, and which LinBP makes linear by default
    #[command(after_help = "Example:\n  runner models resnet18")]
    Models(models::ModelsArgs),
    /// Attacks; for one: its settings, their meaning and defaults
    #[command(after_help = "Example:\n  runner attacks pgd")]
    Attacks(attacks::AttacksArgs),
    /// The keys of a spec by section, their meaning and defaults
    #[command(after_help = keys::HELP)]
    Keys(keys::KeysArgs),
    /// What --device can name on this machine
    #[command(after_help = "Example:\n  runner devices")]
    Devices(devices::DevicesArgs),
    /// The experiments that the program brings along, with purpose and time; the spec of one of them
    #[command(after_help = experiments::HELP)]
    Experiments(experiments::ExperimentsArgs),
    /// A spec of a task to start from: every key, with what it means
    #[command(after_help = init::HELP)]
    Init(init::InitArgs),
    /// Fetch a data set, or say what the data of a spec comes to
    Data(data::DataArgs),
    /// Look into a file of weights, convert it, or write the network of a run for other programs
    Weights(weights::WeightsArgs),
    /// A completion script for a shell
    #[command(
        after_help = "Example:\n  runner completions bash > ~/.local/share/bash-completion/completions/runner"
    )]
    Completions(completions::CompletionsArgs),
    /// Manual pages, one a command
    #[command(after_help = man::HELP)]
    Man(man::ManArgs),
}

/// The settings over a spec, common to several commands.
#[derive(Debug, Default, Args)]
pub struct Overrides {
    /// A key of the spec and its value, such as attack.k=10; the value is TOML or plain text
    #[arg(value_name = "KEY=VALUE")]
    assignments: Vec<String>,
    /// Run once for every value of a key (repeatable: every combination)
    #[arg(long, value_name = "KEY=V1,V2")]
    sweep: Vec<String>,
    /// Run once for every row of a CSV file whose columns are keys of the spec
    #[arg(long, value_name = "POINTS.csv")]
    sweep_from: Option<PathBuf>,
    /// Shrink the experiment to seconds: little data, one epoch; results go to NAME-smoke
    #[arg(long)]
    smoke: bool,
}

/// Parses the command line and carries the command out.
///
/// # Errors
/// What the command fails with; see [`crate::Error::exit_code`].
pub fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        None => run::run(cli.run),
        Some(Command::Check(args)) => check::check(args),
        Some(Command::Graph(args)) => graph::graph(args),
        Some(Command::List(args)) => list::list(args),
        Some(Command::Watch(args)) => watch::watch(args),
        Some(Command::Point(args)) => point::point(args),
        Some(Command::Stop(args)) => stop::stop(args),
        Some(Command::Rm(args)) => rm::rm(args),
        Some(Command::Gc(args)) => gc::gc(args),
        Some(Command::Report(args)) => report::report(args),
        Some(Command::Tensorboard(args)) => tensorboard::tensorboard(args),
        Some(Command::Compare(args)) => compare::compare(args),
        Some(Command::Verify(args)) => verify::verify(args),
        Some(Command::Models(args)) => models::models(args),
        Some(Command::Attacks(args)) => attacks::attacks(args),
        Some(Command::Keys(args)) => keys::keys(args),
        Some(Command::Devices(args)) => devices::devices(args),
        Some(Command::Data(args)) => data::data(args),
        Some(Command::Weights(args)) => weights::weights(args),
        Some(Command::Experiments(args)) => experiments::experiments(args),
        Some(Command::Init(args)) => init::init(args),
        Some(Command::Man(args)) => man::man(args),
        Some(Command::Completions(args)) => completions::completions(args),
    }
}

/// Says on standard error how a command ended badly, a line a fault.
pub fn report_error(error: &Error) {
    let word = if matches!(error, Error::Interrupted) {
        "note"
    } else {
        "error"
    };
    output::remark(word, &error.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn look(command: &clap::Command, path: &str) {
            let inner: Vec<&clap::Command> = command.get_subcommands().collect();
            for command in &inner {
                look(command, &format!("{path} {}", command.get_name()));
            }
            if inner.is_empty() {
                let help = command.get_after_help().map(ToString::to_string);
                let shown = help.is_some_and(|help| help.contains(&format!("\n  {path}")));
                assert!(shown, "{path}");
            }
        }
        look(&Cli::command(), "runner");
    }
}
