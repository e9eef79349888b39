//! A gzipped tar archive to a folder that is there as a whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{Archive as Tar, EntryType};

use crate::atomic::sync_folder;
use crate::{Error, Result};

/// What an archive may hold besides the members: notes, checksums, headers.
const BESIDES: u64 = 16 << 20;

/// In the folder that is being unpacked: locked by the process that does it.
const LOCK: &str = ".lock";

/// Unpacks the named members of `<folder>/` in the archive to `into/<folder>/`, which must not be there yet. Only
/// these names are ever written, so that no path of an archive leads anywhere else; everything else in it is passed over.
/// What a process left that was killed on the way is removed.
///
/// # Errors
/// An archive that is damaged, lacks a member, has one twice or of another size. Another process that unpacks the same.
pub(super) fn unpack(
    archive: &Path,
    folder: &str,
    members: &[(String, u64)],
    into: &Path,
) -> Result<()> {
    let target = into.join(folder);
    let temporary = into.join(format!(".{folder}.unpacking"));
    fs::create_dir_all(&temporary).map_err(Error::io("create", &temporary))?;
    let lock = temporary.join(LOCK);
    let held = File::create(&lock).map_err(Error::io("create", &lock))?;
    // A file system without locks: two processes at once would stumble over each other's files.
    if let Err(TryLockError::WouldBlock) = held.try_lock() {
        return Err(Error::failed(format!(
            "{}: another process is unpacking this archive; wait for it",
            target.display()
        )));
    }
    let done = clear(&temporary)
        .and_then(|()| write_members(archive, folder, members, &temporary))
        .and_then(|()| {
            fs::remove_file(&lock).map_err(Error::io("remove", &lock))?;
            sync_folder(&temporary)?;
            fs::rename(&temporary, &target).map_err(Error::io("create", &target))?;
            sync_folder(into)
        });
    if done.is_err() {
        // Nothing to add if this fails too: the first error is the one to report.
        let _ = fs::remove_dir_all(&temporary);
    }
    done
}

/// Removes what lies in the folder beside the lock.
fn clear(temporary: &Path) -> Result<()> {
    for entry in fs::read_dir(temporary).map_err(Error::io("read", temporary))? {
        let path = entry.map_err(Error::io("read", temporary))?.path();
        if path.file_name().is_some_and(|name| name != LOCK) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

fn write_members(
    archive: &Path,
    folder: &str,
    members: &[(String, u64)],
    temporary: &Path,
) -> Result<()> {
    let refused = |fault: String| {
        Error::failed(format!(
            "{}: cannot be unpacked: {fault}; fetch it again",
            archive.display()
        ))
    };
    let unreadable = |error: io::Error| refused(format!("it is damaged ({error})"));
    let file = File::open(archive).map_err(Error::io("open", archive))?;
    let most = members.iter().map(|(_, bytes)| bytes + 1024).sum::<u64>() + BESIDES;
    let stream = MultiGzDecoder::new(BufReader::new(file)).take(most);
    let mut tar = Tar::new(stream);
    let mut missing: BTreeSet<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    for entry in tar.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let Some((name, bytes)) = members
            .iter()
            .find(|(name, _)| path == Path::new(folder).join(name))
        else {
            continue;
        };
        let kind = entry.header().entry_type();
        if kind != EntryType::Regular && kind != EntryType::Continuous {
            return Err(refused(format!("{} is no plain file", path.display())));
        }
        if entry.size() != *bytes {
            return Err(refused(format!(
                "{} has {} bytes, {bytes} were expected",
                path.display(),
                entry.size()
            )));
        }
        if !missing.remove(name.as_str()) {
            return Err(refused(format!("{} comes twice", path.display())));
        }
        let to = temporary.join(name);
        let mut out = File::create_new(&to).map_err(Error::io("create", &to))?;
        let copied = io::copy(&mut entry, &mut out).map_err(unreadable)?;
        if copied != *bytes {
            return Err(refused(format!("{} is cut short", path.display())));
        }
        out.sync_all().map_err(Error::io("write", &to))?;
    }
    match missing.first() {
        None => Ok(()),
        Some(name) => Err(refused(format!("{folder}/{name} is missing"))),
    }
}
