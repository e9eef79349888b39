//! Convolution of few channels with stride 1 (the first layers): along image rows instead of channels.
//!
//! Vectors of channels would be mostly empty, so images are copied into planes, one per channel, inside a border of zeros.
//! In a plane the input of tap `(ky, kx)` lies a constant distance behind the output, so that a vector of neighbouring
//! outputs reads a vector of neighbouring inputs; what is computed between the rows is dropped.

use std::ops::Range;

use super::geometry::{LANES, Sizes};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut_with, sum_parts};
use crate::ops::real::scratch;
use crate::ops::simd::{Isa, isa};
use crate::simd;

/// Elements of a stack of images in one plane: a few planes of them fit the innermost cache.
const STACK: usize = 1024;
/// Parts of the sum over the batch in a weight gradient.
const PARTS: usize = 8;

/// Where the images of a convolution lie in their planes.
#[derive(Clone, Copy)]
struct Planes {
    h: usize,
    w: usize,
    border: usize,
    kernel: (usize, usize),
    /// Elements from one row of a plane to the next.
    row: usize,
    /// Elements from one image of a plane to the next.
    image: usize,
    /// Images in a stack.
    images: usize,
    /// Elements of a plane, with what vectors at its end read too much.
    len: usize,
}

impl Planes {
    /// Planes for images of `h` by `w` inside a border of zeros.
    fn new(h: usize, w: usize, border: usize, kernel: (usize, usize)) -> Self {
        let row = w + 2 * border;
        let image = (h + 2 * border) * row;
        let images = (STACK / image).max(1);
        let reach = (kernel.0 - 1) * row + kernel.1 - 1;
        Self {
            h,
            w,
            border,
            kernel,
            row,
            image,
            images,
            len: (images * image + reach).next_multiple_of(LANES) + LANES,
        }
    }

    /// Output rows and columns.
    fn output(&self) -> (usize, usize) {
        let Self { h, w, border, .. } = *self;
        (
            h + 2 * border + 1 - self.kernel.0,
            w + 2 * border + 1 - self.kernel.1,
        )
    }

    /// Elements of a plane that hold the output of one image, whole vectors of them.
    fn span(&self) -> usize {
        (self.output().0 * self.row).next_multiple_of(LANES)
    }

    /// Distances from an output to its inputs in `planes` planes, plane by plane, tap by tap.
    fn offsets(&self, planes: usize) -> Vec<usize> {
        let (kh, kw) = self.kernel;
        (0..planes)
            .flat_map(|p| {
                (0..kh).flat_map(move |y| (0..kw).map(move |x| p * self.len + y * self.row + x))
            })
            .collect()
    }

    /// Copies images `(., h, w, c)` into their planes; the border is zero already and stays so.
    fn fill<T: Real>(&self, images: &[T], c: usize, planes: &mut [T]) {
        let Self { h, w, border, .. } = *self;
        for (i, image) in images.chunks_exact(h * w * c).enumerate() {
            for (y, line) in image.chunks_exact(w * c).enumerate() {
                let start = i * self.image + (y + border) * self.row + border;
                for (channel, plane) in planes.chunks_exact_mut(self.len).enumerate() {
                    let to = &mut plane[start..start + w];
                    if c == 1 {
                        to.copy_from_slice(line);
                    } else {
                        for (to, from) in to.iter_mut().zip(line.chunks_exact(c)) {
                            *to = from[channel];
                        }
                    }
                }
            }
        }
    }
}

/// The outputs that go through the inner loops together: as many as registers hold sums for, 6, 4, 2 or 1.
fn blocks(channels: usize) -> impl Iterator<Item = Range<usize>> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let width = match channels - first {
            0 => return None,
            6.. => 6,
            4.. => 4,
            2.. => 2,
            _ => 1,
        };
        first += width;
        Some(first - width..first)
    })
}

/// Calls a kernel with the width of one of [`blocks`] as its constant `O`.
macro_rules! with_block {
    ($block:expr, $kernel:ident($($argument:expr),* $(,)?)) => {
        match $block.len() {
            6 => $kernel::<T, 6>($($argument),*),
            4 => $kernel::<T, 4>($($argument),*),
            2 => $kernel::<T, 2>($($argument),*),
            _ => $kernel::<T, 1>($($argument),*),
        }
    };
}

