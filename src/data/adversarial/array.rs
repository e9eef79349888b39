//! An array of numbers as files of arrays hold it.

use crate::data::Pixels;
use crate::data::npy::Number;

/// Row-major, little-endian, and as many bytes as the shape asks for.
#[derive(Debug)]
pub(super) struct Array {
    pub name: String,
    pub shape: Vec<usize>,
    pub number: Number,
    pub bytes: Vec<u8>,
}

impl Array {
    /// Type and shape.
    pub fn about(&self) -> String {
        format!("{} {:?}", self.number.name(), self.shape)
    }

    /// The numbers as intensities, image after image.
    pub fn pixels(self) -> Result<Pixels, String> {
        let values: Vec<f32> = match self.number {
            Number::Unsigned(1) => return Ok(Pixels::U8(self.bytes.into())),
            Number::Float(4) => decode(&self.bytes, f32::from_le_bytes),
            Number::Float(8) => decode(&self.bytes, |bytes| f64::from_le_bytes(bytes) as f32),
            _ => {
                return Err(format!(
                    "`{}` is {}, F32 or F64 in [0, 1] or U8 was expected",
                    self.name,
                    self.about(),
                ));
            }
        };
        // A NaN is in no range, so this finds it too.
        match values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            Some(position) => Err(format!(
                "value {} of image {} is not an intensity, 0 to 1 was expected",
                values[position],
                position / (values.len() / self.shape[0]),
            )),
            None => Ok(Pixels::F32(values)),
        }
    }

    /// The numbers where they are integers.
    pub fn integers(&self) -> Option<Vec<i128>> {
        let bytes = &self.bytes;
        Some(match self.number {
            Number::Unsigned(1) => decode(bytes, |b| u8::from_le_bytes(b).into()),
            Number::Unsigned(2) => decode(bytes, |b| u16::from_le_bytes(b).into()),
            Number::Unsigned(4) => decode(bytes, |b| u32::from_le_bytes(b).into()),
            Number::Unsigned(8) => decode(bytes, |b| u64::from_le_bytes(b).into()),
            Number::Signed(1) => decode(bytes, |b| i8::from_le_bytes(b).into()),
            Number::Signed(2) => decode(bytes, |b| i16::from_le_bytes(b).into()),
            Number::Signed(4) => decode(bytes, |b| i32::from_le_bytes(b).into()),
            Number::Signed(8) => decode(bytes, |b| i64::from_le_bytes(b).into()),
            _ => return None,
        })
    }
}

fn decode<const SIZE: usize, T>(bytes: &[u8], value: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    let (values, _) = bytes.as_chunks::<SIZE>();
    values.iter().map(|&bytes| value(bytes)).collect()
}
