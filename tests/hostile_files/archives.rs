//! Archives of numpy's arrays and of torch's pickles, put together anew so that their checksums are right.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// An array of an archive: its name, type, shape and numbers.
pub type Part<'a> = (&'a str, &'a str, &'a str, Vec<u8>);

/// Images and labels by the names that they have in adversarial images of other tools.
pub fn attacked() -> [Part<'static>; 2] {
    [
        ("x.npy", "<f4", "(2, 1, 3, 3)", vec![0; 72]),
        ("y.npy", "|u1", "(2,)", vec![1, 0]),
    ]
}

/// Those of extra images.
pub fn extra() -> [Part<'static>; 2] {
    [
        ("image.npy", "|u1", "(3, 2, 2, 1)", vec![9; 12]),
        ("label.npy", "<i8", "(3,)", [[0; 8]; 3].concat()),
    ]
}

/// An archive of two arrays as numpy writes it, each changed by `change`.
pub fn npz(
    method: CompressionMethod,
    parts: [Part<'_>; 2],
    mut change: impl FnMut(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, descr, shape, bytes) in parts {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let array = [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), &bytes].concat();
        archive.start_file(name, options).unwrap();
        archive.write_all(&change(&array)).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// The archive with its pickle replaced, checksums and all: damage that the zip format itself cannot see.
pub fn with_pickle(archive: &[u8], pickle: &[u8]) -> Vec<u8> {
    let mut old = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut new = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for index in 0..old.len() {
        let mut entry = old.by_index(index).unwrap();
        let name = entry.name().unwrap().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        new.start_file(&name, stored).unwrap();
        new.write_all(if name.ends_with("/data.pkl") {
            pickle
        } else {
            &content
        })
        .unwrap();
    }
    new.finish().unwrap().into_inner()
}

pub fn pickle_of(archive: &[u8]) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let name = archive
        .file_names()
        .flatten()
        .find(|name| name.ends_with("/data.pkl"))
        .unwrap()
        .to_string();
    let mut pickle = Vec::new();
    archive
        .by_name(&name)
        .unwrap()
        .read_to_end(&mut pickle)
        .unwrap();
    pickle
}
