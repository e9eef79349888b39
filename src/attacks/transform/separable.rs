//! Maps of images that work on rows and columns apart.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// `rows X columns'` of each channel `X` of images `(N, C, H, W)`, of matrices `(N, 1, H, H)` and `(N, 1, W, W)`, or one for all images:
/// `(1, 1, ..)`.
pub(super) fn separable(rows: &Tensor, images: &Tensor, columns: &Tensor) -> Result<Tensor> {
    let images = rows.broadcast_matmul(images)?;
    Ok(images.broadcast_matmul(&columns.t()?)?)
}

/// Square matrices by what their rows and columns hold, `(N, 1, side, side)`, of the type of `images` and where they are.
pub(super) fn matrices(values: Vec<f64>, side: usize, images: &Tensor) -> Result<Tensor> {
    let count = values.len() / (side * side);
    let values = Tensor::from_vec(values, (count, 1, side, side), &Device::Cpu)?;
    debug_assert_eq!(values.dtype(), DType::F64);
    Ok(values
        .to_dtype(images.dtype())?
        .to_device(images.device())?)
}
