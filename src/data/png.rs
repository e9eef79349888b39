//! Images as PNG files.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// The bytes of a PNG of one image: `C * H * W` intensities in [0, 1], channel by channel, rounded to 8 bits. None for
/// images that are neither grey nor RGB.
pub fn encode(pixels: &[f32], [channels, height, width]: [usize; 3]) -> Option<Vec<u8>> {
    let color = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => return None,
    };
    let size = height * width;
    let bytes: Vec<u8> = (0..size * channels)
        .map(|i| pixels[i % channels * size + i / channels])
        .map(|value| (value * 255.0).round() as u8)
        .collect();
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&bytes, width, height, color)
        .ok()?;
    Some(png)
}
