//! What `torch.save` writes today: a zip archive with the pickle `<name>/data.pkl` and a file `<name>/data/<key>` for
//! each storage, all stored as they are.

use super::TensorInfo;
use super::pickle::Pickle;
use super::state_dict::{self, StoredTensor};
use crate::{Error, Result};
use candle_core::Tensor;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// Far more than the pickle of any state dict has: its tensors' bytes lie outside.
const MAX_PICKLE: usize = 256 << 20;

/// All tensors of the file's state dict, or of its entry `chosen`, on the CPU.
pub(super) fn read(path: &Path, chosen: Option<&str>) -> Result<BTreeMap<String, Tensor>> {
    let mut archive = Archive::open(path)?;
    let fault = |fault| refused(path, fault);
    let tensors = archive.tensors(chosen).map_err(fault)?;
    state_dict::materialise(tensors, archive.file_len, |tensor, len| {
        let bytes = archive.entry(&format!("{}/data/{}", archive.folder, tensor.storage), len)?;
        Ok(Cow::Owned(bytes))
    })
    .map_err(fault)
}

/// Names, shapes and types of the state dict's tensors.
pub(super) fn inspect(path: &Path, chosen: Option<&str>) -> Result<Vec<TensorInfo>> {
    let mut archive = Archive::open(path)?;
    let tensors = archive
        .tensors(chosen)
        .map_err(|fault| refused(path, fault))?;
    Ok(tensors.iter().map(StoredTensor::info).collect())
}

/// What is wrong with a torch file, and what to do about it.
pub(super) fn refused(path: &Path, fault: String) -> Error {
    Error::failed(format!(
        "{}: cannot be read as weights of torch: {fault}; save the state dict alone (torch.save(model.state_dict(), \
         ...)) or as safetensors, or fetch the file again if it is damaged",
        path.display(),
    ))
}

struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// The folder inside the archive that holds everything.
    folder: String,
    file_len: u64,
}

impl Archive {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let file_len = file.metadata().map_err(Error::io("read", path))?.len();
        let zip = ZipArchive::new(BufReader::new(file))
            .map_err(|error| refused(path, format!("it is no whole zip archive ({error})")))?;
        let mut folders = zip
            .file_names()
            .flatten()
            .filter_map(|name| name.strip_suffix("/data.pkl").map(str::to_string));
        let Some(folder) = folders.next() else {
            return Err(refused(path, "the archive holds no data.pkl".to_string()));
        };
        drop(folders);
        Ok(Self {
            zip,
            folder,
            file_len,
        })
    }

    fn tensors(&mut self, chosen: Option<&str>) -> Result<Vec<StoredTensor>, String> {
        let byte_order = format!("{}/byteorder", self.folder);
        if self.zip.index_for_name(&byte_order).is_some()
            && self.entry(&byte_order, 16)? != b"little"
        {
            return Err("its numbers are not little-endian".to_string());
        }
        let pickle = self.entry(&format!("{}/data.pkl", self.folder), MAX_PICKLE)?;
        state_dict::tensors(&Pickle::parse(&pickle)?, chosen)
    }

    /// The bytes of an entry, `at_most` of them. An entry may claim any size; only what the file has is read.
    fn entry(&mut self, name: &str, at_most: usize) -> Result<Vec<u8>, String> {
        let unreadable =
            |error: &dyn std::fmt::Display| format!("its part `{name}` cannot be read ({error})");
        let entry = self.zip.by_name(name).map_err(|error| unreadable(&error))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(unreadable(&"it is compressed, which torch.save never does"));
        }
        let mut bytes = Vec::new();
        entry
            .take(self.file_len.min(at_most as u64))
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(&error))?;
        Ok(bytes)
    }
}
