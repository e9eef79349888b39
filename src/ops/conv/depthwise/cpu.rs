//! Depthwise convolution: one square filter a channel, directly over channels.
//!
//! Blocks of [`LANES`] channels keep a filter's taps in registers while a strip of rows is walked. A strip is first
//! copied into a buffer with its zero border, so that the inner loops have no edge cases; the buffer stays in the cache.

use crate::ops::Real;
use crate::ops::conv::Sizes;
use crate::ops::conv::finish::{Finish, Gradient, unfinished};
use crate::ops::parallel::chunks_mut_with;
use crate::ops::real::scratch;
use crate::simd;

/// Channels that one pass of the inner loops handles.
const LANES: usize = 16;

/// Elements of a strip, so that it stays in a core's cache beside what streams through.
const STRIP: usize = 1 << 15;

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

/// Rows of an image inside a border of zeros and with their channels padded to whole blocks.
struct Padded {
    h: usize,
    w: usize,
    c: usize,
    border: usize,
    /// Elements of a row with its border.
    row: usize,
    /// Elements of a pixel.
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

    /// Output rows whose inputs make up a strip.
    fn rows_of_strip(&self, sizes: &Sizes) -> usize {
        let rows = (STRIP / self.row).saturating_sub(sizes.kh) / sizes.stride + 1;
        rows.min(sizes.oh)
    }

    /// Elements of the rows that `outputs` output rows look at.
    fn strip_len(&self, sizes: &Sizes, outputs: usize) -> usize {
        ((outputs - 1) * sizes.stride + sizes.kh) * self.row
    }

    /// Elements of the whole image with its border.
    fn len(&self) -> usize {
        (self.h + 2 * self.border) * self.row
    }

    /// Copies the rows of `image` that start with padded row `first` into `strip`; what is left and right of them is
    /// zero already and stays so.
    fn fill<T: Real>(&self, image: &[T], first: usize, strip: &mut [T]) {
        for (y, line) in (first..).zip(strip.chunks_exact_mut(self.row)) {
            let inside = self.border * self.pixel..(self.border + self.w) * self.pixel;
            let to = &mut line[inside];
            let Some(y) = y.checked_sub(self.border).filter(|&y| y < self.h) else {
                to.fill(T::ZERO);
                continue;
            };
            let from = &image[y * self.w * self.c..(y + 1) * self.w * self.c];
            if self.pixel == self.c {
                to.copy_from_slice(from);
            } else {
                let pixels = to.chunks_exact_mut(self.pixel);
                for (to, from) in pixels.zip(from.chunks_exact(self.c)) {
                    to[..self.c].copy_from_slice(from);
                }
            }
        }
    }

