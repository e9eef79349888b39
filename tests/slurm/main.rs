//! `--launcher slurm` against a real Slurm of this machine alone: `run.sh`. Skipped where there is none.

use std::io::Write;
use std::path::Path;
use std::process::Command;

fn is_there(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&folders).chain(["/usr/sbin".into()]);
    folders
        .map(|folder| folder.join(program))
        .any(|path| path.exists())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[test]
fn an_array_that_is_pre_empted_and_killed_leaves_what_one_process_does() {
    if !is_root()
        || !["slurmctld", "slurmd", "munged", "sbatch"]
            .into_iter()
            .all(is_there)
    {
        // Past the capture of the test harness: a skipped test must be seen.
        let words = "skipped: no Slurm to start here (Debian: slurm-wlm and munge, as root)";
        writeln!(std::io::stderr(), "{words}").unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The daemon of munge, which has a user of its own, passes through it.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm/run.sh");
    let output = Command::new("bash")
        .args([
            script.as_os_str(),
            env!("CARGO_BIN_EXE_runner").as_ref(),
            folder.path().as_os_str(),
        ])
        .env(
            "PATH",
            format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()),
        )
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}\n{err}");
    assert!(
        out.contains("4 or more tasks pre-empted, 1 killed, 1 not finished"),
        "{out}"
    );
    assert!(
        out.ends_with("the same summary and weights as by one process: 12 runs\n"),
        "{out}"
    );
}
