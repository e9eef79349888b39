//! Crops, flips and overlays on the CPU.

use candle_core::{DType, Tensor};

use super::{Overlay, Window};
use crate::Result;

pub fn crop_flip(
    data: &Tensor,
    windows: &[Window],
    shape: [usize; 3],
    padding: usize,
) -> Result<Tensor> {
    let scale = match data.dtype() {
        DType::U8 => 255.0,
        _ => 1.0,
    };
    let (mut pixels, mut scratch) = (Vec::new(), Vec::new());
    for window in windows {
        let image = data.get(window.index)?.to_dtype(DType::F32)?.to_vec1()?;
        let mut image: Vec<f32> = image.into_iter().map(|v: f32| v / scale).collect();
        crop_flip_image(&mut image, shape, *window, padding, &mut scratch);
        pixels.extend(image);
    }
    let [c, h, w] = shape;
    Ok(Tensor::from_vec(
        pixels,
        (windows.len(), c, h, w),
        data.device(),
    )?)
}

pub fn overlay(images: &Tensor, overlays: &[Overlay]) -> Result<Tensor> {
    let (_, c, h, w) = images.dims4()?;
    let mut pixels = images.flatten_all()?.to_vec1()?;
    overlay_images(&mut pixels, [c, h, w], overlays);
    Ok(Tensor::from_vec(pixels, images.shape(), images.device())?)
}

/// Puts an overlay on each of the images of shape (C, H, W), which stand one after the other.
pub fn overlay_images(
    pixels: &mut [f32],
    [channels, height, width]: [usize; 3],
    overlays: &[Overlay],
) {
    let (plane, size) = (height * width, channels * height * width);
    for (image, overlay) in pixels.chunks_exact_mut(size).zip(overlays) {
        for hole in &overlay.holes {
            for plane in image.chunks_exact_mut(plane) {
                for row in plane
                    .chunks_exact_mut(width)
                    .take(hole.area.bottom)
                    .skip(hole.area.top)
                {
                    row[hole.area.left..hole.area.right].fill(hole.value);
                }
            }
        }
    }
    if overlays.iter().all(|overlay| overlay.blend.is_none()) {
        return;
    }
    let before = pixels.to_vec();
    for (image, overlay) in pixels.chunks_exact_mut(size).zip(overlays) {
        let Some(blend) = overlay.blend else {
            continue;
        };
        let [own, other] = [blend.own, 1.0 - blend.own].map(f64::from);
        let partner = &before[blend.partner * size..(blend.partner + 1) * size];
        for start in (0..size).step_by(plane) {
            for y in blend.area.top..blend.area.bottom {
                let row = start + y * width;
                let inside = row + blend.area.left..row + blend.area.right;
                for (x, &y) in image[inside.clone()].iter_mut().zip(&partner[inside]) {
                    *x = (own * f64::from(*x) + other * f64::from(y)) as f32;
                }
            }
        }
    }
}

/// Leaves of an image (channels, height, width) its window. `scratch` is memory to work in; its content does not matter.
pub fn crop_flip_image(
    image: &mut [f32],
    [_, height, width]: [usize; 3],
    window: Window,
    padding: usize,
    scratch: &mut Vec<f32>,
) {
    if [window.down, window.right] != [padding; 2] {
        shift(
            image,
            [height, width],
            [window.down, window.right],
            padding,
            scratch,
        );
    }
    if window.flip {
        image.chunks_exact_mut(width).for_each(<[f32]>::reverse);
    }
}

/// Moves the window: output (y, x) is input (y + down - padding, x + right - padding), or zero outside.
fn shift(
    image: &mut [f32],
    [height, width]: [usize; 2],
    [down, right]: [usize; 2],
    padding: usize,
    scratch: &mut Vec<f32>,
) {
    scratch.clear();
    scratch.extend_from_slice(image);
    image.fill(0.0);
    // The columns whose source lies inside the image.
    let first = padding.saturating_sub(right).min(width);
    let last = (width + padding).saturating_sub(right).min(width);
    let planes = image
        .chunks_exact_mut(height * width)
        .zip(scratch.chunks_exact(height * width));
    for (to, from) in planes {
        for y in 0..height {
            let Some(source_y) = (y + down)
                .checked_sub(padding)
                .filter(|&source| source < height)
            else {
                continue;
            };
            if first < last {
                let source_x = first + right - padding;
                let row = &from[source_y * width..(source_y + 1) * width];
                to[y * width + first..y * width + last]
                    .copy_from_slice(&row[source_x..source_x + last - first]);
            }
        }
    }
}
