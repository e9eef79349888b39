//! Safetensors files, in and out.

use super::TensorInfo;
use super::element::Element;
use crate::atomic;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// The entry of the metadata that holds the checksum of everything else in the file.
const CHECKSUM: &str = "runner.blake3";

/// Bytes written at a time.
const BUFFER: usize = 1 << 20;

/// What to do about a file of the user's that is damaged.
const AGAIN: &str = "; fetch or write it again";

/// Whether the first bytes of a file are those of a safetensors file: the length of a header, then the header in JSON.
pub(super) fn recognise(start: &[u8]) -> bool {
    start.len() > 8 && start[8] == b'{'
}

/// Named tensors, in the order of their names.
pub type Tensors = BTreeMap<String, Tensor>;

/// Reads all tensors of a safetensors file to `device`, in their own types, and the file's metadata.
///
/// # Errors
/// A file that is no whole safetensors file or does not fit its checksum; the message names it, and the caller says what
/// to do about it.
pub fn load_safetensors(
    path: &Path,
    device: &Device,
) -> Result<(Tensors, HashMap<String, String>)> {
    let (tensors, metadata, _) = load(path, device, "")?;
    Ok((tensors, metadata))
}

/// As [`load_safetensors`], for files that must have a checksum.
pub fn load_with_checksum(
    path: &Path,
    device: &Device,
) -> Result<(Tensors, HashMap<String, String>)> {
    let (tensors, metadata, checked) = load(path, device, "")?;
    if !checked {
        return Err(Error::failed(format!(
            "{}: has no checksum: damaged, or written by an earlier version",
            path.display()
        )));
    }
    Ok((tensors, metadata))
}

/// All tensors of the file, on the CPU.
pub(super) fn read(path: &Path) -> Result<Tensors> {
    Ok(load(path, &Device::Cpu, AGAIN)?.0)
}

/// The tensors, the metadata but for the checksum, and whether there was one.
fn load(
    path: &Path,
    device: &Device,
    remedy: &str,
) -> Result<(Tensors, HashMap<String, String>, bool)> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let wrong = |error: SafeTensorError| damaged(path, &error, remedy);
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(wrong)?;
    let mut metadata = header.metadata().clone().unwrap_or_default();
    let file = SafeTensors::deserialize(&bytes).map_err(wrong)?;
    let expected = metadata.remove(CHECKSUM);
    if let Some(expected) = &expected {
        let views: BTreeMap<&str, _> = file.iter().collect();
        if checksum(&metadata, &views) != *expected {
            return Err(Error::failed(format!(
                "{}: damaged: its content does not fit its checksum{remedy}",
                path.display()
            )));
        }
    }
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let tensor = element(path, name, view.dtype())?.tensor(view.data(), view.shape())?;
        tensors.insert(name.to_string(), tensor.to_device(device)?);
    }
    Ok((tensors, metadata, expected.is_some()))
}

/// The checksum of a file's content: its metadata, and names, types, shapes and bytes of its tensors.
fn checksum<V: View>(metadata: &HashMap<String, String>, tensors: &BTreeMap<&str, V>) -> String {
    let mut hash = blake3::Hasher::new();
    // Each part after its length, so that no two contents give the same bytes.
    let mut add = |part: &[u8]| {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    for (key, value) in metadata.iter().collect::<BTreeMap<_, _>>() {
        add(key.as_bytes());
        add(value.as_bytes());
    }
    for (name, tensor) in tensors {
        add(name.as_bytes());
        add(format!("{:?} {:?}", tensor.dtype(), tensor.shape()).as_bytes());
        add(&tensor.data());
    }
    hash.finalize().to_hex().to_string()
}

/// Names, shapes and types of the file's tensors, by its header alone.
pub(super) fn inspect(path: &Path) -> Result<Vec<TensorInfo>> {
    let header = header(path)?;
    let tensors = header.tensors().into_iter();
    tensors
        .map(|(name, info)| {
            let element = element(path, &name, info.dtype)?;
            Ok(TensorInfo {
                name,
                shape: info.shape.clone(),
                element,
            })
        })
        .collect()
}

/// The file's metadata.
pub(super) fn metadata(path: &Path) -> Result<HashMap<String, String>> {
    Ok(header(path)?.metadata().clone().unwrap_or_default())
}

/// The file's header. That the file is as long as it says is checked without reading on.
fn header(path: &Path) -> Result<Metadata> {
    let wrong = |error: SafeTensorError| damaged(path, &error, AGAIN);
    let read = Error::io("read", path);
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let bytes = file.metadata().map_err(Error::io("read", path))?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(read)?;
    let length = u64::from_le_bytes(length);
    if length > bytes.saturating_sub(8) {
        return Err(wrong(SafeTensorError::InvalidHeaderLength));
    }
    let mut header = Vec::new();
    file.take(length)
        .read_to_end(&mut header)
        .map_err(Error::io("read", path))?;
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|error| wrong(SafeTensorError::InvalidHeaderDeserialization(error)))?;
    if (header.data_len() as u64).checked_add(8 + length) != Some(bytes) {
        return Err(wrong(SafeTensorError::MetadataIncompleteBuffer));
    }
    Ok(header)
}

