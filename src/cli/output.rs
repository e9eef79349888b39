//! Text for the user: results on standard output, remarks on standard error.

use std::io::{self, Write};

use crate::{Error, Result};

/// Writes to standard output. A reader that has gone (`runner list | head`) is no failure.
///
/// # Errors
/// Anything else, such as a full disk.
pub fn out(text: &str) -> Result<()> {
    out_if_read(text).map(drop)
}

/// As [`out`]; whether there is still a reader.
///
/// # Errors
/// As [`out`].
pub fn out_if_read(text: &str) -> Result<bool> {
    match io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => result
            .map(|()| true)
            .map_err(|error| Error::failed(format!("standard output: {error}"))),
    }
}

/// Writes each line of a text to standard error behind a word: "error", "warning".
pub fn remark(word: &str, text: &str) {
    let mut stderr = io::stderr().lock();
    for line in text.lines() {
        // A closed standard error is no failure.
        let _ = writeln!(stderr, "{word}: {line}");
    }
}
