//! What gives numbers other places: other shapes and orders of dimensions, parts, borders, repetitions.

use candle_core::Tensor;

use super::arithmetic::inverse;
use super::gradients::Grad;
use super::tape::{Tape, Var};
use crate::Result;
use crate::ops::broadcast::sum_to;

/// The same numbers, in their order, in another shape.
pub fn reshape(tape: &Tape, x: &Var, shape: &[usize]) -> Result<Var> {
    let y = x.tensor().reshape(shape)?;
    let (id, before) = (x.id(), x.dims().to_vec());
    Ok(tape.record(y, id.is_some(), move |dy, gradients| {
        gradients.add(id, dy.reshape(before.as_slice())?)
    }))
}

/// The dimensions in another order: dimension `i` becomes what dimension `order[i]` was.
pub fn permute(tape: &Tape, x: &Var, order: &[usize]) -> Result<Var> {
    let y = x.tensor().permute(order)?.contiguous()?;
    let back = inverse(order);
    Ok(tape.record_of(x, y, move |dy| {
        Ok(dy.permute(back.as_slice())?.contiguous()?)
    }))
}

/// Of side `axis` the positions `start`, `start + step`, .., so many of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub axis: usize,
    pub start: usize,
    pub step: usize,
    pub count: usize,
}

/// A part of a value.
pub fn part(tape: &Tape, x: &Var, part: Part) -> Result<Var> {
    let Part {
        axis,
        start,
        step,
        count,
    } = part;
    // A step that leads nowhere may be as large as a file says.
    let step = if count > 1 { step } else { 1 };
    let shape = x.dims().to_vec();
    let side = shape[axis];
    let taken = (count.saturating_sub(1)) * step + usize::from(count > 0);
    let mut y = x.tensor().narrow(axis, start, taken)?;
    if step > 1 {
        // Blocks of `step` positions, of which the first is taken.
        y = y
            .contiguous()?
            .pad_with_zeros(axis, 0, count * step - taken)?;
        let blocks = split(y.dims(), axis, &[count, step]);
        y = y
            .reshape(blocks)?
            .narrow(axis + 1, 0, 1)?
            .squeeze(axis + 1)?;
    }
    let y = y.force_contiguous()?;
    Ok(tape.record_of(x, y, move |dy| {
        let mut dx = dy.clone();
        if step > 1 {
            let shape = dx.dims().to_vec();
            dx = dx
                .unsqueeze(axis + 1)?
                .pad_with_zeros(axis + 1, 0, step - 1)?;
            dx = dx.reshape(split(&shape, axis, &[count * step]))?;
            dx = dx.narrow(axis, 0, taken)?;
        }
        dx = dx.pad_with_zeros(axis, start, side - start - taken)?;
        Ok(dx.force_contiguous()?)
    }))
}

/// The shape with other sides in the place of one.
fn split(shape: &[usize], axis: usize, sides: &[usize]) -> Vec<usize> {
    [&shape[..axis], sides, &shape[axis + 1..]].concat()
}

/// A border of the number `value` along side `axis`.
pub fn pad(
    tape: &Tape,
    x: &Var,
    axis: usize,
    [before, after]: [usize; 2],
    value: f64,
) -> Result<Var> {
    let border = |width: usize| -> Result<Option<Tensor>> {
        let shape = split(x.dims(), axis, &[width]);
        let (dtype, device) = (x.tensor().dtype(), x.tensor().device());
        let border = || Tensor::full(value as f32, shape.as_slice(), device)?.to_dtype(dtype);
        Ok((width > 0).then(border).transpose()?)
    };
    let (first, last) = (border(before)?, border(after)?);
    let parts: Vec<&Tensor> = first.iter().chain([x.tensor()]).chain(&last).collect();
    let y = Tensor::cat(&parts, axis)?.contiguous()?;
    let side = x.dims()[axis];
    Ok(tape.record_of(x, y, move |dy| {
        Ok(dy.narrow(axis, before, side)?.force_contiguous()?)
    }))
}

/// Joins values along side `axis`.
pub fn join(tape: &Tape, parts: &[Var], axis: usize) -> Result<Var> {
    let tensors: Vec<&Tensor> = parts.iter().map(Var::tensor).collect();
    let y = Tensor::cat(&tensors, axis)?.contiguous()?;
    let ids: Vec<(Option<usize>, usize)> = parts
        .iter()
        .map(|part| (part.id(), part.dims()[axis]))
        .collect();
    let wanted = ids.iter().any(|(id, _)| id.is_some());
    Ok(tape.record(y, wanted, move |dy, gradients| {
        let mut start = 0;
        for &(id, side) in &ids {
            if id.is_some() {
                let dx = dy.tensor().narrow(axis, start, side)?.force_contiguous()?;
                gradients.add(id, Grad::new(dx))?;
            }
            start += side;
        }
        Ok(())
    }))
}

/// Repeats a value along its sides of 1 until it has that shape.
pub fn repeat(tape: &Tape, x: &Var, shape: &[usize]) -> Result<Var> {
    let y = x.tensor().broadcast_as(shape)?.force_contiguous()?;
    let before = x.dims().to_vec();
    Ok(tape.record_of(x, y, move |dy| sum_to(dy, &before)))
}
