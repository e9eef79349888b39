//! Arrays of numbers in MATLAB files of version 5.
//!
//! Such a file is a header of 128 bytes and then elements, each a type and a length of 4 bytes and its content: arrays,
//! usually compressed by zlib. Their numbers lie in column order: the first dimension is the fastest.

use flate2::read::ZlibDecoder;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Bytes of the file's header, whose last four are the version and the order of bytes.
const HEADER: usize = 128;
/// Version 1, little-endian.
const LITTLE_ENDIAN: &[u8] = b"\x00\x01IM";
/// What zlib can make of one byte at the very most.
const MAX_INFLATION: u64 = 1032;

// Types of elements; those of whole numbers, with and without a sign, are 1 to 6.
const UINT8: u32 = 2;
const INT32: u32 = 5;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// An array: its shape, and its numbers as they are stored, which may be in a narrower type than its own.
pub(super) struct Array {
    pub shape: Vec<usize>,
    element: u32,
    bytes: Vec<u8>,
}

impl Array {
    /// The numbers, where they are bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        (self.element == UINT8).then_some(&self.bytes)
    }

    /// The numbers; of whole ones, those below zero come out as very large.
    pub fn numbers(&self) -> impl Iterator<Item = f64> {
        let value = |bytes: &[u8]| match bytes.try_into() {
            Ok(bytes) if self.element == DOUBLE => f64::from_le_bytes(bytes),
            _ => bytes
                .iter()
                .rev()
                .fold(0.0, |n, &byte| 256.0 * n + f64::from(byte)),
        };
        self.bytes.chunks_exact(width(self.element)).map(value)
    }
}

/// Reads the arrays of these names, each of one letter, from a file of so many bytes; those that it does not have are left
/// out.
pub(super) fn read(
    mut file: impl Read,
    length: u64,
    names: &[u8],
) -> Result<BTreeMap<u8, Array>, String> {
    let mut header = [0; HEADER];
    read_exact(&mut file, &mut header)?;
    if !header.ends_with(LITTLE_ENDIAN) {
        return Err("it is no little-endian MATLAB file of version 5".to_owned());
    }
    let mut found = BTreeMap::new();
    let mut left = length.saturating_sub(HEADER as u64);
    while left >= 8 && found.len() < names.len() {
        let (kind, size, _) = tag(&mut file)?;
        if size > left - 8 {
            return Err(format!("an element of {size} bytes reaches beyond its end"));
        }
        left -= 8 + size;
        let mut element = file.by_ref().take(size);
        let array = match kind {
            COMPRESSED => {
                let mut inside = ZlibDecoder::new(&mut element);
                let most = size.saturating_mul(MAX_INFLATION);
                let array = match tag(&mut inside)? {
                    (MATRIX, inner, _) => {
                        array(&mut inside.by_ref().take(inner), inner.min(most), names)?
                    }
                    _ => None,
                };
                // To the end, where the checksum is.
                io::copy(&mut inside.take(most), &mut io::sink()).map_err(unreadable)?;
                array
            }
            MATRIX => array(&mut element, size, names)?,
            _ => None,
        };
        found.extend(array);
        io::copy(&mut element, &mut io::sink()).map_err(unreadable)?;
    }
    Ok(found)
}

/// Bytes of a number of the type.
fn width(element: u32) -> usize {
    match element {
        3 | 4 => 2,
        INT32 | 6 => 4,
        DOUBLE => 8,
        _ => 1,
    }
}

/// The name and the content of an array of at most `most` bytes; nothing for arrays of other names.
fn array(reader: &mut impl Read, most: u64, names: &[u8]) -> Result<Option<(u8, Array)>, String> {
    let (_, flags) = part(reader, 16)?;
    let (kind, dims) = part(reader, 128)?;
    let (_, name) = part(reader, 128)?;
    let &[name] = &name[..] else {
        return Ok(None);
    };
    if !names.contains(&name) {
        return Ok(None);
    }
    // Full arrays of numbers are of classes 6 (double) to 15.
    if kind != INT32 || !flags.first().is_some_and(|class| (6..=15).contains(class)) {
        return Err(format!("its `{}` is no array of numbers", char::from(name)));
    }
    let shape: Vec<usize> = dims
        .chunks_exact(4)
        .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
        .collect();
    let (element, bytes) = part(reader, most)?;
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let expected = count.and_then(|count| count.checked_mul(width(element)));
    if expected != Some(bytes.len()) {
        return Err(format!(
            "an array of shape {shape:?} has {} bytes of numbers",
            bytes.len()
        ));
    }
    Ok(Some((
        name,
        Array {
            shape,
            element,
            bytes,
        },
    )))
}

