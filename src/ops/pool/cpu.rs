//! Pooling on the CPU.

use candle_core::{Device, Tensor};

use super::{Average, Window, channels_last};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut, chunks_mut2};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, simd, with_real};

simd! {
    /// One image. The first of equal maxima wins, as in torch; not-a-number wins over everything.
    fn max_image<T>(x: &[T], h: usize, w: usize, c: usize, kernel: usize, stride: usize, padding: usize, ow: usize,
        y: &mut [T], taps: &mut [u8],
    ) {
        for (pixel, (y, taps)) in y.chunks_exact_mut(c).zip(taps.chunks_exact_mut(c)).enumerate() {
            let (oy, ox) = (pixel / ow, pixel % ow);
            let mut first = true;
            for ky in 0..kernel {
                for kx in 0..kernel {
                    let (iy, ix) = (oy * stride + ky, ox * stride + kx);
                    if iy < padding || ix < padding || iy - padding >= h || ix - padding >= w {
                        continue;
                    }
                    let at = ((iy - padding) * w + ix - padding) * c;
                    let tap = (ky * kernel + kx) as u8;
                    let x = &x[at..at + c];
                    if first {
                        y.copy_from_slice(x);
                        taps.fill(tap);
                        first = false;
                        continue;
                    }
                    for ((y, t), &x) in y.iter_mut().zip(taps.iter_mut()).zip(x) {
                        #[allow(clippy::eq_op)]
                        let wins = x > *y || x != x;
                        *y = if wins { x } else { *y };
                        *t = if wins { tap } else { *t };
                    }
                }
            }
        }
    }
}

simd! {
    /// One image, windows of 2 by 2 side by side: all four taps of a channel at once.
    fn max_pairs<T>(x: &[T], w: usize, c: usize, ow: usize, y: &mut [T], taps: &mut [u8]) {
        for (oy, (y, taps)) in y.chunks_exact_mut(ow * c).zip(taps.chunks_exact_mut(ow * c)).enumerate() {
            let (top, bottom) = x[2 * oy * w * c..][..2 * w * c].split_at(w * c);
            let windows = top.chunks_exact(2 * c).zip(bottom.chunks_exact(2 * c));
            let outputs = y.chunks_exact_mut(c).zip(taps.chunks_exact_mut(c));
            for ((top, bottom), (y, taps)) in windows.zip(outputs) {
                let ((a, b), (d, e)) = (top.split_at(c), bottom.split_at(c));
                for (((((y, tap), &a), &b), &d), &e) in y.iter_mut().zip(taps).zip(a).zip(b).zip(d).zip(e) {
                    let (mut best, mut at) = (a, 0u8);
                    for (x, tap) in [(b, 1), (d, 2), (e, 3)] {
                        #[allow(clippy::eq_op)]
                        let wins = x > best || x != x;
                        best = if wins { x } else { best };
                        at = if wins { tap } else { at };
                    }
                    *y = best;
                    *tap = at;
                }
            }
        }
    }
}

simd! {
    /// The gradient of [`max_pairs`] for one image: every input is written once.
    fn max_pairs_backward<T>(dy: &[T], taps: &[u8], w: usize, c: usize, ow: usize, dx: &mut [T]) {
        for (dx, (dy, taps)) in dx.chunks_mut(2 * w * c).zip(dy.chunks_exact(ow * c).zip(taps.chunks_exact(ow * c))) {
            let (top, bottom) = dx.split_at_mut(w * c);
            let windows = top.chunks_exact_mut(2 * c).zip(bottom.chunks_exact_mut(2 * c));
            for ((top, bottom), (dy, taps)) in windows.zip(dy.chunks_exact(c).zip(taps.chunks_exact(c))) {
                let ((a, b), (d, e)) = (top.split_at_mut(c), bottom.split_at_mut(c));
                for (((((&dy, &tap), a), b), d), e) in dy.iter().zip(taps).zip(a).zip(b).zip(d).zip(e) {
                    *a = if tap == 0 { dy } else { T::ZERO };
                    *b = if tap == 1 { dy } else { T::ZERO };
                    *d = if tap == 2 { dy } else { T::ZERO };
                    *e = if tap == 3 { dy } else { T::ZERO };
                }
            }
        }
    }
}

pub fn max_forward(x: &Tensor, window: Window) -> Result<(Tensor, Tensor)> {
    let (n, h, w, c) = x.dims4()?;
    let (oh, ow) = (window.output(h)?, window.output(w)?);
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    with_real!(x.dtype(), T => {
        let input = &*view::<T>(x)?;
        let mut y = scratch::<T>(n * oh * ow * c);
        let mut taps = vec![0u8; y.len()];
        let step = oh * ow * c;
        chunks_mut2(&mut y, &mut taps, (step, step), &|i, y, taps| {
            let x = chunk(input, h * w * c, i);
            if window.pairs(h, w) {
                max_pairs(x, w, c, ow, y, taps);
            } else {
                max_image(x, h, w, c, kernel, stride, padding, ow, y, taps);
            }
        });
        let taps = Tensor::from_vec(taps, (n, oh, ow, c), &Device::Cpu)?;
        Ok((tensor(y, (n, oh, ow, c))?, taps))
    })
}

