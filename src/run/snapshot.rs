//! The weights that lie at a path or in a stage's folder: a file of weights, a checkpoint, or what names one.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::checkpoint::Checkpoint;
use super::files;
use super::retention::Stamp;
use super::store::{BEST, LAST};
use crate::error::Result;
use crate::weights::{TensorInfo, Tensors, inspect_entry, load_entry};

/// What the names of a model's tensors begin with in a checkpoint; the optimizer's stand beside them.
const MODEL: &str = "model.";
/// More than the pointers `best` and `last` ever hold.
const POINTER_BYTES: u64 = 256;

/// The file that a path of weights stands for: the checkpoint that a pointer (`checkpoints/best`, `checkpoints/last`)
/// names, otherwise the path itself. What a pointer names may change while its path stays.
pub fn weights_file(path: &Path) -> PathBuf {
    let is_pointer = path
        .file_name()
        .is_some_and(|name| name == BEST || name == LAST)
        && fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() <= POINTER_BYTES);
    let stamp = if is_pointer {
        fs::read_to_string(path).ok()
    } else {
        None
    };
    match stamp.and_then(|text| Stamp::parse(text.trim())) {
        Some(stamp) => path.with_file_name(stamp.file_name()),
        None => path.to_owned(),
    }
}

/// The weights at a path, under the names of the model's tensors; of a torch file those of its entry `chosen`, where one is.
///
/// # Errors
/// As [`load_entry`] and [`Checkpoint::load`].
pub fn read_weights(path: &Path, chosen: Option<&str>) -> Result<Tensors> {
    let path = weights_file(path);
    if is_checkpoint(&path, &inspect_entry(&path, chosen)?) {
        return Ok(of_model(Checkpoint::load(&path, &Device::Cpu)?));
    }
    load_entry(&path, chosen)
}

/// What [`read_weights`] would read, without the tensors' values.
///
/// # Errors
/// As [`inspect_entry`].
pub fn inspect_weights(path: &Path, chosen: Option<&str>) -> Result<Vec<TensorInfo>> {
    let path = weights_file(path);
    let found = inspect_entry(&path, chosen)?;
    if !found.iter().any(|tensor| tensor.name.starts_with(MODEL)) {
        return Ok(found);
    }
    let of_model = found.into_iter().filter_map(|tensor| {
        Some(TensorInfo {
            name: tensor.name.strip_prefix(MODEL)?.to_owned(),
            ..tensor
        })
    });
    Ok(of_model.collect())
}

/// In the folder of a training: what names its best checkpoint.
pub fn best_checkpoint(stage: &Path) -> PathBuf {
    stage.join(files::CHECKPOINTS).join(BEST)
}

/// In the folder of a training: what names its newest checkpoint.
pub fn last_checkpoint(stage: &Path) -> PathBuf {
    stage.join(files::CHECKPOINTS).join(LAST)
}

/// Whether a file, by its name or those of its tensors, is a checkpoint.
fn is_checkpoint(path: &Path, tensors: &[TensorInfo]) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    // A prefix that all names share is off by now.
    name.is_some_and(|name| Stamp::parse(name).is_some())
        || tensors.iter().any(|tensor| tensor.name.starts_with(MODEL))
}

fn of_model(checkpoint: Checkpoint) -> Tensors {
    let tensors = checkpoint.tensors.into_iter();
    let of_model =
        tensors.filter_map(|(name, tensor)| Some((name.strip_prefix(MODEL)?.to_owned(), tensor)));
    of_model.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Best, CheckpointStore};
    use candle_core::Tensor;
    use serde_json::Value;

    fn store(folder: &Path) -> CheckpointStore {
        let store = CheckpointStore::new(folder.join(files::CHECKPOINTS), 2);
        for epoch in [1, 2] {
            let tensor = |value: f32| Tensor::new(&[value], &Device::Cpu).unwrap();
            let stamp = Stamp { step: epoch, epoch };
            let best = Stamp { step: 1, epoch: 1 };
            let checkpoint = Checkpoint {
                stamp,
                best: Some(Best {
                    stamp: best,
                    score: 0.9,
                }),
                tensors: Tensors::from([
                    ("model.fc.bias".to_owned(), tensor(epoch as f32)),
                    ("optimizer.fc.bias".to_owned(), tensor(9.0)),
                ]),
                state: Value::Null,
            };
            store.save(&checkpoint).unwrap();
        }
        store
    }

    fn bias(tensors: &Tensors) -> f32 {
        assert_eq!(tensors.len(), 1);
        tensors["fc.bias"].to_vec1::<f32>().unwrap()[0]
    }

    #[test]
    fn checkpoints_and_what_names_them_are_weights() {
        let folder = tempfile::tempdir().unwrap();
        store(folder.path());
        let at = folder.path().join(files::CHECKPOINTS);
        fs::copy(at.join("e0001-s00000001.safetensors"), at.join("mine")).unwrap();
        for (name, expected) in [
            ("best", 1.0),
            ("last", 2.0),
            ("e0002-s00000002.safetensors", 2.0),
            ("mine", 1.0),
        ] {
            let path = at.join(name);
            assert_eq!(
                bias(&read_weights(&path, None).unwrap()),
                expected,
                "{name}"
            );
            let infos = inspect_weights(&path, None).unwrap();
            let names: Vec<&str> = infos.iter().map(|tensor| tensor.name.as_str()).collect();
            assert_eq!(names, ["fc.bias"], "{name}");
        }
        assert_eq!(best_checkpoint(folder.path()), at.join("best"));
        assert_eq!(last_checkpoint(folder.path()), at.join("last"));
        fs::write(at.join("best"), "../../../etc/passwd\n").unwrap();
        assert_eq!(weights_file(&at.join("best")), at.join("best"));
        assert!(read_weights(&at.join("best"), None).is_err());
    }
}
