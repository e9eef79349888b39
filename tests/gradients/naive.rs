//! The layers' definitions, written down as plainly as possible on `(N, H, W, C)`.

use candle_core::Tensor;
use runner::nn::Network;
use runner::ops::activation::Activation;

use crate::harness::numbers;

/// Numbers of shape `(N, H, W, C)`.
#[derive(Clone)]
pub struct Image {
    pub dims: [usize; 4],
    pub values: Vec<f64>,
}

impl Image {
    /// From a tensor `(N, C, H, W)`.
    pub fn from_channels_first(tensor: &Tensor) -> Self {
        let (n, c, h, w) = tensor.dims4().unwrap();
        let from = numbers(tensor);
        Self::build([n, h, w, c], |[b, y, x, k]| {
            from[((b * c + k) * h + y) * w + x]
        })
    }

    pub fn build(dims: [usize; 4], value: impl Fn([usize; 4]) -> f64) -> Self {
        let [n, h, w, c] = dims;
        let mut values = Vec::with_capacity(n * h * w * c);
        for b in 0..n {
            for y in 0..h {
                for x in 0..w {
                    for k in 0..c {
                        values.push(value([b, y, x, k]));
                    }
                }
            }
        }
        Self { dims, values }
    }

    pub fn at(&self, [b, y, x, k]: [usize; 4]) -> f64 {
        let [_, h, w, c] = self.dims;
        self.values[((b * h + y) * w + x) * c + k]
    }

    /// The value at a position that may lie outside.
    fn padded(&self, b: usize, y: isize, x: isize, k: usize, outside: f64) -> f64 {
        let [_, h, w, _] = self.dims;
        if y < 0 || x < 0 || y >= h as isize || x >= w as isize {
            return outside;
        }
        self.at([b, y as usize, x as usize, k])
    }

    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            dims: self.dims,
            values: self.values.iter().map(|&v| f(v)).collect(),
        }
    }

    pub fn plus(&self, other: &Self) -> Self {
        Self {
            dims: self.dims,
            values: self
                .values
                .iter()
                .zip(&other.values)
                .map(|(a, b)| a + b)
                .collect(),
        }
    }
}

/// A parameter or buffer of a network by name.
pub fn named(network: &Network, name: &str) -> Vec<f64> {
    numbers(&network.state().unwrap()[name])
}

/// Sizes of a convolution's weights, and its geometry.
#[derive(Clone, Copy)]
pub struct Conv {
    pub out: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub groups: usize,
    pub dilation: usize,
}

pub fn conv(x: &Image, weight: &[f64], bias: Option<&[f64]>, conv: Conv) -> Image {
    let [n, h, w, c] = x.dims;
    let side = |len: usize| {
        (len + 2 * conv.padding - (conv.kernel - 1) * conv.dilation - 1) / conv.stride + 1
    };
    let (per_in, per_out, k) = (c / conv.groups, conv.out / conv.groups, conv.kernel);
    Image::build([n, side(h), side(w), conv.out], |[b, oy, ox, o]| {
        let mut sum = bias.map_or(0.0, |bias| bias[o]);
        for i in 0..per_in {
            for ky in 0..k {
                for kx in 0..k {
                    let y =
                        (oy * conv.stride + ky * conv.dilation) as isize - conv.padding as isize;
                    let x_ =
                        (ox * conv.stride + kx * conv.dilation) as isize - conv.padding as isize;
                    let channel = o / per_out * per_in + i;
                    sum += x.padded(b, y, x_, channel, 0.0)
                        * weight[((o * per_in + i) * k + ky) * k + kx];
                }
            }
        }
        sum
    })
}

/// Mean and biased variance of each channel.
pub fn moments(x: &Image) -> (Vec<f64>, Vec<f64>) {
    let c = x.dims[3];
    let count = (x.values.len() / c) as f64;
    let mut mean = vec![0.0; c];
    for row in x.values.chunks(c) {
        for (m, v) in mean.iter_mut().zip(row) {
            *m += v / count;
        }
    }
    let mut variance = vec![0.0; c];
    for row in x.values.chunks(c) {
        for ((s, v), m) in variance.iter_mut().zip(row).zip(&mean) {
            *s += (v - m) * (v - m) / count;
        }
    }
    (mean, variance)
}

pub fn batch_norm(x: &Image, gamma: &[f64], beta: &[f64], mean: &[f64], variance: &[f64]) -> Image {
    Image::build(x.dims, |at| {
        let k = at[3];
        (x.at(at) - mean[k]) / (variance[k] + 1e-5).sqrt() * gamma[k] + beta[k]
    })
}

pub fn activation(z: f64, kind: Activation) -> f64 {
    match kind {
        Activation::Identity => z,
        Activation::Relu => z.max(0.0),
        Activation::Relu6 => z.clamp(0.0, 6.0),
        Activation::Silu => z / (1.0 + (-z).exp()),
    }
}

pub fn max_pool(x: &Image, kernel: usize, stride: usize, padding: usize) -> Image {
    let [n, h, w, c] = x.dims;
    let side = |len: usize| (len + 2 * padding - kernel) / stride + 1;
    Image::build([n, side(h), side(w), c], |[b, oy, ox, k]| {
        let mut max = f64::NEG_INFINITY;
        for ky in 0..kernel {
            for kx in 0..kernel {
                let y = (oy * stride + ky) as isize - padding as isize;
                let x_ = (ox * stride + kx) as isize - padding as isize;
                max = max.max(x.padded(b, y, x_, k, f64::NEG_INFINITY));
            }
        }
        max
    })
}

/// Means over the rectangles `rows[oy] x columns[ox]`.
pub fn means(x: &Image, rows: &[(usize, usize)], columns: &[(usize, usize)]) -> Image {
    let [n, _, _, c] = x.dims;
    Image::build([n, rows.len(), columns.len(), c], |[b, oy, ox, k]| {
        let (mut sum, mut count) = (0.0, 0.0);
        for y in rows[oy].0..rows[oy].1 {
            for x_ in columns[ox].0..columns[ox].1 {
                sum += x.at([b, y, x_, k]);
                count += 1.0;
            }
        }
        sum / count
    })
}
