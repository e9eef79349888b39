//! The system's limit on the size of a file (`ulimit -f`).

/// Has a write beyond the limit fail as any other does, with an error that is reported and a temporary file that is
/// removed, instead of ending the process. Call once, at the start of the process.
pub fn report_limit() {
    #[cfg(unix)]
    // SAFETY: no handler is installed that could do harm; the signal is ignored.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
