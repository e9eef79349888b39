//! Depthwise convolution: one square filter a channel, directly over channels.
//!
//! Blocks of [`LANES`] channels keep a filter's taps in registers while the image is walked. An image is first copied
//! into a buffer with its zero border, so that the inner loops have no edge cases; the buffer stays in the cache.

use super::Sizes;
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut_with};
use crate::ops::real::scratch;
use crate::simd;

/// Channels that one pass of the inner loops handles.
const LANES: usize = 16;

/// Filters as `(taps, C rounded up to LANES)`, so that a block of channels is contiguous for each tap.
fn transposed<T: Real>(sizes: &Sizes, weight: &[T], flip: bool) -> Vec<T> {
    let taps = sizes.kh * sizes.kw;
    let width = sizes.c_in.next_multiple_of(LANES);
    let mut out = vec![T::ZERO; taps * width];
    for (c, filter) in weight.chunks_exact(taps).enumerate() {
        for (tap, &w) in filter.iter().enumerate() {
            let tap = if flip { taps - 1 - tap } else { tap };
            out[tap * width + c] = w;
        }
    }
    out
}

/// An image inside a border of zeros and with its channels padded to whole blocks.
struct Padded {
    h: usize,
    w: usize,
    c: usize,
    border: usize,
    /// Elements of a row of the padded image.
    row: usize,
    /// Elements of a pixel of the padded image.
    pixel: usize,
}

impl Padded {
    fn new(h: usize, w: usize, c: usize, border: usize) -> Self {
        let pixel = c.next_multiple_of(LANES);
        Self {
            h,
            w,
            c,
            border,
            row: (w + 2 * border) * pixel,
            pixel,
        }
    }

    fn len(&self) -> usize {
        (self.h + 2 * self.border) * self.row
    }

    /// Copies `image` inside; the border and the padding channels are zero already and stay so.
    fn fill<T: Real>(&self, image: &[T], padded: &mut [T]) {
        for (y, line) in image.chunks_exact(self.w * self.c).enumerate() {
            let start = (y + self.border) * self.row + self.border * self.pixel;
            let to = &mut padded[start..start + self.w * self.pixel];
            if self.pixel == self.c {
                to.copy_from_slice(line);
            } else {
                for (to, from) in to
                    .chunks_exact_mut(self.pixel)
                    .zip(line.chunks_exact(self.c))
                {
                    to[..self.c].copy_from_slice(from);
                }
            }
        }
    }

    /// Copies the inside back out.
    fn extract<T: Real>(&self, padded: &[T], image: &mut [T]) {
        for (y, line) in image.chunks_exact_mut(self.w * self.c).enumerate() {
            let start = (y + self.border) * self.row + self.border * self.pixel;
            let from = &padded[start..start + self.w * self.pixel];
            for (to, from) in line
                .chunks_exact_mut(self.c)
                .zip(from.chunks_exact(self.pixel))
            {
                to.copy_from_slice(&from[..self.c]);
            }
        }
    }
}

simd! {
    /// One image: every output pixel from its `K x K` window, `K` known to the compiler where it is 3.
    fn correlate<T, const K: usize>(
        padded: &[T], row: usize, pixel: usize, filters: &[T], kernel: usize, stride: usize,
        ow: usize, channels: usize, out: &mut [T],
    ) {
        let kernel = if K == 0 { kernel } else { K };
        for start in (0..channels).step_by(LANES) {
            let width = LANES.min(channels - start);
            for (oy, line) in out.chunks_exact_mut(ow * channels).enumerate() {
                for (ox, y) in line.chunks_exact_mut(channels).enumerate() {
                    let mut sums = [T::ZERO; LANES];
                    for ky in 0..kernel {
                        for kx in 0..kernel {
                            let at = (oy * stride + ky) * row + (ox * stride + kx) * pixel + start;
                            let x: &[T; LANES] = padded[at..at + LANES].try_into().expect("one block");
                            let at = (ky * kernel + kx) * pixel + start;
                            let w: &[T; LANES] = filters[at..at + LANES].try_into().expect("one block");
                            for lane in 0..LANES {
                                sums[lane] = fma!(x[lane], w[lane], sums[lane]);
                            }
                        }
                    }
                    if width == LANES {
                        y[start..start + LANES].copy_from_slice(&sums);
                    } else {
                        y[start..start + width].copy_from_slice(&sums[..width]);
                    }
                }
            }
        }
    }
}

simd! {
    /// One image: adds every output gradient, times its filter, to the padded input gradient.
    fn spread<T>(
        dy: &[T], filters: &[T], kernel: usize, stride: usize, ow: usize, channels: usize,
        row: usize, pixel: usize, padded: &mut [T],
    ) {
        for (oy, line) in dy.chunks_exact(ow * channels).enumerate() {
            for (ox, dy) in line.chunks_exact(channels).enumerate() {
                for ky in 0..kernel {
                    for kx in 0..kernel {
                        let at = (oy * stride + ky) * row + (ox * stride + kx) * pixel;
                        let w = &filters[(ky * kernel + kx) * pixel..][..channels];
                        for ((dx, &w), &dy) in padded[at..at + channels].iter_mut().zip(w).zip(dy) {
                            *dx = fma!(dy, w, *dx);
                        }
                    }
                }
            }
        }
    }
}

