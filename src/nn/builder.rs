//! How a model is put together: paths name its tensors and activations as torch names them.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};

use super::activation::Act;
use super::init::Init;
use super::param::Param;
use crate::Result;
use crate::ops::activation::Activation;

/// Collects the parameters, buffers and activations of a network under construction.
#[derive(Clone)]
pub struct Builder {
    path: String,
    parts: Rc<RefCell<Parts>>,
}

/// Everything that a builder has collected, in order of definition.
pub(super) struct Parts {
    pub parameters: Vec<Param>,
    pub buffers: Vec<Param>,
    pub activations: Vec<String>,
    seed: u64,
    /// None: shapes alone matter, no numbers are drawn or stored.
    dtype: Option<DType>,
    pub device: Device,
    rectifier: Option<Activation>,
    /// The rate of the dropout layers.
    pub dropout: Option<f64>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            parameters: Vec::new(),
            buffers: Vec::new(),
            activations: Vec::new(),
            seed: 0,
            dtype: None,
            device: Device::Cpu,
            rectifier: None,
            dropout: None,
        }
    }
}

impl Builder {
    /// A builder at the root of a network, whose initial weights follow from `seed`.
    pub fn new(seed: u64, dtype: DType, device: &Device) -> Self {
        Self::root(Parts {
            seed,
            dtype: Some(dtype),
            device: device.clone(),
            ..Parts::default()
        })
    }

    /// A builder whose tensors have shapes and take no memory: for names and counts.
    pub fn outline() -> Self {
        Self::root(Parts::default())
    }

    fn root(parts: Parts) -> Self {
        Self {
            path: String::new(),
            parts: Rc::new(RefCell::new(parts)),
        }
    }

    /// The builder of the part called `name` inside this one.
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self {
            path: self.child(&name.to_string()),
            parts: Rc::clone(&self.parts),
        }
    }

    fn child(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The path of this part.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn tensor(&self, name: &str, shape: &[usize], init: Init, index: usize) -> Result<Param> {
        let name = self.child(name);
        let (seed, dtype, device) = {
            let parts = self.parts.borrow();
            (parts.seed, parts.dtype, parts.device.clone())
        };
        let tensor = match dtype {
            // Drawn on the CPU: the same numbers wherever the network computes.
            Some(dtype) => init.tensor(shape, &name, seed, dtype)?.to_device(&device)?,
            None => Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)?,
        };
        Ok(Param::new(name, index, tensor))
    }

    /// A parameter of this part, for the optimizer to move.
    pub fn parameter(&self, name: &str, shape: &[usize], init: Init) -> Result<Param> {
        let index = self.parts.borrow().parameters.len();
        let param = self.tensor(name, shape, init, index)?;
        self.parts.borrow_mut().parameters.push(param.clone());
        Ok(param)
    }

    /// A buffer of this part: saved with the weights, moved by its layer.
    pub fn buffer(&self, name: &str, shape: &[usize], value: f64) -> Result<Param> {
        let index = self.parts.borrow().buffers.len();
        let buffer = self.tensor(name, shape, Init::Constant(value), index)?;
        self.parts.borrow_mut().buffers.push(buffer.clone());
        Ok(buffer)
    }

    /// An activation of this part. Its name is what a LinBP plan refers to; torch's modules often share one ReLU
    /// object between several calls, here every call has its own.
    pub fn activation(&self, name: &str, kind: Activation) -> Act {
        let mut parts = self.parts.borrow_mut();
        let kind = match (kind, parts.rectifier) {
            (Activation::Relu | Activation::Relu6, Some(other)) => other,
            _ => kind,
        };
        let index = parts.activations.len();
        let name = self.child(name);
        parts.activations.push(name);
        Act::new(kind, index)
    }

    /// Replaces every ReLU and ReLU6 defined from here on.
    pub fn replace_rectifiers(&self, activation: Activation) {
        self.parts.borrow_mut().rectifier = Some(activation);
    }

    /// Notes that there is a dropout layer of this rate; all of a network have one rate.
    pub(super) fn note_dropout(&self, rate: f64) {
        self.parts.borrow_mut().dropout = Some(rate);
    }

    pub(super) fn finish(self) -> Parts {
        std::mem::take(&mut *self.parts.borrow_mut())
    }
}
