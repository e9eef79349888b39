//! The types that the elements of stored tensors have, and how raw bytes become a tensor.

use std::fmt;

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;

/// Defines the types from a table: name, bytes, Candle's type of the tensor that it becomes, the name that
/// safetensors gives it, and torch's storage class where there is one.
macro_rules! elements {
    ($($name:ident $bytes:literal $dtype:ident $stored:ident $($storage:literal)?),* $(,)?) => {
        /// The type of one element in a file, little-endian.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Element { $($name),* }

        impl Element {
            /// Bytes per element.
            pub fn size(self) -> usize {
                match self { $(Self::$name => $bytes),* }
            }

            /// The type of the tensor it becomes: the same one, but for those that Candle lacks. `i8` is widened to
            /// `i16`, `bool` becomes `u8`.
            pub fn dtype(self) -> DType {
                match self { $(Self::$name => DType::$dtype),* }
            }

            /// The class of torch that stores such elements, `torch.FloatStorage` for one, by its name.
            pub fn of_torch_storage(class: &str) -> Option<Self> {
                match class { $($($storage => Some(Self::$name),)?)* _ => None }
            }

            /// The type of a tensor in a safetensors file.
            pub fn of_safetensors(dtype: Dtype) -> Option<Self> {
                match dtype { $(Dtype::$stored => Some(Self::$name),)* _ => None }
            }
        }

        impl fmt::Display for Element {
            /// The name that safetensors gives the type.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => stringify!($stored)),* })
            }
        }
    };
}

elements! {
    F64 8 F64 F64 "DoubleStorage",
    F32 4 F32 F32 "FloatStorage",
    F16 2 F16 F16 "HalfStorage",
    BF16 2 BF16 BF16 "BFloat16Storage",
    I64 8 I64 I64 "LongStorage",
    I32 4 I32 I32 "IntStorage",
    U32 4 U32 U32,
    I16 2 I16 I16 "ShortStorage",
    I8 1 I16 I8 "CharStorage",
    U8 1 U8 U8 "ByteStorage",
    Bool 1 U8 BOOL "BoolStorage",
}

impl Element {
    /// Whether it is a floating-point number, as a network's parameters are.
    pub fn is_float(self) -> bool {
        self.dtype().is_float()
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
