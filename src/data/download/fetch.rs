//! One file over HTTP: from the first mirror that has it, going on where an earlier attempt broke off.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use ureq::Agent;

use super::catalog::Archive;
use super::checksum::{Verdict, verify};
use super::{Event, Watch};
use crate::{Error, Result};

/// A server that says nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Attempts in a row that bring nothing new, at most, before the next mirror is tried.
const FRUITLESS: u32 = 3;
/// A file so many times longer than the published one is another one: reading on would only fill the disk.
const MAX_GROWTH: u64 = 4;

/// Whether what came is the file.
enum Outcome {
    Whole,
    /// The connection ended early; so many bytes are there.
    Broken(String),
    /// This mirror cannot help.
    Useless(String),
}

/// Fetches an archive to `part`, which keeps what has arrived until the file is whole and verified. The next call goes on
/// from there. The file comes back with the lock that keeps other processes away: it is held as long as the file is.
///
/// # Errors
/// No mirror has the file: what each said. Another process that fetches the same file.
pub(super) fn fetch(archive: &Archive, part: &Path, watch: Watch<'_>) -> Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(part)
        .map_err(Error::io("write", part))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            return Err(Error::failed(format!(
                "{}: another process is fetching this file; wait for it",
                part.display()
            )));
        }
        // A file system without locks: two processes at once would be noticed by the checksum.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let agent: Agent = Agent::config_builder()
        .timeout_connect(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .http_status_as_error(false)
        .accept_encoding("identity")
        .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut failures = Vec::new();
    for url in &archive.urls {
        watch(Event::Source(url));
        match from_mirror(&agent, url, archive, &mut file, part, watch)? {
            Ok(()) => return Ok(file),
            Err(reason) => {
                let line = format!("{url}: {reason}");
                watch(Event::Failure(&line));
                failures.push(line);
            }
        }
    }
    let left = file.metadata().map_err(Error::io("read", part))?.len();
    drop(file);
    if left == 0 {
        // Nothing to go on from; that it cannot be removed does no harm.
        let _ = std::fs::remove_file(part);
    }
    Err(Error::failed(format!(
        "{}: no mirror has it:\n{}",
        archive.name,
        failures.join("\n")
    )))
}

/// Fetches from one mirror, with as many attempts as bring something new. The inner error is why the mirror is no use.
fn from_mirror(
    agent: &Agent,
    url: &str,
    archive: &Archive,
    file: &mut File,
    part: &Path,
    watch: Watch<'_>,
) -> Result<Result<(), String>> {
    let length = |file: &File| -> Result<u64> {
        Ok(file.metadata().map_err(Error::io("read", part))?.len())
    };
    let mut fruitless = 0;
    // What another mirror or an earlier process left may belong to another file: then one fresh start is due.
    let mut inherited = length(file)? > 0;
    loop {
        let before = length(file)?;
        let outcome = attempt(agent, url, archive, file, part, watch)?;
        match outcome {
            Outcome::Useless(reason) => return Ok(Err(reason)),
            Outcome::Broken(reason) => {
                let grown = length(file)? > before;
                fruitless = if grown { 0 } else { fruitless + 1 };
                if fruitless == FRUITLESS {
                    return Ok(Err(reason));
                }
                watch(Event::Failure(&format!("{url}: {reason}; trying again")));
            }
            Outcome::Whole => {
                file.sync_all().map_err(Error::io("write", part))?;
                watch(Event::Verifying(&archive.name));
                match verify(part, archive)? {
                    Verdict::Archive => return Ok(Ok(())),
                    found => {
                        file.set_len(0).map_err(Error::io("write", part))?;
                        if !std::mem::take(&mut inherited) {
                            return Ok(Err(format!(
                                "wrong checksum: {found}, MD5 {} was expected",
                                archive.md5
                            )));
                        }
                    }
                }
            }
        }
    }
}

/// One request for what is missing.
fn attempt(
    agent: &Agent,
    url: &str,
    archive: &Archive,
    file: &mut File,
    part: &Path,
    watch: Watch<'_>,
) -> Result<Outcome> {
    let written = Error::io("write", part);
    let have = file
        .seek(SeekFrom::End(0))
        .map_err(Error::io("read", part))?;
    if have == archive.bytes && verify(part, archive)? == Verdict::Archive {
        return Ok(Outcome::Whole);
    }
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = match request.call() {
        Ok(response) => response,
        // No answer: asking again at once would change nothing.
        Err(error) => return Ok(Outcome::Useless(error.to_string())),
    };
    let status = response.status();
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let (start, total) = match status.as_u16() {
        200 => (
            0,
            header("content-length").and_then(|text| text.parse().ok()),
        ),
        206 => match header("content-range").as_deref().and_then(content_range) {
            Some((start, total)) if start == have => (have, total),
            _ => {
                return Ok(Outcome::Useless(
                    "it sent another range than was asked for".into(),
                ));
            }
        },
        // Nothing lies beyond what is there: either that is the file, or it is another one.
        416 => {
            return Ok(match verify(part, archive)? {
                Verdict::Archive => Outcome::Whole,
                Verdict::Content | Verdict::Other(_) => {
                    file.set_len(0).map_err(written)?;
                    Outcome::Broken("what was there is not the beginning of this file".into())
                }
            });
        }
        code => {
            let words = status.canonical_reason().unwrap_or("no success");
            return Ok(Outcome::Useless(format!("{code} {words}")));
        }
    };
    let limit = archive.bytes.saturating_mul(MAX_GROWTH);
    if total.is_some_and(|total: u64| total > limit) {
        return Ok(Outcome::Useless(format!(
            "it is far longer than the {} bytes that were expected",
            archive.bytes
        )));
    }
    if start == 0 {
        file.set_len(0).map_err(Error::io("write", part))?;
        file.seek(SeekFrom::Start(0))
            .map_err(Error::io("write", part))?;
    }
    let mut body = response.into_body().into_reader();
    let mut done = start;
    let mut buffer = vec![0; 1 << 16];
    let goal = total.unwrap_or(archive.bytes);
    watch(Event::Bytes { done, total: goal });
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => {
                return Ok(Outcome::Broken(format!(
                    "broke off after {done} bytes ({error})"
                )));
            }
        };
        file.write_all(&buffer[..count])
            .map_err(Error::io("write", part))?;
        done += count as u64;
        if done > limit {
            file.set_len(0).map_err(written)?;
            return Ok(Outcome::Useless(format!(
                "it is far longer than the {} bytes that were expected",
                archive.bytes
            )));
        }
        watch(Event::Bytes { done, total: goal });
    }
    Ok(match total {
        Some(total) if done < total => {
            Outcome::Broken(format!("broke off after {done} of {total} bytes"))
        }
        _ => Outcome::Whole,
    })
}

/// Start and total of "bytes 5-9/10"; the total may be unknown, "*".
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let start = range.split_once('-')?.0.trim().parse().ok()?;
    Some((start, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 0-9/*"), Some((0, None)));
        for text in ["", "bytes", "bytes */10", "lines 1-2/3", "bytes -1/3"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
