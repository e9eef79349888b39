//! Gradients brought to the norms of others, example by example.

mod card;
mod cpu;

use candle_core::Tensor;

use super::device::ops;
use super::same::same;
use crate::Result;

ops! {
    /// `x` with each example (first dimension) multiplied by the factor that gives it the l2 norm of the same example of
    /// `reference`. An example of norm 0 stays as it is.
    pub fn to_norms_of(x: &Tensor, reference: &Tensor) -> Result<Tensor> {
        same("bringing to the norms of others", x, reference)
    }
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
