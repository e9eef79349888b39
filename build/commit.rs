//! The commit that the program is built from, for the compiler.

use std::path::Path;
use std::process::Command;

/// What whoever builds may set.
const GIVEN: &str = "RUNNER_COMMIT";
/// What the code reads. Cargo also sets it where it starts the program, for which `RUNNER_...` is a setting of a spec.
const COMPILED: &str = "SOURCE_COMMIT";
/// What the program is built from. Other files, such as documentation, do not make it another program.
const SOURCES: [&str; 5] = ["src", "build", "build.rs", "Cargo.toml", "Cargo.lock"];

/// Hands the commit to the compiler: what `RUNNER_COMMIT` says in the environment, or what git says, if anything.
pub fn name() {
    println!("cargo::rerun-if-env-changed={GIVEN}");
    // An edit makes the sources differ from the commit, also where git has not been told of it.
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let named = std::env::var(GIVEN).ok().filter(|name| !name.is_empty());
    if let Some(commit) = named.or_else(checked_out) {
        println!("cargo::rustc-env={COMPILED}={commit}");
    }
}

/// The commit of the checkout that these sources belong to, with `-dirty` where they differ from it.
fn checked_out() -> Option<String> {
    // Sources that were unpacked inside the checkout of something else are not its own.
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    // What names the present commit. A worktree keeps it elsewhere, and git knows where.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"]
        .into_iter()
        .chain(branch.as_deref())
    {
        let path = git(&["rev-parse", "--git-path", name])?;
        // A file that is not there would count as changed each time.
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", "--verify", "HEAD"])?;
    let mut status = vec!["status", "--porcelain", "--untracked-files=no", "--"];
    status.extend(SOURCES);
    let dirty = match git(&status)?.is_empty() {
        true => "",
        false => "-dirty",
    };
    Some(format!("{commit}{dirty}"))
}

/// What git answers, if there is a git that does.
fn git(arguments: &[&str]) -> Option<String> {
    // Nothing in the checkout is written, not even what git remembers of its files.
    let output = Command::new("git")
        .arg("--no-optional-locks")
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
