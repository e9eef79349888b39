//! Images and labels in an npz file of numpy: a zip archive with a file `NAME.npy` an array.
//!
//! Nothing is allocated on the word of a header alone, which candle's reader of this format does.

use super::array::Array;
use crate::data::npy::{Header, short};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// Names under which tools keep images and labels.
const NAMES: [[&str; 2]; 3] = [["images", "labels"], ["x", "y"], ["x_adv", "y"]];
/// How many times the file's length an array may take: images that were attacked compress a few times.
const MAX_GROWTH: u64 = 256;
/// Added to that bound, for small files.
const SLACK: u64 = 1 << 20;

/// Reads the two arrays.
///
/// # Errors
/// In words that go on from the file's name.
pub(super) fn read(path: &Path) -> Result<[Array; 2], String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("cannot be read as an npz file ({error})");
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let length = file.metadata().map_err(|error| unreadable(&error))?.len();
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| unreadable(&error))?;
    let has = |name: &&str| zip.index_for_name(&format!("{name}.npy")).is_some();
    let Some(names) = NAMES.iter().find(|names| names.iter().all(has)) else {
        let mut names: Vec<String> = zip
            .file_names()
            .flatten()
            .map(|name| name.trim_end_matches(".npy").escape_debug().to_string())
            .collect();
        names.sort_unstable();
        names.truncate(8);
        return Err(format!(
            "arrays `images` and `labels`, or `x` or `x_adv` and `y`, were expected, it holds [{}]",
            names.join(", ")
        ));
    };
    let most = length.saturating_mul(MAX_GROWTH).saturating_add(SLACK);
    let mut array = |name: &str| {
        let entry = zip.by_name(&format!("{name}.npy"));
        let mut entry = entry.map_err(|error| unreadable(&error))?;
        array(name, &mut entry, most).map_err(|why| format!("array `{name}`: {why}"))
    };
    Ok([array(names[0])?, array(names[1])?])
}

/// Reads one array of `most` bytes at most.
fn array(name: &str, file: &mut impl Read, most: u64) -> Result<Array, String> {
    let header = Header::read(file)?;
    let Header { shape, number, .. } = &header;
    let Some(bytes) = header.bytes().filter(|&bytes| bytes <= most) else {
        return Err(format!(
            "its shape {shape:?} is larger than the file can hold"
        ));
    };
    let mut content = Vec::new();
    // To the end of the entry, where its checksum is compared.
    file.take(bytes + 1)
        .read_to_end(&mut content)
        .map_err(short)?;
    if content.len() as u64 != bytes {
        return Err(format!("its shape {shape:?} does not fit its content"));
    }
    Ok(Array {
        name: name.to_owned(),
        number: *number,
        shape: header.shape,
        bytes: content,
    })
}
