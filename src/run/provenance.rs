//! Where a result came from: the code and the host, as `run.json` records them.

use std::collections::BTreeMap;

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
    /// The compiler; missing in records of early versions.
    #[serde(default)]
    pub compiler: Option<String>,
    /// The libraries that compute, draw random numbers or read images and weights, with their versions; empty in records
    /// of early versions.
    #[serde(default)]
    pub libraries: BTreeMap<String, String>,
}

impl Code {
    /// What this process was built from.
    pub fn current() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("SOURCE_COMMIT").map(str::to_owned),
            features: crate::ops::card::features(),
            compiler: option_env!("SOURCE_COMPILER").map(str::to_owned),
            libraries: libraries(),
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

fn libraries() -> BTreeMap<String, String> {
    let named = option_env!("SOURCE_LIBRARIES").unwrap_or_default();
    let pairs = named.split(',').filter_map(|pair| pair.split_once(' '));
    let pairs = pairs.map(|(name, version)| (name.to_owned(), version.to_owned()));
    pairs.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_names_its_compiler_and_the_libraries_of_the_lock_file() {
        let code = Code::current();
        assert!(
            code.compiler
                .is_some_and(|words| words.starts_with("rustc "))
        );
        let lock = include_str!("../../Cargo.lock");
        for name in ["candle-core", "candle-nn", "gemm", "rand", "safetensors"] {
            let version = &code.libraries[name];
            let listed = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&listed), "{name} {version}");
        }
    }

    #[test]
    fn records_of_early_versions_are_read() {
        let early = r#"{"version": "0.1.0", "commit": null, "features": []}"#;
        let code: Code = serde_json::from_str(early).unwrap();
        assert!(code.compiler.is_none() && code.libraries.is_empty());
    }
}
