//! The real cards: a queue, loaded kernels and library handles for each thread that works on one.

#[cfg(feature = "cudnn")]
mod cudnn;
#[cfg(not(feature = "cudnn"))]
#[path = "without_cudnn.rs"]
mod cudnn;
mod graph;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::Arc;

use candle_core::cuda::cudarc::cublas::{CudaBlas, result as cublas, sys as blas};
use candle_core::cuda::cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, LaunchConfig,
    PushKernelArg, result, sys,
};
use candle_core::cuda::{CudaStorageSlice, DeviceId};
use candle_core::{CudaDevice, DType, Device, Storage, Tensor};

use self::cudnn::Cudnn;
use super::{Arg, Call, Card, CardInfo, Direction, Product, Recording};
use crate::ops::conv::geometry::Sizes;
use crate::ops::precision::{self, Precision};
use crate::{Error, Result};

/// Kernel files and their PTX.
const KERNELS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// Bytes that a product works in: what cuBLAS takes for itself on cards of compute capability 9.0.
const PRODUCT_WORKSPACE: usize = 32 << 20;

thread_local! {
    // Library handles belong to the thread that made them.
    static CARDS: RefCell<HashMap<DeviceId, Rc<Nvidia>>> = RefCell::default();
}

/// The card behind a device, for this thread.
pub fn card(device: &CudaDevice) -> Result<Rc<dyn Card>> {
    Ok(nvidia(device)?)
}

fn nvidia(device: &CudaDevice) -> Result<Rc<Nvidia>> {
    CARDS.with_borrow_mut(|cards| {
        if let Some(card) = cards.get(&device.id()) {
            return Ok(Rc::clone(card));
        }
        let card = Rc::new(Nvidia::new(device)?);
        cards.insert(device.id(), Rc::clone(&card));
        Ok(card)
    })
}

/// Opens a card by its number: a queue of its own, whose freed memory is kept for the next tensor.
///
/// # Errors
/// No driver, no such card, or a card that the kernels were not compiled for.
pub fn open(number: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(number).map_err(|error| {
        Error::failed(format!(
            "CUDA device {number} cannot be used: {error}. `runner devices` lists what can; it needs an NVIDIA driver \
             for CUDA 13 or newer, or the one this program was built for"
        ))
    })?;
    if let Device::Cuda(cuda) = &device {
        // SAFETY: every tensor of this device lives on its one queue, so that nothing has to wait for another queue.
        unsafe { cuda.disable_event_tracking() };
        keep_memory(cuda)?;
        // A kernel image that does not fit shows here, before anything has begun.
        nvidia(cuda)?.function(&Call::elements("activation", "activation_forward", 1).of("f32"))?;
    }
    Ok(device)
}

/// The cards of this machine.
///
/// # Errors
/// No driver.
pub fn cards() -> Result<Vec<CardInfo>> {
    // Without a driver the library that the program is linked to does not answer, it is not missing.
    let count = CudaContext::device_count().map_err(|error| {
        Error::failed(format!(
            "no NVIDIA driver answers ({error:?}); use --device cpu, or install one"
        ))
    })?;
    (0..usize::try_from(count).unwrap_or(0))
        .map(|number| {
            let context = CudaContext::new(number).map_err(failed)?;
            let (free, total) = context.mem_get_info().map_err(failed)?;
            Ok(CardInfo {
                name: context.name().map_err(failed)?,
                capability: context.compute_capability().map_err(failed)?,
                free,
                memory: total,
            })
        })
        .collect()
}

/// Asks the driver not to give freed memory back to the system at every synchronisation.
fn keep_memory(device: &CudaDevice) -> Result<()> {
    let stream = device.cuda_stream();
    let context = stream.context();
    if !context.has_async_alloc() {
        return Ok(());
    }
    context.bind_to_thread().map_err(failed)?;
    let mut threshold = u64::MAX;
    // SAFETY: the attribute is a 64-bit number.
    unsafe {
        sys::cuMemPoolSetAttribute(
            pool(&stream)?,
            sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
            (&raw mut threshold).cast::<c_void>(),
        )
        .result()
        .map_err(failed)
    }
}

/// The pool that a queue's memory comes from.
fn pool(stream: &CudaStream) -> Result<sys::CUmemoryPool> {
    // SAFETY: the device is open.
    unsafe { result::device::get_default_mem_pool(stream.context().cu_device()) }.map_err(failed)
}

