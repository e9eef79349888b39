//! Element types of the kernels, and access to the numbers inside a tensor.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Mutex;

use candle_core::{
    CpuStorage, Device, InplaceOp1, Layout, Shape, Storage, StorageRef, Tensor, WithDType,
};

use crate::{Error, Result};

/// A floating-point type that every kernel is compiled for.
pub trait Real: WithDType + std::iter::Sum + std::ops::Neg<Output = Self> + Default {
    const ZERO: Self;
    const ONE: Self;
    /// `self * a + b` with one rounding. Only for code compiled with a fused multiply-add, see [`super::simd`].
    fn fused(self, a: Self, b: Self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
}

macro_rules! real {
    ($type:ty) => {
        impl Real for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn fused(self, a: Self, b: Self) -> Self {
                self.mul_add(a, b)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                self.exp()
            }
            #[inline(always)]
            fn ln(self) -> Self {
                self.ln()
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                self as f64
            }
        }
    };
}
real!(f32);
real!(f64);

/// Calls a function that is generic over [`Real`] with the type that a tensor holds.
#[macro_export]
macro_rules! with_real {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => Err($crate::Error::failed(format!(
                "tensors of type {other:?} cannot be computed with: expected f32 or f64"
            ))),
        }
    };
}

/// The numbers of a contiguous CPU tensor, borrowed for reading.
pub struct View<'a, T> {
    storage: StorageRef<'a>,
    start: usize,
    len: usize,
    element: PhantomData<T>,
}

/// Borrows the numbers of `tensor`. Errors when it is not on the CPU, not contiguous or of another type.
pub fn view<T: Real>(tensor: &Tensor) -> Result<View<'_, T>> {
    let (storage, layout) = tensor.storage_and_layout();
    let (start, end) = span(layout)?;
    match &*storage {
        Storage::Cpu(cpu) => T::cpu_storage_as_slice(cpu)?,
        _ => return Err(Error::failed("this operation is built for the CPU only")),
    };
    Ok(View {
        storage,
        start,
        len: end - start,
        element: PhantomData,
    })
}

impl<T: Real> Deref for View<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let Storage::Cpu(cpu) = &*self.storage else {
            unreachable!("checked when the view was made")
        };
        let all = T::cpu_storage_as_slice(cpu).expect("checked when the view was made");
        &all[self.start..self.start + self.len]
    }
}

fn span(layout: &Layout) -> Result<(usize, usize)> {
    layout.contiguous_offsets().ok_or_else(|| {
        Error::failed(format!(
            "expected a contiguous tensor, found strides {:?} for shape {:?}",
            layout.stride(),
            layout.dims()
        ))
    })
}

/// A CPU tensor that takes over `values`.
pub fn tensor<T: Real>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Runs `body` on the numbers of `tensor`, which are changed in place. The caller makes sure that nothing else reads them.
pub fn with_mut<T: Real, R>(tensor: &Tensor, body: impl FnOnce(&mut [T]) -> R) -> Result<R> {
    struct InPlace<T, F, R>(Mutex<(Option<F>, Option<R>)>, PhantomData<T>);
    impl<T: Real, R, F: FnOnce(&mut [T]) -> R> InplaceOp1 for InPlace<T, F, R> {
        fn name(&self) -> &'static str {
            "in-position"
        }
        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
            let (start, end) = span(layout).map_err(candle_core::Error::wrap)?;
            let numbers = mutable::<T>(storage)?;
            let mut slot = self.0.lock().expect("the closure runs once");
            if let Some(body) = slot.0.take() {
                slot.1 = Some(body(&mut numbers[start..end]));
            }
            Ok(())
        }
    }
    let op = InPlace::<T, _, R>(Mutex::new((Some(body), None)), PhantomData);
    tensor.inplace_op1(&op)?;
    let (_, result) = op.0.into_inner().expect("the closure runs once");
    result.ok_or_else(|| Error::failed("an in-position operation did not run"))
}

fn mutable<T: Real>(storage: &mut CpuStorage) -> candle_core::Result<&mut [T]> {
    use candle_core::backend::BackendStorage;
    use std::any::Any;
    let found = storage.dtype();
    let any: &mut dyn Any = match storage {
        CpuStorage::F32(v) => v,
        CpuStorage::F64(v) => v,
        _ => {
            return Err(candle_core::Error::UnsupportedDTypeForOp(
                found,
                "in-position",
            ));
        }
    };
    any.downcast_mut::<Vec<T>>().map(Vec::as_mut_slice).ok_or(
        candle_core::Error::UnsupportedDTypeForOp(found, "in-position"),
    )
}

/// A vector of `len` numbers whose content is unspecified: for outputs that are written from end to end.
pub fn scratch<T: Real>(len: usize) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    // SAFETY: f32 and f64 have no invalid bit patterns and no destructor, the capacity is `len`, and every caller
    // writes each element before it is read. Zeroing instead would touch large buffers a second time.
    #[allow(clippy::uninit_vec)]
    unsafe {
        values.set_len(len);
    }
    values
}
