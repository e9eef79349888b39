//! What cuDNN is told of a convolution: channels-last tensors, filters and geometry.

use candle_core::DType;
use candle_core::cuda::cudarc::cudnn::{result, sys};

use super::super::failed;
use crate::ops::conv::geometry::Sizes;
use crate::{Error, Result};

/// The descriptors of one convolution, freed together.
pub(super) struct Descriptors {
    pub x: sys::cudnnTensorDescriptor_t,
    pub y: sys::cudnnTensorDescriptor_t,
    pub w: sys::cudnnFilterDescriptor_t,
    pub convolution: sys::cudnnConvolutionDescriptor_t,
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: all four were made by `Descriptors::new` and are dropped once.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.x);
            let _ = result::destroy_tensor_descriptor(self.y);
            let _ = result::destroy_filter_descriptor(self.w);
            let _ = result::destroy_convolution_descriptor(self.convolution);
        }
    }
}

impl Descriptors {
    pub fn new(sizes: &Sizes, dtype: DType) -> Result<Self> {
        let kind = match dtype {
            DType::F32 => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            DType::BF16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
            other => {
                return Err(Error::failed(format!(
                    "a card convolves f32 and bf16, not {other:?}"
                )));
            }
        };
        let last = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let int = |value: usize| {
            i32::try_from(value)
                .map_err(|_| Error::failed("a convolution has a side of more than 2^31"))
        };
        let made = Self {
            x: result::create_tensor_descriptor().map_err(failed)?,
            y: result::create_tensor_descriptor().map_err(failed)?,
            w: result::create_filter_descriptor().map_err(failed)?,
            convolution: result::create_convolution_descriptor().map_err(failed)?,
        };
        let x = [
            int(sizes.n)?,
            int(sizes.c_in)?,
            int(sizes.h)?,
            int(sizes.w)?,
        ];
        let y = [
            int(sizes.n)?,
            int(sizes.c_out)?,
            int(sizes.oh)?,
            int(sizes.ow)?,
        ];
        let w = [
            int(sizes.c_out)?,
            int(sizes.c_in / sizes.groups)?,
            int(sizes.kh)?,
            int(sizes.kw)?,
        ];
        let (padding, stride) = (int(sizes.padding)?, int(sizes.stride)?);
        let dilation = int(sizes.dilation)?;
        // SAFETY: the descriptors were made above.
        unsafe {
            result::set_tensor4d_descriptor(made.x, last, kind, x).map_err(failed)?;
            result::set_tensor4d_descriptor(made.y, last, kind, y).map_err(failed)?;
            result::set_filter4d_descriptor(made.w, kind, last, w).map_err(failed)?;
            result::set_convolution2d_descriptor(
                made.convolution,
                padding,
                padding,
                stride,
                stride,
                dilation,
                dilation,
                sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
                sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            )
            .map_err(failed)?;
            result::set_convolution_group_count(made.convolution, int(sizes.groups)?)
                .map_err(failed)?;
        }
        Ok(made)
    }

    pub fn set_math(&self, math: sys::cudnnMathType_t) -> Result<()> {
        // SAFETY: the descriptor is alive.
        unsafe { result::set_convolution_math_type(self.convolution, math) }.map_err(failed)
    }
}
