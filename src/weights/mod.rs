//! Weights that users bring: what `torch.save` writes, and safetensors.
//!
//! The content of a file decides how it is read, not its name. What comes out is always the same: tensors on the CPU
//! in their own types, by the names that the model's modules have, without the wrappers that training code puts
//! around a state dict. All files are treated as hostile: a pickle is interpreted by a small machine of our own that
//! can build plain data and tensors and nothing else.

mod element;
mod layout;
pub mod names;
pub mod pickle;
mod safetensors_file;
mod state_dict;
mod torch_legacy;
mod torch_zip;

pub use element::Element;
pub use safetensors_file::{Tensors, load_safetensors, load_with_checksum, save_safetensors};

use crate::{Error, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What a file says about one of its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// The name, as [`load_tensors`] has it.
    pub name: String,
    /// The size along each dimension.
    pub shape: Vec<usize>,
    /// The type of its elements in the file.
    pub element: Element,
}

/// The formats, told apart by a file's first bytes.
enum Format {
    Safetensors,
    TorchZip,
    TorchLegacy,
}

/// Reads all tensors of a `.pt`, `.pth` or `.safetensors` file, on the CPU, in their own types (`i8` comes as `i16`,
/// `bool` as `u8`).
///
/// In a torch file the tensors may stand alone or in an entry such as `state_dict`, `model` or `ema`, whatever lies beside
/// it: the first of the known ones is taken. A prefix such as `module.` that all names share is taken off.
///
/// # Errors
/// Files that are damaged or of another format, hold no tensors, or refer to any Python object that is not plain data;
/// the message names the file and what to do.
pub fn load_tensors(path: &Path) -> Result<Tensors> {
    load_entry(path, None)
}

/// As [`load_tensors`], from the entry `chosen` of a torch file where one is.
///
/// # Errors
/// A file without that entry too.
pub fn load_entry(path: &Path, chosen: Option<&str>) -> Result<Tensors> {
    let tensors = match format(path)? {
        Format::Safetensors => {
            refuse_entry(path, chosen)?;
            safetensors_file::read(path)?
        }
        Format::TorchZip => torch_zip::read(path, chosen)?,
        Format::TorchLegacy => torch_legacy::read(path, chosen)?,
    };
    let prefix = state_dict::common_prefix(tensors.keys().map(String::as_str)).len();
    Ok(tensors
        .into_iter()
        .map(|(name, tensor)| (name[prefix..].to_string(), tensor))
        .collect())
}

/// What [`load_tensors`] would read, without the tensors' values, sorted by name.
pub fn inspect(path: &Path) -> Result<Vec<TensorInfo>> {
    inspect_entry(path, None)
}

/// What [`load_entry`] would read, likewise.
pub fn inspect_entry(path: &Path, chosen: Option<&str>) -> Result<Vec<TensorInfo>> {
    let mut tensors = match format(path)? {
        Format::Safetensors => {
            refuse_entry(path, chosen)?;
            safetensors_file::inspect(path)?
        }
        Format::TorchZip => torch_zip::inspect(path, chosen)?,
        Format::TorchLegacy => torch_legacy::inspect(path, chosen)?,
    };
    let prefix = state_dict::common_prefix(tensors.iter().map(|tensor| tensor.name.as_str())).len();
    for tensor in &mut tensors {
        tensor.name.drain(..prefix);
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// The metadata of a safetensors file; other files of weights have none.
///
/// # Errors
/// As [`inspect`], as far as the beginning of the file goes.
pub fn metadata(path: &Path) -> Result<HashMap<String, String>> {
    match format(path)? {
        Format::Safetensors => safetensors_file::metadata(path),
        Format::TorchZip | Format::TorchLegacy => Ok(HashMap::new()),
    }
}

/// A safetensors file has no entries to choose from.
fn refuse_entry(path: &Path, chosen: Option<&str>) -> Result<()> {
    match chosen {
        None => Ok(()),
        Some(chosen) => Err(Error::failed(format!(
            "{}: a safetensors file has no entry \"{chosen}\"; remove model.weights_entry",
            path.display()
        ))),
    }
}

fn format(path: &Path) -> Result<Format> {
    if path.is_dir() {
        return Err(Error::failed(format!(
            "{}: is a folder, a file of weights was expected",
            path.display()
        )));
    }
    // A pipe would keep its reader waiting, and can be read only once.
    if std::fs::metadata(path).is_ok_and(|data| !data.is_file()) {
        return Err(Error::failed(format!(
            "{}: is no plain file, a file of weights was expected",
            path.display()
        )));
    }
    let mut start = Vec::new();
    let file = File::open(path).map_err(Error::io("open the weights", path))?;
    file.take(16)
        .read_to_end(&mut start)
        .map_err(Error::io("read", path))?;
    if start.starts_with(b"PK\x03\x04") {
        Ok(Format::TorchZip)
    } else if start.starts_with(&[0x80]) && !safetensors_file::recognise(&start) {
        Ok(Format::TorchLegacy)
    } else if safetensors_file::recognise(&start) {
        Ok(Format::Safetensors)
    } else {
        Err(Error::failed(format!(
            "{}: neither a safetensors file nor one of torch.save (by its first bytes); name a .safetensors, .pt or \
             .pth file, or fetch it again",
            path.display(),
        )))
    }
}