/// One card, for one thread.
pub struct Nvidia {
    device: Device,
    /// cuBLAS
    products: CudaBlas,
    /// What products work in.
    _workspace: CudaSlice<u8>,
    stream: Arc<CudaStream>,
    modules: RefCell<HashMap<&'static str, Arc<CudaModule>>>,
    functions: RefCell<HashMap<(&'static str, &'static str), CudaFunction>>,
    cudnn: OnceCell<Cudnn>,
}

impl Nvidia {
    fn new(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        let products = CudaBlas::new(Arc::clone(&stream)).map_err(failed)?;
        // Memory of its own to work in: what the library takes for itself during a recording would be in the graph.
        // SAFETY: nothing reads what a product has not written.
        let workspace = unsafe { stream.alloc::<u8>(PRODUCT_WORKSPACE) }.map_err(failed)?;
        // SAFETY: the handle is alive, and is dropped before its memory.
        unsafe {
            blas::cublasSetWorkspace_v2(
                *products.handle(),
                base(&workspace, &stream) as *mut c_void,
                PRODUCT_WORKSPACE,
            )
        }
        .result()
        .map_err(failed)?;
        Ok(Self {
            device: Device::Cuda(device.clone()),
            products,
            _workspace: workspace,
            stream,
            modules: RefCell::default(),
            functions: RefCell::default(),
            cudnn: OnceCell::new(),
        })
    }

    fn module(&self, name: &'static str) -> Result<Arc<CudaModule>> {
        if let Some(module) = self.modules.borrow().get(name) {
            return Ok(Arc::clone(module));
        }
        let ptx = KERNELS.iter().find(|(known, _)| *known == name);
        let (_, ptx) = ptx.ok_or_else(|| Error::failed(format!("no kernel file {name}.cu")))?;
        let module = self.stream.context().load_module((*ptx).into()).map_err(|error| {
            let fits = self.stream.context().compute_capability();
            Error::failed(format!(
                "the kernels of {name}.cu do not run on this card (compute capability {fits:?}; 8.0 or newer is \
                 needed) or with this driver (whose CUDA version, which nvidia-smi shows, must not be older than \
                 that of the nvcc that built this program): {error:?}"
            ))
        })?;
        self.modules.borrow_mut().insert(name, Arc::clone(&module));
        Ok(module)
    }

    fn function(&self, call: &Call) -> Result<CudaFunction> {
        let key = (call.kernel, call.suffix);
        if let Some(function) = self.functions.borrow().get(&key) {
            return Ok(function.clone());
        }
        let name = call.name();
        let function = self
            .module(call.module)?
            .load_function(&name)
            .map_err(|error| {
                Error::failed(format!(
                    "{}.cu has no kernel {name}: {error:?}",
                    call.module
                ))
            })?;
        self.functions.borrow_mut().insert(key, function.clone());
        Ok(function)
    }
}

impl Card for Nvidia {
    fn device(&self) -> &Device {
        &self.device
    }

