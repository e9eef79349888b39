//! Dropout on a card: the same masks, bit for bit.

use candle_core::{DType, Tensor};

use crate::Result;
use crate::ops::card::{Call, Card, THREADS, constant, expect, suffix};
use crate::ops::dropout::Mask;

/// Words of a block of the generator, one for each element.
const WORDS: usize = constant(include_str!("kernel.cu"), "WORDS");

pub fn apply(card: &dyn Card, x: &Tensor, mask: Mask, at: Option<&Tensor>) -> Result<Tensor> {
    if let Some(at) = at {
        expect::tensor("a pass's coordinates", at, &[3], DType::I64)?;
    }
    let y = card.scratch(x.dims(), x.dtype())?;
    let n = x.elem_count();
    let blocks = n.div_ceil(THREADS as usize * WORDS) as u32;
    card.launch(
        &Call::blocks("dropout", "dropout_apply", [blocks, 1, 1])
            .of(suffix(x.dtype())?)
            .tensors([x, &y])
            .size(n)
            .optional(at)
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
                let y = apply(card, &x, mask, None).unwrap();
                let at = [mask.seed, mask.epoch, mask.batch].map(|word| word as i64);
                let at = Tensor::new(&at, card.device()).unwrap();
                let elsewhere = Mask {
                    seed: 9,
                    epoch: 9,
                    batch: 9,
                    ..mask
                };
                let told = apply(card, &x, elsewhere, Some(&at)).unwrap();
                within(&told, &y, 0.0);
                let expected = cpu::apply(&card.wide(&x), mask, None).unwrap();
                close(&y, &expected, dtype);
                let zeros = |t: &Tensor| -> Vec<u8> {
                    let t = t.eq(0.0).unwrap().flatten_all().unwrap();
                    t.to_vec1().unwrap()
                };
                assert_eq!(zeros(&y), zeros(&expected));
                if dtype == DType::F32 {
                    within(&y, &cpu::apply(&x, mask, None).unwrap(), 0.0);
                }
            }
        });
    }
}
