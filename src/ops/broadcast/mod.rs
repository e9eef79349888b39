//! Sums, differences, products and quotients of tensors of which one may be repeated along sides of the other, and the
//! sums that gradients of repeated numbers are.

mod card;
mod cpu;

use candle_core::Tensor;

use super::device::ops;
use crate::{Error, Result};

/// What is computed of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a b`
    Multiply,
    /// `a / b`
    Divide,
}

/// The shape of what is computed of two tensors of equally many dimensions, whose sides are the same or 1.
fn common(a: &Tensor, b: &Tensor) -> Result<Vec<usize>> {
    let (x, y) = (a.dims(), b.dims());
    let fits = x.iter().zip(y).all(|(x, y)| x == y || *x == 1 || *y == 1);
    if x.len() != y.len() || !fits || a.dtype() != b.dtype() {
        return Err(Error::failed(format!(
            "tensors of {:?} {x:?} and {:?} {y:?} do not go together",
            a.dtype(),
            b.dtype()
        )));
    }
    // A side of no elements stays so.
    let side = |(x, y): (&usize, &usize)| if *x == 1 { *y } else { *x };
    Ok(x.iter().zip(y).map(side).collect())
}

fn summable(x: &Tensor, shape: &[usize]) -> Result<()> {
    let sides = x.dims().iter().zip(shape);
    match x.dims().len() == shape.len() && sides.clone().all(|(x, s)| x == s || *s == 1) {
        true => Ok(()),
        false => Err(Error::failed(format!(
            "a tensor {:?} is not summed to {shape:?}",
            x.dims()
        ))),
    }
}

ops! {
    /// `a` and `b` number by number, each repeated along its sides of 1 where the other's are longer.
    pub fn combine(a: &Tensor, b: &Tensor, how: Arithmetic) -> Result<Tensor>

    /// Sums along the sides that are 1 in `shape`.
    pub fn sum_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
        summable(x, shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn noise(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|i| ((i * 7919) % 1013) as f64 / 500.0 + 0.1);
        Tensor::from_iter(values, &Device::Cpu)
            .unwrap()
            .reshape(shape)
            .unwrap()
    }

    fn largest(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!(a.dims(), b.dims());
        let found = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        found.max(0).unwrap().to_scalar::<f64>().unwrap()
    }

    /// Against Candle's own, for sides repeated in every place.
    #[test]
    fn repeated_sides() {
        for (a, b) in [
            (vec![3, 5, 4, 7], vec![3, 1, 1, 7]),
            (vec![3, 1, 1, 7], vec![3, 5, 4, 7]),
            (vec![3, 5, 4, 7], vec![1, 1, 1, 7]),
            (vec![3, 5, 4, 7], vec![1, 1, 1, 1]),
            (vec![3, 5, 4, 7], vec![3, 5, 4, 1]),
            (vec![3, 1, 4, 1], vec![1, 5, 1, 7]),
            (vec![2, 3], vec![2, 3]),
            (vec![1, 1], vec![1, 1]),
            (vec![40, 30, 50, 3], vec![1, 30, 1, 3]),
        ] {
            let (x, y) = (noise(&a), noise(&b));
            let expected = [
                (Arithmetic::Add, x.broadcast_add(&y)),
                (Arithmetic::Subtract, x.broadcast_sub(&y)),
                (Arithmetic::Multiply, x.broadcast_mul(&y)),
                (Arithmetic::Divide, x.broadcast_div(&y)),
            ];
            for (how, expected) in expected {
                let expected = expected.unwrap();
                let found = combine(&x, &y, how).unwrap();
                assert_eq!(largest(&found, &expected), 0.0, "{a:?} {b:?} {how:?}");
                for shape in [&a, &b] {
                    let sides = (0..shape.len()).filter(|&i| shape[i] == 1);
                    let sums = expected.sum_keepdim(sides.collect::<Vec<_>>()).unwrap();
                    let error = largest(&sum_to(&found, shape).unwrap(), &sums);
                    assert!(error < 1e-9, "{a:?} {b:?} to {shape:?}: {error}");
                }
            }
        }
    }

    #[test]
    fn other_shapes_are_errors() {
        let x = noise(&[2, 3]);
        assert!(combine(&x, &noise(&[2, 4]), Arithmetic::Add).is_err());
        assert!(combine(&x, &noise(&[3]), Arithmetic::Add).is_err());
        assert!(combine(&x, &x.to_dtype(DType::F32).unwrap(), Arithmetic::Add).is_err());
        assert!(sum_to(&x, &[2, 2]).is_err() && sum_to(&x, &[6]).is_err());
    }
}
