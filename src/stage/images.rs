//! Adversarial images as PNG files, one folder per class, named like their originals.

use std::fs;
use std::path::Path;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::atomic;
use crate::data::Dataset;
use crate::data::png::encode;
use crate::ops::real::view;
use crate::run::files;
use crate::{Error, Result};

/// Writes image `i` of `images` (N, C, H, W), which are rounded to 8 bits, to `<folder>/<class>/<name>.png`.
pub(super) fn write(folder: &Path, dataset: &Dataset, images: &Tensor) -> Result<()> {
    let (_, c, h, w) = images.dims4()?;
    for class in &dataset.classes {
        let folder = folder.join(class);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        atomic::clean(&folder)?;
    }
    let pixels = view::<f32>(images)?;
    pixels
        .par_chunks(c * h * w)
        .enumerate()
        .try_for_each(|(i, image)| {
            let class = &dataset.classes[dataset.labels[i] as usize];
            let path = folder
                .join(class)
                .join(files::image_file(&dataset.names[i]));
            let bytes = encode(image, [c, h, w]).ok_or_else(|| {
                Error::failed(format!(
                    "{}: an image of {c} channels cannot be a PNG; set attack.save_images = false",
                    path.display()
                ))
            })?;
            atomic::write(&path, &bytes)
        })
}