simd! {
    /// `y[o][r] = sum over taps of x[r + offset] w[tap, o]` for one image; `y` are its `O` planes of `span`.
    ///
    /// `V` vectors of each plane go through the taps together; where fewer are left, the last one goes more than once.
    fn correlate_by<T, const O: usize, const V: usize>(x: &[T], offsets: &[usize], weights: &[T], y: &mut [T], span: usize) {
        let reach = offsets.iter().max().map_or(0, |offset| offset + span);
        assert!(span.is_multiple_of(LANES) && reach <= x.len(), "every tap is inside the planes");
        for r in (0..span).step_by(V * LANES) {
            let places: [usize; V] = std::array::from_fn(|v| (r + v * LANES).min(span - LANES));
            let mut sums = [[[T::ZERO; LANES]; V]; O];
            for (&offset, w) in offsets.iter().zip(weights.chunks_exact(O)) {
                // SAFETY: `offset + place + LANES` is at most `offset + span`, which the assertion bounds. A check a tap
                // would cost as much as the arithmetic.
                let x = places.map(|place| unsafe { &*x.as_ptr().add(offset + place).cast::<[T; LANES]>() });
                for (sums, &w) in sums.iter_mut().zip(w) {
                    for (sums, x) in sums.iter_mut().zip(x) {
                        for lane in 0..LANES {
                            sums[lane] = fma!(x[lane], w, sums[lane]);
                        }
                    }
                }
            }
            for (sums, y) in sums.iter().zip(y.chunks_exact_mut(span)) {
                for (place, sums) in places.into_iter().zip(sums) {
                    y[place..place + LANES].copy_from_slice(sums);
                }
            }
        }
    }
}

/// [`correlate_by`] as many vectors as the registers hold. By one a processor that begins two multiplications a cycle waits for the
/// sums of six outputs, and loads each weight for one vector alone.
fn correlate<T: Real, const O: usize>(
    x: &[T],
    offsets: &[usize],
    weights: &[T],
    y: &mut [T],
    span: usize,
) {
    match isa() {
        Isa::Avx512 => correlate_by::<T, O, 2>(x, offsets, weights, y, span),
        _ => correlate_by::<T, O, 1>(x, offsets, weights, y, span),
    }
}

simd! {
    /// Sums of products of `O` planes of output gradients with the inputs of two taps, over all images of a stack.
    fn products<T, const O: usize>(
        x: &[T], offsets: [usize; 2], dy: &[T], plane: usize, image: usize, images: usize, span: usize, out: &mut [T],
    ) {
        let mut sums = [[[T::ZERO; LANES]; O]; 2];
        let end = images.saturating_sub(1) * image + span;
        let inside = offsets[0].max(offsets[1]) + end <= x.len() && (O - 1) * plane + end <= dy.len();
        assert!(images > 0 && span.is_multiple_of(LANES) && inside, "every vector is inside the planes");
        for start in (0..images).map(|i| i * image) {
            for r in (start..start + span).step_by(LANES) {
                // SAFETY: a vector ends at most at `end` behind its plane's start, which the assertion bounds for the
                // inputs here and the gradients below. A check a vector would cost as much as the arithmetic.
                let [x0, x1] = offsets.map(|offset| unsafe { &*x.as_ptr().add(offset + r).cast::<[T; LANES]>() });
                let [first, second] = &mut sums;
                for (o, (first, second)) in first.iter_mut().zip(second).enumerate() {
                    // SAFETY: as above.
                    let dy = unsafe { &*dy.as_ptr().add(o * plane + r).cast::<[T; LANES]>() };
                    for lane in 0..LANES {
                        first[lane] = fma!(x0[lane], dy[lane], first[lane]);
                    }
                    for lane in 0..LANES {
                        second[lane] = fma!(x1[lane], dy[lane], second[lane]);
                    }
                }
            }
        }
        for (out, lanes) in out.iter_mut().zip(sums.as_flattened_mut()) {
            // Halves onto each other: one sum after the other would take longer than the products.
            let mut half = LANES / 2;
            while half > 0 {
                let (low, high) = lanes.split_at_mut(half);
                for (low, &mut high) in low.iter_mut().zip(high) {
                    *low += high;
                }
                half /= 2;
            }
            *out = lanes[0];
        }
    }
}

/// Weights `(out, in, kh, kw)` in [`blocks`] of outputs, each `(in, kh, kw, o)`. For the gradient with respect to the
/// input, outputs and inputs change places and the taps are turned round.
fn in_blocks<T: Real>(sizes: &Sizes, weight: &[T], backward: bool) -> Vec<T> {
    let taps = sizes.kh * sizes.kw;
    let (outputs, inputs) = match backward {
        false => (sizes.c_out, sizes.c_in),
        true => (sizes.c_in, sizes.c_out),
    };
    let mut ordered = Vec::with_capacity(weight.len());
    for block in blocks(outputs) {
        for (i, tap) in (0..inputs).flat_map(|i| (0..taps).map(move |tap| (i, tap))) {
            for o in block.clone() {
                ordered.push(match backward {
                    false => weight[(o * inputs + i) * taps + tap],
                    true => weight[(i * outputs + o) * taps + taps - 1 - tap],
                });
            }
        }
    }
    ordered
}

