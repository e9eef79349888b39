//! Extra images are found where they lie in their file, and dealt out with those of the set.

use std::io::{Cursor, Write};
use std::sync::Arc;

use candle_core::Device;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::data::augment::{CutMix, HorizontalFlip};
use crate::data::{Augmentation, Dataset, DeviceDataset, Loader, Pixels};

const SHAPE: [usize; 3] = [3, 2, 4];
const LEN: usize = 7;

/// An array as numpy writes it.
fn array(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), bytes].concat()
}

fn archive(method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .large_file(true);
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The byte of a pixel.
fn value(image: usize, [c, y, x]: [usize; 3]) -> u8 {
    (image * 29 + c * 100 + y * 40 + x * 7) as u8
}

fn images() -> Vec<u8> {
    let [channels, height, width] = SHAPE;
    let mut bytes = Vec::new();
    for image in 0..LEN {
        for y in 0..height {
            for x in 0..width {
                bytes.extend((0..channels).map(|c| value(image, [c, y, x])));
            }
        }
    }
    array("|u1", "(7, 2, 4, 3)", &bytes)
}

fn labels(values: [i64; LEN]) -> Vec<u8> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    array("<i8", "(7,)", &bytes)
}

const LABELS: [i64; LEN] = [3, 0, 9, 9, 1, 2, 5];

