//! Tensors whose numbers stand in the file: parameters in floating point, and whole numbers such as shapes and axes.

use bytes::Bytes;
use candle_core::{DType, Device};

use super::external;
use super::proto;
use crate::Result;

/// Whole numbers are shapes, axes and the like, of which there are few.
pub const MOST_INTS: usize = 4096;

/// More channels than norms have.
const MOST_UNIFORM: usize = 1 << 16;

/// A value of the graph that does not depend on the images.
#[derive(Clone, Debug)]
pub enum Constant {
    Ints(Ints),
    Floats(Floats),
}

impl Constant {
    /// The only number, where there is one and it is known.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Floats(floats) => floats.scalar(),
            Self::Ints(ints) => match ints.known()?.as_slice() {
                &[only] => Some(only as f64),
                _ => None,
            },
        }
    }
}

/// The inputs of a node, of which those are none here that are no constants.
#[derive(Clone, Copy)]
pub struct Constants<'a>(pub &'a [Option<&'a Constant>]);

impl<'a> Constants<'a> {
    /// The one at this place.
    pub fn get(self, place: usize) -> Option<&'a Constant> {
        *self.0.get(place)?
    }

    /// The same where it is one of whole numbers.
    pub fn ints(self, place: usize) -> Option<&'a Ints> {
        match self.get(place)? {
            Constant::Ints(ints) => Some(ints),
            Constant::Floats(_) => None,
        }
    }
}

/// Whole numbers. None stands for the number of images, which is not fixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Ints {
    pub dims: Vec<usize>,
    pub values: Vec<Option<i64>>,
}

/// Numbers in floating point as they lie in the file.
#[derive(Clone, Debug)]
pub struct Floats {
    /// The name under which the file has them.
    pub name: String,
    pub dims: Vec<usize>,
    /// Whether the two dimensions of a matrix are to change places; `dims` is as after that.
    pub transposed: bool,
    /// Whether a node holds them: numbers of the computation, and no parameters.
    pub fixed: bool,
    dtype: DType,
    data: Bytes,
}

impl Ints {
    /// A row of numbers that are all known.
    pub fn row(values: impl IntoIterator<Item = i64>) -> Self {
        let values: Vec<_> = values.into_iter().map(Some).collect();
        Self {
            dims: vec![values.len()],
            values,
        }
    }

    /// The numbers, where none of them is the number of images.
    pub fn known(&self) -> Option<Vec<i64>> {
        self.values.iter().copied().collect()
    }
}

impl Floats {
    /// One number that the file gives as a setting.
    pub fn number(name: &str, value: f32) -> Self {
        Self::row(name, &[value], Vec::new())
    }

