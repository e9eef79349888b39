//! A whole classifier: images with pixels in [0, 1] in, logits out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::builder::Builder;
use super::param::Param;
use super::pass::{Coordinates, Pass};
use super::replay;
use super::structure::enter;
use super::tape::{Tape, Var};
use crate::choice::nearest;
use crate::ops::card::prepared;
use crate::ops::device::{bring, enter_for};
use crate::ops::image::Normalize;
use crate::{Error, Result};

/// Tensors that do not fit which a message names: weights of another architecture miss hundreds.
const FAULTS_SHOWN: usize = 8;

/// A part of a network that maps one value to another.
pub trait Module: Send + Sync {
    /// The value for `x`.
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var>;
}

/// A model with its tensors and the names of its activations.
pub struct Network {
    function: Arc<Function>,
    parameters: Vec<Param>,
    buffers: Vec<Param>,
    activations: Vec<String>,
    dropout: Option<f64>,
    max_pool: bool,
    remarks: Vec<String>,
    device: Device,
}

/// The part of a network that a pass runs through: from images to logits.
pub(super) struct Function(Box<dyn Module>);

/// A network's layers, and what comes before them.
struct Entered {
    body: Box<dyn Module>,
    normalize: Option<Normalize>,
}

impl Module for Entered {
    fn forward(&self, tape: &Tape, images: &Var) -> Result<Var> {
        let x = enter(tape, images, self.normalize.as_ref())?;
        self.body.forward(tape, &x)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        prepared::forget();
    }
}

impl Function {
    pub fn forward(&self, tape: &Tape, images: &Var) -> Result<Var> {
        self.0.forward(tape, images)
    }

    /// The logits of images, in their type, without a gradient.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let tape = Tape::new(Pass::inference());
        let logits = self.forward(&tape, &tape.input(images))?;
        Ok(logits.tensor().to_dtype(images.dtype())?)
    }
}

impl Network {
    /// Builds a network with initial weights from `seed`. Normalisation is its first layer: attacks see pixels.
    pub fn build(
        seed: u64,
        dtype: DType,
        device: &Device,
        normalize: Option<Normalize>,
        define: impl FnOnce(&Builder) -> Result<Box<dyn Module>>,
    ) -> Result<Self> {
        Self::collect(Builder::new(seed, dtype, device), normalize, define)
    }

    /// A network with names and shapes but without numbers, to be asked and not to be run.
    pub fn outline(define: impl FnOnce(&Builder) -> Result<Box<dyn Module>>) -> Result<Self> {
        Self::collect(Builder::outline(), None, define)
    }

    fn collect(
        builder: Builder,
        normalize: Option<Normalize>,
        define: impl FnOnce(&Builder) -> Result<Box<dyn Module>>,
    ) -> Result<Self> {
        let body = define(&builder)?;
        let parts = builder.finish();
        Ok(Self {
            function: Arc::new(Function(Box::new(Entered { body, normalize }))),
            parameters: parts.parameters,
            buffers: parts.buffers,
            activations: parts.activations,
            dropout: parts.dropout,
            max_pool: parts.max_pool,
            remarks: parts.remarks.clone(),
            device: parts.device,
        })
    }

    /// A network of a function of images and the names of its activations, whose tensors belong to others.
    pub(super) fn of(
        function: Box<dyn Module>,
        activations: Vec<String>,
        max_pool: bool,
        device: Device,
    ) -> Self {
        Self {
            max_pool,
            function: Arc::new(Function(function)),
            parameters: Vec::new(),
            buffers: Vec::new(),
            activations,
            dropout: None,
            remarks: Vec::new(),
            device,
        }
    }

    /// Logits `(N, classes)` of images `(N, C, H, W)`.
    pub fn forward(&self, tape: &Tape, images: &Var) -> Result<Var> {
        self.function.forward(tape, images)
    }

