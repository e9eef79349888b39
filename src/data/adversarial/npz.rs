//! Images and labels in an npz file of numpy: a zip archive with a file `NAME.npy` an array, each a short header in the
//! syntax of Python and then the numbers.
//!
//! Nothing is allocated on the word of a header alone, which candle's reader of this format does.

use super::array::{Array, Number};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// Names under which tools keep images and labels.
const NAMES: [[&str; 2]; 3] = [["images", "labels"], ["x", "y"], ["x_adv", "y"]];
/// Bytes that the header of an array may have; numpy writes 118.
const MAX_HEADER: usize = 4096;
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
    let short = |error: std::io::Error| format!("it breaks off or is damaged ({error})");
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(short)?;
    let mut length = [0; 4];
    let digits = match start {
        [b'\x93', b'N', b'U', b'M', b'P', b'Y', 1, _] => 2,
        [b'\x93', b'N', b'U', b'M', b'P', b'Y', 2 | 3, _] => 4,
        _ => return Err("it does not begin as an array of numpy".to_owned()),
    };
    file.read_exact(&mut length[..digits]).map_err(short)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(format!("its header has {length} bytes"));
    }
    let mut header = vec![0; length];
    file.read_exact(&mut header).map_err(short)?;
    let header = String::from_utf8(header).map_err(|_| "its header is no text".to_owned())?;
    let (shape, number) = parse(&header)?;
    let sizes = shape.iter().map(|&size| size as u64);
    let count = sizes.chain([number.size() as u64]);
    let bytes = count.clone().try_fold(1u64, u64::checked_mul);
    let Some(bytes) = bytes.filter(|&bytes| bytes <= most) else {
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
        shape,
        number,
        bytes: content,
    })
}

/// Shape and type by a header such as `{'descr': '<f4', 'fortran_order': False, 'shape': (10, 3, 32, 32), }`.
fn parse(header: &str) -> Result<(Vec<usize>, Number), String> {
    let value = |key: &str| -> Result<&str, String> {
        let (_, rest) = header
            .split_once(&format!("'{key}'"))
            .ok_or_else(|| format!("its header has no {key}"))?;
        let rest = rest.trim_start().strip_prefix(':').unwrap_or_default();
        Ok(rest.trim_start())
    };
    let quoted = value("descr")?.strip_prefix('\'').unwrap_or_default();
    let descr = quoted.split('\'').next().unwrap_or_default();
    let number = match descr.trim_start_matches(['<', '|', '=']) {
        "f2" => Number::Float(2),
        "f4" => Number::Float(4),
        "f8" => Number::Float(8),
        "i1" => Number::Signed(1),
        "i2" => Number::Signed(2),
        "i4" => Number::Signed(4),
        "i8" => Number::Signed(8),
        "u1" => Number::Unsigned(1),
        "u2" => Number::Unsigned(2),
        "u4" => Number::Unsigned(4),
        "u8" => Number::Unsigned(8),
        _ => {
            return Err(format!(
                "its type '{}' is not read; save little-endian floats or integers",
                descr.escape_debug()
            ));
        }
    };
    let sizes = value("shape")?.strip_prefix('(').unwrap_or_default();
    let (sizes, _) = sizes.split_once(')').ok_or("its header has no shape")?;
    let sizes = sizes
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    let shape: Result<Vec<usize>, _> = sizes.map(str::parse).collect();
    let shape = shape.map_err(|_| "its header has no shape".to_owned())?;
    match value("fortran_order")? {
        order if order.starts_with("False") => {}
        order if order.starts_with("True") && shape.len() < 2 => {}
        _ => {
            return Err(
                "it is stored in Fortran's order; save numpy.ascontiguousarray of it".to_owned(),
            );
        }
    }
    Ok((shape, number))
}
