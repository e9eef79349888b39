//! Fetches data sets that are published on the web, or takes archives that are there already.
//!
//! A file is installed only after its checksum was found right, and then as a whole. What has arrived of a broken download
//! stays in `<file>.part`, from which the next call goes on.

mod catalog;
mod checksum;
mod fetch;
mod unpack;

pub use catalog::{Archive, Content, Part, Published};

use std::fs;
use std::path::{Path, PathBuf};

use checksum::{Verdict, verify};

use crate::atomic;
use crate::{Error, Result};

/// What happens while a set is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A download from this address begins.
    Source(&'a str),
    /// So many bytes of a file have arrived, those of earlier attempts included.
    Bytes { done: u64, total: u64 },
    /// A file's checksum is computed.
    Verifying(&'a str),
    /// An archive is unpacked.
    Unpacking(&'a str),
    /// An attempt failed; there may be others.
    Failure(&'a str),
}

/// Hears of what happens.
pub type Watch<'a> = &'a dyn Fn(Event<'_>);

/// What became of a part of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// It was there, and is whole.
    There(PathBuf),
    /// It was fetched, verified and put here.
    Fetched(PathBuf),
    /// It was taken from a file of the user's, verified and put here.
    Taken { from: PathBuf, to: PathBuf },
}

/// Brings a set into `dir`, from the web or, where `from` names a folder or a file, from there alone.
///
/// # Errors
/// A file that no mirror has; a wrong checksum; in `dir`, other files under the names of the set's; in `from`, nothing that
/// belongs to the set.
pub fn get(
    set: &Published,
    dir: &Path,
    from: Option<&Path>,
    watch: Watch<'_>,
) -> Result<Vec<Installed>> {
    let made = missing_folders(dir);
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    let result = bring(set, dir, from, watch);
    if result.is_err() {
        // Only folders in which nothing lies go: what has arrived of a file stays for the next call.
        for folder in made {
            let _ = fs::remove_dir(folder);
        }
    }
    result
}

/// The folder and those above it that are not there, the innermost first.
fn missing_folders(dir: &Path) -> Vec<&Path> {
    let named = dir
        .ancestors()
        .filter(|folder| !folder.as_os_str().is_empty());
    named.take_while(|folder| !folder.exists()).collect()
}

fn bring(
    set: &Published,
    dir: &Path,
    from: Option<&Path>,
    watch: Watch<'_>,
) -> Result<Vec<Installed>> {
    let mut installed = Vec::new();
    let mut missing = Vec::new();
    for part in &set.parts {
        if let Some(path) = present(part, dir, watch)? {
            installed.push(Installed::There(path));
            continue;
        }
        match from {
            None => installed.push(Installed::Fetched(fetch_any(part, dir, watch)?)),
            Some(from) => match take(part, from, dir, watch)? {
                Some(taken) => installed.push(taken),
                None => missing.push(part),
            },
        }
    }
    let Some(from) = from.filter(|_| !missing.is_empty()) else {
        return Ok(installed);
    };
    let names: Vec<String> = missing
        .iter()
        .map(|part| {
            let forms: Vec<&str> = part.forms.iter().map(|form| form.name.as_str()).collect();
            forms.join(" or ")
        })
        .collect();
    Err(Error::failed(format!(
        "{}: {} of {}; expected {}",
        from.display(),
        if installed.is_empty() {
            "nothing"
        } else {
            "not all"
        },
        set.name,
        names.join(", ")
    )))
}

/// Where the part lies in `dir`, if it does, whole.
fn present(part: &Part, dir: &Path, watch: Watch<'_>) -> Result<Option<PathBuf>> {
    for form in &part.forms {
        match &form.content {
            Content::Plain | Content::Gzip { .. } => {
                // In the order in which the reader of these files looks for them.
                let found = [plain(dir, form), dir.join(&form.name)];
                let Some(path) = found.into_iter().find(|path| path.exists()) else {
                    continue;
                };
                watch(Event::Verifying(&path.to_string_lossy()));
                return match verify(&path, form)? {
                    Verdict::Archive | Verdict::Content => Ok(Some(path)),
                    Verdict::Other(found) => Err(Error::failed(format!(
                        "{}: is there and is another file (MD5 {found}); move it away or name another folder with --dir",
                        path.display()
                    ))),
                };
            }
            Content::TarGz { folder, members } => {
                let folder = dir.join(folder);
                if !folder.exists() {
                    continue;
                }
                // The archive's checksum was verified before the folder appeared: sizes are enough here.
                let damaged = members.iter().find(|(name, bytes)| {
                    fs::metadata(folder.join(name)).map_or(true, |data| data.len() != *bytes)
                });
                return match damaged {
                    None => Ok(Some(folder)),
                    Some((name, bytes)) => Err(Error::failed(format!(
                        "{}: is there without a {name} of {bytes} bytes; move it away or name another folder with --dir",
                        folder.display()
                    ))),
                };
            }
        }
    }
    Ok(None)
}

/// The path of the content, unpacked by other means.
fn plain(dir: &Path, form: &Archive) -> PathBuf {
    dir.join(form.name.trim_end_matches(".gz"))
}

/// Fetches the first form of a part that a mirror has.
fn fetch_any(part: &Part, dir: &Path, watch: Watch<'_>) -> Result<PathBuf> {
    let mut failures = Vec::new();
    for form in &part.forms {
        let partial = dir.join(format!("{}.part", form.name));
        match fetch::fetch(form, &partial, watch) {
            // Locked until the archive has been unpacked and removed: no other process may fetch it meanwhile.
            Ok(_locked) => {
                let installed = install(form, &partial, dir, watch)?;
                if partial.exists() {
                    fs::remove_file(&partial).map_err(Error::io("remove", &partial))?;
                }
                return Ok(installed);
            }
            // Something on this machine: another form would not get further.
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => failures.push(error.to_string()),
        }
    }
    Err(Error::failed(format!(
        "{}\nfetch the file by other means and run `runner data get` with --from FILE, or name a mirror with --mirror URL; \
         images in class folders, {} and {}, need no `get`",
        failures.join("\n"),
        dir.join("train/<class>").display(),
        dir.join("test/<class>").display(),
    )))
}

/// Puts a verified archive in its place: a gzipped file is moved, a tar archive is unpacked and left behind.
fn install(form: &Archive, verified: &Path, dir: &Path, watch: Watch<'_>) -> Result<PathBuf> {
    match &form.content {
        Content::Plain | Content::Gzip { .. } => {
            let to = dir.join(&form.name);
            fs::rename(verified, &to).map_err(Error::io("write", &to))?;
            atomic::sync_folder(dir)?;
            Ok(to)
        }
        Content::TarGz { folder, members } => {
            watch(Event::Unpacking(&form.name));
            unpack::unpack(verified, folder, members, dir)?;
            Ok(dir.join(folder))
        }
    }
}

/// Takes a part from a folder, or from a file where that is the part. The user's files stay as they are.
fn take(part: &Part, from: &Path, dir: &Path, watch: Watch<'_>) -> Result<Option<Installed>> {
    if !from.exists() {
        return Err(Error::failed(format!(
            "{}: no such file or folder",
            from.display()
        )));
    }
    for form in &part.forms {
        let found = if from.is_dir() {
            [from.join(&form.name), plain(from, form)]
                .into_iter()
                .find(|path| path.is_file())
        } else {
            Some(from.to_path_buf())
        };
        let Some(found) = found else { continue };
        watch(Event::Verifying(&found.to_string_lossy()));
        let verdict = verify(&found, form)?;
        let to = match (&form.content, &verdict) {
            (_, Verdict::Other(_)) => None,
            (Content::TarGz { .. }, _) => Some(install(form, &found, dir, watch)?),
            (Content::Gzip { .. }, Verdict::Content) => Some(copy(&found, &plain(dir, form))?),
            (Content::Plain | Content::Gzip { .. }, _) => {
                Some(copy(&found, &dir.join(&form.name))?)
            }
        };
        match (to, verdict) {
            (Some(to), _) => return Ok(Some(Installed::Taken { from: found, to })),
            // A file by the right name must be the right one; a file that the user names may be any other part.
            (None, Verdict::Other(md5)) if from.is_dir() => {
                return Err(Error::failed(format!(
                    "{}: wrong checksum: MD5 {md5}, {} was expected; fetch it again",
                    found.display(),
                    form.md5
                )));
            }
            (None, _) => {}
        }
    }
    Ok(None)
}

fn copy(from: &Path, to: &Path) -> Result<PathBuf> {
    atomic::replace(to, |temporary| {
        fs::copy(from, temporary)
            .map(drop)
            .map_err(Error::io("write", to))
    })?;
    Ok(to.to_path_buf())
}
