//! What `torch.save` wrote before version 1.6: five pickles (a magic number, a version, the machine's properties, the
//! object, the keys of the storages) and then the storages, each as its number of elements (8 bytes) and their bytes.

use super::TensorInfo;
use super::pickle::{Node, Pickle};
use super::state_dict::{self, StoredTensor};
use super::torch_zip::refused;
use crate::{Error, Result};
use candle_core::Tensor;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const VERSION: i128 = 1001;

/// All tensors of the file's state dict, or of its entry `chosen`, on the CPU.
pub(super) fn read(path: &Path, chosen: Option<&str>) -> Result<BTreeMap<String, Tensor>> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let fault = |fault| refused(path, fault);
    let parts = Parts::parse(&bytes, chosen).map_err(fault)?;
    state_dict::materialise(parts.tensors, bytes.len() as u64, |tensor, len| {
        let start = parts.storages.get(tensor.storage.as_str()).copied();
        let content = start.and_then(|start| bytes.get(start..)?.get(..len));
        content
            .map(Cow::Borrowed)
            .ok_or_else(|| format!("storage {} is missing or cut short", tensor.storage))
    })
    .map_err(fault)
}

/// Names, shapes and types of the state dict's tensors.
pub(super) fn inspect(path: &Path, chosen: Option<&str>) -> Result<Vec<TensorInfo>> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let parts = Parts::parse(&bytes, chosen).map_err(|fault| refused(path, fault))?;
    Ok(parts.tensors.iter().map(StoredTensor::info).collect())
}

struct Parts {
    tensors: Vec<StoredTensor>,
    /// Where the bytes of each storage begin.
    storages: HashMap<String, usize>,
}

impl Parts {
    fn parse(bytes: &[u8], chosen: Option<&str>) -> Result<Self, String> {
        let mut at = 0;
        let mut next = || {
            let pickle = Pickle::parse(&bytes[at..])?;
            at += pickle.consumed;
            Ok::<_, String>(pickle)
        };
        let magic = next()?;
        if magic.node(magic.root()) != &Node::Int(MAGIC) {
            return Err("it is a pickle, but none of torch.save's".to_string());
        }
        let version = next()?;
        if version.node(version.root()) != &Node::Int(VERSION) {
            return Err("it has an unknown version of torch.save's old format".to_string());
        }
        let machine = next()?;
        if let Some(little) = machine.get(machine.root(), "little_endian")
            && machine.node(little) != &Node::Bool(true)
        {
            return Err("its numbers are not little-endian".to_string());
        }
        let object = next()?;
        let keys = next()?;
        Ok(Self {
            tensors: state_dict::tensors(&object, chosen)?,
            storages: storages(bytes, at, &object, &keys)?,
        })
    }
}

/// Where each storage begins. The storages follow one another without a table, so every length counts, those of
/// storages that no weight uses too.
fn storages(
    bytes: &[u8],
    mut at: usize,
    object: &Pickle,
    keys: &Pickle,
) -> Result<HashMap<String, usize>, String> {
    let element_sizes: HashMap<&str, usize> = object
        .storages()
        .map(|storage| (storage.key.as_ref(), storage.element.size()))
        .collect();
    let mut starts = HashMap::new();
    for &key in keys
        .node(keys.root())
        .as_items()
        .ok_or("its list of storages is none")?
    {
        let key = keys
            .text(key)
            .ok_or("the key of a storage is not a string")?;
        let short = || format!("it breaks off before storage {}", key.escape_debug());
        let count = bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<8>())
            .ok_or_else(short)?;
        let size = element_sizes
            .get(key)
            .ok_or_else(|| format!("storage {} belongs to nothing", key.escape_debug()))?;
        let length = usize::try_from(u64::from_le_bytes(*count))
            .ok()
            .and_then(|count| count.checked_mul(*size));
        let start = at + 8;
        let end = length
            .and_then(|length| start.checked_add(length))
            .filter(|&end| end <= bytes.len());
        at = end.ok_or_else(short)?;
        starts.insert(key.to_string(), start);
    }
    Ok(starts)
}
