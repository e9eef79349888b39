//! Proposals on the CPU.

use candle_core::Tensor;

use super::{Proposal, Window};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::perturbation::ball::into_linf;
use crate::ops::perturbation::image_len;
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, with_real};

pub fn propose(
    images: &Tensor,
    originals: &Tensor,
    proposals: &[Proposal],
    epsilon: f64,
) -> Result<Tensor> {
    let (_, _, h, w) = images.dims4()?;
    let image = image_len(images)?;
    with_real!(images.dtype(), T => {
        let (x, o) = (&*view::<T>(images)?, &*view::<T>(originals)?);
        let epsilon = T::of(epsilon);
        let mut out = scratch::<T>(x.len());
        chunks_mut(&mut out, image, &|i, out| {
            out.copy_from_slice(chunk(x, image, i));
            let (o, Proposal { window, up }) = (chunk(o, image, i), &proposals[i]);
            let Window { top, left, side } = *window;
            for (channel, &up) in up.iter().enumerate() {
                let change = if up { epsilon } else { -epsilon };
                for row in top..top + side {
                    let line = (channel * h + row) * w;
                    for k in line + left..line + left + side {
                        out[k] = into_linf(o[k] + change, o[k], epsilon);
                    }
                }
            }
        });
        tensor(out, images.shape())
    })
}