simd! {
    /// One image: adds its share of the filters' gradient to `sums`, `(taps, padded channels)`.
    fn correlate_weights<T, const K: usize>(
        padded: &[T], row: usize, pixel: usize, dy: &[T], kernel: usize, stride: usize,
        ow: usize, channels: usize, sums: &mut [T],
    ) {
        let kernel = if K == 0 { kernel } else { K };
        for start in (0..channels).step_by(LANES) {
            let width = LANES.min(channels - start);
            for ky in 0..kernel {
                for (oy, line) in dy.chunks_exact(ow * channels).enumerate() {
                    for kx in 0..kernel {
                        let tap = (ky * kernel + kx) * pixel + start;
                        let total: &mut [T; LANES] = (&mut sums[tap..tap + LANES]).try_into().expect("one block");
                        let mut lanes = [T::ZERO; LANES];
                        for (ox, dy) in line.chunks_exact(channels).enumerate() {
                            let at = (oy * stride + ky) * row + (ox * stride + kx) * pixel + start;
                            let x: &[T; LANES] = padded[at..at + LANES].try_into().expect("one block");
                            if width == LANES {
                                let dy: &[T; LANES] = dy[start..start + LANES].try_into().expect("one block");
                                for lane in 0..LANES {
                                    lanes[lane] = fma!(x[lane], dy[lane], lanes[lane]);
                                }
                            } else {
                                for (lane, &dy) in dy[start..start + width].iter().enumerate() {
                                    lanes[lane] = fma!(x[lane], dy, lanes[lane]);
                                }
                            }
                        }
                        for lane in 0..LANES {
                            total[lane] += lanes[lane];
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn forward<T: Real>(sizes: &Sizes, x: &[T], weight: &[T]) -> Vec<T> {
    let filters = transposed(sizes, weight, false);
    let mut y = scratch(sizes.output_len());
    convolve(sizes, x, &filters, &mut y);
    y
}

fn convolve<T: Real>(sizes: &Sizes, x: &[T], filters: &[T], y: &mut [T]) {
    let (h, w, c, stride) = (sizes.h, sizes.w, sizes.c_in, sizes.stride);
    let (oh, ow) = (sizes.oh, sizes.ow);
    let padded = Padded::new(h, w, c, sizes.padding);
    chunks_mut_with(
        y,
        oh * ow * c,
        &|| vec![T::ZERO; padded.len()],
        &|i, y, buffer| {
            let x = chunk(x, h * w * c, i);
            padded.fill(x, buffer);
            let (row, pixel) = (padded.row, padded.pixel);
            if sizes.kh == 3 {
                correlate::<T, 3>(buffer, row, pixel, filters, 3, stride, ow, c, y);
            } else {
                correlate::<T, 0>(buffer, row, pixel, filters, sizes.kh, stride, ow, c, y);
            }
        },
    );
}

pub(super) fn backward_input<T: Real>(sizes: &Sizes, dy: &[T], weight: &[T]) -> Vec<T> {
    let (c, k) = (sizes.c_in, sizes.kh);
    if sizes.turns_round() {
        let filters = transposed(sizes, weight, true);
        let mut dx = scratch(sizes.input_len());
        convolve(&sizes.turned_round(), dy, &filters, &mut dx);
        return dx;
    }
    let filters = transposed(sizes, weight, false);
    let padded = Padded::new(sizes.h, sizes.w, c, sizes.padding);
    let mut dx = scratch(sizes.input_len());
    chunks_mut_with(
        &mut dx,
        sizes.h * sizes.w * c,
        &|| scratch::<T>(padded.len()),
        &|i, dx, buffer| {
            let dy = chunk(dy, sizes.oh * sizes.ow * c, i);
            buffer.fill(T::ZERO);
            let (row, pixel) = (padded.row, padded.pixel);
            spread(
                dy,
                &filters,
                k,
                sizes.stride,
                sizes.ow,
                c,
                row,
                pixel,
                buffer,
            );
            padded.extract(buffer, dx);
        },
    );
    dx
}

pub(super) fn backward_weight<T: Real>(sizes: &Sizes, x: &[T], dy: &[T]) -> Vec<T> {
    let (c, taps) = (sizes.c_in, sizes.kh * sizes.kw);
    let padded = Padded::new(sizes.h, sizes.w, c, sizes.padding);
    let (row, pixel) = (padded.row, padded.pixel);
    let sums = crate::ops::parallel::sum_parts(sizes.n, 16, taps * pixel, &|images, sums| {
        let mut buffer = vec![T::ZERO; padded.len()];
        for image in images {
            let (input, output) = (sizes.h * sizes.w * c, sizes.oh * sizes.ow * c);
            padded.fill(&x[image * input..(image + 1) * input], &mut buffer);
            let dy = &dy[image * output..(image + 1) * output];
            let (stride, ow) = (sizes.stride, sizes.ow);
            if sizes.kh == 3 {
                correlate_weights::<T, 3>(&buffer, row, pixel, dy, 3, stride, ow, c, sums);
            } else {
                correlate_weights::<T, 0>(&buffer, row, pixel, dy, sizes.kh, stride, ow, c, sums);
            }
        }
    });
    let mut dw = scratch(c * taps);
    for (channel, filter) in dw.chunks_exact_mut(taps).enumerate() {
        for (tap, w) in filter.iter_mut().enumerate() {
            *w = sums[tap * pixel + channel];
        }
    }
    dw
}
