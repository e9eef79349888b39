//! Adversarial images as PNG files, one folder a class, named like their originals.

use std::fs;
use std::path::Path;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::data::Dataset;
use crate::ops::real::view;
use crate::run::atomic;
use crate::{Error, Result};

/// Writes image `i` of `images` (N, C, H, W) to `<folder>/<class>/<name>.png`, every pixel rounded to 8 bits.
pub(super) fn write(folder: &Path, dataset: &Dataset, images: &Tensor) -> Result<()> {
    let (_, c, h, w) = images.dims4()?;
    for class in &dataset.classes {
        let folder = folder.join(class);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    }
    let pixels = view::<f32>(images)?;
    pixels
        .par_chunks(c * h * w)
        .enumerate()
        .try_for_each(|(i, image)| {
            let class = &dataset.classes[dataset.labels[i] as usize];
            // Names may carry their class's folder and a file ending of their own.
            let name = Path::new(&dataset.names[i]).file_stem().unwrap_or_default();
            let path = folder.join(class).join(name).with_extension("png");
            let bytes = encode(image, [c, h, w])
                .map_err(|why| Error::failed(format!("{}: {why}", path.display())))?;
            atomic::write(&path, &bytes)
        })
}

fn encode(image: &[f32], [c, h, w]: [usize; 3]) -> Result<Vec<u8>, String> {
    let color = match c {
        1 => image::ExtendedColorType::L8,
        3 => image::ExtendedColorType::Rgb8,
        _ => {
            return Err(format!(
                "an image of {c} channels cannot be a PNG; set attack.save_images = false"
            ));
        }
    };
    let level =
        |channel: usize, pixel: usize| (image[channel * h * w + pixel] * 255.0).round() as u8;
    let bytes: Vec<u8> = (0..h * w)
        .flat_map(|pixel| (0..c).map(move |channel| (channel, pixel)))
        .map(|(channel, pixel)| level(channel, pixel))
        .collect();
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    image::ImageEncoder::write_image(encoder, &bytes, w as u32, h as u32, color)
        .map_err(|e| e.to_string())?;
    Ok(png)
}
