//! Gradients brought to the norms of others, example by example.

use candle_core::Tensor;

use super::Real;
#[cfg(any(feature = "cuda", test))]
use super::cuda;
use super::parallel::{chunk, chunks_mut};
use super::place::on_card;
use super::real::{scratch, tensor, view};
use crate::{Error, Result, with_real};

/// `x` with each example (first dimension) multiplied by the factor that gives it the l2 norm of the same example of
/// `reference`. An example of norm 0 stays as it is.
pub fn to_norms_of(x: &Tensor, reference: &Tensor) -> Result<Tensor> {
    on_card!(x, card => cuda::rescale::to_norms_of(card, x, reference));
    if x.dims() != reference.dims() {
        return Err(Error::failed(format!(
            "cannot bring {:?} to the norms of {:?}",
            x.dims(),
            reference.dims()
        )));
    }
    let width = x.elem_count() / x.dim(0)?.max(1);
    with_real!(x.dtype(), T => {
        let (x_values, reference) = (&*view::<T>(x)?, &*view::<T>(reference)?);
        let mut y = scratch::<T>(x_values.len());
        chunks_mut(&mut y, width.max(1), &|i, y| {
            let x = chunk(x_values, width, i);
            let own = norm(x);
            let factor = if own > 0.0 { norm(chunk(reference, width, i)) / own } else { 1.0 };
            for (y, &x) in y.iter_mut().zip(x) {
                *y = x * T::of(factor);
            }
        });
        tensor(y, x.shape())
    })
}

fn norm<T: Real>(values: &[T]) -> f64 {
    values
        .iter()
        .map(|v| v.wide() * v.wide())
        .sum::<f64>()
        .sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn every_example_has_its_own_factor() {
        let x = Tensor::new(&[[3f32, 4.0], [0.0, 0.0], [0.0, 2.0]], &Device::Cpu).unwrap();
        let reference = Tensor::new(&[[6f32, 8.0], [1.0, 1.0], [0.0, 0.0]], &Device::Cpu).unwrap();
        let y = to_norms_of(&x, &reference)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        assert_eq!(y, [[6.0, 8.0], [0.0, 0.0], [0.0, 0.0]]);
        assert!(to_norms_of(&x, &reference.narrow(0, 0, 2).unwrap()).is_err());
    }
}
