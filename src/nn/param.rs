//! Named tensors of a network: parameters that an optimizer moves, buffers that layers move.

use std::sync::Arc;

use candle_core::Tensor;

use crate::ops::card::prepared::{Of, changed};
use crate::ops::elementwise;
use crate::{Error, Result};

/// A parameter or a buffer. Copies of it are the same tensor, which is changed in place.
#[derive(Clone, Debug)]
pub struct Param(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    index: usize,
    tensor: Tensor,
}

impl Param {
    pub(super) fn new(name: String, index: usize, tensor: Tensor) -> Self {
        Self(Arc::new(Inner {
            name,
            index,
            tensor,
        }))
    }

    /// The full name, as torch's state dict has it: `layer1.0.conv1.weight`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The position among the network's parameters (or buffers), in order of definition.
    pub fn index(&self) -> usize {
        self.0.index
    }

    /// The numbers.
    pub fn tensor(&self) -> &Tensor {
        &self.0.tensor
    }

    /// Overwrites the numbers with those of `values`, which must have the same shape.
    pub fn set(&self, values: &Tensor) -> Result<()> {
        let target = &self.0.tensor;
        if values.dims() != target.dims() {
            return Err(Error::failed(format!(
                "tensor {}: the model has shape {:?}, the weights have {:?}",
                self.0.name,
                target.dims(),
                values.dims()
            )));
        }
        let values = values
            .to_dtype(target.dtype())?
            .to_device(target.device())?
            .contiguous()?;
        target.slice_set(&values, 0, 0)?;
        changed(Of::Weights);
        Ok(())
    }

    /// Adds `by`, which must have the same shape and type, to the numbers.
    pub fn add(&self, by: &Tensor) -> Result<()> {
        elementwise::add_assign(&self.0.tensor, by)?;
        changed(Of::Weights);
        Ok(())
    }

    /// A copy of the numbers that later changes do not reach.
    pub fn snapshot(&self) -> Result<Tensor> {
        Ok(self.0.tensor.copy()?)
    }
}