/// Convolves `x` of `c_in` channels to `y` of `c_out` with weights from [`in_blocks`].
fn convolve<T: Real>(
    planes: Planes,
    (x, c_in): (&[T], usize),
    weights: &[T],
    bias: Option<&[T]>,
    (y, c_out): (&mut [T], usize),
) {
    let (oh, ow) = planes.output();
    let (row, span) = (planes.row, planes.span());
    let offsets = planes.offsets(c_in);
    let depth = offsets.len();
    let zeros = vec![T::ZERO; c_out];
    let bias = bias.unwrap_or(&zeros);
    let per_task = planes.images * planes.h * planes.w * c_in;
    chunks_mut_with(
        y,
        planes.images * oh * ow * c_out,
        &|| vec![T::ZERO; c_in * planes.len + 6 * span],
        &|task, y, buffer| {
            let (inputs, outputs) = buffer.split_at_mut(c_in * planes.len);
            planes.fill(chunk(x, per_task, task), c_in, inputs);
            for (i, y) in y.chunks_exact_mut(oh * ow * c_out).enumerate() {
                let x = &inputs[i * planes.image..];
                for block in blocks(c_out) {
                    let weights = &weights[block.start * depth..block.end * depth];
                    let out = &mut outputs[..block.len() * span];
                    with_block!(block, correlate(x, &offsets, weights, out, span));
                    let (bias, y) = (&bias[block.start..], &mut y[block.start..]);
                    with_block!(block, interleave(out, bias, span, row, ow, c_out, y));
                }
            }
        },
    );
}

/// Writes `O` planes plus their biases as neighbouring channels: the first `ow` elements of each row.
fn interleave<T: Real, const O: usize>(
    planes: &[T],
    bias: &[T],
    span: usize,
    row: usize,
    ow: usize,
    channels: usize,
    y: &mut [T],
) {
    let bias: [T; O] = std::array::from_fn(|o| bias[o]);
    let mut start = 0;
    let mut lines = planes.chunks_exact(span);
    let planes: [&[T]; O] = std::array::from_fn(|_| lines.next().expect("as many planes"));
    for line in y.chunks_mut(ow * channels) {
        let planes = planes.map(|plane| &plane[start..start + ow]);
        for (x, pixel) in line.chunks_mut(channels).enumerate() {
            for ((y, plane), &bias) in pixel[..O].iter_mut().zip(&planes).zip(&bias) {
                *y = plane[x] + bias;
            }
        }
        start += row;
    }
}

pub(super) fn forward<T: Real>(sizes: &Sizes, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    let kernel = (sizes.kh, sizes.kw);
    let planes = Planes::new(sizes.h, sizes.w, sizes.padding, kernel);
    let mut y = scratch(sizes.output_len());
    let weights = in_blocks(sizes, weight, false);
    convolve(
        planes,
        (x, sizes.c_in),
        &weights,
        bias,
        (&mut y, sizes.c_out),
    );
    y
}

pub(super) fn backward_input<T: Real>(sizes: &Sizes, dy: &[T], weight: &[T]) -> Vec<T> {
    let turned = sizes.turned_round();
    let planes = Planes::new(turned.h, turned.w, turned.padding, (turned.kh, turned.kw));
    let mut dx = scratch(sizes.input_len());
    let weights = in_blocks(sizes, weight, true);
    convolve(
        planes,
        (dy, turned.c_in),
        &weights,
        None,
        (&mut dx, turned.c_out),
    );
    dx
}

pub(super) fn backward_weight<T: Real>(sizes: &Sizes, x: &[T], dy: &[T]) -> Vec<T> {
    let planes = Planes::new(sizes.h, sizes.w, sizes.padding, (sizes.kh, sizes.kw));
    // Output gradients lie in planes of the same shape, each where its output is computed, zeros between the rows.
    let outputs = Planes {
        h: sizes.oh,
        w: sizes.ow,
        border: 0,
        ..planes
    };
    let (c_in, c_out) = (sizes.c_in, sizes.c_out);
    let (input, output) = (sizes.h * sizes.w * c_in, sizes.oh * sizes.ow * c_out);
    let offsets = planes.offsets(c_in);
    let depth = offsets.len();
    sum_parts(sizes.n, PARTS, c_out * depth, &|range, dw| {
        let mut inputs = vec![T::ZERO; c_in * planes.len];
        let mut gradients = vec![T::ZERO; c_out * planes.len];
        for start in range.clone().step_by(planes.images) {
            let images = planes.images.min(range.end - start);
            let end = start + images;
            planes.fill(&x[start * input..end * input], c_in, &mut inputs);
            outputs.fill(&dy[start * output..end * output], c_out, &mut gradients);
            for block in blocks(c_out) {
                let dy = &gradients[block.start * planes.len..];
                for tap in (0..depth).step_by(2) {
                    let pair = [offsets[tap], offsets[(tap + 1).min(depth - 1)]];
                    let mut sums = [T::ZERO; 12];
                    let (plane, image, span) = (planes.len, planes.image, planes.span());
                    with_block!(
                        block,
                        products(&inputs, pair, dy, plane, image, images, span, &mut sums)
                    );
                    for (tap, sums) in (tap..depth).zip(sums.chunks_exact(block.len())) {
                        for (o, &sum) in block.clone().zip(sums) {
                            dw[o * depth + tap] += sum;
                        }
                    }
                }
            }
        }
    })
}
