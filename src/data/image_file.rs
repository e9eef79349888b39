//! One PNG or JPEG image. Sizes are checked by its header before anything is decoded.

use crate::{Error, Result};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use std::fs;
use std::io::Cursor;
use std::path::Path;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// A side that no training image comes near; larger ones are refused before anything is decoded.
const MAX_SIDE: u32 = 8192;
/// Pixels that a byte of a file can stand for at the very most: deflate makes 1032 bytes of one, and a byte of a PNG
/// holds up to eight pixels. A JPEG needs a bit for each block of 64.
const MAX_PIXELS_A_BYTE: u64 = 8 * 1032;
/// A compressed image beyond this is not one of a training set.
const MAX_FILE_BYTES: u64 = 256 << 20;

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    // A decoder's words may break over lines.
    let words = error.to_string();
    let words: Vec<&str> = words.split_whitespace().collect();
    Error::failed(format!(
        "{}: cannot be read as a PNG or JPEG image ({}); replace or remove the file",
        path.display(),
        words.join(" "),
    ))
}

/// The bytes of an image file and its format, by its content and not its ending.
fn read(path: &Path) -> Result<(Vec<u8>, ImageFormat)> {
    let length = fs::metadata(path).map_err(Error::io("read", path))?.len();
    if length > MAX_FILE_BYTES {
        return Err(unreadable(
            path,
            &format!("{length} bytes, more than {MAX_FILE_BYTES}"),
        ));
    }
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    match image::guess_format(&bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => Ok((bytes, format)),
        _ => Err(unreadable(path, &"its content is neither")),
    }
}

fn decoder<'a>(
    path: &Path,
    bytes: &'a [u8],
    format: ImageFormat,
) -> Result<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    let decoder = reader
        .into_decoder()
        .map_err(|error| unreadable(path, &error))?;
    let (width, height) = decoder.dimensions();
    let length = bytes.len() as u64;
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
    let (bytes, format) = read(path)?;
    let (width, height) = decoder(path, &bytes, format)?.dimensions();
    Ok([height as usize, width as usize])
}

/// A JPEG whose every block was read. Viewers, and the decoder of the crate `image`, fill up with grey what a damaged file
/// lacks.
fn whole_jpeg(bytes: &[u8]) -> Result<DynamicImage, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder
        .decode_headers()
        .map_err(|error| error.to_string())?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let colours = if grey {
        ColorSpace::Luma
    } else {
        ColorSpace::RGB
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    // Inside a scan no byte after 0xff makes either marker: after the last start of a scan, the end of the image.
    let marker = |bytes: &[u8], kind| bytes.windows(2).rposition(|pair| pair == [0xff, kind]);
    let scan = marker(bytes, 0xda).unwrap_or(0);
    if marker(&bytes[scan..], 0xd9).is_none() {
        return Err("it breaks off before its end".to_owned());
    }
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = (width as u32, height as u32);
    let image = if grey {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    image.ok_or_else(|| "it holds fewer pixels than it announces".to_owned())
}

/// Decodes one image into `out`, channel by channel. The size is checked before anything is decoded.
pub(super) fn decode(
    path: &Path,
    [height, width]: [usize; 2],
    channels: usize,
    out: &mut [u8],
) -> Result<()> {
    let (bytes, format) = read(path)?;
    let decoder = decoder(path, &bytes, format)?;
    let (found_width, found_height) = decoder.dimensions();
    if (found_height as usize, found_width as usize) != (height, width) {
        return Err(Error::failed(format!(
            "{}: the image is {found_width}x{found_height} pixels, {width}x{height} was expected; all images must \
             have the same size, scale or remove it",
            path.display(),
        )));
    }
    let image = match format {
        ImageFormat::Jpeg => whole_jpeg(&bytes).map_err(|error| unreadable(path, &error))?,
        _ => DynamicImage::from_decoder(decoder).map_err(|error| unreadable(path, &error))?,
    };
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
