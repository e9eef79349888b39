//! Where a result came from: the code and the host, as `run.json` records them.

use serde::{Deserialize, Serialize};

/// The program that ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Code {
    /// Version of the package.
    pub version: String,
    /// Commit of the source, with `-dirty` behind it where the sources differed from it; missing where the build stood in
    /// no git checkout. `RUNNER_COMMIT` in the build's environment says it instead.
    pub commit: Option<String>,
    /// Cargo features of the build.
    pub features: Vec<String>,
}

impl Code {
    /// What this process was built from.
    pub fn current() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("SOURCE_COMMIT").map(str::to_owned),
            features: crate::ops::card::features(),
        }
    }

    /// Whether both were built from the same source, as far as they can tell.
    pub fn same_source(&self, other: &Self) -> bool {
        (&self.version, &self.commit) == (&other.version, &other.commit)
    }

    /// The program in words.
    pub fn words(&self) -> String {
        match &self.commit {
            Some(commit) => format!("runner {} of commit {}", self.version, abridged(commit)),
            None => format!("runner {} of an unknown commit", self.version),
        }
    }
}

/// As many digits of a commit as people read, and whether it was dirty.
fn abridged(commit: &str) -> String {
    const SHOWN: usize = 10;
    let (hash, rest) = match commit.split_once('-') {
        Some((hash, rest)) => (hash, format!("-{rest}")),
        None => (commit, String::new()),
    };
    hash.chars().take(SHOWN).collect::<String>() + &rest
}

/// A program that worked on a run, and when it first took it up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramStart {
    /// Version of the package.
    pub version: String,
    /// Commit of the source, if known.
    pub commit: Option<String>,
    /// When it was started, UTC.
    pub started: String,
}

impl ProgramStart {
    /// The start of a program at a time.
    pub fn new(code: &Code, started: &str) -> Self {
        Self {
            version: code.version.clone(),
            commit: code.commit.clone(),
            started: started.to_owned(),
        }
    }
}

/// The machine that it ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Network name, `unknown` where the system does not say.
    pub name: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Processor model, where the system says.
    pub cpu: Option<String>,
    /// Worker threads used.
    pub threads: usize,
}

impl Host {
    /// The machine that this process runs on.
    pub fn current() -> Self {
        Self {
            name: host_name(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpu: cpu_model(),
            threads: rayon::current_num_threads(),
        }
    }
}

/// The machine's network name, `unknown` where the system does not say.
pub fn host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .chain(std::env::var("HOSTNAME"))
        .chain(std::env::var("COMPUTERNAME"))
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
