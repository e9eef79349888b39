//! Where the figures of a run come from, as text for the appendix of a paper.

use std::fmt::Write as _;
use std::path::Path;

use crate::run::{Code, ListedRun, RunRecord, files};
use crate::{Error, Result};

/// All that a run says of its origin: program, compiler, libraries, device, host, command, times, inputs with their
/// hashes, stages with their seeds and last metrics.
///
/// # Errors
/// A record that cannot be read.
pub fn provenance(run: ListedRun) -> Result<String> {
    let state = run.state();
    let record = run.record?;
    let state = state.map_or("unreadable", |state| state.name());
    let mut text = format!("{}: {state}\n", run.folder.display());
    for (what, words) in lines(&record, &run.folder) {
        // Names of files may hold anything: a fact is one line all the same.
        let words = words.replace(['\n', '\r'], " ");
        writeln!(text, "  {what:<10} {words}").map_err(|_| Error::failed("no room for text"))?;
    }
    Ok(text)
}

/// Every fact behind its name.
fn lines(record: &RunRecord, folder: &Path) -> Vec<(&'static str, String)> {
    let unknown = || "not recorded by this version of the program".to_owned();
    let (code, host) = (&record.code, &record.host);
    let libraries = code.libraries.iter();
    let libraries: Vec<String> = libraries.map(|(name, v)| format!("{name} {v}")).collect();
    let mut lines = vec![("program", program(code))];
    // One is the program above.
    let several = record.programs.iter().filter(|_| record.programs.len() > 1);
    for earlier in several {
        let commit = earlier.commit.as_deref().unwrap_or("unknown");
        let words = format!(
            "{} commit {commit}, from {}",
            earlier.version, earlier.started
        );
        lines.push(("worked on", words));
    }
    lines.extend([
        ("compiler", code.compiler.clone().unwrap_or_else(unknown)),
        (
            "libraries",
            match libraries.is_empty() {
                true => unknown(),
                false => libraries.join(", "),
            },
        ),
        ("device", record.device.clone()),
        (
            "host",
            format!(
                "{} {}, {}, {} threads",
                host.os,
                host.arch,
                host.cpu.as_deref().unwrap_or("unknown processor"),
                host.threads
            ),
        ),
        ("command", command(&record.command)),
        (
            "time",
            format!(
                "{} to {}, started {}",
                record.created,
                record.ended.as_deref().unwrap_or("now"),
                match record.attempts {
                    1 => "once".to_owned(),
                    attempts => format!("{attempts} times"),
                }
            ),
        ),
        ("settings", folder.join(files::SPEC).display().to_string()),
    ]);
    match record.inputs.as_deref() {
        None => lines.push(("input", unknown())),
        Some([]) => lines.push(("input", "none: all data is generated".to_owned())),
        Some(inputs) => lines.extend(inputs.iter().map(|input| {
            let words = format!("{}, {}, BLAKE3 {}", input.what, input.path, input.hash);
            ("input", words)
        })),
    }
    for stage in &record.stages {
        let seed = stage
            .seed
            .map_or("not recorded".to_owned(), |seed| seed.to_string());
        let (id, task, key, state) = (&stage.id, &stage.task, &stage.key, stage.state);
        let words = format!("{id}: {task}, seed {seed}, key {key}, {state}");
        lines.push(("stage", words));
    }
    let metrics = record.last_metrics().into_iter();
    lines.extend(metrics.map(|(name, value)| ("metric", format!("{name} {value:?}"))));
    lines
}

fn program(code: &Code) -> String {
    let commit = code.commit.as_deref().unwrap_or("unknown");
    let features = match code.features.as_slice() {
        [] => "none".to_owned(),
        features => features.join(", "),
    };
    format!(
        "runner {} commit {commit}, features {features}",
        code.version
    )
}

/// A command as a shell takes it.
fn command(words: &[String]) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:@+".contains(letter);
    let quoted = words
        .iter()
        .map(|word| match !word.is_empty() && word.chars().all(plain) {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', "'\\''")),
        });
    quoted.collect::<Vec<_>>().join(" ")
}
