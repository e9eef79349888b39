//! Random starts on a card: the same numbers, bit for bit.

use candle_core::{DType, Device, Tensor};

use super::{Draws, cpu};
use crate::Result;
use crate::ops::card::{Call, Card, constant, expect};
use crate::ops::perturbation::{Norm, Threat};

/// Threads of a block, and the pixels that each makes numbers for.
const THREADS: usize = constant(include_str!("kernel.cu"), "THREADS");
const WORDS: usize = constant(include_str!("kernel.cu"), "WORDS");

pub fn uniform(
    card: &dyn Card,
    originals: &Tensor,
    indices: &[usize],
    threat: Threat,
    draws: Draws,
) -> Result<Tensor> {
    if threat.norm == Norm::L2 {
        // Drawn on the CPU: each normal number depends on how many words those before it took.
        let moved = cpu::uniform(&originals.to_device(&Device::Cpu)?, indices, threat, draws)?;
        return Ok(moved.to_device(card.device())?);
    }
    let (n, c, h, w) = originals.dims4()?;
    expect::indexable("images", &[c, h, w])?;
    expect::tensor("images", originals, originals.dims(), DType::F32)?;
    let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
    let indices = Tensor::from_vec(indices, n, card.device())?;
    let out = card.scratch(originals.dims(), DType::F32)?;
    let stretches = (c * h * w).div_ceil(THREADS * WORDS);
    let [unit0, unit1, unit2] = threat.units();
    let grid = [n as u32, stretches as u32, 1];
    card.launch(
        &Call::blocks("random_start", "random_start_linf", grid)
            .threads(THREADS as u32)
            .tensors([originals, &indices, &out])
            .ints([c * h * w, h * w])
            .word(draws.seed)
            .word(draws.epoch)
            .word(draws.part)
            .doubles([
                threat.epsilon * unit0,
                threat.epsilon * unit1,
                threat.epsilon * unit2,
            ]),
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use crate::ops::card::host::{host, numbers, within};

    #[test]
    fn starts_are_those_of_the_cpu_bit_for_bit() {
        let Some(card) = host() else { return };
        let norms = [Norm::Linf, Norm::ChannelLinf([0.2, 0.25, 0.3]), Norm::L2];
        // Images of less than a block of words, of a ragged number of them, and of several blocks of threads.
        for shape in [[3, 3, 32, 32], [2, 1, 28, 28], [2, 5, 3, 7], [1, 1, 2, 2]] {
            let values: Vec<f32> = numbers(&shape, 1, 0.5).iter().map(|v| v + 0.5).collect();
            let originals = card.tensor(&values, &shape, DType::F32);
            let indices: Vec<usize> = (0..shape[0]).map(|i| 49_999 + (i << 33)).collect();
            let draws = Draws {
                seed: (9 << 40) + 3,
                epoch: 17,
                part: (4 << 48) + (3 << 32) + (2 << 16) + 1,
            };
            for norm in norms {
                for epsilon in [8.0 / 255.0, 0.7] {
                    let threat = Threat { norm, epsilon };
                    let found = uniform(card, &originals, &indices, threat, draws).unwrap();
                    let expected = cpu::uniform(&originals, &indices, threat, draws).unwrap();
                    within(&found, &expected, 0.0);
                }
            }
        }
    }

    #[test]
    fn other_types_and_numbers_of_positions_are_errors() {
        let Some(card) = host() else { return };
        let x = card.tensor(&[0.5; 8], &[2, 1, 2, 2], DType::F32);
        let draws = Draws {
            seed: 0,
            epoch: 0,
            part: 0,
        };
        let threat = Threat::linf(0.1);
        assert!(uniform(card, &x, &[1, 2], threat, draws).is_ok());
        assert!(uniform(card, &card.wide(&x), &[1, 2], threat, draws).is_err());
        assert!(check(&x, &[1, 2]).is_ok() && check(&x, &[1]).is_err());
    }
}