    /// Numbers that were computed, and are no parameters.
    pub fn row(name: &str, values: &[f32], dims: Vec<usize>) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self {
            name: name.to_owned(),
            dims,
            transposed: false,
            fixed: true,
            dtype: DType::F32,
            data: bytes.into(),
        }
    }

    /// A matrix with its two dimensions in the other order; none where it is no matrix.
    pub fn turned(self) -> Option<Self> {
        let &[rows, columns] = self.dims.as_slice() else {
            return None;
        };
        Some(Self {
            dims: vec![columns, rows],
            transposed: !self.transposed,
            ..self
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// The numbers as a tensor on the CPU, in their own type.
    pub fn tensor(&self) -> Result<candle_core::Tensor> {
        let stored: Vec<usize> = match self.transposed {
            true => self.dims.iter().rev().copied().collect(),
            false => self.dims.clone(),
        };
        let tensor =
            candle_core::Tensor::from_raw_buffer(&self.data, self.dtype, &stored, &Device::Cpu)?;
        Ok(match self.transposed {
            true => tensor.t()?.contiguous()?,
            false => tensor,
        })
    }

    /// The numbers one after the other.
    pub fn numbers(&self) -> Result<Vec<f64>> {
        let flat = self.tensor()?.flatten_all()?.to_dtype(DType::F64)?;
        Ok(flat.to_vec1()?)
    }

    /// Whether they are few, as those of norms are, and all the same number.
    pub fn uniform(&self) -> bool {
        if !(1..=MOST_UNIFORM).contains(&self.count()) {
            return false;
        }
        let size = self.dtype.size_in_bytes();
        let first = self.data.get(..size);
        self.data.chunks(size).all(|number| Some(number) == first)
    }

    /// The only number, where there is one.
    pub fn scalar(&self) -> Option<f64> {
        (self.count() == 1).then(|| self.numbers().ok()?.first().copied())?
    }
}

/// How many numbers a tensor of this shape has; none where that is no number, whichever sides are left out.
pub fn count(dims: &[usize]) -> Option<usize> {
    let sides = dims.iter().map(|&side| side.max(1));
    let most = sides.into_iter().try_fold(1usize, usize::checked_mul)?;
    Some(if dims.contains(&0) { 0 } else { most })
}

/// Where a file's tensors may refer to: its own folder.
pub struct Source<'a> {
    pub external: &'a external::Folder,
}

impl Constant {
    /// The tensor called `name`; what is wrong with it in words.
    pub fn read(name: &str, tensor: &proto::Tensor, source: &Source<'_>) -> Result<Self, String> {
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&d| d.try_into().ok()).collect();
        let count = dims.as_deref().and_then(count);
        let (Some(dims), Some(count)) = (dims, count) else {
            return Err(format!("its shape {:?} is no tensor's", tensor.dims));
        };
        let element = Element::of(tensor.data_type)
            .ok_or_else(|| format!("elements of type {} are not read", tensor.data_type))?;
        let listed = element.listed(tensor);
        let data = match (&listed, tensor.data_location) {
            (Some(listed), 0) if tensor.raw_data.is_empty() => listed.clone(),
            (_, 0) => tensor.raw_data.clone(),
            _ => source.external.read(&tensor.external_data)?,
        };
        let expected = count.checked_mul(element.size());
        if expected != Some(data.len()) {
            return Err(format!(
                "its shape {dims:?} needs {} bytes and it has {}: the file is damaged or cut off",
                expected.map_or("too many".into(), |bytes| bytes.to_string()),
                data.len()
            ));
        }
        if let Some(dtype) = element.float() {
            return Ok(Self::Floats(Floats {
                name: name.to_owned(),
                dims,
                transposed: false,
                fixed: false,
                dtype,
                data,
            }));
        }
        if count > MOST_INTS {
            return Err(format!(
                "{count} whole numbers, at most {MOST_INTS} are read"
            ));
        }
        let values = data.chunks_exact(element.size()).map(|bytes| {
            let mut wide = [0; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            Some(match element {
                Element::I32 => i64::from(i64::from_le_bytes(wide) as i32),
                _ => i64::from_le_bytes(wide),
            })
        });
        Ok(Self::Ints(Ints {
            values: values.collect(),
            dims,
        }))
    }

    /// What a Constant node holds.
    pub fn of_node(node: &proto::Node, source: &Source<'_>) -> Result<Self, String> {
        let name = node.output.first().map_or("", String::as_str);
        let attribute = node.attribute.first().ok_or("it holds nothing")?;
        match attribute.name.as_str() {
            "value" => {
                let tensor = attribute.t.as_ref().ok_or("it holds nothing")?;
                let mut constant = Self::read(name, tensor, source)?;
                if let Self::Floats(floats) = &mut constant {
                    floats.fixed = true;
                }
                Ok(constant)
            }
            "value_int" => Ok(Self::Ints(Ints {
                dims: Vec::new(),
                values: vec![Some(attribute.i)],
            })),
            "value_ints" if attribute.ints.len() <= MOST_INTS => {
                Ok(Self::Ints(Ints::row(attribute.ints.iter().copied())))
            }
            "value_float" => Ok(Self::Floats(Floats::number(name, attribute.f))),
            "value_floats" => {
                let dims = vec![attribute.floats.len()];
                Ok(Self::Floats(Floats::row(name, &attribute.floats, dims)))
            }
            other => Err(format!("a constant given as \"{other}\" is not read")),
        }
    }
}

/// The types of elements that are read.
#[derive(Clone, Copy, PartialEq)]
enum Element {
    F32,
    F64,
    F16,
    BF16,
    I32,
    I64,
    Bool,
}

impl Element {
    /// By the number that the format gives it.
    fn of(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::F32,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            16 => Self::BF16,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::F16 | Self::BF16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    fn float(self) -> Option<DType> {
        match self {
            Self::F32 => Some(DType::F32),
            Self::F64 => Some(DType::F64),
            Self::F16 => Some(DType::F16),
            Self::BF16 => Some(DType::BF16),
            Self::I32 | Self::I64 | Self::Bool => None,
        }
    }

    /// The bytes of the numbers that stand in the list of their type.
    fn listed(self, tensor: &proto::Tensor) -> Option<Bytes> {
        let ints = &tensor.int32_data;
        let bytes: Vec<u8> = match self {
            Self::F32 => tensor
                .float_data
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect(),
            Self::F64 => tensor
                .double_data
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect(),
            Self::I64 => tensor
                .int64_data
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect(),
            Self::I32 => ints.iter().flat_map(|v| v.to_le_bytes()).collect(),
            // The bits of each in the lower part of a whole number.
            Self::F16 | Self::BF16 => ints
                .iter()
                .flat_map(|v| (*v as u16).to_le_bytes())
                .collect(),
            Self::Bool => ints.iter().map(|&v| u8::from(v != 0)).collect(),
        };
        (!bytes.is_empty()).then(|| bytes.into())
    }
}
