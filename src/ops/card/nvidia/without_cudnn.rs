//! What stands in for cuDNN in a build without the feature `cudnn`.

use std::sync::Arc;

use candle_core::Tensor;
use candle_core::cuda::cudarc::driver::CudaStream;

use super::Nvidia;
use crate::ops::card::Direction;
use crate::ops::conv::geometry::Sizes;
use crate::{Error, Result};

pub struct Cudnn;

impl Cudnn {
    pub fn new(_: &Arc<CudaStream>) -> Result<Self> {
        Ok(Self)
    }

    pub fn convolve(
        &self,
        _: &Nvidia,
        _: Direction,
        sizes: &Sizes,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> Result<()> {
        Err(Error::failed(format!(
            "a convolution with a kernel of {} x {} needs cuDNN, and this program was built without it; build with \
             --features cuda,cudnn",
            sizes.kh, sizes.kw
        )))
    }
}
