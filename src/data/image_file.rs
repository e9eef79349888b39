//! One PNG or JPEG image. Sizes are checked by its header before anything is decoded.

use crate::{Error, Result};
use image::imageops::{self, FilterType};
use image::{
    DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Pixel, RgbImage,
};
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

/// Height and width of an image once its shorter side is scaled, as torchvision's `Resize` has them.
fn scaled([height, width]: [u32; 2], shorter: usize) -> [usize; 2] {
    let (height, width) = (height.max(1) as usize, width.max(1) as usize);
    match height <= width {
        true => [shorter, shorter.saturating_mul(width) / height],
        false => [shorter.saturating_mul(height) / width, shorter],
    }
}

/// Scales an image, each pixel of it the mean of all that it covers under a triangle, and cuts out the middle, as
/// torchvision's `CenterCrop` does.
fn middle<P>(image: &ImageBuffer<P, Vec<u8>>, to: [usize; 2], size: [usize; 2]) -> Vec<u8>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let [height, width] = to.map(|side| side as u32);
    let scaled = match image.dimensions() == (width, height) {
        true => image.clone(),
        false => imageops::resize(image, width, height, FilterType::Triangle),
    };
    let start = |whole: usize, part: usize| ((whole - part) as f64 / 2.0).round_ties_even() as u32;
    let (top, left) = (start(to[0], size[0]), start(to[1], size[1]));
    imageops::crop_imm(&scaled, left, top, size[1] as u32, size[0] as u32)
        .to_image()
        .into_raw()
}

/// Decodes one image into `out`, channel by channel: one of that size, or the middle of one whose shorter side is first
/// scaled to `resize`. The size is checked before anything is decoded.
pub(super) fn decode(
    path: &Path,
    [height, width]: [usize; 2],
    resize: Option<usize>,
    channels: usize,
    out: &mut [u8],
) -> Result<()> {
    let (bytes, format) = read(path)?;
    let decoder = decoder(path, &bytes, format)?;
    let (found_width, found_height) = decoder.dimensions();
    let found = [found_height, found_width];
    let scaled = resize.map(|shorter| scaled(found, shorter));
    if let Some([h, w]) = scaled
        && (height > h || width > w || h.max(w) > MAX_SIDE as usize)
    {
        return Err(Error::failed(format!(
            "{}: the image of {found_width}x{found_height} pixels is {w}x{h} after data.resize, at least {width}x{height} \
             and at most {MAX_SIDE} a side was expected; change data.resize or data.image_size",
            path.display(),
        )));
    }
    if scaled.is_none() && (found_height as usize, found_width as usize) != (height, width) {
        return Err(Error::failed(format!(
            "{}: the image is {found_width}x{found_height} pixels, {width}x{height} was expected; all images must \
             have the same size, set data.resize or remove it",
            path.display(),
        )));
    }
    let image = match format {
        ImageFormat::Jpeg => whole_jpeg(&bytes).map_err(|error| unreadable(path, &error))?,
        _ => DynamicImage::from_decoder(decoder).map_err(|error| unreadable(path, &error))?,
    };
    let interleaved = match (channels, scaled) {
        (1, None) => image.into_luma8().into_raw(),
        (1, Some(to)) => middle(&image.into_luma8(), to, [height, width]),
        (_, None) => image.into_rgb8().into_raw(),
        (_, Some(to)) => middle(&image.into_rgb8(), to, [height, width]),
    };
    let plane = height * width;
    for (position, pixel) in interleaved.chunks_exact(channels).enumerate() {
        for (channel, &value) in pixel.iter().enumerate() {
            out[channel * plane + position] = value;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tests/fixtures/resize: a picture of 61x47 pixels, and what torchvision makes of it.
    #[test]
    fn images_are_scaled_and_cut_as_torchvision_does() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/resize");
        for (shorter, size) in [(20, [16, 20]), (47, [33, 40]), (90, [80, 81])] {
            let expected = format!("{shorter}-{}x{}.png", size[0], size[1]);
            let mut wanted = vec![0; 3 * size[0] * size[1]];
            decode(&folder.join(expected), size, None, 3, &mut wanted).unwrap();
            let mut found = wanted.clone();
            found.fill(0);
            let picture = folder.join("picture.png");
            decode(&picture, size, Some(shorter), 3, &mut found).unwrap();
            let far = found.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far <= Some(1), "{shorter}: {far:?} of 255 apart");
        }
        let picture = folder.join("picture.png");
        let error = decode(&picture, [30, 30], Some(20), 3, &mut [0; 2700]).unwrap_err();
        let expected = "the image of 61x47 pixels is 25x20 after data.resize, at least 30x30";
        assert!(error.to_string().contains(expected), "{error}");
        let huge = decode(&picture, [30, 30], Some(8000), 3, &mut [0; 2700]).unwrap_err();
        assert!(huge.to_string().contains("at most 8192"), "{huge}");
    }
}
