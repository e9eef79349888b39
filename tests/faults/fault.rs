//! What happens to a study: to its process while it runs, to its files between two starts.

use std::collections::HashSet;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::folder::files;

/// What ends a process.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    Kill,
    Terminate,
    Interrupt,
    /// No file may grow beyond some KiB, as on a disk that is full.
    NoRoom(u32),
    /// The disk takes nothing at all; where the study has a disk of its own.
    FullDisk,
    /// Nothing can be written; where the study has a disk of its own.
    ReadOnly,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    None,
    /// A bit of the newest checkpoint changes.
    Flip,
    /// The newest checkpoint loses its end.
    Truncate,
    /// The last line of a table loses its end.
    Tear,
    /// Files are from the future: the clock was set back.
    Clock,
}

/// A disk of its own for the study, where the system lets us have one.
pub struct Disk(PathBuf);

impl Disk {
    pub fn mount(folder: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
            .arg(folder);
        let done = mount.stdout(Stdio::null()).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
            .then(|| Self(folder.to_owned()))
    }

    /// Has the disk read only, or to be written to again.
    fn remount(&self, mode: &str) {
        let options = format!("remount,{mode}");
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &options]).arg(&self.0).status();
        assert!(status.unwrap().success(), "{mode}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Starts the command, lets it run for some time, and ends it. Whether it came to its end before.
pub fn strike(
    folder: &Path,
    spec: &str,
    ending: Ending,
    after: Duration,
    disk: Option<&Disk>,
) -> bool {
    let filler = folder.join("filler");
    match (ending, disk) {
        (Ending::FullDisk, Some(_)) => {
            // Until nothing is left; that it fails is the purpose.
            let _ = fs::write(&filler, vec![0; 128 << 20]);
        }
        (Ending::ReadOnly, Some(disk)) => disk.remount("ro"),
        _ => {}
    }
    let limit = match ending {
        Ending::NoRoom(kib) => format!("ulimit -f {kib}; "),
        _ => String::new(),
    };
    let mut child = Command::new("sh")
        .current_dir(folder)
        .args(["-c", &format!("{limit}exec \"$0\" {spec}")])
        .arg(env!("CARGO_BIN_EXE_runner"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed() < after && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let signal = match ending {
        Ending::Terminate => "TERM",
        Ending::Interrupt => "INT",
        _ => "KILL",
    };
    let has_ended = child.try_wait().unwrap();
    if has_ended.is_none() {
        send(signal, &child);
    }
    let status = child.wait().unwrap();
    match (ending, disk) {
        (Ending::FullDisk, Some(_)) => {
            let _ = fs::remove_file(&filler);
        }
        (Ending::ReadOnly, Some(disk)) => disk.remount("rw"),
        _ => {}
    }
    status.success()
}

fn send(signal: &str, child: &Child) {
    let mut kill = Command::new("kill");
    let _ = kill
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status();
}

/// Whether a stage is still to be finished in the folder that has the file, or that of its checkpoints.
fn is_open(path: &Path) -> bool {
    // Tables over all runs are written anew by any command.
    if path.ends_with("summary.csv") || path.ends_with("results.csv") {
        return false;
    }
    let folder = path.parent().unwrap();
    let stage = match folder.ends_with("checkpoints") {
        true => folder.parent().unwrap(),
        false => folder,
    };
    let text = fs::read_to_string(stage.join("run.json")).unwrap_or_default();
    !stage.join("stage.json").exists() && !text.contains("\"state\": \"finished\"")
}

/// Damages a file of what is not finished, if there is one to damage.
pub fn harm(folder: &Path, damage: Damage, damaged: &mut HashSet<PathBuf>, rng: &mut ChaCha8Rng) {
    let all: Vec<PathBuf> = files(folder)
        .into_iter()
        .filter(|path| is_open(path))
        .collect();
    let named = |path: &&PathBuf, begin: &str, end: &str| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(begin) && name.ends_with(end)
    };
    // One that has an older one beside it that is whole: the last one left is never thrown away unasked.
    let newest = || {
        let checkpoints = all.iter().filter(|path| named(path, "e0", ".safetensors"));
        let checkpoints: Vec<&PathBuf> = checkpoints.collect();
        let has_older = |path: &&&PathBuf| {
            let mut others = checkpoints.iter().filter(|other| other < path);
            others.any(|other| other.parent() == path.parent() && !damaged.contains(*other))
        };
        let newest = checkpoints.iter().filter(has_older).max()?;
        Some((*newest).clone())
    };
    let hit = match damage {
        Damage::Flip | Damage::Truncate => newest(),
        _ => None,
    };
    damaged.extend(hit.clone());
    match damage {
        Damage::None => {}
        Damage::Flip => {
            if let Some(path) = hit {
                let mut bytes = fs::read(&path).unwrap();
                let at = rng.random_range(0..bytes.len() as u64) as usize;
                bytes[at] ^= 1 << rng.random_range(0..8u32);
                fs::write(path, bytes).unwrap();
            }
        }
        Damage::Truncate => {
            if let Some(path) = hit {
                let bytes = fs::read(&path).unwrap();
                let left = rng.random_range(0..bytes.len() as u64) as usize;
                fs::write(path, &bytes[..left]).unwrap();
            }
        }
        Damage::Tear => {
            let tables: Vec<&PathBuf> = all.iter().filter(|path| named(path, "", ".csv")).collect();
            if let Some(path) = tables.choose(rng) {
                let bytes = fs::read(path).unwrap();
                let lost = rng.random_range(1..40u64) as usize;
                fs::write(path, &bytes[..bytes.len().saturating_sub(lost)]).unwrap();
            }
        }
        Damage::Clock => {
            let future = SystemTime::now() + Duration::from_secs(86400);
            for path in &all {
                let file = File::options().append(true).open(path).unwrap();
                file.set_times(FileTimes::new().set_modified(future))
                    .unwrap();
            }
        }
    }
}