pub fn max_backward(dy: &Tensor, taps: &Tensor, input: &[usize], window: Window) -> Result<Tensor> {
    let (_, h, w, c) = channels_last(input)?;
    let (_, oh, ow, _) = dy.dims4()?;
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    let taps = taps.flatten_all()?.to_vec1::<u8>()?;
    with_real!(dy.dtype(), T => {
        let dy = &*view::<T>(dy)?;
        let pairs = window.pairs(h, w);
        let len = input.iter().product();
        let mut dx = if pairs { scratch(len) } else { vec![T::ZERO; len] };
        chunks_mut(&mut dx, h * w * c, &|i, dx| {
            let (dy, taps) = (chunk(dy, oh * ow * c, i), chunk(&taps, oh * ow * c, i));
            if pairs {
                return max_pairs_backward(dy, taps, w, c, ow, dx);
            }
            for (pixel, (dy, taps)) in dy.chunks_exact(c).zip(taps.chunks_exact(c)).enumerate() {
                let (oy, ox) = (pixel / ow, pixel % ow);
                for (channel, (&dy, &tap)) in dy.iter().zip(taps).enumerate() {
                    let (ky, kx) = (tap as usize / kernel, tap as usize % kernel);
                    let (iy, ix) = (oy * stride + ky - padding, ox * stride + kx - padding);
                    dx[(iy * w + ix) * c + channel] += dy;
                }
            }
        });
        tensor(dx, input)
    })
}

/// The taps of a window that lie in the image, as the positions of their channels.
fn inside(
    [h, w, c]: [usize; 3],
    window: Window,
    (oy, ox): (usize, usize),
) -> impl Iterator<Item = usize> {
    let range = move |o: usize, side: usize| {
        let from = o * window.stride;
        from.saturating_sub(window.padding)..(from + window.kernel - window.padding).min(side)
    };
    range(oy, h).flat_map(move |y| range(ox, w).map(move |x| (y * w + x) * c))
}

pub fn softmax_backward(
    dy: &Tensor,
    x: &Tensor,
    y: &Tensor,
    window: Window,
    temperature: f64,
) -> Result<Tensor> {
    let (_, h, w, c) = x.dims4()?;
    let (_, oh, ow, _) = y.dims4()?;
    let shape = x.shape();
    with_real!(x.dtype(), T => {
        let (dy, x, y) = (&*view::<T>(dy)?, &*view::<T>(x)?, &*view::<T>(y)?);
        let mut dx = vec![T::ZERO; x.len()];
        chunks_mut(&mut dx, h * w * c, &|i, dx| {
            let x = chunk(x, h * w * c, i);
            let outputs = chunk(dy, oh * ow * c, i).chunks_exact(c);
            let outputs = outputs.zip(chunk(y, oh * ow * c, i).chunks_exact(c));
            let mut sums = vec![0.0; c];
            for (pixel, (dy, y)) in outputs.enumerate() {
                let at = (pixel / ow, pixel % ow);
                let weight = |x: T, y: T| (temperature * (x.wide() - y.wide())).exp();
                sums.fill(0.0);
                for from in inside([h, w, c], window, at) {
                    for ((sum, &x), &y) in sums.iter_mut().zip(&x[from..]).zip(y) {
                        *sum += weight(x, y);
                    }
                }
                for from in inside([h, w, c], window, at) {
                    let window = dx[from..].iter_mut().zip(&x[from..]);
                    for (((dx, &x), (&dy, &y)), sum) in window.zip(dy.iter().zip(y)).zip(&sums) {
                        *dx += T::of(dy.wide() * weight(x, y) / sum);
                    }
                }
            }
        });
        tensor(dx, shape)
    })
}

simd! {
    fn add_scaled<T>(x: &[T], factor: T, y: &mut [T]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = fma!(x, factor, *y);
        }
    }
}

pub fn average_forward(x: &Tensor, average: Average) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let (rows, columns) = average.cells(h, w)?;
    let (oh, ow) = (rows.len(), columns.len());
    with_real!(x.dtype(), T => {
        let input = &*view::<T>(x)?;
        let mut y = vec![T::ZERO; n * oh * ow * c];
        chunks_mut(&mut y, oh * ow * c, &|i, y| {
                let x = chunk(input, h * w * c, i);
                for (pixel, y) in y.chunks_exact_mut(c).enumerate() {
                    let (ys, xs) = (&rows[pixel / ow], &columns[pixel % ow]);
                    let factor = T::of(1.0 / (ys.len() * xs.len()) as f64);
                    for iy in ys.clone() {
                        for ix in xs.clone() {
                            add_scaled(&x[(iy * w + ix) * c..][..c], factor, y);
                        }
                    }
                }
            });
        tensor(y, (n, oh, ow, c))
    })
}

pub fn average_backward(dy: &Tensor, input: &[usize], average: Average) -> Result<Tensor> {
    let (_, h, w, c) = channels_last(input)?;
    let (rows, columns) = average.cells(h, w)?;
    let (oh, ow) = (rows.len(), columns.len());
    with_real!(dy.dtype(), T => {
        let dy = &*view::<T>(dy)?;
        let mut dx = vec![T::ZERO; input.iter().product()];
        chunks_mut(&mut dx, h * w * c, &|i, dx| {
                let dy = chunk(dy, oh * ow * c, i);
                for (pixel, dy) in dy.chunks_exact(c).enumerate() {
                    let (ys, xs) = (&rows[pixel / ow], &columns[pixel % ow]);
                    let factor = T::of(1.0 / (ys.len() * xs.len()) as f64);
                    for iy in ys.clone() {
                        for ix in xs.clone() {
                            add_scaled(dy, factor, &mut dx[(iy * w + ix) * c..][..c]);
                        }
                    }
                }
            });
        tensor(dx, input)
    })
}
