//! Runs as lines, where standard output is no terminal.

use super::EVERY;
use super::watched::Watched;
use crate::Result;
use crate::cli::output::out_if_read;
use crate::run::{Glance, clock, glance_table};

/// Prints the time and a table of the runs whenever something has changed, until none is under way or nobody reads.
///
/// # Errors
/// Runs or an output that fail.
pub fn print(mut watched: Watched) -> Result<()> {
    let (mut printed, mut was_running) = (None, false);
    loop {
        let runs = watched.look()?;
        let running = runs.iter().any(Glance::is_running);
        // The memory of a process changes always.
        let mut lasting = runs.clone();
        lasting.iter_mut().for_each(|run| run.memory.clear());
        if printed.as_ref() != Some(&lasting) {
            let between = if printed.is_some() { "\n" } else { "" };
            let text = match runs.is_empty() {
                true => watched.none(),
                false => format!("{between}{}\n{}", clock::now(), glance_table(&runs)),
            };
            if !out_if_read(&text)? {
                return Ok(());
            }
            printed = Some(lasting);
        }
        // Between two runs of a sweep none is under way for a moment.
        if !running && !was_running {
            return Ok(());
        }
        was_running = running;
        std::thread::sleep(EVERY);
    }
}
