//! The program: parses the command line, carries the command out, says how it ended.

use std::process::ExitCode;

fn main() -> ExitCode {
    match runner::cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            runner::cli::report_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
