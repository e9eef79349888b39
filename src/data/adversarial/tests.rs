//! Files of both formats, sound and faulty.

use super::*;
use candle_core::{Device, Tensor};
use std::collections::HashMap;

fn classes() -> Vec<String> {
    vec!["a".into(), "b".into()]
}

fn expected(classes: &[String]) -> Expected<'_> {
    Expected {
        classes,
        channels: 1,
        size: None,
    }
}

fn read(path: &Path) -> Result<Dataset> {
    read_adversarial(path, expected(&classes()))
}

fn message(tensors: &[(&str, Tensor)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adversarial.safetensors");
    let tensors: HashMap<&str, Tensor> = tensors.iter().cloned().collect();
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let message = read(&path).unwrap_err().to_string();
    let rest = message
        .strip_prefix(&format!("{}: ", path.display()))
        .expect("names the file");
    let (found, remedy) = rest.split_once("; expected").expect("says what to do");
    assert!(remedy.contains(".npz"), "{remedy}");
    found.to_string()
}

fn images(values: [f32; 4]) -> Tensor {
    Tensor::from_slice(&values, (2, 1, 1, 2), &Device::Cpu).unwrap()
}

fn labels(values: [u32; 2]) -> Tensor {
    Tensor::from_slice(&values, 2, &Device::Cpu).unwrap()
}

#[test]
fn images_and_labels_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adversarial.safetensors");
    for labels in [
        labels([1, 0]),
        labels([1, 0]).to_dtype(candle_core::DType::I64).unwrap(),
    ] {
        let tensors = HashMap::from([
            ("images", images([0.0, 0.25, 1.0, 0.5])),
            ("labels", labels),
        ]);
        candle_core::safetensors::save(&tensors, &path).unwrap();
        let set = read(&path).unwrap();
        assert_eq!(set.shape, [1, 1, 2]);
        assert_eq!(set.labels, [1, 0]);
        assert_eq!(set.pixels, Pixels::F32(vec![0.0, 0.25, 1.0, 0.5]));
        assert_eq!((set.names.len(), set.classes), (2, classes()));
    }
}

#[test]
fn faults_are_named() {
    let good = || ("images", images([0.0, 0.25, 1.0, 0.5]));
    assert_eq!(
        message(&[good()]),
        "a tensor `labels` was expected, it holds [images]"
    );
    assert_eq!(
        message(&[("images", labels([0, 0])), ("labels", labels([0, 0]))]),
        "`images` is U32 [2], at least one image of shape [N, 1, H, W] was expected"
    );
    assert_eq!(
        message(&[
            ("images", images([0.0, 0.0, 0.0, 1.5])),
            ("labels", labels([0, 0]))
        ]),
        "value 1.5 of image 1 is not an intensity, 0 to 1 was expected"
    );
    assert_eq!(
        message(&[
            ("images", images([0.0, f32::NAN, 0.0, 0.0])),
            ("labels", labels([0, 0]))
        ]),
        "value NaN of image 0 is not an intensity, 0 to 1 was expected"
    );
    assert_eq!(
        message(&[good(), ("labels", labels([0, 2]))]),
        "label 2 of image 1 is not one of the 2 classes"
    );
    let three = Tensor::from_slice(&[0u32, 0, 0], 3, &Device::Cpu).unwrap();
    assert_eq!(
        message(&[good(), ("labels", three)]),
        "`labels` is U32 [3], integers of shape [2] were expected"
    );
    let floats = Tensor::from_slice(&[0f32, 0.0], 2, &Device::Cpu).unwrap();
    assert!(message(&[good(), ("labels", floats)]).starts_with("`labels` is F32 [2], integers"));
}

#[test]
fn a_cut_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adversarial.safetensors");
    let tensors = HashMap::from([("images", images([0.0; 4])), ("labels", labels([0, 0]))]);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(
        message.contains("cannot be read as a safetensors or npz file ("),
        "{message}"
    );
}

/// An npz archive of arrays: name, type, shape, bytes.
fn npz(path: &Path, arrays: &[(&str, &str, &str, &[u8])], method: zip::CompressionMethod) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, descr, shape, bytes) in arrays {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        archive.start_file(format!("{name}.npy"), options).unwrap();
        let length = (header.len() as u16).to_le_bytes();
        for part in [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), bytes] {
            std::io::Write::write_all(&mut archive, part).unwrap();
        }
    }
    archive.finish().unwrap();
}

