//! The compiler and the libraries that figures depend on, for the code.

use std::path::Path;
use std::process::Command;

/// The libraries that compute, draw random numbers, or read images and weights.
const LIBRARIES: [&str; 12] = [
    "candle-core",
    "candle-nn",
    "cudarc",
    "gemm",
    "image",
    "libm",
    "rand",
    "rand_chacha",
    "rand_distr",
    "rayon",
    "safetensors",
    "zune-jpeg",
];
/// Compiled in with this feature alone.
const OF_CARDS: (&str, &str) = ("cudarc", "CARGO_FEATURE_CUDA");
const LOCK: &str = "Cargo.lock";

/// Hands to the compiler which versions it is compiled with: `name version` of each library, and the compiler's own.
pub fn name() {
    let lock = std::fs::read_to_string(Path::new(LOCK)).unwrap_or_default();
    let with_cards = std::env::var_os(OF_CARDS.1).is_some();
    let libraries = LIBRARIES
        .iter()
        .filter(|name| with_cards || **name != OF_CARDS.0)
        .filter_map(|name| Some(format!("{name} {}", version(&lock, name)?)));
    let libraries: Vec<String> = libraries.collect();
    println!("cargo::rustc-env=SOURCE_LIBRARIES={}", libraries.join(","));
    if let Some(compiler) = compiler() {
        println!("cargo::rustc-env=SOURCE_COMPILER={compiler}");
    }
}

/// The version of a package that this one depends on. Where there are several, the list of dependencies says which.
fn version(lock: &str, name: &str) -> Option<String> {
    let packages = || lock.split("[[package]]").skip(1);
    let value = |package: &str, key: &str| {
        let line = package.lines().find(|line| line.starts_with(key))?;
        Some(line.split('"').nth(1)?.to_owned())
    };
    let own = env!("CARGO_PKG_NAME");
    let own = packages().find(|package| value(package, "name = ").as_deref() == Some(own))?;
    let chosen = own.lines().find_map(|line| {
        let dependency = line.trim().strip_prefix('"')?.split('"').next()?;
        dependency
            .strip_prefix(name)?
            .strip_prefix(' ')
            .map(str::to_owned)
    });
    chosen.or_else(|| {
        let mut named = packages().filter(|other| value(other, "name = ").as_deref() == Some(name));
        value(named.next()?, "version = ")
    })
}

/// What the compiler calls itself.
fn compiler() -> Option<String> {
    let compiler = std::env::var_os("RUSTC")?;
    let output = Command::new(compiler).arg("--version").output().ok()?;
    let words = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| words.trim().to_owned())
}
