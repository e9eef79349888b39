//! Ctrl-C: the first one asks for a checkpoint, the second one leaves at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Exit code of a process that the user interrupted.
pub const EXIT_CODE: i32 = 130;

/// Handles Ctrl-C and the system's request to terminate from now on. Call once, at the start of the process.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE);
        }
        // The message is a courtesy: where standard error is closed, the checkpoint matters more.
        let _ = writeln!(
            std::io::stderr(),
            "\ninterrupted: writing a checkpoint; once more to leave at once"
        );
    })
    .map_err(|error| Error::failed(format!("cannot handle Ctrl-C: {error}")))
}

/// Whether the user asked to stop. Whoever loops asks often, writes a checkpoint and returns
/// [`Error::Interrupted`].
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// [`Error::Interrupted`] if the user asked to stop.
pub fn check() -> Result<()> {
    if requested() {
        Err(Error::Interrupted)
    } else {
        Ok(())
    }
}
