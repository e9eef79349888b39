//! What the system is told about files: how large they may be, and who may read them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::program::{SPEC, files, finish, folder, left, run_folder, said, temporary};

/// The command as a shell starts it after `before`.
fn after(before: &str, folder: &Path) -> Output {
    Command::new("sh")
        .current_dir(folder)
        .arg("-c")
        .arg(format!("{before}; exec \"$0\" spec.toml"))
        .arg(env!("CARGO_BIN_EXE_runner"))
        .output()
        .unwrap()
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_that_cleans_up() {
    let (whole, broken) = (folder(SPEC), folder(SPEC));
    finish(whole.path());
    // Blocks of 512 bytes: room for all but the checkpoints.
    let output = after("ulimit -f 40", broken.path());
    let words = said(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("checkpoints/e0001-s00000004.safetensors: cannot write: "),
        "{words}"
    );
    assert_eq!(temporary(broken.path()), [] as [std::path::PathBuf; 0]);
    finish(broken.path());
    assert_eq!(left(broken.path()), left(whole.path()));
}

#[test]
fn all_files_follow_the_umask() {
    for (mask, mode) in [("umask 027", 0o640), ("umask 002", 0o664)] {
        let mine = folder(SPEC);
        let output = after(mask, mine.path());
        assert!(output.status.success(), "{}", said(&output));
        let found = files(&mine.path().join("results"));
        assert!(found.iter().any(|path| path.ends_with("final.safetensors")));
        for path in found {
            let found = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{}: {found:o}", path.display());
        }
    }
}

#[test]
fn temporary_files_of_killed_processes_go_when_their_writer_comes_again() {
    let attack = "name = \"run\"\n[[stage]]\nid = \"a\"\ntask = \"train\"\ndata = { kind = \"digits\", train_limit = 50, \
                  test_limit = 20 }\nmodel = { arch = \"mlp\", widths = [8] }\noptimizer = { kind = \"sgd\", lr = 0.1 }\n\
                  train = { epochs = 1 }\n";
    let mine = folder(attack);
    finish(mine.path());
    let run = run_folder(mine.path());
    let named = run.parent().unwrap();
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let alive = std::process::id();
    let leave = |folder: &Path, process: u32| {
        let path = folder.join(format!(".summary.csv.{process}-0.tmp"));
        fs::create_dir_all(folder).unwrap();
        fs::write(&path, "half").unwrap();
        path
    };
    for folder in [named, &named.join("figures"), &run.join("figures")] {
        leave(folder, dead.id());
    }
    let others = leave(named, alive);
    let report = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(mine.path())
        .args(["report", "run"])
        .output()
        .unwrap();
    assert!(report.status.success(), "{}", said(&report));
    assert_eq!(temporary(mine.path()), [others]);
}
