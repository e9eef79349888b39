//! Images and labels in a safetensors file.

use super::array::Array;
use crate::data::npy::Number;
use safetensors::{Dtype, SafeTensors};

/// Reads `images` and `labels`.
///
/// # Errors
/// In words that go on from the file's name.
pub(super) fn read(bytes: &[u8]) -> Result<[Array; 2], String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("cannot be read as a safetensors or npz file ({error})"))?;
    let array = |name: &str| {
        let tensor = file.tensor(name).map_err(|_| {
            let mut names = file.names();
            names.sort_unstable();
            names.truncate(8);
            format!(
                "a tensor `{name}` was expected, it holds [{}]",
                names.join(", ").escape_debug()
            )
        })?;
        let number = number(tensor.dtype()).ok_or_else(|| {
            format!(
                "`{name}` is {:?} {:?}, a type that is not read",
                tensor.dtype(),
                tensor.shape()
            )
        })?;
        Ok::<_, String>(Array {
            name: name.to_owned(),
            shape: tensor.shape().to_vec(),
            number,
            bytes: tensor.data().to_vec(),
        })
    };
    Ok([array("images")?, array("labels")?])
}

fn number(dtype: Dtype) -> Option<Number> {
    Some(match dtype {
        Dtype::F16 => Number::Float(2),
        Dtype::F32 => Number::Float(4),
        Dtype::F64 => Number::Float(8),
        Dtype::I8 => Number::Signed(1),
        Dtype::I16 => Number::Signed(2),
        Dtype::I32 => Number::Signed(4),
        Dtype::I64 => Number::Signed(8),
        Dtype::U8 => Number::Unsigned(1),
        Dtype::U16 => Number::Unsigned(2),
        Dtype::U32 => Number::Unsigned(4),
        Dtype::U64 => Number::Unsigned(8),
        _ => return None,
    })
}