#[test]
fn arrays_of_numpy_are_read_in_either_order_of_channels() {
    use zip::CompressionMethod::{Deflated, Stored};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let classes = classes();
    let colour = |size| Expected {
        classes: &classes,
        channels: 3,
        size,
    };
    let bytes: Vec<u8> = (0..24).collect();
    let labels = [1u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for method in [Stored, Deflated] {
        let write = |shape| {
            npz(
                &path,
                &[("x", "|u1", shape, &bytes), ("y", "<i8", "(2,)", &labels)],
                method,
            );
        };
        write("(2, 3, 2, 2)");
        let first = read_adversarial(&path, colour(Some([2, 2]))).unwrap();
        assert_eq!((first.shape, first.labels), ([3, 2, 2], vec![1, 0]));
        assert_eq!(first.pixels, Pixels::U8(bytes.clone().into()));
        write("(2, 2, 2, 3)");
        let last = read_adversarial(&path, colour(None)).unwrap();
        assert_eq!(last.shape, [3, 2, 2]);
        let Pixels::U8(found) = last.pixels else {
            panic!("bytes stay bytes")
        };
        assert_eq!(found[..8], [0, 3, 6, 9, 1, 4, 7, 10]);
        write("(2, 3, 4)");
        assert_eq!(read(&path).unwrap().shape, [1, 3, 4]);
        assert!(read_adversarial(&path, colour(None)).is_err());
    }
    // Two images of 3x1x3: the channels may be on either side.
    let floats: Vec<u8> = (0..18u8)
        .flat_map(|i| (f64::from(i) / 17.0).to_le_bytes())
        .collect();
    npz(
        &path,
        &[
            ("images", "<f8", "(2, 3, 1, 3)", &floats),
            ("labels", "|i1", "(2,)", &[1, 0]),
        ],
        Stored,
    );
    let fault = read_adversarial(&path, colour(None))
        .unwrap_err()
        .to_string();
    assert!(
        fault.contains("does not tell whether the channels come first or last"),
        "{fault}"
    );
    let fault = read_adversarial(&path, colour(Some([32, 32])))
        .unwrap_err()
        .to_string();
    let words = "`images` is F64 [2, 3, 1, 3], at least one image of shape [N, 3, 32, 32] was expected or [N, 32, 32, 3]";
    assert!(fault.contains(words), "{fault}");
    let found = read_adversarial(&path, colour(Some([1, 3]))).unwrap();
    assert_eq!((found.shape, found.labels), ([3, 1, 3], vec![1, 0]));
}

#[test]
fn faults_of_arrays_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let fault = |arrays: &[(&str, &str, &str, &[u8])]| {
        npz(&path, arrays, zip::CompressionMethod::Stored);
        read(&path).unwrap_err().to_string()
    };
    let labels = ("labels", "|u1", "(1,)", &[1u8][..]);
    for (arrays, words) in [
        (
            [("image", "|u1", "(1, 1, 1)", &[0u8][..]), labels],
            "it holds [image, labels]",
        ),
        (
            [("images", "|u1", "(1, 1, 2)", &[0]), labels],
            "its shape [1, 1, 2] does not fit its content",
        ),
        (
            [("images", "|u1", "(1, 1, 1)", &[0, 0]), labels],
            "its shape [1, 1, 1] does not fit its content",
        ),
        (
            [("images", ">f4", "(1, 1, 1)", &[0; 4]), labels],
            "its type '>f4' is not read",
        ),
        (
            [("images", "<c8", "(1, 1, 1)", &[0; 8]), labels],
            "its type '<c8' is not read",
        ),
        (
            [("images", "<f2", "(1, 1, 1)", &[0; 2]), labels],
            "F32 or F64 in [0, 1] or U8 was expected",
        ),
        (
            [
                ("images", "<f8", "(4294967296, 4294967296)", &[0; 8]),
                labels,
            ],
            "is larger than the file can hold",
        ),
        (
            [
                ("images", "|u1", "(0, 99999999, 999999999999)", &[]),
                labels,
            ],
            "at least one image",
        ),
    ] {
        let found = fault(&arrays);
        assert!(found.contains(words), "{found}");
    }
}
