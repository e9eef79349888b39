//! Which objects of a torch file are the weights, by what names, and how they become tensors.

use super::TensorInfo;
use super::element::Element;
use super::layout::Layout;
use super::pickle::{Id, Node, Pickle};
use candle_core::Tensor;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The entries in which training code keeps a state dict, the most specific first; averages come after the weights that
/// they are of.
const ENTRIES: [&str; 10] = [
    "state_dict",
    "model_state_dict",
    "net",
    "model",
    "params",
    "ema_state_dict",
    "state_dict_ema",
    "model_ema",
    "ema",
    "params_ema",
];
/// What `DataParallel`, `torch.compile` and training code put before every name.
const PREFIXES: [&str; 6] = [
    "module.",
    "model.",
    "_orig_mod.",
    "net.",
    "network.",
    "backbone.",
];
/// How many times its length a file's tensors may take together, for weights that are shared or expanded.
const MAX_GROWTH: u64 = 4;
/// Added to that bound, for small files.
const SLACK: u64 = 16 << 20;

/// A tensor of a state dict and where its elements are.
pub(super) struct StoredTensor {
    pub name: String,
    pub element: Element,
    /// The name of the storage.
    pub storage: String,
    /// The number of elements that the storage has.
    pub storage_len: usize,
    layout: Layout,
}

impl StoredTensor {
    pub fn info(&self) -> TensorInfo {
        TensorInfo {
            name: self.name.clone(),
            shape: self.layout.shape().to_vec(),
            element: self.element,
        }
    }
}

/// The tensors of a file's pickle, of its entry `chosen` where one is. What else lies in the state dict is passed over.
pub(super) fn tensors(pickle: &Pickle, chosen: Option<&str>) -> Result<Vec<StoredTensor>, String> {
    let dict = state_dict(pickle, chosen)?;
    let Node::Dict(entries) = pickle.node(dict) else {
        return Err(format!(
            "it holds a {}, a dict of tensors was expected",
            pickle.node(dict).kind()
        ));
    };
    // A key may be set twice; the last value counts.
    let mut tensors = BTreeMap::new();
    for &(key, value) in entries {
        let Node::Tensor(tensor) = pickle.node(value) else {
            continue;
        };
        let name = pickle
            .text(key)
            .ok_or("the name of a tensor is not a string")?;
        let Node::Storage(storage) = pickle.node(tensor.storage) else {
            return Err(format!("tensor `{name}` has no storage"));
        };
        let stored = StoredTensor {
            name: name.to_string(),
            element: storage.element,
            storage: storage.key.to_string(),
            storage_len: storage.len,
            layout: tensor.layout.clone(),
        };
        tensors.insert(name, stored);
    }
    if tensors.is_empty() {
        let keys: Vec<&str> = entries
            .iter()
            .take(8)
            .filter_map(|&(key, _)| pickle.text(key))
            .collect();
        return Err(format!(
            "it holds no tensors, neither by themselves nor in an entry such as {}; its keys begin with [{}]",
            ENTRIES[..4].join(", "),
            keys.join(", ")
                .chars()
                .take(200)
                .flat_map(char::escape_debug)
                .collect::<String>(),
        ));
    }
    Ok(tensors.into_values().collect())
}

/// The dict of the entry `chosen`, else of the first of [`ENTRIES`] that is there, else the whole.
fn state_dict(pickle: &Pickle, chosen: Option<&str>) -> Result<Id, String> {
    let root = pickle.root();
    let dict = |entry: &str| {
        let value = pickle.get(root, entry)?;
        matches!(pickle.node(value), Node::Dict(_)).then_some(value)
    };
    let known = || ENTRIES.iter().filter(|entry| dict(entry).is_some());
    if let Some(chosen) = chosen {
        let known: Vec<&str> = known().copied().collect();
        return dict(chosen).ok_or_else(|| {
            format!(
                "it has no state dict under \"{chosen}\"; those of known names: [{}]",
                known.join(", ")
            )
        });
    }
    if let (Some(taken), Some(other)) = (known().next(), known().nth(1)) {
        tracing::info!(
            "weights: taken from the entry \"{taken}\"; there is \"{other}\" too, see model.weights_entry"
        );
    }
    Ok(known().next().and_then(|entry| dict(entry)).unwrap_or(root))
}

/// The prefixes that all names share, as one string.
pub(super) fn common_prefix<'a>(names: impl Iterator<Item = &'a str> + Clone) -> &'a str {
    let Some(first) = names.clone().next() else {
        return "";
    };
    let mut length = 0;
    while let Some(prefix) = PREFIXES.iter().find(|prefix| {
        // A name must not become empty.
        names.clone().all(|name| {
            name.get(length..)
                .is_some_and(|rest| rest.len() > prefix.len() && rest.starts_with(**prefix))
        })
    }) {
        length += prefix.len();
    }
    &first[..length]
}

/// Makes the tensors. `storage` gives the bytes of a storage by its key; it is asked once for each, and what it gives
/// must hold `storage_len` elements.
pub(super) fn materialise<'a>(
    mut tensors: Vec<StoredTensor>,
    file_len: u64,
    mut storage: impl FnMut(&StoredTensor, usize) -> Result<Cow<'a, [u8]>, String>,
) -> Result<BTreeMap<String, Tensor>, String> {
    let total = tensors.iter().try_fold(0u64, |total, tensor| {
        let bytes = (tensor.layout.count() as u64).checked_mul(tensor.element.size() as u64)?;
        total.checked_add(bytes)
    });
    let bound = file_len.saturating_mul(MAX_GROWTH).saturating_add(SLACK);
    if total.is_none_or(|total| total > bound) {
        return Err(format!(
            "its tensors would take more than {bound} bytes, the file has {file_len}"
        ));
    }
    tensors.sort_by(|a, b| a.storage.cmp(&b.storage));
    let mut named = BTreeMap::new();
    for group in tensors.chunk_by(|a, b| a.storage == b.storage) {
        // Tensors of one storage may differ in what they take it for; the longest view decides.
        let needed = |tensor: &StoredTensor| tensor.storage_len.checked_mul(tensor.element.size());
        let longest = group
            .iter()
            .map(needed)
            .try_fold(0, |longest, bytes| bytes.map(|bytes| longest.max(bytes)));
        let first = &group[0];
        let longest = longest
            .ok_or_else(|| format!("storage {} is longer than any memory", first.storage))?;
        let bytes = storage(first, longest)?;
        if bytes.len() < longest {
            return Err(format!(
                "storage {} has {} bytes, {longest} were expected",
                first.storage,
                bytes.len()
            ));
        }
        for tensor in group {
            let made = tensor.layout.tensor(&bytes, tensor.element);
            named.insert(
                tensor.name.clone(),
                made.map_err(|error| format!("tensor `{}`: {error}", tensor.name))?,
            );
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prefixes_of_all_names_are_taken_off() {
        let prefix = |names: &[&'static str]| common_prefix(names.iter().copied());
        assert_eq!(
            prefix(&["module.conv.weight", "module.conv.bias"]),
            "module."
        );
        assert_eq!(
            prefix(&["module.model.a", "module.model.b"]),
            "module.model."
        );
        assert_eq!(prefix(&["module.conv.weight", "fc.bias"]), "");
        assert_eq!(prefix(&["model.0.weight", "model.1.weight"]), "model.");
        assert_eq!(prefix(&["module."]), "");
        assert_eq!(prefix(&[]), "");
    }
}