    /// What it computes, without its weights' names.
    pub(super) fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// Logits in evaluation mode, without a tape.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let x = bring(images, &self.device)?;
        if let Some(logits) = replay::logits(self, &x)? {
            return Ok(logits.to_device(images.device())?);
        }
        enter_for(&self.device, || {
            let logits = self.function.logits(&x)?;
            Ok(logits.to_device(images.device())?)
        })
    }

    /// Where the network computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the optimizer moves, in order of definition.
    pub fn parameters(&self) -> &[Param] {
        &self.parameters
    }

    /// Running statistics, in order of definition.
    pub fn buffers(&self) -> &[Param] {
        &self.buffers
    }

    /// All its tensors: the parameters, then the running statistics.
    pub fn tensors(&self) -> impl Iterator<Item = &Param> {
        self.parameters.iter().chain(&self.buffers)
    }

    /// Moves running statistics to those of a batch of images `(N, C, H, W)`, by the share `momentum`.
    pub fn measure_statistics(
        &self,
        images: &Tensor,
        momentum: f64,
        at: Coordinates,
    ) -> Result<()> {
        let x = bring(images, &self.device)?;
        enter_for(&self.device, || {
            let tape = Tape::new(Pass::statistics(momentum, at));
            self.function.forward(&tape, &tape.input(&x)).map(drop)
        })
    }

    /// Names of the activations, in order of definition, which is the order of the forward pass.
    pub fn activations(&self) -> &[String] {
        &self.activations
    }

    /// What its user should know of it, one line each.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The rate of its dropout layers, where it has any.
    pub fn dropout(&self) -> Option<f64> {
        self.dropout
    }

    /// Whether it has a max-pool.
    pub fn has_max_pool(&self) -> bool {
        self.max_pool
    }

    /// Copies of all tensors by name.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let all = self.tensors();
        all.map(|param| Ok((param.name().to_string(), param.snapshot()?)))
            .collect()
    }

    /// Takes over the tensors of `state` by name. Faults are reported together: tensors that are missing, whose
    /// shapes do not fit, or that hold integers. Nothing is changed unless everything fits. Returns the names that the network has no
    /// use for.
    pub fn load(&self, state: &BTreeMap<String, Tensor>) -> Result<Vec<String>> {
        let surplus = self.fit(state)?;
        for param in self.tensors() {
            param.set(&state[param.name()])?;
        }
        Ok(surplus)
    }

    /// Compares the tensors of `state` with the network's by name and shape, as [`Self::load`] does.
    pub fn fit(&self, state: &BTreeMap<String, Tensor>) -> Result<Vec<String>> {
        let all: Vec<&Param> = self.tensors().collect();
        let known: HashSet<&str> = all.iter().map(|param| param.name()).collect();
        let surplus = || {
            let unknown = state
                .iter()
                .filter(|(name, _)| !known.contains(name.as_str()));
            // A counter that torch keeps beside running statistics and that changes nothing.
            unknown.filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        };
        let missing = all.iter().any(|param| !state.contains_key(param.name()));
        let mut faults = Vec::new();
        for param in &all {
            let (name, expected) = (param.name(), param.tensor().dims());
            match state.get(name) {
                None => {
                    let unused = surplus().filter(|(_, tensor)| tensor.dims() == expected);
                    let near = nearest(name, unused.map(|(other, _)| other.as_str()));
                    let near = near.map(|near| format!(" (the weights have {near} of that shape)"));
                    let near = near.unwrap_or_default();
                    faults.push(format!("tensor {name} of shape {expected:?} is missing{near}"));
                }
                Some(found) if found.dims() != expected => faults.push(format!(
                    "tensor {name}: the model has shape {expected:?}, the weights have {:?}",
                    found.dims()
                )),
                // As numbers they would be taken over without a word: codes of a quantisation, or a mask.
                Some(found) if !found.dtype().is_float() => faults.push(format!(
                    "tensor {name} holds integers, floating point (F16, BF16, F32 or F64) was expected; save the \
                     numbers that they stand for"
                )),
                Some(_) => {}
            }
        }
        if !faults.is_empty() {
            let more = faults.len().saturating_sub(FAULTS_SHOWN);
            faults.truncate(FAULTS_SHOWN);
            if more > 0 {
                faults.push(format!("and {more} more"));
            }
            let unused = surplus().map(|(name, tensor)| format!("{name} {:?}", tensor.dims()));
            let unused: Vec<String> = unused.collect();
            if missing && !unused.is_empty() {
                let shown = &unused[..unused.len().min(FAULTS_SHOWN)];
                let count = unused.len();
                faults.push(format!(
                    "unused of the weights are {count}: {}",
                    shown.join(", ")
                ));
            }
            return Err(Error::failed(faults.join("; ")));
        }
        Ok(surplus().map(|(name, _)| name.clone()).collect())
    }
}
