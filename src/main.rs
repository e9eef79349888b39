//! The program: parses the command line, carries the command out, says how it ended.

use std::process::ExitCode;

/// Large blocks are kept for the next tensor instead of going back to the system.
#[global_allocator]
static ALLOCATOR: runner::ops::memory::Reusing = runner::ops::memory::Reusing::new();

fn main() -> ExitCode {
    match runner::cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            runner::cli::report_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
