//! Safetensors files of Candle tensors, written whole, with metadata.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor, WithDType};
use safetensors::{Dtype, SafeTensors, View};

use crate::atomic;
use crate::error::{Error, Result};

/// Named tensors, in the order of their names.
pub type Tensors = BTreeMap<String, Tensor>;

/// Writes `tensors` to `path`, replacing the file that stands. With more than one entry in `metadata` the file's
/// bytes are not a function of its content, since the format keeps metadata in no order.
pub fn save(path: &Path, tensors: &Tensors, metadata: HashMap<String, String>) -> Result<()> {
    let views = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), Raw::new(tensor)?)))
        .collect::<Result<Vec<_>>>()?;
    let metadata = (!metadata.is_empty()).then_some(metadata);
    atomic::replace(path, |temporary| {
        safetensors::serialize_to_file(views, metadata, temporary)
            .map_err(|error| Error::failed(format!("{}: cannot write: {error}", path.display())))
    })
}

/// Reads all tensors of the file at `path` to `device`, and its metadata. Errors when it is not a whole
/// safetensors file; the caller says what to do about it.
pub fn load(path: &Path, device: &Device) -> Result<(Tensors, HashMap<String, String>)> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let damaged = |error: safetensors::SafeTensorError| {
        Error::failed(format!(
            "{}: damaged or not a safetensors file ({error})",
            path.display()
        ))
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let (data, shape) = (view.data(), view.shape());
        let tensor = match view.dtype() {
            Dtype::F64 => from_bytes(data, shape, f64::from_le_bytes, device),
            Dtype::F32 => from_bytes(data, shape, f32::from_le_bytes, device),
            Dtype::I64 => from_bytes(data, shape, i64::from_le_bytes, device),
            Dtype::U32 => from_bytes(data, shape, u32::from_le_bytes, device),
            Dtype::U8 => from_bytes(data, shape, u8::from_le_bytes, device),
            other => {
                return Err(Error::failed(format!(
                    "{}: tensor {name} has the type {other:?}, which is not read here",
                    path.display()
                )));
            }
        };
        tensors.insert(name.to_owned(), tensor?);
    }
    Ok((tensors, metadata))
}

fn from_bytes<T: WithDType, const N: usize>(
    data: &[u8],
    shape: &[usize],
    element: fn([u8; N]) -> T,
    device: &Device,
) -> Result<Tensor> {
    let (elements, _) = data.as_chunks::<N>();
    let values: Vec<T> = elements.iter().map(|&bytes| element(bytes)).collect();
    Ok(Tensor::from_vec(values, shape, device)?)
}

/// A tensor's bytes in the file's order: row-major, little-endian.
struct Raw {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Raw {
    fn new(tensor: &Tensor) -> Result<Self> {
        let (dtype, bytes) = match tensor.dtype() {
            DType::F64 => (Dtype::F64, to_bytes(tensor, f64::to_le_bytes)?),
            DType::F32 => (Dtype::F32, to_bytes(tensor, f32::to_le_bytes)?),
            DType::I64 => (Dtype::I64, to_bytes(tensor, i64::to_le_bytes)?),
            DType::U32 => (Dtype::U32, to_bytes(tensor, u32::to_le_bytes)?),
            DType::U8 => (Dtype::U8, to_bytes(tensor, u8::to_le_bytes)?),
            other => {
                return Err(Error::failed(format!(
                    "a tensor of type {other:?} cannot be saved"
                )));
            }
        };
        Ok(Self {
            dtype,
            shape: tensor.dims().to_vec(),
            bytes,
        })
    }
}

fn to_bytes<T: WithDType, const N: usize>(
    tensor: &Tensor,
    bytes: fn(T) -> [u8; N],
) -> Result<Vec<u8>> {
    let values = tensor.flatten_all()?.to_vec1::<T>()?;
    Ok(values.into_iter().flat_map(bytes).collect())
}

impl View for Raw {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_round_trips_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let device = Device::Cpu;
        let special = [f64::MIN_POSITIVE, -0.0, 1.0 / 3.0, f64::INFINITY];
        let matrix = Tensor::new(&[[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]], &device).unwrap();
        let tensors = Tensors::from([
            ("f64".to_owned(), Tensor::new(&special, &device).unwrap()),
            ("transposed".to_owned(), matrix.t().unwrap()),
            ("scalar".to_owned(), Tensor::new(7i64, &device).unwrap()),
            ("u32".to_owned(), Tensor::new(&[u32::MAX], &device).unwrap()),
            ("u8".to_owned(), Tensor::new(&[255u8], &device).unwrap()),
            (
                "empty".to_owned(),
                Tensor::zeros((0, 3), DType::F32, &device).unwrap(),
            ),
        ]);
        let metadata = HashMap::from([("a".to_owned(), "b".to_owned())]);
        save(&path, &tensors, metadata.clone()).unwrap();
        let (read, read_metadata) = load(&path, &device).unwrap();
        assert_eq!(read_metadata, metadata);
        assert_eq!(
            read.keys().collect::<Vec<_>>(),
            tensors.keys().collect::<Vec<_>>()
        );
        let bits: Vec<u64> = read["f64"]
            .to_vec1::<f64>()
            .unwrap()
            .into_iter()
            .map(f64::to_bits)
            .collect();
        assert_eq!(bits, special.map(f64::to_bits));
        assert_eq!(
            read["transposed"].to_vec2::<f32>().unwrap(),
            [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]
        );
        assert_eq!(read["scalar"].to_scalar::<i64>().unwrap(), 7);
        assert_eq!(read["u32"].to_vec1::<u32>().unwrap(), [u32::MAX]);
        assert_eq!(read["u8"].to_vec1::<u8>().unwrap(), [255]);
        assert_eq!(read["empty"].dims(), [0, 3]);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let tensor = Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap();
        save(
            &path,
            &Tensors::from([("t".into(), tensor)]),
            HashMap::new(),
        )
        .unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let message = load(&path, &Device::Cpu).unwrap_err().to_string();
            assert!(message.contains("t.safetensors: damaged"), "{message}");
        }
    }
}
