//! Averages of tensors on the CPU.

use super::Pair;
use crate::ops::parallel::{GRAIN, chunk, chunks_mut};
use crate::ops::real::{view, with_mut};
use crate::{Result, simd, with_real};

simd! {
    fn toward<T>(average: &mut [T], value: &[T], share: T) {
        for (average, &value) in average.iter_mut().zip(value) {
            *average += share * (value - *average);
        }
    }
}

pub fn step(pairs: &[Pair<'_>], share: f64) -> Result<()> {
    for pair in pairs {
        with_real!(pair.average.dtype(), T => {
            let value = &*view::<T>(pair.value)?;
            with_mut::<T, _>(pair.average, |average| {
                chunks_mut(average, GRAIN, &|i, part| toward(part, chunk(value, GRAIN, i), share as T));
            })
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::super::step;
    use super::*;

    #[test]
    fn averages_move_by_their_share() {
        let tensor = |values: [f64; 3]| Tensor::new(&values, &Device::Cpu).unwrap();
        let (average, value) = (tensor([1.0, -2.0, 0.5]), tensor([3.0, 2.0, 0.5]));
        let pair = Pair {
            average: &average,
            value: &value,
        };
        step(&[pair], 0.25).unwrap();
        assert_eq!(average.to_vec1::<f64>().unwrap(), [1.5, -1.0, 0.5]);
        assert_eq!(value.to_vec1::<f64>().unwrap(), [3.0, 2.0, 0.5]);
        let other = value.narrow(0, 0, 2).unwrap();
        let pair = Pair {
            value: &other,
            ..pair
        };
        assert!(step(&[pair], 0.25).is_err());
    }
}