fn write(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("extra.npz");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn open(arrays: &[(&str, Vec<u8>)], method: CompressionMethod) -> Result<Extra> {
    let (_folder, path) = write(&archive(method, arrays));
    Extra::open(&path, SHAPE, 10, 0.6)
}

fn good() -> Extra {
    open(
        &[("image", images()), ("label", labels(LABELS))],
        CompressionMethod::Stored,
    )
    .unwrap()
}

#[test]
fn images_and_labels_are_those_of_their_number() {
    let extra = good();
    assert_eq!(extra.len(), LEN);
    let mut image = [0.0; 24];
    for number in [4, 0, 6, 4] {
        extra.image_f32(number, &mut image).unwrap();
        for (at, &found) in image.iter().enumerate() {
            let position = [at / 8, at / 4 % 2, at % 4];
            assert_eq!(found, f32::from(value(number, position)) / 255.0);
        }
        assert_eq!(extra.label(number).unwrap(), LABELS[number] as u32);
    }
    let bytes = array("|u1", "(7,)", &LABELS.map(|label| label as u8));
    let small = open(
        &[("label", bytes), ("image", images())],
        CompressionMethod::Stored,
    )
    .unwrap();
    assert_eq!(small.label(2).unwrap(), 9);
}

#[test]
fn other_files_are_refused_in_words() {
    let fault = |arrays: &[(&str, Vec<u8>)], method| {
        let message = open(arrays, method).unwrap_err().to_string();
        let (_, found) = message.split_once("extra.npz: ").expect("names the file");
        found.split(';').next().unwrap().to_owned()
    };
    let stored = CompressionMethod::Stored;
    let [image, label] = [("image", images()), ("label", labels(LABELS))];
    assert_eq!(
        fault(&[image.clone(), label.clone()], CompressionMethod::Deflated),
        "the array `image` is compressed, as numpy.savez_compressed does it"
    );
    assert_eq!(
        fault(&[("images", images()), label.clone()], stored),
        "has no array `image`, it holds [images.npy, label.npy]"
    );
    let turned = array("|u1", "(7, 3, 2, 4)", &[0; 168]);
    assert_eq!(
        fault(&[("image", turned), label.clone()], stored),
        "`image` is U8 [7, 3, 2, 4], at least one image, U8 [N, 2, 4, 3], was expected"
    );
    let few = array("<i8", "(6,)", &[0; 48]);
    assert_eq!(
        fault(&[image.clone(), ("label", few)], stored),
        "`label` is I64 [6], 7 integers were expected"
    );
    let larger = array("|u1", "(4000000000, 2, 4, 3)", &[0; 168]);
    assert_eq!(
        fault(&[("image", larger), label.clone()], stored),
        "array `image`: its shape [4000000000, 2, 4, 3] does not fit its 253 bytes"
    );
    for (value, said) in [(10, "10"), (-1, "-1")] {
        let mut values = LABELS;
        values[5] = value;
        assert_eq!(
            fault(&[image.clone(), ("label", labels(values))], stored),
            format!("label {said} of image 5 is not one of the 10 classes of data.kind")
        );
    }
}

fn set(count: usize) -> Arc<Dataset> {
    Arc::new(Dataset {
        shape: SHAPE,
        pixels: Pixels::U8((0..count * 24).map(|value| (value % 251) as u8).collect()),
        labels: (0..count).map(|index| (index % 10) as u32).collect(),
        names: vec![String::new(); count],
        classes: vec![String::new(); 10],
    })
}

type Dealt = (Vec<usize>, Vec<u32>, Vec<f32>);

fn dealt(placed: &DeviceDataset, list: &[Augmentation], epoch: u64, first: usize) -> Vec<Dealt> {
    let loader = Loader::train(placed, 5, list, 3, epoch, first).unwrap();
    let batches = loader.map(|batch| batch.unwrap());
    batches
        .map(|batch| {
            let pixels = batch.images.flatten_all().unwrap().to_vec1().unwrap();
            (batch.indices, batch.label_values, pixels)
        })
        .collect()
}

#[test]
fn batches_have_their_share_and_go_on_where_they_were_left() {
    let placed = DeviceDataset::with_extra(set(23), &Device::Cpu, good());
    let whole = dealt(&placed, &[], 1, 0);
    let sizes = whole.iter().map(|(indices, ..)| {
        let extra = indices.iter().filter(|&&index| index >= 23).count();
        [indices.len() - extra, extra]
    });
    assert_eq!(
        sizes.collect::<Vec<_>>(),
        [[2, 3], [2, 3], [2, 3], [2, 3], [2, 1]]
    );
    let all = || whole.iter().flat_map(|(indices, ..)| indices.iter());
    let own: Vec<&usize> = all().filter(|&&index| index < 23).collect();
    let distinct: std::collections::HashSet<_> = own.iter().collect();
    assert_eq!(own.len(), distinct.len(), "no image of the set comes twice");
    for (indices, labels, pixels) in &whole {
        for ((&index, &label), image) in indices.iter().zip(labels).zip(pixels.chunks_exact(24)) {
            let (expected, first) = match index.checked_sub(23) {
                Some(number) => (LABELS[number] as u32, value(number, [0; 3])),
                None => ((index % 10) as u32, (index * 24 % 251) as u8),
            };
            assert_eq!((label, image[0]), (expected, f32::from(first) / 255.0));
        }
    }
    let list = [
        Augmentation::HorizontalFlip(HorizontalFlip {}),
        Augmentation::CutMix(CutMix {
            alpha: 1.0,
            probability: 1.0,
        }),
    ];
    for list in [&[][..], &list] {
        let whole = dealt(&placed, list, 1, 0);
        assert_eq!(dealt(&placed, list, 1, 3)[..], whole[3..]);
        assert_ne!(dealt(&placed, list, 2, 0)[0].0, whole[0].0);
    }
}

#[test]
fn a_file_that_goes_is_an_error_of_the_batch() {
    let bytes = archive(
        CompressionMethod::Stored,
        &[("label", labels(LABELS)), ("image", images())],
    );
    let (_folder, path) = write(&bytes);
    let extra = Extra::open(&path, SHAPE, 10, 0.6).unwrap();
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(200)
        .unwrap();
    let placed = DeviceDataset::with_extra(set(23), &Device::Cpu, extra);
    let mut loader = Loader::train(&placed, 5, &[], 3, 0, 0).unwrap();
    let message = loader.next().unwrap().unwrap_err().to_string();
    assert!(message.contains("extra.npz"), "{message}");
    assert!(loader.next().is_none());
}
