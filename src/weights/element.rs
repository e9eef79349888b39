//! The types that the elements of stored tensors have, and how raw bytes become a tensor.

use std::fmt;

use candle_core::{DType, Device, Tensor};

/// The type of one element in a file, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    U32,
    I16,
    I8,
    U8,
    Bool,
}

impl fmt::Display for Element {
    /// The name that safetensors gives the type.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::U32 => "U32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        })
    }
}

impl Element {
    /// Whether it is a floating-point number, as a network's parameters are.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }

    /// Bytes an element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The type of the tensor it becomes: the same one, but for those that Candle lacks. `i8` is widened to `i16`,
    /// `bool` becomes `u8`.
    pub fn dtype(self) -> DType {
        match self {
            Self::F64 => DType::F64,
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
            Self::I64 => DType::I64,
            Self::I32 => DType::I32,
            Self::U32 => DType::U32,
            Self::I16 | Self::I8 => DType::I16,
            Self::U8 | Self::Bool => DType::U8,
        }
    }

    /// The class of torch that stores such elements, `torch.FloatStorage` for one, by its name.
    pub fn of_torch_storage(class: &str) -> Option<Self> {
        Some(match class {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// The type of a tensor in a safetensors file.
    pub fn of_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype;
        Some(match dtype {
            Dtype::F64 => Self::F64,
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::BF16,
            Dtype::I64 => Self::I64,
            Dtype::I32 => Self::I32,
            Dtype::U32 => Self::U32,
            Dtype::I16 => Self::I16,
            Dtype::I8 => Self::I8,
            Dtype::U8 => Self::U8,
            Dtype::BOOL => Self::Bool,
            _ => return None,
        })
    }

    /// A tensor on the CPU from the bytes of its elements in row-major order.
    pub fn tensor(self, bytes: &[u8], shape: &[usize]) -> candle_core::Result<Tensor> {
        match self {
            Self::I8 => {
                let wide: Vec<i16> = bytes
                    .iter()
                    .map(|&byte| i16::from(byte.cast_signed()))
                    .collect();
                Tensor::from_vec(wide, shape, &Device::Cpu)
            }
            Self::Bool => {
                let bits: Vec<u8> = bytes.iter().map(|&byte| u8::from(byte != 0)).collect();
                Tensor::from_vec(bits, shape, &Device::Cpu)
            }
            _ => Tensor::from_raw_buffer(bytes, self.dtype(), shape, &Device::Cpu),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_elements() {
        let bytes = Element::I8.tensor(&[0xff, 0x80, 5], &[3]).unwrap();
        assert_eq!(bytes.to_vec1::<i16>().unwrap(), [-1, -128, 5]);
        let bits = Element::Bool.tensor(&[0, 1, 2, 0], &[2, 2]).unwrap();
        assert_eq!(bits.to_vec2::<u8>().unwrap(), [[0, 1], [1, 0]]);
        // An odd address: the bytes of a file are aligned to nothing.
        let raw = [0u8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0];
        let floats = Element::F32.tensor(&raw[1..], &[2]).unwrap();
        assert_eq!(floats.to_vec1::<f32>().unwrap(), [1.0, -2.0]);
        let scalar = Element::I64.tensor(&7i64.to_le_bytes(), &[]).unwrap();
        assert_eq!(scalar.to_scalar::<i64>().unwrap(), 7);
        assert_eq!(Element::F32.tensor(&[], &[0, 3]).unwrap().dims(), [0, 3]);
    }
}
