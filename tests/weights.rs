//! Files that PyTorch wrote (tests/parity/make_weight_fixtures.py) and what becomes of them.

use candle_core::{DType, Tensor};
use runner::weights::{TensorInfo, inspect, inspect_entry, load_entry, load_tensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/weights")
        .join(name)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor
        .to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn check(
    tensors: &BTreeMap<String, Tensor>,
    name: &str,
    dtype: DType,
    shape: &[usize],
    expected: &[f64],
) {
    let tensor = &tensors[name];
    assert_eq!((tensor.dtype(), tensor.dims()), (dtype, shape), "{name}");
    assert_eq!(values(tensor), expected, "{name}");
}

fn count(to: usize) -> Vec<f64> {
    (0..to).map(|value| value as f64).collect()
}

#[test]
fn every_kind_of_tensor_is_read_from_both_formats() {
    for file in ["kinds.pt", "kinds_legacy.pth"] {
        let tensors = load_tensors(&fixture(file)).unwrap();
        assert_eq!(tensors.len(), 18, "{file}");
        check(&tensors, "f32", DType::F32, &[2, 3, 4], &count(24));
        check(&tensors, "f64", DType::F64, &[4], &count(4));
        check(&tensors, "f16", DType::F16, &[4], &count(4));
        check(&tensors, "bf16", DType::BF16, &[4], &count(4));
        check(&tensors, "i64", DType::I64, &[], &[7.0]);
        check(&tensors, "i32", DType::I32, &[2], &[-1.0, 2.0]);
        check(&tensors, "i16", DType::I16, &[2], &[-1.0, 2.0]);
        check(&tensors, "i8", DType::I16, &[2], &[-128.0, 127.0]);
        check(&tensors, "u8", DType::U8, &[2], &[0.0, 255.0]);
        check(&tensors, "bool", DType::U8, &[2], &[1.0, 0.0]);
        check(
            &tensors,
            "transposed",
            DType::F32,
            &[3, 2],
            &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0],
        );
        let strided = [4.0, 6.0, 8.0, 10.0, 16.0, 18.0, 20.0, 22.0];
        check(&tensors, "strided", DType::F32, &[2, 2, 2], &strided);
        check(
            &tensors,
            "channels_last",
            DType::F32,
            &[1, 2, 3, 4],
            &count(24),
        );
        check(&tensors, "expanded", DType::F32, &[2, 3], &[5.0; 6]);
        check(&tensors, "empty", DType::F32, &[0, 3], &[]);
        check(&tensors, "shared.a", DType::F32, &[4], &count(4));
        check(
            &tensors,
            "shared.b",
            DType::F32,
            &[4],
            &[2.0, 3.0, 4.0, 5.0],
        );
        check(&tensors, "parameter", DType::F32, &[2], &[1.0, 2.0]);
    }
}

#[test]
fn state_dicts_come_out_of_their_wrappers() {
    for file in ["wrapped.pt", "wrapped_legacy.pth", "optimizer.pt"] {
        let tensors = load_tensors(&fixture(file)).unwrap();
        let names: Vec<&String> = tensors.keys().collect();
        let expected = [
            "bn.bias",
            "bn.num_batches_tracked",
            "bn.running_mean",
            "bn.running_var",
            "bn.weight",
            "conv.bias",
            "conv.weight",
        ];
        assert_eq!(names, expected, "{file}");
        check(
            &tensors,
            "conv.weight",
            DType::F32,
            &[2, 1, 3, 3],
            &count(18),
        );
        check(&tensors, "conv.bias", DType::F32, &[2], &[1.0, 2.0]);
        check(&tensors, "bn.num_batches_tracked", DType::I64, &[], &[6.0]);
    }
}

#[test]
fn an_inspection_says_what_loading_gives() {
    for file in [
        "kinds.pt",
        "kinds_legacy.pth",
        "wrapped.pt",
        "wrapped_legacy.pth",
    ] {
        let loaded = load_tensors(&fixture(file)).unwrap();
        let seen = inspect(&fixture(file)).unwrap();
        assert_eq!(seen.len(), loaded.len(), "{file}");
        for (info, (name, tensor)) in seen.iter().zip(&loaded) {
            let TensorInfo { shape, element, .. } = info;
            assert_eq!((&info.name, shape.as_slice()), (name, tensor.dims()));
            assert_eq!(element.dtype(), tensor.dtype(), "{file}: {name}");
            assert_eq!(element.is_float(), tensor.dtype().is_float());
        }
    }
}

