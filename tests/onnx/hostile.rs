//! ONNX files that are damaged, lie about sizes, or refer to other files.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use prost::Message;
use prost::bytes::{BufMut, Bytes};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runner::models::{Arch, ModelConfig, build};
use runner::nn::rearrange::{Part, part};
use runner::nn::{BackwardPlan, Coordinates, Mode, Pass, Tape};

use crate::{IMAGE, arch, fault, fixture};

/// Only files in the folder are read, however they are named.
#[test]
fn nothing_outside_the_folder_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("external.onnx.data");
    std::fs::copy(fixture("external.onnx.data"), &outside).unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let original = std::fs::read(fixture("external.onnx")).unwrap();
    let file = inner.join("net.onnx");
    let name = b"external.onnx.data";
    // As long as the original, so that the message stays whole.
    for other in [
        "../ternal.onnx.data",
        "/dev/nal.onnx.data",
        "sub/../../nnx.data",
    ] {
        let mut bytes = original.clone();
        let places: Vec<usize> = (0..bytes.len() - name.len())
            .filter(|&at| bytes[at..].starts_with(name))
            .collect();
        for at in places {
            bytes[at..at + name.len()].copy_from_slice(&other.as_bytes()[..name.len()]);
        }
        std::fs::write(&file, bytes).unwrap();
        let error = fault(&file);
        assert!(
            error.contains("only files in the folder"),
            "{other}: {error}"
        );
    }
    std::fs::write(&file, &original).unwrap();
    assert!(fault(&file).contains("external.onnx.data: cannot read"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&outside, inner.join("external.onnx.data")).unwrap();
        assert!(fault(&file).contains("only files in the folder"));
        std::fs::remove_file(inner.join("external.onnx.data")).unwrap();
    }
    let data = std::fs::read(&outside).unwrap();
    std::fs::write(inner.join("external.onnx.data"), &data[..data.len() / 2]).unwrap();
    assert!(fault(&file).contains("bytes from"), "{}", fault(&file));
    std::fs::write(inner.join("external.onnx.data"), &data).unwrap();
    assert_eq!(fault(&file), "");
    assert_eq!(Arch::find(&arch(&file)).unwrap().files().unwrap().len(), 2);
}

/// Thousands of damaged files are read or refused. `RUNNER_MUTATIONS` says how many.
#[test]
fn damaged_files_are_read_or_refused() {
    let rounds = std::env::var("RUNNER_MUTATIONS")
        .ok()
        .and_then(|text| text.parse().ok());
    let rounds: usize = rounds.unwrap_or(3000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    let images = Tensor::zeros((2, 3, 16, 16), DType::F32, &Device::Cpu).unwrap();
    let mut refused = BTreeMap::new();
    for name in [
        "apart.onnx",
        "dynamo.onnx",
        "refused.onnx",
        "general.onnx",
        "untrained_dynamo.onnx",
    ] {
        let original = std::fs::read(fixture(name)).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(original.len() as u64);
        for _ in 0..rounds {
            let mut bytes = original.clone();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..bytes.len());
                match rng.random_range(0..5) {
                    0 => bytes.truncate(at + 1),
                    1 => bytes[at] ^= 1 << rng.random_range(0..8),
                    2 => bytes[at] = rng.random(),
                    3 => {
                        let end = (at + 8).min(bytes.len());
                        bytes[at..end].fill([0x00, 0x7f, 0xff][rng.random_range(0..3)]);
                    }
                    _ => {
                        let from = rng.random_range(0..bytes.len());
                        let end = (from + rng.random_range(0..60)).min(bytes.len());
                        let piece = bytes[from..end].to_vec();
                        bytes.splice(at..at, piece);
                    }
                }
            }
            let _ = std::fs::remove_file(&file);
            std::fs::write(&file, &bytes).unwrap();
            let config = ModelConfig::new(IMAGE, 10);
            match build(&arch(&file), &config) {
                // What is read can be run.
                Ok(network) => {
                    let _ = network.logits(&images);
                }
                Err(error) => {
                    assert!(!error.to_string().contains('\n'), "{error}");
                    *refused.entry(name).or_insert(0) += 1;
                }
            }
        }
    }
    for (name, count) in refused {
        assert!(
            count > rounds / 20,
            "{name}: only {count} of {rounds} refused"
        );
    }
}

/// A slice of one position may name any step.
#[test]
fn a_step_beyond_the_value_takes_its_first_position() {
    let tape = Tape::new(Pass::attack(
        BackwardPlan::none(),
        Mode::Eval,
        Coordinates::default(),
    ));
    let numbers = Tensor::new(&[[1f32, 2.0, 3.0]], &Device::Cpu).unwrap();
    let which = Part {
        axis: 1,
        start: 1,
        step: 1 << 54,
        count: 1,
    };
    let taken = part(&tape, &tape.input(&numbers), which).unwrap();
    assert_eq!(taken.tensor().to_vec2::<f32>().unwrap(), [[2.0]]);
}

/// Claims that no file can keep.
#[test]
fn lies_about_sizes_are_found() {
    #[derive(Clone, PartialEq, Message)]
    struct Tensor {
        #[prost(int64, repeated, tag = "1")]
        dims: Vec<i64>,
        #[prost(int32, tag = "2")]
        data_type: i32,
        #[prost(string, tag = "8")]
        name: String,
        #[prost(bytes = "bytes", tag = "9")]
        raw_data: Bytes,
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    let original = std::fs::read(fixture("traced.onnx")).unwrap();
    for dims in [
        vec![i64::MAX],
        vec![i64::MAX, i64::MAX],
        vec![-1],
        vec![0, i64::MAX, i64::MAX, i64::MAX],
        vec![1 << 40],
        vec![3],
    ] {
        let tensor = Tensor {
            dims: dims.clone(),
            data_type: 1,
            name: "large".into(),
            raw_data: Bytes::from_static(&[0; 8]),
        };
        // A second graph in a message is merged with the first.
        let mut graph = vec![0x2a];
        prost::encoding::encode_varint(tensor.encoded_len() as u64, &mut graph);
        graph.put_slice(&tensor.encode_to_vec());
        let mut bytes = original.clone();
        bytes.push(0x3a);
        prost::encoding::encode_varint(graph.len() as u64, &mut bytes);
        bytes.extend(graph);
        std::fs::write(&file, bytes).unwrap();
        let error = fault(&file);
        assert!(
            error.contains("tensor large: its shape"),
            "{dims:?}: {error}"
        );
    }
}
