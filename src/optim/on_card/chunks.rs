//! Many small tensors in one launch: a table on the card says which chunk of which tensor each block has.

use candle_core::{DType, Tensor};

use crate::ops::cuda::{Call, Card, expect, same};
use crate::{Error, Result};

/// Elements of a chunk, as in the kernels.
const CHUNK: usize = 4096;

/// Launches a kernel over rows of tensors that belong together, all float32 and of one shape in a row. A row begins with
/// the tensor that the others follow; one that is missing is null in the kernel. `rest` adds the
/// arguments that follow the tables.
pub(super) fn launch<const N: usize>(
    card: &dyn Card,
    name: &'static str,
    rows: &[[Option<&Tensor>; N]],
    rest: impl FnOnce(Call) -> Call,
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
    let table = words.len();
    words.extend(blocks);
    let length = words.len();
    // One transfer a step; the tensor may go as soon as the launch is in the queue, as all scratch memory.
    let words = Tensor::from_vec(words, length, card.device())?;
    let address = card.address(&words)?;
    card.launch(&rest(
        Call::blocks(name, name, [count as u32, 1, 1])
            .pointer(address)
            .pointer(address + 8 * table as u64),
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::{Builder, Gradients, Init, Param, Pass, Tape};
    use crate::ops::cuda::host::{Host, each_type, numbers};

    /// Lengths from one element to ragged ends of several chunks.
    pub const SHAPES: [&[usize]; 6] = [
        &[1],
        &[33],
        &[3, 1365],
        &[4096],
        &[64, 64, 3],
        &[3, 3, 1000],
    ];

    /// Runs a test once: activations have no part in it.
    pub fn once(test: impl Fn(&Host)) {
        each_type(|card, dtype| {
            if dtype == DType::F32 {
                test(card);
            }
        });
    }

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

    /// Parameters of a network on the CPU with these values.
    pub fn parameters(values: &[Tensor]) -> Vec<Param> {
        let builder = Builder::new(0, DType::F32, &Device::Cpu);
        values
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let name = format!("p{index}");
                let param = builder
                    .parameter(&name, value.dims(), Init::Constant(0.0))
                    .unwrap();
                param.set(value).unwrap();
                param
            })
            .collect()
    }

    /// Gradients of them, as a backward pass would have left them.
    pub fn gradients(parameters: &[Param], values: &[Tensor]) -> Gradients {
        let tape = Tape::new(Pass::inference());
        let result = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let pairs: Vec<_> = parameters
            .iter()
            .cloned()
            .zip(values.iter().cloned())
            .collect();
        let result = tape.record(result, true, move |_, sink| {
            pairs
                .iter()
                .try_for_each(|(param, value)| sink.parameter(param, value.copy()?))
        });
        let gradient = result.tensor().copy().unwrap();
        tape.backward(&result, gradient).unwrap()
    }

    /// All numbers of some tensors.
    pub fn flat(tensors: &[Tensor]) -> Vec<f32> {
        tensors
            .iter()
            .flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .collect()
    }
}
