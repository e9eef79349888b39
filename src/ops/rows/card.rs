//! Rows on a card, of float32.

use candle_core::{DType, Tensor};

use super::width;
use crate::Result;
use crate::ops::card::{Call, Card, expect};

pub fn select(card: &dyn Card, from: &Tensor, positions: &[usize]) -> Result<Tensor> {
    if positions.is_empty() {
        return Ok(from.narrow(0, 0, 0)?);
    }
    let mut shape = from.dims().to_vec();
    shape[0] = positions.len();
    let chosen = card.scratch(&shape, DType::F32)?;
    let pairs: Vec<_> = positions.iter().copied().zip(0..).collect();
    put(card, &chosen, from, &pairs)?;
    Ok(chosen)
}

pub fn put(
    card: &dyn Card,
    into: &Tensor,
    from: &Tensor,
    positions: &[(usize, usize)],
) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    let width = width(from);
    expect::tensor("rows", from, from.dims(), DType::F32)?;
    expect::indexable("a row", &[width])?;
    expect::indexable("rows", &[from.dim(0)?])?;
    expect::indexable("rows", &[into.dim(0)?])?;
    let pairs = positions.iter().flat_map(|&(a, b)| [a as u32, b as u32]);
    let pairs: Vec<u32> = pairs.collect();
    let pairs = Tensor::from_vec(pairs, (positions.len(), 2), card.device())?;
    card.launch(
        &Call::rows("rows", "rows_put", positions.len(), width)
            .tensors([into, from, &pairs])
            .int(width),
    )
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{host, numbers, within};

    #[test]
    fn rows_go_where_the_cpu_puts_them() {
        let Some(card) = host() else { return };
        for shape in [[5, 3, 32, 32], [7, 1, 3, 1], [4, 2, 9, 17]] {
            let from = card.tensor(&numbers(&shape, 1, 1.0), &shape, DType::F32);
            for positions in [&[3, 0, 3, 2][..], &[1], &[]] {
                let found = select(card, &from, positions).unwrap();
                within(&found, &cpu::select(&from, positions).unwrap(), 0.0);
            }
            let into = |seed| {
                card.tensor(
                    &numbers(&[6, shape[1], shape[2], shape[3]], seed, 1.0),
                    &[6, shape[1], shape[2], shape[3]],
                    DType::F32,
                )
            };
            let (here, there) = (into(2), into(2));
            for pairs in [&[(0, 5), (3, 1), (1, 0)][..], &[]] {
                put(card, &there, &from, pairs).unwrap();
                cpu::put(&here, &from, pairs).unwrap();
                within(&there, &here, 0.0);
            }
            assert!(put(card, &card.wide(&here), &card.wide(&from), &[(0, 0)]).is_err());
        }
    }
}