/// Writes tensors and metadata to a safetensors file, with a checksum. A file of that name is replaced at the end, as a
/// whole: at no time is there half a file under `path`. Tensors may lie on any device and need not be contiguous. The same
/// content gives the same bytes.
pub fn save_safetensors(
    path: &Path,
    tensors: &Tensors,
    mut metadata: HashMap<String, String>,
) -> Result<()> {
    let mut host = BTreeMap::new();
    for (name, tensor) in tensors {
        host.insert(name.as_str(), tensor.to_device(&Device::Cpu)?.contiguous()?);
    }
    let views: BTreeMap<&str, &Tensor> = host.iter().map(|(name, t)| (*name, t)).collect();
    metadata.insert(CHECKSUM.to_owned(), checksum(&metadata, &views));
    let refused = |why: String| Error::failed(format!("{}: cannot write: {why}", path.display()));
    // The largest elements first, as the format's own writers do: every tensor then begins at a multiple of its element.
    let mut in_order: Vec<(&str, &Tensor)> = views.into_iter().collect();
    in_order.sort_by_key(|(_, tensor)| std::cmp::Reverse(View::dtype(tensor)));
    let mut end = 0;
    let infos = in_order.iter().map(|(name, tensor)| {
        let start = end;
        end += tensor.data_len();
        let info = safetensors::tensor::TensorInfo {
            dtype: View::dtype(tensor),
            shape: View::shape(tensor).to_vec(),
            data_offsets: (start, end),
        };
        ((*name).to_owned(), info)
    });
    // By way of a value, whose maps are sorted.
    let header = Metadata::new(Some(metadata), infos.collect())
        .map_err(|error| refused(error.to_string()))
        .and_then(|header| serde_json::to_value(&header).map_err(|e| refused(e.to_string())))?;
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    atomic::replace(path, |temporary| {
        let write = || {
            let mut file = BufWriter::with_capacity(BUFFER, File::create(temporary)?);
            file.write_all(&(header.len() as u64).to_le_bytes())?;
            file.write_all(&header)?;
            for (_, tensor) in &in_order {
                file.write_all(&View::data(tensor))?;
            }
            file.flush()
        };
        write().map_err(Error::io("write", path))
    })
}

fn damaged(path: &Path, error: &SafeTensorError, remedy: &str) -> Error {
    Error::failed(format!(
        "{}: damaged or not a safetensors file ({error}){remedy}",
        path.display()
    ))
}

fn element(path: &Path, name: &str, dtype: Dtype) -> Result<Element> {
    Element::of_safetensors(dtype).ok_or_else(|| {
        Error::failed(format!(
            "{}: tensor `{name}` has elements of type {:?}, which this program does not know; convert it to F32",
            path.display(),
            dtype,
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
    fn a_file_is_replaced_as_a_whole_and_looked_into() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        fs::write(&path, "an older file").unwrap();
        save_safetensors(&path, &tensors(), HashMap::new()).unwrap();
        let info = inspect(&path).unwrap();
        let expected = TensorInfo {
            name: "conv.weight".into(),
            shape: vec![3, 2],
            element: Element::F32,
        };
        assert_eq!((info.len(), &info[1]), (3, &expected));
        let files = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1, "no temporary file stays behind");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        let message = save_safetensors(&taken, &tensors(), HashMap::new())
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with(&format!("{}: cannot write", taken.display())),
            "{message}"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_another_length_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        save_safetensors(&path, &tensors(), HashMap::new()).unwrap();
        let whole = fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let loaded = load_safetensors(&path, &Device::Cpu).err();
            for error in [loaded, load_tensors(&path).err(), inspect(&path).err()] {
                let message = error.expect("it is cut").to_string();
                assert!(message.contains("w.safetensors: "), "{message}");
            }
        };
        for cut in (0..whole.len()).rev().step_by(7) {
            refused(&whole[..cut]);
        }
        refused(&[&whole[..], b"\0"].concat());
        refused(&[&99_999_999u64.to_le_bytes()[..], &whole[8..]].concat());
        let message = load_tensors(&path).unwrap_err().to_string();
        assert!(
            message.contains("damaged or not a safetensors file (")
                && message.ends_with("; fetch or write it again"),
            "{message}"
        );
    }

    #[test]
    fn the_header_is_enough_to_look_into_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        // Far more values than any memory holds, of which a sparse file takes no room.
        let count = 1u64 << 40;
        let header = format!(
            "{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{count}],\"data_offsets\":[0,{}]}}}}",
            4 * count
        );
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        fs::write(&path, &bytes).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(bytes.len() as u64 + 4 * count).unwrap();
        let info = inspect(&path).unwrap();
        assert_eq!(info[0].shape, [count as usize]);
    }

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
            ("half".to_owned(), matrix.to_dtype(DType::BF16).unwrap()),
            (
                "empty".to_owned(),
                Tensor::zeros((0, 3), DType::F32, &device).unwrap(),
            ),
        ]);
        let metadata = HashMap::from([("a".to_owned(), "b".to_owned())]);
        save_safetensors(&path, &tensors, metadata.clone()).unwrap();
        let (read, read_metadata) = load_safetensors(&path, &device).unwrap();
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
    fn the_same_content_gives_the_same_bytes_and_a_changed_bit_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let entries = ["a", "b", "c", "d"].map(|key| (key.to_owned(), key.to_owned()));
        let save = || {
            save_safetensors(&path, &tensors(), HashMap::from(entries.clone())).unwrap();
            fs::read(&path).unwrap()
        };
        let mut bytes = save();
        assert_eq!(bytes, save());
        *bytes.last_mut().unwrap() ^= 4;
        fs::write(&path, bytes).unwrap();
        let message = load_tensors(&path).unwrap_err().to_string();
        assert!(
            message.ends_with(
                "damaged: its content does not fit its checksum; fetch or write it again"
            ),
            "{message}"
        );
    }
}
