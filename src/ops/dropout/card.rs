//! Dropout on a card: the same masks, bit for bit.

use candle_core::Tensor;

use crate::Result;
use crate::ops::card::{Call, Card, THREADS, constant, suffix};
use crate::ops::dropout::Mask;

/// Words of a block of the generator, one for each element.
const WORDS: usize = constant(include_str!("kernel.cu"), "WORDS");

pub fn apply(card: &dyn Card, x: &Tensor, mask: Mask) -> Result<Tensor> {
    let y = card.scratch(x.dims(), x.dtype())?;
    let n = x.elem_count();
    let blocks = n.div_ceil(THREADS as usize * WORDS) as u32;
    card.launch(
        &Call::blocks("dropout", "dropout_apply", [blocks, 1, 1])
            .of(suffix(x.dtype())?)
            .tensor(x)
            .tensor(&y)
            .size(n)
            .word(mask.seed)
            .word(mask.epoch)
            .word(mask.batch)
            .word(mask.layer)
            .word(mask.threshold())
            .float(1.0 / (1.0 - mask.p)),
    )?;
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{close, each_type, within};
    use crate::rng::name_index;
    use candle_core::DType;

    #[test]
    fn masks_are_those_of_the_cpu_bit_for_bit() {
        each_type(|card, dtype| {
            for (p, shape) in [
                (0.5, vec![3, 37, 41, 5]),
                (0.1, vec![2, 64, 64]),
                (0.999, vec![10_007]),
                (0.0, vec![5]),
            ] {
                // Numbers far from zero: a zero of the result is a dropped element.
                let n = shape.iter().product::<usize>();
                let values: Vec<f32> = (0..n).map(|i| 1.0 + (i % 7) as f32).collect();
                let x = card.tensor(&values, &shape, dtype);
                let mask = Mask {
                    seed: (3 << 40) + 1,
                    epoch: (1 << 33) + 7,
                    batch: (5 << 35) + 2,
                    layer: name_index("classifier.1"),
                    p,
                };
                let y = apply(card, &x, mask).unwrap();
                let expected = cpu::apply(&card.wide(&x), mask).unwrap();
                close(&y, &expected, dtype);
                let zeros = |t: &Tensor| -> Vec<u8> {
                    let t = t.eq(0.0).unwrap().flatten_all().unwrap();
                    t.to_vec1().unwrap()
                };
                assert_eq!(zeros(&y), zeros(&expected));
                if dtype == DType::F32 {
                    within(&y, &cpu::apply(&x, mask).unwrap(), 0.0);
                }
            }
        });
    }
}
