//! One PNG or JPEG image. Sizes are checked by its header before anything is decoded.

use crate::{Error, Result};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::fs;
use std::io::BufReader;
use std::path::Path;

/// A side that no training image comes near; larger ones are refused before anything is decoded.
const MAX_SIDE: u32 = 8192;
/// Pixels that a byte of a file can stand for at the very most: deflate makes 1032 bytes of one, and a byte of a PNG
/// holds up to eight pixels. A JPEG needs a bit for each block of 64.
const MAX_PIXELS_A_BYTE: u64 = 8 * 1032;
/// A compressed image beyond this is not one of a training set.
const MAX_FILE_BYTES: u64 = 256 << 20;

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::failed(format!(
        "{}: cannot be read as a PNG or JPEG image ({error}); replace or remove the file",
        path.display(),
    ))
}

fn decoder(path: &Path) -> Result<impl ImageDecoder> {
    let length = fs::metadata(path).map_err(Error::io("read", path))?.len();
    if length > MAX_FILE_BYTES {
        return Err(unreadable(
            path,
            &format!("{length} bytes, more than {MAX_FILE_BYTES}"),
        ));
    }
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    let mut reader = ImageReader::new(BufReader::new(file))
        .with_guessed_format()
        .map_err(Error::io("read", path))?;
    // The content decides, not the extension.
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(unreadable(path, &"its content is neither"));
    }
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    let decoder = reader
        .into_decoder()
        .map_err(|error| unreadable(path, &error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > length * MAX_PIXELS_A_BYTE {
        return Err(unreadable(
            path,
            &format!("it announces {width}x{height} pixels, which {length} bytes cannot hold"),
        ));
    }
    Ok(decoder)
}

/// Height and width of an image, from its header.
pub(super) fn size_of(path: &Path) -> Result<[usize; 2]> {
    let (width, height) = decoder(path)?.dimensions();
    Ok([height as usize, width as usize])
}

/// Decodes one image into `out`, channel by channel. The size is checked before anything is decoded.
pub(super) fn decode(
    path: &Path,
    [height, width]: [usize; 2],
    channels: usize,
    out: &mut [u8],
) -> Result<()> {
    let decoder = decoder(path)?;
    let (found_width, found_height) = decoder.dimensions();
    if (found_height as usize, found_width as usize) != (height, width) {
        return Err(Error::failed(format!(
            "{}: the image is {found_width}x{found_height} pixels, {width}x{height} was expected; all images must \
             have the same size, scale or remove it",
            path.display(),
        )));
    }
    let image = DynamicImage::from_decoder(decoder).map_err(|error| unreadable(path, &error))?;
    let interleaved = if channels == 1 {
        image.into_luma8().into_raw()
    } else {
        image.into_rgb8().into_raw()
    };
    let plane = height * width;
    for (position, pixel) in interleaved.chunks_exact(channels).enumerate() {
        for (channel, &value) in pixel.iter().enumerate() {
            out[channel * plane + position] = value;
        }
    }
    Ok(())
}
