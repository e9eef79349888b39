//! One checkpoint: all tensors and all other state of a stage at one moment, in one file.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::Device;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::retention::{Best, Stamp};
use crate::error::{Error, Result};
use crate::weights::{Tensors, load_with_checksum, save_safetensors};

/// The entry of the file's metadata beside its checksum.
const METADATA_KEY: &str = "checkpoint";

/// Version of what a checkpoint says beside its tensors.
const FORMAT_VERSION: u32 = 2;

/// What a stage needs to go on as if it had never stopped.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// When it was taken.
    pub stamp: Stamp,
    /// The best checkpoint up to this one, this one included. It is part of the state: whatever is lost beside the
    /// checkpoints, each of them says which one is the best.
    pub best: Option<Best>,
    /// Weights, running statistics, optimizer state.
    pub tensors: Tensors,
    /// Everything else. Finite floats come back bit for bit; JSON has no others, they come back as null.
    pub state: Value,
}

/// What the metadata holds beside the tensors.
#[derive(Serialize, Deserialize)]
struct Header {
    format_version: u32,
    stamp: Stamp,
    best: Option<Best>,
    state: Value,
}

impl Checkpoint {
    /// Writes the checkpoint to `path`, whole.
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = Header {
            format_version: FORMAT_VERSION,
            stamp: self.stamp,
            best: self.best,
            state: self.state.clone(),
        };
        let text = serde_json::to_string(&header)
            .map_err(|error| Error::failed(format!("{}: cannot write: {error}", path.display())))?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), text)]);
        save_safetensors(path, &self.tensors, metadata)
    }

    /// Reads the checkpoint at `path`, its tensors to `device`. Errors when it is damaged, even by a bit, or written by
    /// a newer version.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let (tensors, metadata) = load_with_checksum(path, device)?;
        let refused = |why: String| Error::failed(format!("{}: {why}", path.display()));
        let text = metadata
            .get(METADATA_KEY)
            .ok_or_else(|| refused("not a checkpoint: its metadata is missing".to_owned()))?;
        let version: Versioned =
            serde_json::from_str(text).map_err(|error| refused(format!("damaged ({error})")))?;
        if version.format_version > FORMAT_VERSION {
            return Err(refused(format!(
                "written in format {}, this version reads up to {FORMAT_VERSION}: use a newer runner",
                version.format_version
            )));
        }
        let header: Header =
            serde_json::from_str(text).map_err(|error| refused(format!("damaged ({error})")))?;
        Ok(Self {
            stamp: header.stamp,
            best: header.best,
            tensors,
            state: header.state,
        })
    }
}

/// What the checkpoint at `path` calls the best one, read from its header alone; `None` where there is none to read.
pub fn read_best(path: &Path) -> Option<Best> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let mut header = Vec::new();
    // A length beyond the file's end reads what there is, and that is then no JSON.
    file.take(u64::from_le_bytes(length))
        .read_to_end(&mut header)
        .ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    let text = header.get("__metadata__")?.get(METADATA_KEY)?.as_str()?;
    serde_json::from_str::<Header>(text).ok()?.best
}

#[derive(Deserialize)]
struct Versioned {
    format_version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Tensor;
    use serde_json::json;

    fn checkpoint(state: Value) -> Checkpoint {
        let weight = Tensor::new(&[1f32, -2.5], &Device::Cpu).unwrap();
        Checkpoint {
            stamp: STAMP,
            best: Some(BEST),
            tensors: Tensors::from([("weight".to_owned(), weight)]),
            state,
        }
    }

    const STAMP: Stamp = Stamp { step: 7, epoch: 2 };
    const BEST: Best = Best {
        stamp: Stamp { step: 3, epoch: 1 },
        score: 0.1 + 0.2,
    };

    #[test]
    fn state_round_trips_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STAMP.file_name());
        let floats = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 1e16 + 2.0];
        let state = json!({ "floats": floats, "seed": u64::MAX, "note": "quotes \" and \n lines" });
        checkpoint(state.clone()).save(&path).unwrap();
        let read = Checkpoint::load(&path, &Device::Cpu).unwrap();
        assert_eq!((read.stamp, read.best), (STAMP, Some(BEST)));
        assert_eq!(read_best(&path), Some(BEST));
        assert_eq!(read_best(folder.path()), None);
        assert_eq!(read.state, state);
        let bits = |value: &Value| value.as_f64().unwrap().to_bits();
        let read_bits: Vec<u64> = read.state["floats"]
            .as_array()
            .unwrap()
            .iter()
            .map(bits)
            .collect();
        assert_eq!(read_bits, floats.map(f64::to_bits));
        assert_eq!(
            read.tensors["weight"].to_vec1::<f32>().unwrap(),
            [1.0, -2.5]
        );
    }

    #[test]
    fn the_same_checkpoint_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            checkpoint(json!({ "z": 1, "a": [2] })).save(path).unwrap();
        }
        assert_eq!(
            std::fs::read(&paths[0]).unwrap(),
            std::fs::read(&paths[1]).unwrap()
        );
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        checkpoint(json!({ "loss": 0.25 })).save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, flipped).unwrap();
            let loaded = Checkpoint::load(&path, &Device::Cpu);
            let Err(error) = loaded else {
                panic!("bit {bit} of {} goes unseen", 8 * whole.len())
            };
            assert!(error.to_string().contains("c.safetensors: "), "{error}");
        }
    }

    #[test]
    fn strangers_and_newer_formats_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let tensors = checkpoint(Value::Null).tensors;
        save_safetensors(&path, &tensors, HashMap::new()).unwrap();
        let message = Checkpoint::load(&path, &Device::Cpu)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("c.safetensors: not a checkpoint"),
            "{message}"
        );
        let newer = HashMap::from([(
            METADATA_KEY.to_owned(),
            r#"{"format_version":99}"#.to_owned(),
        )]);
        save_safetensors(&path, &tensors, newer).unwrap();
        let message = Checkpoint::load(&path, &Device::Cpu)
            .unwrap_err()
            .to_string();
        assert!(message.contains("written in format 99"), "{message}");
    }
}