/// The type and the content, of at most `most` bytes, of an element inside an array. Memory grows as it is read.
fn part(reader: &mut impl Read, most: u64) -> Result<(u32, Vec<u8>), String> {
    let (kind, size, small) = tag(reader)?;
    if let Some(content) = small {
        return Ok((kind, content));
    }
    if size > most {
        return Err(format!(
            "an element of {size} bytes is larger than what holds it"
        ));
    }
    let mut content = Vec::new();
    reader
        .by_ref()
        .take(size)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    if content.len() as u64 != size {
        return Err("it breaks off inside an element".to_owned());
    }
    // Elements begin at multiples of eight bytes; the last one may go without.
    let mut padding = reader.by_ref().take(size.next_multiple_of(8) - size);
    io::copy(&mut padding, &mut io::sink()).map_err(unreadable)?;
    Ok((kind, content))
}

/// Type and length of an element, and its content where that is at most four bytes and lies in the tag itself.
fn tag(reader: &mut impl Read) -> Result<(u32, u64, Option<Vec<u8>>), String> {
    let mut tag = [0; 8];
    read_exact(reader, &mut tag)?;
    let [kind, size] =
        [0, 4].map(|at| u32::from_le_bytes([tag[at], tag[at + 1], tag[at + 2], tag[at + 3]]));
    match kind >> 16 {
        0 => Ok((kind, u64::from(size), None)),
        few @ 1..=4 => Ok((kind & 0xffff, 0, Some(tag[4..4 + few as usize].to_vec()))),
        _ => Err(format!("an element has the unknown type {kind:#x}")),
    }
}

fn read_exact(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    reader.read_exact(bytes).map_err(unreadable)
}

fn unreadable(error: io::Error) -> String {
    format!("it cannot be read on ({error})")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::{Compression, write::ZlibEncoder};
    use std::io::Write;

    fn element(kind: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (content.len() as u32).to_le_bytes()].concat();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    pub fn matrix(name: u8, shape: &[u32], numbers: (u32, &[u8])) -> Vec<u8> {
        let shape: Vec<u8> = shape.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        let parts = [
            element(6, &[9, 0, 0, 0, 0, 0, 0, 0]),
            element(INT32, &shape),
            // A small element: one byte in the tag.
            vec![1, 0, 1, 0, name, 0, 0, 0],
            element(numbers.0, numbers.1),
        ];
        element(MATRIX, &parts.concat())
    }

    pub fn packed(matrix: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(matrix).unwrap();
        let bytes = encoder.finish().unwrap();
        let head = [COMPRESSED.to_le_bytes(), (bytes.len() as u32).to_le_bytes()];
        [head.concat(), bytes].concat()
    }

    pub fn file(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![b' '; HEADER - LITTLE_ENDIAN.len()];
        bytes.extend(LITTLE_ENDIAN);
        bytes.extend(elements.concat());
        bytes
    }

    #[test]
    fn damage_is_named() {
        let fault = |bytes: &[u8]| read(bytes, bytes.len() as u64, b"X").err().unwrap();
        let array = matrix(b'X', &[3, 1], (UINT8, &[1, 2, 3]));
        let huge = matrix(b'X', &[u32::MAX, u32::MAX, 3, 2], (UINT8, &[1]));
        assert!(fault(&file(&[huge])).contains("has 1 bytes of numbers"));
        let cut = packed(&array)[..20].to_vec();
        assert!(fault(&file(&[cut])).contains("reaches beyond its end"));
        let mut changed = packed(&array);
        *changed.last_mut().unwrap() ^= 1;
        assert!(fault(&file(&[changed])).contains("cannot be read on"));
        assert!(fault(&[0; 200]).contains("no little-endian MATLAB file"));
    }

    #[test]
    fn numbers_are_read_in_their_stored_types() {
        let array = |kind, bytes: &[u8]| {
            let count = (bytes.len() / width(kind)) as u32;
            let other = matrix(b'z', &[1, 1], (UINT8, &[1]));
            let bytes = file(&[other, packed(&matrix(b'y', &[count, 1], (kind, bytes)))]);
            let found = read(&bytes[..], bytes.len() as u64, b"y").unwrap();
            found[&b'y'].numbers().collect::<Vec<f64>>()
        };
        assert_eq!(array(UINT8, &[10, 3]), [10.0, 3.0]);
        assert_eq!(array(INT32, &[10, 1, 0, 0]), [266.0]);
        assert_eq!(array(DOUBLE, &2.5f64.to_le_bytes()), [2.5]);
    }
}
