//! Says which commit and which libraries the program is built from, and compiles the card's kernels to PTX where the feature `cuda` is on;
//! the driver turns it into the card's own code.

#[path = "build/commit.rs"]
mod commit;
#[path = "build/libraries.rs"]
mod libraries;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The oldest cards whose instructions the kernels use: bfloat16 came with them.
const ARCHITECTURE: &str = "compute_80";
const OPS: &str = "src/ops";

fn main() {
    commit::name();
    libraries::name();
    println!("cargo::rerun-if-changed={OPS}");
    println!("cargo::rerun-if-env-changed=NVCC");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut sources = Vec::new();
    find(Path::new(OPS), &mut sources);
    // An edit elsewhere asks for the commit alone.
    let compiler = format!("{} {ARCHITECTURE}", nvcc().display());
    let stamp = out.join("compiler");
    if std::fs::read_to_string(&stamp).is_ok_and(|earlier| earlier == compiler)
        && sources
            .iter()
            .all(|source| written(source) < written(&stamp))
    {
        return;
    }
    let mut modules = Vec::new();
    for source in sources {
        if source.ends_with("kernel.cu") {
            modules.push(compile(&source, &out));
        }
    }
    modules.sort();
    let mut table = String::from("&[\n");
    for module in modules {
        let ptx = out.join(format!("{module}.ptx"));
        table += &format!("    ({module:?}, include_str!({ptx:?})),\n");
    }
    table += "]\n";
    std::fs::write(out.join("kernels.rs"), table).expect("OUT_DIR is writable");
    std::fs::write(stamp, compiler).expect("OUT_DIR is writable");
}

/// Adds the kernels below a folder and what they include.
fn find(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the ops' folders are readable") {
        let path = entry.expect("the ops' folders are readable").path();
        if path.is_dir() {
            find(&path, sources);
        } else if path.extension().is_some_and(|e| e == "cu" || e == "h") {
            sources.push(path);
        }
    }
}

/// When a file was last written to.
fn written(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|about| about.modified())
        .ok()
}

/// Compiles an op's kernel; the op's name, which is its folder's.
fn compile(source: &Path, out: &Path) -> String {
    let name = source
        .parent()
        .and_then(Path::file_name)
        .expect("a kernel stands in its op's folder")
        .to_string_lossy()
        .into_owned();
    let target = out.join(format!("{name}.ptx"));
    let nvcc = nvcc();
    let done = Command::new(&nvcc)
        .args(["-ptx", "-std=c++17", "-O3", &format!("-arch={ARCHITECTURE}")])
        .arg(format!("-I{OPS}/card"))
        .arg(source)
        .arg("-o")
        .arg(&target)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "cannot run {}: {error}. The feature `cuda` needs the CUDA toolkit; put its nvcc on PATH, or set NVCC or \
                 CUDA_HOME",
                nvcc.display()
            )
        });
    assert!(
        done.status.success(),
        "{} failed on {}:\n{}{}",
        nvcc.display(),
        source.display(),
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    name
}

fn nvcc() -> PathBuf {
    if let Some(named) = std::env::var_os("NVCC") {
        return named.into();
    }
    match std::env::var_os("CUDA_HOME") {
        Some(home) => Path::new(&home).join("bin").join("nvcc"),
        None => "nvcc".into(),
    }
}
