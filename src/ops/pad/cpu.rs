//! Borders on the CPU.

use candle_core::Tensor;

use super::Layout;
use crate::ops::parallel::chunks_mut;
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, with_real};

pub fn forward(x: &Tensor, border: usize) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let layout = Layout::new([n, h, w, c], border);
    with_real!(x.dtype(), T => {
        let x = &*view::<T>(x)?;
        let wide = layout.wide_height * layout.wide_length;
        let mut y = scratch::<T>(n * wide);
        chunks_mut(&mut y, wide, &|image, y| {
            for (row, y) in y.chunks_exact_mut(layout.wide_length).enumerate() {
                if row >= h {
                    y.fill(T::default());
                    continue;
                }
                let (inside, border) = y.split_at_mut(layout.length);
                let from = (image * h + row) * layout.length;
                inside.copy_from_slice(&x[from..from + layout.length]);
                border.fill(T::default());
            }
        });
        tensor(y, (n, h + border, w + border, c))
    })
}

pub fn backward(dy: &Tensor, border: usize) -> Result<Tensor> {
    let (n, h, w, c) = dy.dims4()?;
    let (h, w) = (h - border, w - border);
    let layout = Layout::new([n, h, w, c], border);
    with_real!(dy.dtype(), T => {
        let dy = &*view::<T>(dy)?;
        let mut dx = scratch::<T>(layout.rows * layout.length);
        chunks_mut(&mut dx, h * layout.length, &|image, dx| {
            for (row, dx) in dx.chunks_exact_mut(layout.length).enumerate() {
                let from = (image * layout.wide_height + row) * layout.wide_length;
                dx.copy_from_slice(&dy[from..from + layout.length]);
            }
        });
        tensor(dx, (n, h, w, c))
    })
}
