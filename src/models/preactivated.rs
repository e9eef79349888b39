//! Residual networks with batch norm and activation before each convolution (He et al., arXiv 1603.05027), put together of
//! layers that the file of each family names.

use crate::Result;
use crate::nn::pool::adaptive_average_pool;
use crate::nn::structure::{add, flatten, pad_after};
use crate::nn::{Act, BatchNorm2d, Conv2d, Dropout, Linear, Module, Tape, Var};

/// A convolution, and the rows below and columns to the right that its input lacks.
pub(super) struct Conv {
    pub conv: Conv2d,
    pub border: usize,
}

impl From<Conv2d> for Conv {
    fn from(conv: Conv2d) -> Self {
        Self { conv, border: 0 }
    }
}

impl Conv {
    fn bordered(&self, tape: &Tape, x: &Var) -> Result<Var> {
        match self.border {
            0 => Ok(x.clone()),
            border => pad_after(tape, x, border),
        }
    }

    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        self.conv.forward(tape, &self.bordered(tape, x)?)
    }
}

/// `branch(x) + x`; where the shape changes, a convolution takes the place of the second `x`.
pub(super) struct Residual {
    pub norms: [BatchNorm2d; 2],
    pub acts: [Act; 2],
    pub convs: [Conv; 2],
    /// Before the second convolution.
    pub dropout: Option<Dropout>,
    pub shortcut: Option<Conv>,
    /// Whether the shortcut's convolution starts from the activated input.
    pub activated: bool,
}

impl Module for Residual {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let [norm_1, norm_2] = &self.norms;
        let activated = norm_1.forward_act(tape, x, &self.acts[0])?;
        let first = &self.convs[0];
        let y = first.bordered(tape, &activated)?;
        let mut y = first
            .conv
            .forward_norm(tape, &y, norm_2, None, Some(&self.acts[1]))?;
        if let Some(dropout) = &self.dropout {
            y = dropout.forward(tape, &y)?;
        }
        let y = self.convs[1].forward(tape, &y)?;
        match &self.shortcut {
            Some(shortcut) if self.activated => add(tape, &shortcut.forward(tape, &activated)?, &y),
            Some(shortcut) => add(tape, &shortcut.forward(tape, x)?, &y),
            None => add(tape, x, &y),
        }
    }
}

/// The stem, the blocks, a last batch norm and activation where there is one, and the mean of the pixels.
pub(super) struct PreActivated {
    pub stem: Conv2d,
    pub blocks: Vec<Residual>,
    pub last: Option<(BatchNorm2d, Act)>,
    pub linear: Linear,
}

impl Module for PreActivated {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let mut x = self.stem.forward(tape, x)?;
        for block in &self.blocks {
            x = block.forward(tape, &x)?;
        }
        if let Some((norm, act)) = &self.last {
            x = norm.forward_act(tape, &x, act)?;
        }
        let x = flatten(tape, &adaptive_average_pool(tape, &x, 1, 1)?)?;
        self.linear.forward(tape, &x)
    }
}
