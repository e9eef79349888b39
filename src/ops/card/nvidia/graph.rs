//! Recordings: CUDA graphs.

use std::sync::Arc;

use candle_core::cuda::cudarc::driver::{CudaGraph, CudaStream, sys};

use super::{failed, pool};
use crate::ops::card::Recording;
use crate::{Error, Result};

/// A CUDA graph, and the work that holds the tensors at its addresses.
struct Graph {
    graph: CudaGraph,
    _work: Box<dyn Fn() -> Result<()>>,
}

impl Recording for Graph {
    fn replay(&self) -> Result<()> {
        self.graph.launch().map_err(failed)
    }
}

/// See [`crate::ops::card::Card::record`].
pub fn record(
    stream: &Arc<CudaStream>,
    work: Box<dyn Fn() -> Result<()>>,
) -> Result<Box<dyn Recording>> {
    let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    stream.begin_capture(mode).map_err(failed)?;
    let done = work();
    let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0));
    // What a recording that failed left in the driver's state is reported here, not by whatever comes next.
    let left = stream.context().check_err();
    done?;
    left.map_err(failed)?;
    let graph = graph.map_err(failed)?;
    let graph = graph.ok_or_else(|| Error::failed("CUDA: an empty recording"))?;
    if stream.context().has_async_alloc() {
        // What its steps took one by one is kept for them; the recording has memory of its own.
        stream.synchronize().map_err(failed)?;
        // SAFETY: the pool is the device's own.
        unsafe { sys::cuMemPoolTrimTo(pool(stream)?, 0) }
            .result()
            .map_err(failed)?;
    }
    Ok(Box::new(Graph { graph, _work: work }))
}
