//! Initial weights. Each tensor's numbers depend on the seed and its own name alone.

use candle_core::{DType, Tensor};
use rand::Rng;
use rand_distr::StandardNormal;

use crate::Result;
use crate::ops::real::tensor;
use crate::rng::{Purpose, name_index, stream};

/// A rule for a tensor's initial numbers. Fans count as torch does: `fan_in = in/groups * kh * kw`,
/// `fan_out = out * kh * kw`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Constant(f64),
    /// N(0, std^2)
    Normal {
        std: f64,
    },
    /// N(0, 2 / fan_in): He et al., arXiv 1502.01852.
    KaimingFanIn,
    /// N(0, 2 / fan_out)
    KaimingFanOut,
    /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)), torch's default for the weights of linear and convolution layers.
    TorchDefault,
    /// U(-bound, bound)
    Uniform {
        bound: f64,
    },
}

impl Init {
    /// A tensor of the given shape and type.
    pub fn tensor(self, shape: &[usize], name: &str, seed: u64, dtype: DType) -> Result<Tensor> {
        let taps: usize = shape.iter().skip(2).product();
        let fan_in = (shape.get(1).copied().unwrap_or(1) * taps) as f64;
        let fan_out = (shape.first().copied().unwrap_or(1) * taps) as f64;
        let len = shape.iter().product();
        let mut rng = stream(seed, Purpose::Init, 0, 0, name_index(name));
        let mut normal = |std: f64| -> Vec<f64> {
            (0..len)
                .map(|_| std * rng.sample::<f64, _>(StandardNormal))
                .collect()
        };
        let values = match self {
            Self::Constant(value) => vec![value; len],
            Self::Normal { std } => normal(std),
            Self::KaimingFanIn => normal((2.0 / fan_in).sqrt()),
            Self::KaimingFanOut => normal((2.0 / fan_out).sqrt()),
            Self::TorchDefault => uniform(&mut rng, 1.0 / fan_in.sqrt(), len),
            Self::Uniform { bound } => uniform(&mut rng, bound, len),
        };
        Ok(tensor(values, shape)?.to_dtype(dtype)?)
    }
}

fn uniform(rng: &mut impl Rng, bound: f64, len: usize) -> Vec<f64> {
    (0..len)
        .map(|_| (2.0 * rng.random::<f64>() - 1.0) * bound)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(init: Init) -> (f64, f64) {
        let shape = [64, 16, 3, 3];
        let values = init.tensor(&shape, "conv.weight", 3, DType::F64).unwrap();
        let values = values.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        (mean, square)
    }

    #[test]
    fn variances_follow_the_fans() {
        for (init, variance) in [
            // (rule, variance of a (64, 16, 3, 3) tensor)
            (Init::KaimingFanIn, 2.0 / 144.0),
            (Init::KaimingFanOut, 2.0 / 576.0),
            (Init::TorchDefault, 1.0 / (3.0 * 144.0)),
            (Init::Uniform { bound: 0.5 }, 0.25 / 3.0),
            (Init::Normal { std: 0.01 }, 1e-4),
        ] {
            let (mean, square) = spread(init);
            assert!(
                mean.abs() < 0.05 * f64::sqrt(variance),
                "{init:?}: mean {mean}"
            );
            assert!(
                (square / variance - 1.0).abs() < 0.05,
                "{init:?}: {square} for {variance}"
            );
        }
    }

    #[test]
    fn names_and_seeds_decide() {
        let draw = |name, seed| {
            let t = Init::KaimingFanIn
                .tensor(&[4, 4], name, seed, DType::F32)
                .unwrap();
            t.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(draw("a", 1), draw("a", 1));
        assert_ne!(draw("a", 1), draw("b", 1));
        assert_ne!(draw("a", 1), draw("a", 2));
    }
}
