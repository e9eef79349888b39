//! Convolutions by cuDNN: for each shape the fastest of its algorithms, found by trying them once.

mod descriptors;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

use candle_core::cuda::cudarc::cudnn::{result, sys};
use candle_core::cuda::cudarc::driver::{CudaSlice, CudaStream, DevicePtr};
use candle_core::{DType, Tensor};

use self::descriptors::Descriptors;
use super::{Nvidia, failed};
use crate::ops::card::{Card, Direction};
use crate::ops::conv::geometry::Sizes;
use crate::ops::precision::{self, Precision};
use crate::{Error, Result};

/// The most memory that an algorithm may work in.
const WORKSPACE: usize = 512 << 20;
/// As many algorithms as any of the three directions has.
const ALGORITHMS: usize = 16;

/// What an algorithm is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    direction: Direction,
    /// n, h, w, in, out, kh, kw, stride, padding, groups, dilation
    sizes: [usize; 11],
    half: bool,
    precision: u8,
}

/// One of a direction's algorithms.
#[derive(Clone, Copy, Debug)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Input(sys::cudnnConvolutionBwdDataAlgo_t),
    Weight(sys::cudnnConvolutionBwdFilterAlgo_t),
}

/// A chosen algorithm, and the memory that it works in.
#[derive(Clone, Copy, Debug)]
struct Choice {
    algorithm: Algorithm,
    math: sys::cudnnMathType_t,
    memory: usize,
    /// Milliseconds that it took.
    time: f32,
    /// Whether it gives the same bits every time.
    repeats: bool,
}

/// A handle and the choices made so far.
pub(super) struct Cudnn {
    handle: sys::cudnnHandle_t,
    choices: RefCell<HashMap<Key, Choice>>,
    stream: Arc<CudaStream>,
}

