//! Safetensors files, in and out.

use super::TensorInfo;
use super::element::Element;
use crate::atomic;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Whether the first bytes of a file are those of a safetensors file: the length of a header, then the header in JSON.
pub(super) fn recognise(start: &[u8]) -> bool {
    start.len() > 8 && start[8] == b'{'
}

/// All tensors of the file, on the CPU.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in parse(path, &bytes)?.iter() {
        let tensor = element(path, name, &view)?.tensor(view.data(), view.shape())?;
        tensors.insert(name.to_string(), tensor);
    }
    Ok(tensors)
}

/// Names, shapes and types of the file's tensors.
pub(super) fn inspect(path: &Path) -> Result<Vec<TensorInfo>> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let file = parse(path, &bytes)?;
    file.iter()
        .map(|(name, view)| {
            let dtype = element(path, name, &view)?.dtype();
            Ok(TensorInfo {
                name: name.to_string(),
                shape: view.shape().to_vec(),
                dtype,
            })
        })
        .collect()
}

/// Writes tensors to a safetensors file. A file of that name is replaced at the end, as a whole: at no time is there
/// half a file under `path`. Tensors may lie on any device and need not be contiguous.
pub fn save_safetensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let mut host = BTreeMap::new();
    for (name, tensor) in tensors {
        host.insert(name.as_str(), tensor.to_device(&Device::Cpu)?.contiguous()?);
    }
    let bytes = safetensors::serialize(&host, None).map_err(|error| {
        Error::failed(format!(
            "{}: cannot be written as safetensors ({error})",
            path.display()
        ))
    })?;

    atomic::write(path, &bytes)
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        Error::failed(format!(
            "{}: cannot be read as a safetensors file ({error}); it is truncated or damaged, fetch or write it again",
            path.display(),
        ))
    })
}

fn element(path: &Path, name: &str, view: &TensorView) -> Result<Element> {
    Element::of_safetensors(view.dtype()).ok_or_else(|| {
        Error::failed(format!(
            "{}: tensor `{name}` has elements of type {:?}, which this program does not know; convert it to F32",
            path.display(),
            view.dtype(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{inspect, load_tensors};
    use candle_core::DType;

    fn tensors() -> BTreeMap<String, Tensor> {
        let matrix = Tensor::arange(0f32, 6.0, &Device::Cpu)
            .unwrap()
            .reshape((2, 3))
            .unwrap();
        BTreeMap::from([
            ("conv.weight".to_string(), matrix.t().unwrap()),
            (
                "conv.steps".to_string(),
                Tensor::new(7i64, &Device::Cpu).unwrap(),
            ),
            ("half".to_string(), matrix.to_dtype(DType::BF16).unwrap()),
        ])
    }

    #[test]
    fn tensors_survive_a_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        fs::write(&path, "an older file").unwrap();
        save_safetensors(&path, &tensors()).unwrap();
        let read = load_tensors(&path).unwrap();
        assert_eq!(
            read.keys().collect::<Vec<_>>(),
            ["conv.steps", "conv.weight", "half"]
        );
        let weight = read["conv.weight"].to_vec2::<f32>().unwrap();
        assert_eq!(weight, [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]);
        assert_eq!(read["conv.steps"].to_scalar::<i64>().unwrap(), 7);
        assert_eq!(read["half"].dtype(), DType::BF16);
        let info = inspect(&path).unwrap();
        assert_eq!(
            info[1],
            TensorInfo {
                name: "conv.weight".into(),
                shape: vec![3, 2],
                dtype: DType::F32
            }
        );
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file stays behind"
        );
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        let message = save_safetensors(&taken, &tensors())
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with(&format!("{}: cannot write", taken.display())),
            "{message}"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_cut_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        save_safetensors(&path, &tensors()).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in [whole.len() - 1, 60, 9] {
            fs::write(&path, &whole[..length]).unwrap();
            let message = load_tensors(&path).unwrap_err().to_string();
            assert!(
                message.contains("w.safetensors: cannot be read as a safetensors file ("),
                "{message}"
            );
        }
        let mut huge = whole.clone();
        huge[..8].copy_from_slice(&99_999_999u64.to_le_bytes());
        fs::write(&path, huge).unwrap();
        assert!(load_tensors(&path).is_err());
    }
}
