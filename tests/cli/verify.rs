//! Claims held against runs, from outside.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::program::{repository, run, runs};

const HEAD: &str = "[spec]\ntask = \"evaluate\"\ndata = { kind = \"digits\", test_limit = 40 }\n\
                    model = { arch = \"mlp\", widths = [] }\n";

fn claim(name: &str, lines: &str) -> String {
    format!("[[claim]]\nname = \"{name}\"\nsource = \"a paper, table 1\"\n{lines}\n")
}

/// The line of the table that begins with a name.
fn line<'a>(out: &'a str, name: &str) -> &'a str {
    let found = out.lines().find(|line| line.starts_with(name));
    found.unwrap_or_else(|| panic!("no {name} in {out}"))
}

#[test]
fn claims_hold_fail_or_cannot_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let holds = claim(
        "one",
        "spec = {}\nmetric = \"test_accuracy\"\nat_least = 0\nat_most = 1\nseeds = [0, 1]",
    );
    let fails = claim(
        "two",
        "spec = {}\nmetric = \"test_accuracy\"\nexpected = 2\ntolerance = 0.5",
    );
    let missing = claim(
        "three",
        "spec = { model.weights = \"w.pt\" }\nmetric = \"test_accuracy\"\nat_least = 0",
    );
    let unknown = claim("four", "spec = {}\nmetric = \"test_accurcy\"\nat_least = 0");
    let write = |name: &str, claims: &[&String]| {
        let text = HEAD.to_owned() + &claims.iter().map(|text| text.as_str()).collect::<String>();
        std::fs::write(folder.join(name), text).unwrap();
    };

    write("good.toml", &[&holds]);
    let (code, out, err) = run(folder, &["verify", "good.toml"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        line(&out, "one").contains("0 to 1, 2 seeds") && line(&out, "one").ends_with("holds"),
        "{out}"
    );
    let found = runs(folder, "good");
    assert!(
        found.len() == 2 && found[0].starts_with("seed=0-"),
        "{found:?}"
    );
    let (code, again, err) = run(folder, &["verify", "good.toml"]);
    assert_eq!((code, again), (0, out), "{err}");
    assert_eq!(runs(folder, "good"), found, "nothing is run twice");

    write("missing.toml", &[&holds, &missing, &unknown]);
    let (code, out, err) = run(folder, &["verify", "missing.toml"]);
    assert!(
        code == 2 && err.contains("error: 2 of 3 claims not checked"),
        "{code} {err}"
    );
    assert!(
        line(&out, "three").contains("not checked: ") && line(&out, "three").contains("w.pt"),
        "{out}"
    );
    assert!(
        line(&out, "four").ends_with("no metric \"test_accurcy\"; did you mean \"test_accuracy\"?"),
        "{out}"
    );

    write("bad.toml", &[&holds, &fails, &missing]);
    let (code, out, err) = run(folder, &["verify", "bad.toml", "-q"]);
    assert!(
        code == 1 && err.ends_with("error: 1 of 3 claims failed, 1 not checked\n"),
        "{code} {err}"
    );
    assert!(
        line(&out, "two").contains("2 ± 0.5") && line(&out, "two").ends_with("fails"),
        "{out}"
    );
    assert!(
        out.contains("\ntwo: test_accuracy, claimed by a paper, table 1\n  results/bad/"),
        "{out}"
    );

    std::fs::write(
        folder.join("faulty.toml"),
        format!("{HEAD}[[claim]]\nname = \"x\"\n"),
    )
    .unwrap();
    let (code, out, err) = run(folder, &["verify", "faulty.toml", "good.toml"]);
    assert!(code == 2 && out.is_empty(), "{out}");
    assert!(
        err.lines()
            .all(|line| line.starts_with("error: faulty.toml:")),
        "{err}"
    );
}

#[test]
fn a_linear_model_falls_as_its_closed_form_says() {
    let root = repository();
    let results = tempfile::tempdir().unwrap();
    let results = results.path().to_str().unwrap();
    let file = "experiments/verify/closed_form.toml";
    let (code, out, err) = run(
        &root,
        &["verify", file, "--results", results, "--jobs", "2", "-q"],
    );
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn the_published_resnets_have_their_accuracies() {
    let root = repository();
    let shared = root.join("../shared");
    let archive = shared.join("data/cifar10-exact.tar.xz");
    if !archive.is_file() || !shared.join("weights").is_dir() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED the published ResNets: {} or the weights beside it are missing",
            archive.display()
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir_all(folder.join("data")).unwrap();
    let unpack = Command::new("tar")
        .arg("xJf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.join("data"))
        .status();
    assert!(unpack.unwrap().success(), "tar unpacks the images");
    std::fs::rename(
        folder.join("data/cifar10-exact"),
        folder.join("data/cifar10"),
    )
    .unwrap();
    std::fs::create_dir_all(folder.join("weights")).unwrap();
    for entry in std::fs::read_dir(shared.join("weights")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join("weights").join(entry.file_name())).unwrap();
    }
    let file = root.join("experiments/verify/cifar_resnets.toml");
    let (code, out, err) = run(folder, &["verify", file.to_str().unwrap(), "-q"]);
    print!("{out}");
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn files_of_claims_in_the_repository_are_sound() {
    let folder = repository().join("experiments/verify");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") {
            let claims = runner::verify::read_claims(Path::new(&path), &[]);
            let claims = claims.unwrap_or_else(|error| panic!("{error}"));
            for claim in claims {
                assert_eq!(claim.plan.warnings, [""; 0], "{}", claim.spec.name);
            }
            count += 1;
        }
    }
    assert!(count >= 2);
}

#[test]
fn a_run_says_where_its_figures_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let spec = "name = \"judge\"\ntask = \"evaluate\"\nseed = 7\ndata = { kind = \"digits\", test_limit = 20 }\n\
                model = { arch = \"mlp\", widths = [] }\n";
    std::fs::write(folder.join("judge.toml"), spec).unwrap();
    assert_eq!(run(folder, &["judge.toml"]).0, 0);
    let (code, out, err) = run(folder, &["report", "judge", "--provenance"]);
    assert_eq!(code, 0, "{err}");
    for part in [
        "results/judge/",
        "  program    runner ",
        "  compiler   rustc ",
        ", candle-nn ",
        "  device     cpu\n",
        "  input      none: all data is generated\n",
        "  stage      main: evaluate, seed 7, key ",
        "  metric     test_accuracy 0.",
        "judge.toml\n",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
}