impl Drop for Cudnn {
    fn drop(&mut self) {
        // SAFETY: the handle was made by `new` and is not used elsewhere. A failure here has nowhere to go.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// Which instructions an algorithm may use.
fn math(dtype: DType) -> sys::cudnnMathType_t {
    match (dtype, precision::current()) {
        (DType::BF16, _) => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        (_, Precision::Tf32) => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
        _ => sys::cudnnMathType_t::CUDNN_FMA_MATH,
    }
}

/// The fastest algorithm that works and fits the memory, among those that give the same bits every time where there is
/// one.
macro_rules! fastest {
    ($found:expr, $results:expr, $room:expr, $kind:path) => {
        $results[..usize::try_from($found).unwrap_or(0).min(ALGORITHMS)]
            .iter()
            .filter(|r| r.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS)
            .filter(|r| r.memory <= $room)
            .map(|r| Choice {
                algorithm: $kind(r.algo),
                math: r.mathType,
                memory: r.memory,
                time: r.time,
                repeats: r.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC,
            })
            .min_by(|a, b| b.repeats.cmp(&a.repeats).then(a.time.total_cmp(&b.time)))
    };
}

impl Cudnn {
    pub fn new(stream: &Arc<CudaStream>) -> Result<Self> {
        stream.context().bind_to_thread().map_err(failed)?;
        let handle = result::create_handle().map_err(|error| {
            Error::failed(format!(
                "cuDNN does not start: {error:?}; version 9 must be on the library path"
            ))
        })?;
        let made = Self {
            handle,
            choices: RefCell::default(),
            stream: Arc::clone(stream),
        };
        // SAFETY: handle and stream are alive; both libraries name the same type.
        unsafe { result::set_stream(handle, stream.cu_stream().cast()) }.map_err(failed)?;
        Ok(made)
    }

    /// Memory for an algorithm to work in, as scratch: a recording holds it only while the convolution runs.
    fn workspace(&self, bytes: usize) -> Result<CudaSlice<u8>> {
        // SAFETY: nothing reads what an algorithm has not written.
        unsafe { self.stream.alloc::<u8>(bytes.max(1)) }.map_err(|error| {
            Error::NoMemory(format!(
                "the card has no {} MiB left for a convolution to work in ({error:?}): a smaller data.batch_size needs \
                 less",
                bytes >> 20
            ))
        })
    }

    /// See [`Card::convolve`].
    pub fn convolve(
        &self,
        card: &Nvidia,
        direction: Direction,
        sizes: &Sizes,
        x: &Tensor,
        w: &Tensor,
        y: &Tensor,
    ) -> Result<()> {
        let descriptors = Descriptors::new(sizes, x.dtype())?;
        let addresses =
            [card.address(x)?, card.address(w)?, card.address(y)?].map(|a| a as *mut c_void);
        let key = Key {
            direction,
            sizes: [
                sizes.n,
                sizes.h,
                sizes.w,
                sizes.c_in,
                sizes.c_out,
                sizes.kh,
                sizes.kw,
                sizes.stride,
                sizes.padding,
                sizes.groups,
                sizes.dilation,
            ],
            half: x.dtype() == DType::BF16,
            precision: precision::current() as u8,
        };
        let known = self.choices.borrow().get(&key).copied();
        let choice = match known {
            Some(choice) => choice,
            None => {
                descriptors.set_math(math(x.dtype()))?;
                // The driver loads a kernel when it is first run, which takes longer than the kernel: the first trials
                // say nothing of times.
                let choice = self
                    .search(direction, &descriptors, addresses)
                    .and_then(|_| self.search(direction, &descriptors, addresses))
                    .map_err(|error| {
                        Error::failed(format!(
                            "cuDNN, {direction:?} of a convolution {sizes:?}: {error}"
                        ))
                    })?;
                if !choice.repeats {
                    tracing::warn!(
                        ?direction,
                        ?sizes,
                        "every algorithm of cuDNN for this convolution adds up in an order that varies: the same step \
                         twice differs by rounding"
                    );
                }
                self.choices.borrow_mut().insert(key, choice);
                choice
            }
        };
        // What was asked for as float32 stays so, whatever the trial reports.
        descriptors.set_math(match math(x.dtype()) {
            exact @ sys::cudnnMathType_t::CUDNN_FMA_MATH => exact,
            _ => choice.math,
        })?;
        self.run(&descriptors, addresses, choice).map_err(|error| {
            Error::failed(format!(
                "cuDNN, {direction:?} of a convolution {sizes:?}: {error}"
            ))
        })
    }

    /// Tries all algorithms. The tensor that is written is written by each of them.
    fn search(
        &self,
        direction: Direction,
        d: &Descriptors,
        [x, w, y]: [*mut c_void; 3],
    ) -> Result<Choice> {
        // The trials come when the card is full: they make do with what is left, in halves down to nothing.
        let mut room = WORKSPACE;
        let space = loop {
            match self.workspace(room) {
                Ok(space) => break space,
                Err(error) if room == 0 => return Err(error),
                Err(_) => room = if room > 1 << 20 { room / 2 } else { 0 },
            }
        };
        let (space, _synchronised) = space.device_ptr(&self.stream);
        let space = space as *mut c_void;
        let handle = self.handle;
        let mut found = 0;
        // SAFETY: handle, descriptors and addresses are alive, the addresses hold what the descriptors say, and there
        // is room for as many results as are asked for.
        let choice = unsafe {
            match direction {
                Direction::Forward => {
                    let mut results: [sys::cudnnConvolutionFwdAlgoPerf_t; ALGORITHMS] =
                        std::mem::zeroed();
                    sys::cudnnFindConvolutionForwardAlgorithmEx(
                        handle,
                        d.x,
                        x,
                        d.w,
                        w,
                        d.convolution,
                        d.y,
                        y,
                        ALGORITHMS as i32,
                        &mut found,
                        results.as_mut_ptr(),
                        space,
                        room,
                    )
                    .result()
                    .map_err(failed)?;
                    fastest!(found, results, room, Algorithm::Forward)
                }
                Direction::Input => {
                    let mut results: [sys::cudnnConvolutionBwdDataAlgoPerf_t; ALGORITHMS] =
                        std::mem::zeroed();
                    sys::cudnnFindConvolutionBackwardDataAlgorithmEx(
                        handle,
                        d.w,
                        w,
                        d.y,
                        y,
                        d.convolution,
                        d.x,
                        x,
                        ALGORITHMS as i32,
                        &mut found,
                        results.as_mut_ptr(),
                        space,
                        room,
                    )
                    .result()
                    .map_err(failed)?;
                    fastest!(found, results, room, Algorithm::Input)
                }
                Direction::Weight => {
                    let mut results: [sys::cudnnConvolutionBwdFilterAlgoPerf_t; ALGORITHMS] =
                        std::mem::zeroed();
                    sys::cudnnFindConvolutionBackwardFilterAlgorithmEx(
                        handle,
                        d.x,
                        x,
                        d.y,
                        y,
                        d.convolution,
                        d.w,
                        w,
                        ALGORITHMS as i32,
                        &mut found,
                        results.as_mut_ptr(),
                        space,
                        room,
                    )
                    .result()
                    .map_err(failed)?;
                    fastest!(found, results, room, Algorithm::Weight)
                }
            }
        };
        choice.ok_or_else(|| Error::failed("no algorithm computes this shape"))
    }

    fn run(&self, d: &Descriptors, [x, w, y]: [*mut c_void; 3], choice: Choice) -> Result<()> {
        let space = self.workspace(choice.memory)?;
        let (space, _synchronised) = space.device_ptr(&self.stream);
        let space = space as *mut c_void;
        let (one, zero) = (1f32, 0f32);
        let (one, zero) = (
            (&raw const one).cast::<c_void>(),
            (&raw const zero).cast::<c_void>(),
        );
        let (handle, memory) = (self.handle, choice.memory);
        // SAFETY: as in `search`.
        unsafe {
            match choice.algorithm {
                Algorithm::Forward(algorithm) => result::convolution_forward(
                    handle,
                    one,
                    d.x,
                    x,
                    d.w,
                    w,
                    d.convolution,
                    algorithm,
                    space,
                    memory,
                    zero,
                    d.y,
                    y,
                ),
                Algorithm::Input(algorithm) => result::convolution_backward_data(
                    handle,
                    one,
                    d.w,
                    w,
                    d.y,
                    y,
                    d.convolution,
                    algorithm,
                    space,
                    memory,
                    zero,
                    d.x,
                    x,
                ),
                Algorithm::Weight(algorithm) => result::convolution_backward_filter(
                    handle,
                    one,
                    d.x,
                    x,
                    d.y,
                    y,
                    d.convolution,
                    algorithm,
                    space,
                    memory,
                    zero,
                    d.w,
                    w,
                ),
            }
        }
        .map_err(failed)
    }
}
