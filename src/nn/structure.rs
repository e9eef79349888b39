//! What moves values without computing: sums of branches, joining, flattening, the image boundary.

use candle_core::Tensor;

use super::gradients::Grad;
use super::tape::{Tape, Var};
use super::trace::Operation;
use crate::Result;
use crate::ops::image::{self, Normalize, to_channels_first, to_channels_last};
use crate::ops::{concat, elementwise, pad};

/// `a + b`
pub fn add(tape: &Tape, a: &Var, b: &Var) -> Result<Var> {
    let y = elementwise::add(a.tensor(), b.tensor())?;
    let (first, second) = (a.id(), b.id());
    let wanted = first.is_some() || second.is_some();
    let y = tape.record(y, wanted, move |dy, gradients| {
        gradients.add(first, dy.clone())?;
        gradients.add(second, dy)
    });
    tape.trace(&y, [a, b], || vec![Operation::Add]);
    Ok(y)
}

/// Joins activations along channels.
pub fn concatenate(tape: &Tape, parts: &[Var]) -> Result<Var> {
    let tensors: Vec<&Tensor> = parts.iter().map(Var::tensor).collect();
    let y = concat::forward(&tensors)?;
    let ids: Vec<(Option<usize>, usize)> = parts
        .iter()
        .map(|part| (part.id(), part.dims()[3]))
        .collect();
    let wanted = ids.iter().any(|(id, _)| id.is_some());
    let y = tape.record(y, wanted, move |dy, gradients| {
        let mut start = 0;
        for &(id, width) in &ids {
            if id.is_some() {
                gradients.add(id, Grad::new(concat::slice(dy.tensor(), start, width)?))?;
            }
            start += width;
        }
        Ok(())
    });
    tape.trace(&y, parts, || vec![Operation::Concatenate]);
    Ok(y)
}

/// `x` between so many channels of zeros before and after its own.
pub fn more_channels(tape: &Tape, x: &Var, before: usize, after: usize) -> Result<Var> {
    let (n, h, w, own) = x.tensor().dims4()?;
    let (dtype, device) = (x.tensor().dtype(), x.tensor().device());
    let zeros = |channels: usize| {
        let zeros = || Tensor::zeros((n, h, w, channels), dtype, device);
        (channels > 0).then(zeros).transpose()
    };
    let parts = [zeros(before)?, Some(x.tensor().clone()), zeros(after)?];
    let y = concat::forward(&parts.iter().flatten().collect::<Vec<&Tensor>>())?;
    let y = tape.record_of(x, y, move |dy| concat::slice(dy, before, own));
    tape.trace(&y, [x], || vec![Operation::MoreChannels(before, after)]);
    Ok(y)
}

/// `(N, H, W, C)` with `border` rows of zeros below and columns of zeros to the right.
pub fn pad_after(tape: &Tape, x: &Var, border: usize) -> Result<Var> {
    let y = pad::forward(x.tensor(), border)?;
    let y = tape.record_of(x, y, move |dy| pad::backward(dy, border));
    tape.trace(&y, [x], || vec![Operation::Border(border)]);
    Ok(y)
}

/// `(N, H, W, C)` to `(N, C*H*W)` in torch's order, channel by channel, so that the weights of a following linear
/// layer mean the same.
pub fn flatten(tape: &Tape, x: &Var) -> Result<Var> {
    let (n, h, w, c) = x.tensor().dims4()?;
    // One pixel or one channel: both orders are the same, and so is the memory.
    let moved = h * w > 1 && c > 1;
    let y = if moved {
        to_channels_first(x.tensor(), None)?
    } else {
        x.tensor().clone()
    };
    let y = y.reshape((n, c * h * w))?;
    let id = x.id();
    let y = tape.record(y, id.is_some(), move |dy, gradients| {
        let dx = if moved {
            Grad::new(to_channels_last(dy.reshape((n, c, h, w))?.tensor(), None)?)
        } else {
            dy.reshape((n, h, w, c))?
        };
        gradients.add(id, dx)
    });
    tape.trace(&y, [x], || vec![Operation::Flatten]);
    Ok(y)
}

/// Images `(N, C, H, W)` with pixels in [0, 1] to normalised activations `(N, H, W, C)`.
pub fn enter(tape: &Tape, images: &Var, normalize: Option<&Normalize>) -> Result<Var> {
    let y = image::enter(images.tensor(), normalize)?;
    let own = normalize.cloned();
    let y = tape.record_of(images, y, move |dy| image::leave(dy, own.as_ref()));
    tape.trace(&y, [images], || {
        let normalize = normalize.cloned().map(Operation::Normalize);
        normalize.into_iter().collect()
    });
    Ok(y)
}
