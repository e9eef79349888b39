//! Many small tensors in one launch: a table on the card says which chunk of which tensor each block has.

use candle_core::{DType, Tensor};

use super::prepared::{Of, changed};
use super::{Call, Card, constant, expect};
use crate::ops::same::same;
use crate::{Error, Result};

/// Elements of a chunk.
const CHUNK: usize = constant(include_str!("chunks.h"), "CHUNK");

/// Launches a kernel over rows of tensors that belong together, all float32 and of one shape in a row. A row begins with
/// the tensor that the others follow; one that is missing is null in the kernel. `rest` adds the arguments that follow the
/// tables.
pub fn launch<const N: usize>(
    card: &dyn Card,
    name: &'static str,
    rows: &[[Option<&Tensor>; N]],
    rest: impl for<'a> FnOnce(Call<'a>) -> Call<'a>,
) -> Result<()> {
    let mut words = Vec::with_capacity(rows.len() * (N + 1));
    let mut blocks = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let Some(first) = row[0] else {
            return Err(Error::failed(format!("{name}: a row without a parameter")));
        };
        expect::tensor(name, first, first.dims(), DType::F32)?;
        for tensor in row {
            match tensor {
                Some(tensor) => {
                    same(name, tensor, first)?;
                    words.push(card.address(tensor)? as i64);
                }
                None => words.push(0),
            }
        }
        let length = first.elem_count();
        words.push(length as i64);
        for start in (0..length).step_by(CHUNK) {
            blocks.extend([index as i64, start as i64]);
        }
    }
    let count = blocks.len() / 2;
    if count == 0 {
        return Ok(());
    }
    expect::indexable(name, &[count])?;
    let (table, length) = (words.len(), words.len() + blocks.len());
    words.extend(blocks);
    // One transfer a step; the tensor may go as soon as the launch is in the queue, as all scratch memory.
    let words = Tensor::from_vec(words, length, card.device())?;
    let (rows, blocks) = (
        words.narrow(0, 0, table)?,
        words.narrow(0, table, length - table)?,
    );
    let call = Call::blocks(name, name, [count as u32, 1, 1]);
    card.launch(&rest(call.tensors([&rows, &blocks])))?;
    changed(Of::Weights);
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use candle_core::Device;

    use super::*;
    use crate::ops::card::host::numbers;

    /// Lengths from one element to ragged ends of several chunks.
    const SHAPES: [&[usize]; 6] = [
        &[1],
        &[33],
        &[3, 1365],
        &[4096],
        &[64, 64, 3],
        &[3, 3, 1000],
    ];

    /// A tensor of random numbers for each shape.
    pub fn tensors(seed: u64) -> Vec<Tensor> {
        SHAPES
            .iter()
            .zip(seed..)
            .map(|(shape, seed)| {
                Tensor::from_vec(numbers(shape, seed, 1.0), *shape, &Device::Cpu).unwrap()
            })
            .collect()
    }

    /// Zeros for each shape.
    pub fn zeros() -> Vec<Tensor> {
        tensors(0).iter().map(|t| t.zeros_like().unwrap()).collect()
    }

    /// All numbers of some tensors.
    pub fn flat(tensors: &[Tensor]) -> Vec<f32> {
        tensors
            .iter()
            .flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .collect()
    }
}
