//! Weights that users bring.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::{Error, Result};

/// All tensors of a file, by name, on the CPU.
pub fn load_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu)
        .map_err(|e| Error::failed(format!("{}: {e}", path.display())))?;
    Ok(tensors.into_iter().collect())
}
