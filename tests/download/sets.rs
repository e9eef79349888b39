//! Small sets to fetch, and what is seen while they are fetched.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use runner::data::download::{Archive, Content, Event, Installed, Part, Published, get};

pub fn md5(bytes: &[u8]) -> String {
    let digest = Md5::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Content that does not compress to nothing.
pub fn content() -> Vec<u8> {
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    noise.take(40_000).collect()
}

/// A set of one gzipped file of that content.
pub fn set(urls: Vec<String>) -> Published {
    let file = gzip(&content(), 6);
    let archive = Archive {
        name: "digits.gz".into(),
        md5: md5(&file),
        bytes: file.len() as u64,
        content: Content::Gzip {
            md5: md5(&content()),
            bytes: content().len() as u64,
        },
        urls,
    };
    Published {
        name: "digits".into(),
        parts: vec![Part {
            forms: vec![archive],
        }],
    }
}

/// Fetches, and gives what failed on the way besides the result.
pub fn fetch(
    set: &Published,
    dir: &Path,
    from: Option<&Path>,
) -> (Result<Vec<Installed>, String>, Vec<String>) {
    let failures = RefCell::new(Vec::new());
    let placed = get(set, dir, from, &|event| {
        if let Event::Failure(line) = event {
            failures.borrow_mut().push(line.to_string());
        }
    });
    (
        placed.map_err(|error| error.to_string()),
        failures.into_inner(),
    )
}

pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