    /// Copies the inside of a whole padded image back out.
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
    /// A strip: every output pixel from its `K x K` window, `K` known to the compiler where it is 3.
    fn correlate<T, const K: usize>(
        strip: &[T], row: usize, pixel: usize, filters: &[T], kernel: usize, stride: usize,
        ow: usize, channels: usize, out: &mut [T],
    ) {
        let kernel = if K == 0 { kernel } else { K };
        let (oh, taps) = (out.len() / (ow * channels), kernel * kernel);
        let reach = ((oh - 1) * stride + kernel - 1) * row + ((ow - 1) * stride + kernel) * pixel;
        assert!(
            reach <= strip.len() && taps * pixel <= filters.len() && channels <= pixel && pixel.is_multiple_of(LANES),
            "every window is inside the strip"
        );
        for start in (0..channels).step_by(LANES) {
            let width = LANES.min(channels - start);
            for (oy, line) in out.chunks_exact_mut(ow * channels).enumerate() {
                for (ox, y) in line.chunks_exact_mut(channels).enumerate() {
                    let mut sums = [T::ZERO; LANES];
                    for ky in 0..kernel {
                        for kx in 0..kernel {
                            let at = (oy * stride + ky) * row + (ox * stride + kx) * pixel + start;
                            let tap = (ky * kernel + kx) * pixel + start;
                            // SAFETY: `start` is below `pixel` and both are whole blocks, so that the block ends
                            // within the window's last pixel and the last filter, which the assertion bounds.
                            let (x, w) = unsafe {
                                (
                                    &*strip.as_ptr().add(at).cast::<[T; LANES]>(),
                                    &*filters.as_ptr().add(tap).cast::<[T; LANES]>(),
                                )
                            };
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
    /// A strip: adds its share of the filters' gradient to `sums`, `(taps, padded channels)`.
    fn correlate_weights<T, const K: usize>(
        strip: &[T], row: usize, pixel: usize, dy: &[T], kernel: usize, stride: usize,
        ow: usize, channels: usize, sums: &mut [T],
    ) {
        let kernel = if K == 0 { kernel } else { K };
        let oh = dy.len() / (ow * channels);
        let reach = ((oh - 1) * stride + kernel - 1) * row + ((ow - 1) * stride + kernel) * pixel;
        assert!(
            reach <= strip.len() && channels <= pixel && pixel.is_multiple_of(LANES),
            "every window is inside the strip"
        );
        for start in (0..channels).step_by(LANES) {
            let width = LANES.min(channels - start);
            for ky in 0..kernel {
                let mut kx = 0;
                // Three taps of a filter's row at a time, so that each gradient is read once for them.
                while kx < kernel {
                    let taps = 3.min(kernel - kx);
                    let mut lanes = [[T::ZERO; LANES]; 3];
                    for (oy, line) in dy.chunks_exact(ow * channels).enumerate() {
                        for (ox, dy) in line.chunks_exact(channels).enumerate() {
                            let mut block = [T::ZERO; LANES];
                            if width == LANES {
                                block.copy_from_slice(&dy[start..start + LANES]);
                            } else {
                                block[..width].copy_from_slice(&dy[start..start + width]);
                            }
                            let at = (oy * stride + ky) * row + (ox * stride + kx) * pixel + start;
                            for (tap, lanes) in lanes.iter_mut().enumerate().take(taps) {
                                // SAFETY: `start` is below `pixel` and both are whole blocks, so that the block ends
                                // within the window's last pixel, which the assertion bounds.
                                let x = unsafe { &*strip.as_ptr().add(at + tap * pixel).cast::<[T; LANES]>() };
                                for lane in 0..LANES {
                                    lanes[lane] = fma!(x[lane], block[lane], lanes[lane]);
                                }
                            }
                        }
                    }
                    for (tap, lanes) in (kx..).zip(&lanes[..taps]) {
                        let at = (ky * kernel + tap) * pixel + start;
                        for (sum, &lane) in sums[at..at + LANES].iter_mut().zip(lanes) {
                            *sum += lane;
                        }
                    }
                    kx += taps;
                }
            }
        }
    }
}

pub fn forward<T: Real>(sizes: &Sizes, x: &[T], weight: &[T], finish: &Finish<'_, T>) -> Vec<T> {
    let filters = transposed(sizes, weight, false);
    let mut y = scratch(sizes.output_len());
    convolve(sizes, Gradient::plain(x), &filters, &mut y, finish);
    y
}

fn convolve<T: Real>(
    sizes: &Sizes,
    x: Gradient<'_, T>,
    filters: &[T],
    y: &mut [T],
    finish: &Finish<'_, T>,
) {
    let (h, w, c, stride) = (sizes.h, sizes.w, sizes.c_in, sizes.stride);
    let (oh, ow) = (sizes.oh, sizes.ow);
    let padded = Padded::new(h, w, c, sizes.padding);
    let rows = padded.rows_of_strip(sizes);
    let (strip_len, image) = (padded.strip_len(sizes, rows), h * w * c);
    chunks_mut_with(
        y,
        oh * ow * c,
        &|| vec![T::ZERO; strip_len + x.buffer_len(image)],
        &|i, all, buffer| {
            let (buffer, image_buffer) = buffer.split_at_mut(strip_len);
            let x = x.part(i * image, image, image_buffer);
            for (strip, y) in all.chunks_mut(rows * ow * c).enumerate() {
                let inputs = padded.strip_len(sizes, y.len() / (ow * c));
                let buffer = &mut buffer[..inputs];
                padded.fill(x, strip * rows * stride, buffer);
                let (row, pixel) = (padded.row, padded.pixel);
                if sizes.kh == 3 {
                    correlate::<T, 3>(buffer, row, pixel, filters, 3, stride, ow, c, y);
                } else {
                    correlate::<T, 0>(buffer, row, pixel, filters, sizes.kh, stride, ow, c, y);
                }
                let first = (i * oh + strip * rows) * ow * c;
                finish(first, y);
            }
        },
    );
}

pub fn backward_input<T: Real>(sizes: &Sizes, dy: Gradient<'_, T>, weight: &[T]) -> Vec<T> {
    let (c, k) = (sizes.c_in, sizes.kh);
    if sizes.turns_round() {
        let filters = transposed(sizes, weight, true);
        let mut dx = scratch(sizes.input_len());
        convolve(&sizes.turned_round(), dy, &filters, &mut dx, &unfinished);
        return dx;
    }
    let filters = transposed(sizes, weight, false);
    let padded = Padded::new(sizes.h, sizes.w, c, sizes.padding);
    let outputs = sizes.oh * sizes.ow * c;
    let mut dx = scratch(sizes.input_len());
    chunks_mut_with(
        &mut dx,
        sizes.h * sizes.w * c,
        &|| scratch::<T>(padded.len() + dy.buffer_len(outputs)),
        &|i, dx, buffer| {
            let (buffer, image_buffer) = buffer.split_at_mut(padded.len());
            let dy = dy.part(i * outputs, outputs, image_buffer);
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

pub fn backward_weight<T: Real>(sizes: &Sizes, x: &[T], dy: &[T]) -> Vec<T> {
    let (c, taps) = (sizes.c_in, sizes.kh * sizes.kw);
    let padded = Padded::new(sizes.h, sizes.w, c, sizes.padding);
    let (row, pixel, rows) = (padded.row, padded.pixel, padded.rows_of_strip(sizes));
    let sums = crate::ops::parallel::sum_parts(sizes.n, 16, taps * pixel, &|images, sums| {
        let mut buffer = vec![T::ZERO; padded.strip_len(sizes, rows)];
        let (stride, ow) = (sizes.stride, sizes.ow);
        for image in images {
            let (input, output) = (sizes.h * sizes.w * c, sizes.oh * ow * c);
            let x = &x[image * input..(image + 1) * input];
            let dy = &dy[image * output..(image + 1) * output];
            for (strip, dy) in dy.chunks(rows * ow * c).enumerate() {
                let inputs = padded.strip_len(sizes, dy.len() / (ow * c));
                let buffer = &mut buffer[..inputs];
                padded.fill(x, strip * rows * stride, buffer);
                if sizes.kh == 3 {
                    correlate_weights::<T, 3>(buffer, row, pixel, dy, 3, stride, ow, c, sums);
                } else {
                    let kernel = sizes.kh;
                    correlate_weights::<T, 0>(buffer, row, pixel, dy, kernel, stride, ow, c, sums);
                }
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
