//! What a study leaves: everything that must not depend on what happened to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// All files under `folder`, however deep, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Contents of files by their paths under the folder of results.
pub type Left = BTreeMap<PathBuf, Vec<u8>>;

/// The contents of all files by their paths: of tables without timings, of files whose contents are times nothing.
pub fn left(folder: &Path) -> Left {
    let results = folder.join("results");
    // Which checkpoints of the way are left depends on where it was broken off.
    let of_the_way = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name == "last" || name.starts_with("e0") && name.ends_with(".safetensors")
    };
    let lasting = files(&results).into_iter().filter(|path| !of_the_way(path));
    let contents = lasting.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let bytes = match name.as_str() {
            "metrics.csv" => without_timings(&bytes),
            // Times, attempts, processes and the log of each start.
            "run.json" | "stage.json" | "log.jsonl" | "results.csv" | ".lock" => Vec::new(),
            _ => bytes,
        };
        (path.strip_prefix(&results).unwrap().to_owned(), bytes)
    });
    contents.collect()
}

/// The rows of `metrics.csv` without their last two columns.
fn without_timings(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let rows = text
        .lines()
        .map(|line| line.rsplitn(3, ',').last().unwrap());
    rows.collect::<Vec<_>>().join("\n").into_bytes()
}
