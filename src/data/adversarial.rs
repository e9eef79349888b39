//! Images that were made before, by an attack stage or by another tool, read back as a data set.

mod array;
mod folder;
mod npz;
mod stored;

use self::array::Array;
pub use self::folder::{adversarial_files, read_adversarial_folder};
use super::{Dataset, Pixels};
use crate::{Error, Result};
use std::fs;
use std::io::Read;
use std::path::Path;

/// What the images of a file must be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The classes in the order of the labels.
    pub classes: &'a [String],
    pub channels: usize,
    /// Height and width; none: whatever the file has.
    pub size: Option<[usize; 2]>,
}

/// Reads images and their labels from a file:
///
/// - safetensors, as an attack stage leaves it: `images` of shape (N, C, H, W) and `labels`;
/// - npz of numpy, compressed or not: `images` and `labels`, or `x` or `x_adv` and `y`, the images (N, C, H, W),
///   (N, H, W, C) or, in grey, (N, H, W).
///
/// Images are F32 or F64 in [0, 1] or U8 of 256 levels, labels N integers of any type, indices into the classes.
///
/// # Errors
/// A file that is damaged, lacks one of the two arrays, or holds other types, shapes or values; images whose shape does not
/// tell where the channels are.
pub fn read_adversarial(path: &Path, expected: Expected<'_>) -> Result<Dataset> {
    let fault = |found: String| {
        Error::failed(format!(
            "{}: {found}; expected the adversarial.safetensors of an attack stage, or a .npz or .safetensors file with \
             `images` and `labels`",
            path.display(),
        ))
    };
    if !fs::metadata(path)
        .map_err(Error::io("read", path))?
        .is_file()
    {
        return Err(fault("is no plain file".to_owned()));
    }
    let mut start = Vec::new();
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    file.take(4)
        .read_to_end(&mut start)
        .map_err(Error::io("read", path))?;
    let zipped = start == b"PK\x03\x04";
    let [images, labels] = match zipped {
        true => npz::read(path).map_err(fault)?,
        false => {
            let bytes = fs::read(path).map_err(Error::io("read", path))?;
            stored::read(&bytes).map_err(fault)?
        }
    };
    // Safetensors have one order; numpy's tools have both.
    dataset(images, labels, zipped, expected).map_err(fault)
}

fn dataset(
    images: Array,
    labels: Array,
    any_order: bool,
    expected: Expected<'_>,
) -> Result<Dataset, String> {
    let (shape, channels_last) = layout(&images, any_order, expected)?;
    let count = images.shape[0];
    let mut pixels = images.pixels()?;
    if channels_last {
        pixels = match pixels {
            Pixels::U8(values) => Pixels::U8(channels_first(&values, shape).into()),
            Pixels::F32(values) => Pixels::F32(channels_first(&values, shape)),
            files @ Pixels::Files(_) => files,
        };
    }
    let values = labels
        .integers()
        .filter(|_| labels.shape == [count])
        .ok_or_else(|| {
            format!(
                "`{}` is {}, integers of shape [{count}] were expected",
                labels.name,
                labels.about(),
            )
        })?;
    let classes = expected.classes;
    let label = |(position, value): (usize, i128)| {
        let label = u32::try_from(value).ok();
        label
            .filter(|&label| (label as usize) < classes.len())
            .ok_or_else(|| {
                format!(
                    "label {value} of image {position} is not one of the {} classes",
                    classes.len(),
                )
            })
    };
    let labels: Vec<u32> = values
        .into_iter()
        .enumerate()
        .map(label)
        .collect::<Result<_, _>>()?;
    Ok(Dataset {
        shape,
        pixels,
        names: (0..labels.len())
            .map(|index| format!("adversarial-{index:06}"))
            .collect(),
        labels,
        classes: classes.to_vec(),
    })
}

/// Channels, height and width of the images, and whether the channels come last in the file.
fn layout(
    images: &Array,
    any_order: bool,
    expected: Expected<'_>,
) -> Result<([usize; 3], bool), String> {
    let Expected { channels, size, .. } = expected;
    let is_image = |c, height, width| {
        c == channels && height > 0 && width > 0 && size.is_none_or(|size| size == [height, width])
    };
    let (first, last, shape) = match *images.shape.as_slice() {
        [0, ..] => (false, false, [0; 3]),
        [_, height, width] if any_order => (is_image(1, height, width), false, [1, height, width]),
        [_, a, b, c] => {
            let last = any_order && is_image(c, a, b);
            let shape = if last { [c, a, b] } else { [a, b, c] };
            (is_image(a, b, c), last, shape)
        }
        _ => (false, false, [0; 3]),
    };
    let sides = match size {
        Some([height, width]) => format!("{height}, {width}"),
        None => "H, W".to_owned(),
    };
    match (first, last) {
        (true, true) => Err(format!(
            "`{}` is {}, which does not tell whether the channels come first or last; save them as (N, C, H, W) in a \
             safetensors file",
            images.name,
            images.about(),
        )),
        (true, false) | (false, true) => Ok((shape, last)),
        (false, false) => Err(format!(
            "`{}` is {}, at least one image of shape [N, {channels}, {sides}] was expected{}",
            images.name,
            images.about(),
            if any_order {
                format!(" or [N, {sides}, {channels}]")
            } else {
                String::new()
            },
        )),
    }
}

/// The values of images (N, H, W, C) in the order (N, C, H, W).
fn channels_first<T: Copy>(values: &[T], [channels, height, width]: [usize; 3]) -> Vec<T> {
    let plane = height * width;
    let mut ordered = Vec::with_capacity(values.len());
    for image in values.chunks_exact(channels * plane) {
        for channel in 0..channels {
            ordered.extend((0..plane).map(|at| image[at * channels + channel]));
        }
    }
    ordered
}

#[cfg(test)]
mod tests;
