//! How a model is put together: paths name its tensors and activations as torch names them.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};

use super::activation::Act;
use super::curve::Bend;
use super::init::Init;
use super::param::Param;
use crate::Result;
use crate::ops::activation::Activation;
use crate::ops::curve::Curve;

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
    pub max_pool: bool,
    pub remarks: Vec<String>,
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
            max_pool: false,
            remarks: Vec::new(),
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

    /// Says of the network what its user should know.
    pub fn remark(&self, words: String) {
        self.parts.borrow_mut().remarks.push(words);
    }

    /// The tensor that `values` gives on the CPU for a type: the same numbers wherever the network computes.
    fn tensor(
        &self,
        shape: &[usize],
        values: impl FnOnce(DType) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (dtype, device) = {
            let parts = self.parts.borrow();
            (parts.dtype, parts.device.clone())
        };
        Ok(match dtype {
            Some(dtype) => values(dtype)?.to_device(&device)?,
            None => Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)?,
        })
    }

    fn drawn(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let seed = self.parts.borrow().seed;
        self.tensor(shape, |dtype| {
            init.tensor(shape, &self.child(name), seed, dtype)
        })
    }

    fn add_parameter(&self, name: &str, tensor: Tensor) -> Param {
        let parameters = &mut self.parts.borrow_mut().parameters;
        let param = Param::new(self.child(name), parameters.len(), tensor);
        parameters.push(param.clone());
        param
    }

    fn add_buffer(&self, name: &str, tensor: Tensor) -> Param {
        let buffers = &mut self.parts.borrow_mut().buffers;
        let buffer = Param::new(self.child(name), buffers.len(), tensor);
        buffers.push(buffer.clone());
        buffer
    }

    /// A parameter of this part, for the optimizer to move.
    pub fn parameter(&self, name: &str, shape: &[usize], init: Init) -> Result<Param> {
        Ok(self.add_parameter(name, self.drawn(name, shape, init)?))
    }

    /// A buffer of this part: saved with the weights, moved by its layer.
    pub fn buffer(&self, name: &str, shape: &[usize], value: f64) -> Result<Param> {
        Ok(self.add_buffer(name, self.drawn(name, shape, Init::Constant(value))?))
    }

    /// A parameter that starts with the numbers that `values` gives, of that shape and any type.
    pub fn given_parameter(
        &self,
        name: &str,
        shape: &[usize],
        values: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Param> {
        Ok(self.add_parameter(name, self.given(shape, values)?))
    }

    /// The same for a buffer.
    pub fn given_buffer(
        &self,
        name: &str,
        shape: &[usize],
        values: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Param> {
        Ok(self.add_buffer(name, self.given(shape, values)?))
    }

    /// Numbers that are part of a layer and no part of the network's state.
    pub fn given(
        &self,
        shape: &[usize],
        values: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.tensor(shape, |dtype| Ok(values()?.to_dtype(dtype)?))
    }

    /// An activation of this part. Its name is what a LinBP plan refers to; torch's modules often share one ReLU
    /// object between several calls, here every call has its own.
    pub fn activation(&self, name: &str, kind: Activation) -> Act {
        let kind = match (kind, self.parts.borrow().rectifier) {
            (Activation::Relu | Activation::Relu6, Some(other)) => other,
            _ => kind,
        };
        Act::new(kind, self.add_activation(name))
    }

    /// The same for one that is not among the fused ones.
    pub fn bend(&self, name: &str, curve: Curve) -> Bend {
        Bend::activation(curve, self.add_activation(name))
    }

    fn add_activation(&self, name: &str) -> usize {
        let name = self.child(name);
        let activations = &mut self.parts.borrow_mut().activations;
        activations.push(name);
        activations.len() - 1
    }

    /// Replaces every ReLU and ReLU6 defined from here on.
    pub fn replace_rectifiers(&self, activation: Activation) {
        self.parts.borrow_mut().rectifier = Some(activation);
    }

    /// Notes that there is a dropout layer of this rate; all of a network have one rate.
    pub(super) fn note_dropout(&self, rate: f64) {
        self.parts.borrow_mut().dropout = Some(rate);
    }

    /// Notes that the network has a max-pool.
    pub fn note_max_pool(&self) {
        self.parts.borrow_mut().max_pool = true;
    }

    pub(super) fn finish(self) -> Parts {
        std::mem::take(&mut *self.parts.borrow_mut())
    }
}
