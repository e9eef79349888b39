//! Crops and flips on the CPU.

use candle_core::{DType, Tensor};

use super::Window;
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
