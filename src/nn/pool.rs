//! Pooling layers, which have no parameters.

use super::tape::{Tape, Var};
use super::trace::Operation;
use crate::Result;
use crate::ops::pool::{self as op, Average, Window};

/// The maximum of each window; the first of equal maxima gets the gradient.
pub fn max_pool(tape: &Tape, x: &Var, kernel: usize, stride: usize, padding: usize) -> Result<Var> {
    let window = Window::new(kernel, stride, padding);
    let (y, taps) = op::max_forward(x.tensor(), window)?;
    let shape = x.dims().to_vec();
    let y = tape.record_of(x, y, move |dy| op::max_backward(dy, &taps, &shape, window));
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
