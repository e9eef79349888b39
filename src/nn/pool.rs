//! Pooling layers, which have no parameters.

use super::gradients::Grad;
use super::tape::{Tape, Var};
use super::trace::Operation;
use crate::Result;
use crate::ops::pool::{self as op, Average, Window};

/// The maximum of each window; the first of equal maxima gets the gradient, or, where the pass's plan says so, every value its
/// share of it.
pub fn max_pool(tape: &Tape, x: &Var, kernel: usize, stride: usize, padding: usize) -> Result<Var> {
    let window = Window::new(kernel, stride, padding);
    let (y, taps) = op::max_forward(x.tensor(), window)?;
    let shape = x.dims().to_vec();
    let softened = tape.pass().plan.max_pool_temperature();
    let softened = softened.map(|temperature| (temperature, x.tensor().clone(), y.clone()));
    let id = x.id();
    let y = tape.record(y, id.is_some(), move |dy, gradients| {
        let dx = match &softened {
            Some((temperature, x, y)) if !gradients.is_true_norm_pass() => {
                op::softmax_backward(dy.tensor(), x, y, window, *temperature)?
            }
            _ => op::max_backward(dy.tensor(), &taps, &shape, window)?,
        };
        gradients.add(id, Grad::new(dx))
    });
    tape.trace(&y, [x], || vec![Operation::MaxPool(window)]);
    Ok(y)
}

/// The mean of each window, without padding.
pub fn average_pool(tape: &Tape, x: &Var, kernel: usize, stride: usize) -> Result<Var> {
    average(tape, x, Average::Windows { kernel, stride })
}

/// Means over as many cells as the output is to have.
pub fn adaptive_average_pool(tape: &Tape, x: &Var, oh: usize, ow: usize) -> Result<Var> {
    average(tape, x, Average::Adaptive { oh, ow })
}

fn average(tape: &Tape, x: &Var, average: Average) -> Result<Var> {
    let y = op::average_forward(x.tensor(), average)?;
    let shape = x.dims().to_vec();
    let y = tape.record_of(x, y, move |dy| op::average_backward(dy, &shape, average));
    tape.trace(&y, [x], || vec![Operation::AveragePool(average)]);
    Ok(y)
}