/// Types that Candle lacks are loaded as wider ones; an inspection says what the file has.
#[test]
fn an_inspection_shows_the_types_of_the_file() {
    for file in ["kinds.pt", "kinds_legacy.pth"] {
        let seen = inspect(&fixture(file)).unwrap();
        let kind = |name: &str| {
            let found = seen.iter().find(|tensor| tensor.name == name);
            found.unwrap().element.to_string()
        };
        for (name, words) in [
            ("i8", "I8"),
            ("bool", "BOOL"),
            ("u8", "U8"),
            ("i16", "I16"),
            ("bf16", "BF16"),
        ] {
            assert_eq!(kind(name), words, "{file}");
        }
    }
}

#[test]
fn one_of_several_entries_can_be_chosen() {
    let file = fixture("averaged.pt");
    for (entry, bias) in [
        (None, [1.0, 2.0]),
        (Some("ema"), [2.0, 3.0]),
        (Some("swa"), [2.0, 3.0]),
    ] {
        let tensors = load_entry(&file, entry).unwrap();
        check(&tensors, "conv.bias", DType::F32, &[2], &bias);
        assert_eq!(inspect_entry(&file, entry).unwrap().len(), tensors.len());
    }
    let message = load_entry(&file, Some("best")).unwrap_err().to_string();
    let expected = "it has no state dict under \"best\"; those of known names: [state_dict, ema]";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn what_is_not_plain_data_is_refused_by_name() {
    let cases = [
        (
            "namespace.pt",
            "it refers to the Python object `types.SimpleNamespace`, which is neither",
        ),
        (
            "module.pt",
            "it refers to the Python object `torch.nn.modules.conv.Conv2d`, which is neither",
        ),
        (
            "command_legacy.pth",
            "it refers to the Python object `posix.system`, which is neither",
        ),
        (
            "no_tensors.pt",
            "it holds no tensors, neither by themselves nor in an entry such as state_dict, model_state_dict, net, \
             model; its keys begin with [epoch, loss]",
        ),
    ];
    for (file, expected) in cases {
        for message in [
            load_tensors(&fixture(file)).unwrap_err().to_string(),
            inspect(&fixture(file)).unwrap_err().to_string(),
        ] {
            assert!(
                message.starts_with(&format!("{}: ", fixture(file).display())),
                "{message}"
            );
            assert!(message.contains(expected), "{message}");
            assert!(
                message.contains("save the state dict alone (torch.save(model.state_dict(), ...))"),
                "{message}"
            );
        }
    }
}

#[test]
fn other_files_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let message = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let message = load_tensors(&path).unwrap_err().to_string();
        message
            .strip_prefix(&format!("{}: ", path.display()))
            .expect("names the file")
            .to_string()
    };
    assert!(
        message("a.pt", b"<html>").starts_with("neither a safetensors file nor one of torch.save")
    );
    assert!(message("b.pt", b"").starts_with("neither a safetensors file nor one of torch.save"));
    let whole = std::fs::read(fixture("kinds.pt")).unwrap();
    assert!(message("c.pt", &whole[..whole.len() / 2]).contains("it is no whole zip archive ("));
    let legacy = std::fs::read(fixture("kinds_legacy.pth")).unwrap();
    assert!(message("d.pth", &legacy[..legacy.len() - 1]).contains("it breaks off before storage"));
    assert!(message("e.pth", &legacy[..300]).contains("its pickle breaks off"));
    let batch = std::fs::read(fixture("cifar_protocol2")).unwrap();
    assert!(message("f.pth", &batch).contains("it is a pickle, but none of torch.save's"));
    let folder = load_tensors(dir.path()).unwrap_err().to_string();
    assert!(
        folder.ends_with("is a folder, a file of weights was expected"),
        "{folder}"
    );
    let device = load_tensors(Path::new("/dev/null"));
    if cfg!(unix) {
        let message = device.unwrap_err().to_string();
        assert_eq!(
            message,
            "/dev/null: is no plain file, a file of weights was expected"
        );
    }
    let absent = load_tensors(&dir.path().join("absent.pt"))
        .unwrap_err()
        .to_string();
    assert!(absent.contains("absent.pt: cannot open"), "{absent}");
}
