//! Runs that are watched where there is no terminal.

use std::process::Stdio;

use crate::program::{run, simulation};
#[cfg(unix)]
use crate::program::{runner, words};

#[test]
fn without_a_run_under_way_there_is_one_table() {
    let folder = simulation();
    let (code, out, err) = run(folder.path(), &["watch"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "no runs under results\n", "")
    );
    assert_eq!(run(folder.path(), &["sim.toml"]).0, 0);
    for args in [&["watch"][..], &["watch", "sim"]] {
        let (code, out, err) = run(folder.path(), args);
        assert_eq!((code, err.as_str()), (0, ""));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 3, "{out}");
        assert!(
            lines[0].ends_with('Z') && lines[1].starts_with("NAME  RUN "),
            "{out}"
        );
        assert!(
            lines[2].starts_with("sim ") && lines[2].contains(" finished "),
            "{out}"
        );
    }
    let (code, _, err) = run(folder.path(), &["watch", "sin"]);
    assert!(code == 2 && err.contains("no runs of \"sin\""), "{err}");
}

#[cfg(unix)]
#[test]
fn tables_come_until_no_run_is_under_way_or_nobody_reads() {
    let folder = simulation();
    let long = [
        "sim.toml",
        "simulate.steps=60000",
        "simulate.repeats=100000",
        "simulate.record_every=60000",
    ];
    let mut child = runner(folder.path(), &long)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !run(folder.path(), &["list"]).1.contains(" running ") {
        assert!(child.try_wait().unwrap().is_none(), "the run ended early");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let watch = || {
        let mut watch = runner(folder.path(), &["watch", "sim"]);
        watch.stdout(Stdio::piped()).stderr(Stdio::piped());
        watch.spawn().unwrap()
    };
    let mut unread = watch();
    drop(unread.stdout.take());
    let (code, _, err) = words(unread.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));

    let mut watched = watch();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(watched.try_wait().unwrap().is_none(), "it goes on");
    assert_eq!(run(folder.path(), &["stop", "sim"]).0, 0);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let (code, out, err) = words(watched.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    let tables: Vec<&str> = out.split("\n\n").collect();
    assert!(tables.len() > 1 && tables[0].contains(" running "), "{out}");
    assert!(tables[tables.len() - 1].contains(" interrupted "), "{out}");
}
