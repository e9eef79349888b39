//! Random starts of attacks, see [`Threat::random_start`]: the same numbers, bit for bit.

use candle_core::{DType, Tensor};

use super::perturbation::units;
use crate::attacks::{Norm, Start, Threat};
use crate::ops::cuda::{Call, Card, expect};
use crate::{Error, Result};

/// Threads of a block, and the pixels that each makes numbers for, as in the kernel.
const THREADS: u32 = 64;
const WORDS: usize = 16;

/// The originals, each moved to a point drawn uniformly from its ball, within the pixel range. `indices (N)`, of type
/// i64, lies on the card: the images' positions in the data set. In linf alone: numbers of the normal distribution are
/// drawn one after the other.
pub fn random_start(
    card: &dyn Card,
    threat: Threat,
    originals: &Tensor,
    indices: &Tensor,
    start: Start,
) -> Result<Tensor> {
    let (n, c, h, w) = originals.dims4()?;
    if threat.norm == Norm::L2 {
        return Err(Error::failed(
            "random starts in the l2 norm are not computed on a card",
        ));
    }
    expect::indexable("images", &[c, h, w])?;
    expect::tensor("images", originals, &[n, c, h, w], DType::F32)?;
    expect::tensor("the images' positions", indices, &[n], DType::I64)?;
    let out = card.scratch(originals.dims(), DType::F32)?;
    let stretches = (c * h * w).div_ceil(THREADS as usize * WORDS);
    let [unit0, unit1, unit2] = units(threat.norm);
    card.launch(
        &Call::blocks("start", "start_linf", [n as u32, stretches as u32, 1])
            .threads(THREADS)
            .pointer(card.address(originals)?)
            .pointer(card.address(indices)?)
            .pointer(card.address(&out)?)
            .int(c * h * w)
            .int(h * w)
            .word(start.seed)
            .word(start.epoch)
            .word(start.place())
            .double(threat.epsilon * unit0)
            .double(threat.epsilon * unit1)
            .double(threat.epsilon * unit2),
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cuda::host::{host, numbers, within};
    use candle_core::Device;

    #[test]
    fn starts_are_those_of_the_cpu_bit_for_bit() {
        let Some(card) = host() else { return };
        let norms = [Norm::Linf, Norm::ChannelLinf([0.2, 0.25, 0.3])];
        // Images of less than a block of words, of a ragged number of them, and of several blocks of threads.
        for shape in [[3, 3, 32, 32], [2, 1, 28, 28], [2, 5, 3, 7], [1, 1, 2, 2]] {
            let values: Vec<f32> = numbers(&shape, 1, 0.5).iter().map(|v| v + 0.5).collect();
            let originals = card.tensor(&values, &shape, DType::F32);
            let positions: Vec<usize> = (0..shape[0]).map(|i| 49_999 + (i << 33)).collect();
            let indices: Vec<i64> = positions.iter().map(|&i| i as i64).collect();
            let indices = Tensor::from_slice(&indices, shape[0], &Device::Cpu).unwrap();
            let start = Start {
                seed: (9 << 40) + 3,
                epoch: 17,
                round: 1,
                attack: 2,
                restart: 3,
                target: 4,
            };
            for norm in norms {
                for epsilon in [8.0 / 255.0, 0.7] {
                    let threat = Threat { norm, epsilon };
                    let found = random_start(card, threat, &originals, &indices, start).unwrap();
                    let expected = threat.random_start(&originals, &positions, start).unwrap();
                    within(&found, &expected, 0.0);
                    assert!(threat.check("start", &found, &originals).is_ok());
                }
            }
        }
    }

    #[test]
    fn other_norms_and_types_are_errors() {
        let Some(card) = host() else { return };
        let x = card.tensor(&[0.5; 8], &[2, 1, 2, 2], DType::F32);
        let indices = Tensor::from_slice(&[1i64, 2], 2, &Device::Cpu).unwrap();
        let run = |norm, x: &Tensor, indices: &Tensor| {
            let epsilon = 0.1;
            random_start(card, Threat { norm, epsilon }, x, indices, Start::default())
        };
        assert!(run(Norm::Linf, &x, &indices).is_ok());
        assert!(run(Norm::L2, &x, &indices).is_err());
        assert!(run(Norm::Linf, &card.wide(&x), &indices).is_err());
        let narrow = indices.to_dtype(DType::U32).unwrap();
        assert!(run(Norm::Linf, &x, &narrow).is_err());
        let one = indices.narrow(0, 0, 1).unwrap();
        assert!(run(Norm::Linf, &x, &one).is_err());
    }
}