    unsafe fn start(&self, call: &Call<'_>) -> Result<()> {
        let function = self.function(call)?;
        let address = |arg: &Arg<'_>| match arg {
            Arg::Tensor(tensor) => self.address(tensor),
            _ => Ok(0),
        };
        let addresses = call.args.iter().map(address).collect::<Result<Vec<_>>>()?;
        let mut launch = self.stream.launch_builder(&function);
        for (arg, address) in call.args.iter().zip(&addresses) {
            match arg {
                Arg::Tensor(_) | Arg::Null => launch.arg(address),
                Arg::Word(value) => launch.arg(value),
                Arg::Size(value) => launch.arg(value),
                Arg::Int(value) => launch.arg(value),
                Arg::Float(value) => launch.arg(value),
                Arg::Double(value) => launch.arg(value),
            };
        }
        let [x, y, z] = call.grid;
        let config = LaunchConfig {
            grid_dim: (x, y, z),
            block_dim: (call.block, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the caller's promise; addresses are of live tensors, and memory is freed in the queue's order.
        unsafe { launch.launch(config) }
            .map(drop)
            .map_err(|error| Error::failed(format!("kernel {}: {error:?}", call.name())))
    }

    fn scratch(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        // SAFETY: every kernel writes each element of its results before any read.
        unsafe { Tensor::empty(shape, dtype, &self.device) }.map_err(|error| {
            let need = (shape.iter().product::<usize>() * dtype.size_in_bytes()) >> 20;
            let (free, total) = self.stream.context().mem_get_info().unwrap_or_default();
            Error::NoMemory(format!(
                "the card has no room for another {need} MiB (a tensor {shape:?} of {dtype:?}): {} of its {} MiB are free \
                 ({error}); a smaller data.batch_size, or data.eval_batch_size in an evaluation or attack, needs less",
                free >> 20,
                total >> 20
            ))
        })
    }

    fn address(&self, tensor: &Tensor) -> Result<u64> {
        let (storage, layout) = tensor.storage_and_layout();
        let (start, _) = layout
            .contiguous_offsets()
            .ok_or_else(|| Error::failed("expected a contiguous tensor"))?;
        let Storage::Cuda(storage) = &*storage else {
            return Err(Error::failed("a tensor of the CPU met one of a card"));
        };
        let base = match &storage.slice {
            CudaStorageSlice::U8(slice) => base(slice, &self.stream),
            CudaStorageSlice::U32(slice) => base(slice, &self.stream),
            CudaStorageSlice::I32(slice) => base(slice, &self.stream),
            CudaStorageSlice::I64(slice) => base(slice, &self.stream),
            CudaStorageSlice::BF16(slice) => base(slice, &self.stream),
            CudaStorageSlice::F32(slice) => base(slice, &self.stream),
            CudaStorageSlice::F64(slice) => base(slice, &self.stream),
            _ => return Err(Error::failed("no kernel takes this type")),
        };
        Ok(base + (start * tensor.dtype().size_in_bytes()) as u64)
    }

    fn record(&self, work: Box<dyn Fn() -> Result<()>>) -> Result<Box<dyn Recording>> {
        graph::record(&self.stream, work)
    }

    fn multiply(&self, product: &Product<'_>) -> Result<()> {
        let &Product {
            m,
            k,
            n,
            a,
            a_turned,
            b,
            b_turned,
            c,
        } = product;
        let side = |value: usize| {
            i32::try_from(value)
                .map_err(|_| Error::failed("a matrix has more than 2^31 rows or columns"))
        };
        let (rows, depth, columns) = (side(m)?, side(k)?, side(n)?);
        let operation = |turned| match turned {
            true => blas::cublasOperation_t::CUBLAS_OP_T,
            false => blas::cublasOperation_t::CUBLAS_OP_N,
        };
        let compute = match (a.dtype(), precision::current()) {
            (DType::F32, Precision::Tf32) => {
                blas::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32
            }
            _ => blas::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        let (one, zero) = (1f32, 0f32);
        // The library thinks in columns: what it is given is c^T = b^T a^T.
        // SAFETY: the three matrices hold m k, k n and m n elements of the types named, on this card.
        unsafe {
            cublas::gemm_ex(
                *self.products.handle(),
                operation(b_turned),
                operation(a_turned),
                columns,
                rows,
                depth,
                (&raw const one).cast(),
                self.address(b)? as *const c_void,
                kind(b.dtype())?,
                if b_turned { depth } else { columns },
                self.address(a)? as *const c_void,
                kind(a.dtype())?,
                if a_turned { rows } else { depth },
                (&raw const zero).cast(),
                self.address(c)? as *mut c_void,
                kind(c.dtype())?,
                columns,
                compute,
                blas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|error| Error::failed(format!("cuBLAS, a product of {m} x {k} x {n}: {error:?}")))
    }

    fn convolve(
        &self,
        direction: Direction,
        sizes: &Sizes,
        x: &Tensor,
        w: &Tensor,
        y: &Tensor,
    ) -> Result<()> {
        if self.cudnn.get().is_none() {
            // Set here alone: the card belongs to this thread.
            let _ = self.cudnn.set(Cudnn::new(&self.stream)?);
        }
        let cudnn = self.cudnn.get();
        let cudnn = cudnn.ok_or_else(|| Error::failed("cuDNN did not start"))?;
        cudnn.convolve(self, direction, sizes, x, w, y)
    }
}

/// A failure of the driver or of one of its libraries.
fn failed(error: impl std::fmt::Debug) -> Error {
    Error::failed(format!("CUDA: {error:?}"))
}

fn base<T>(slice: &CudaSlice<T>, stream: &CudaStream) -> u64 {
    let (address, _synchronised) = slice.device_ptr(stream);
    address
}

fn kind(dtype: DType) -> Result<blas::cudaDataType> {
    match dtype {
        DType::F32 => Ok(blas::cudaDataType::CUDA_R_32F),
        DType::BF16 => Ok(blas::cudaDataType::CUDA_R_16BF),
        other => Err(Error::failed(format!(
            "a card multiplies f32 and bf16, not {other:?}"
        ))),
    }
}
