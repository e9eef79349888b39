//! Arrays of numpy: each a short header in the syntax of Python and then the numbers.

use std::io::Read;

/// Bytes that the header of an array may have; numpy writes 118.
const MAX_HEADER: usize = 4096;

/// What a number is, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Float(usize),
    Signed(usize),
    Unsigned(usize),
}

impl Number {
    pub fn size(self) -> usize {
        let (Self::Float(size) | Self::Signed(size) | Self::Unsigned(size)) = self;
        size
    }

    /// The name that safetensors gives the type.
    pub fn name(self) -> String {
        let letter = match self {
            Self::Float(_) => 'F',
            Self::Signed(_) => 'I',
            Self::Unsigned(_) => 'U',
        };
        format!("{letter}{}", 8 * self.size())
    }
}

/// What stands before the numbers, which are row-major and little-endian.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub shape: Vec<usize>,
    pub number: Number,
    /// The bytes that it takes itself.
    pub length: usize,
}

impl Header {
    /// Reads the header, after which `file` stands at the first number.
    ///
    /// # Errors
    /// In words that go on from the array's name.
    pub fn read(file: &mut impl Read) -> Result<Self, String> {
        let mut start = [0; 8];
        file.read_exact(&mut start).map_err(short)?;
        let mut length = [0; 4];
        let digits = match start {
            [b'\x93', b'N', b'U', b'M', b'P', b'Y', 1, _] => 2,
            [b'\x93', b'N', b'U', b'M', b'P', b'Y', 2 | 3, _] => 4,
            _ => return Err("it does not begin as an array of numpy".to_owned()),
        };
        file.read_exact(&mut length[..digits]).map_err(short)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEADER {
            return Err(format!("its header has {length} bytes"));
        }
        let mut text = vec![0; length];
        file.read_exact(&mut text).map_err(short)?;
        let text = String::from_utf8(text).map_err(|_| "its header is no text".to_owned())?;
        let (shape, number) = parse(&text)?;
        Ok(Self {
            shape,
            number,
            length: start.len() + digits + length,
        })
    }

    /// The bytes of the numbers; none where there are more than can be counted.
    pub fn bytes(&self) -> Option<u64> {
        let sizes = self.shape.iter().map(|&size| size as u64);
        let mut counts = sizes.chain([self.number.size() as u64]);
        counts.try_fold(1u64, u64::checked_mul)
    }
}

/// The words for an array that cannot be read to its end.
pub(super) fn short(error: std::io::Error) -> String {
    format!("it breaks off or is damaged ({error})")
}

/// Shape and type by a header such as `{'descr': '<f4', 'fortran_order': False, 'shape': (10, 3, 32, 32), }`.
fn parse(header: &str) -> Result<(Vec<usize>, Number), String> {
    let value = |key: &str| -> Result<&str, String> {
        let (_, rest) = header
            .split_once(&format!("'{key}'"))
            .ok_or_else(|| format!("its header has no {key}"))?;
        let rest = rest.trim_start().strip_prefix(':').unwrap_or_default();
        Ok(rest.trim_start())
    };
    let quoted = value("descr")?.strip_prefix('\'').unwrap_or_default();
    let descr = quoted.split('\'').next().unwrap_or_default();
    let number = match descr.trim_start_matches(['<', '|', '=']) {
        "f2" => Number::Float(2),
        "f4" => Number::Float(4),
        "f8" => Number::Float(8),
        "i1" => Number::Signed(1),
        "i2" => Number::Signed(2),
        "i4" => Number::Signed(4),
        "i8" => Number::Signed(8),
        "u1" => Number::Unsigned(1),
        "u2" => Number::Unsigned(2),
        "u4" => Number::Unsigned(4),
        "u8" => Number::Unsigned(8),
        _ => {
            return Err(format!(
                "its type '{}' is not read; save little-endian floats or integers",
                descr.escape_debug()
            ));
        }
    };
    let sizes = value("shape")?.strip_prefix('(').unwrap_or_default();
    let (sizes, _) = sizes.split_once(')').ok_or("its header has no shape")?;
    let sizes = sizes
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    let shape: Result<Vec<usize>, _> = sizes.map(str::parse).collect();
    let shape = shape.map_err(|_| "its header has no shape".to_owned())?;
    match value("fortran_order")? {
        order if order.starts_with("False") => {}
        order if order.starts_with("True") && shape.len() < 2 => {}
        _ => {
            return Err(
                "it is stored in Fortran's order; save numpy.ascontiguousarray of it".to_owned(),
            );
        }
    }
    Ok((shape, number))
}
