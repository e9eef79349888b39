//! Single ops at the shapes of the networks that the experiments train: `cargo bench --bench ops [FILTER]`.
//!
//! `-- --threads` is divan's own option and means something else: set RAYON_NUM_THREADS for the kernels' threads.

use candle_core::{Device, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use runner::ops::activation::{self, Activation};
use runner::ops::batch_norm::{self, Affine};
use runner::ops::conv::{self, Geometry};
use runner::ops::{cross_entropy, linear, pool};

// As in the program.
#[global_allocator]
static ALLOCATOR: runner::ops::memory::Reusing = runner::ops::memory::Reusing::new();

fn main() {
    divan::main();
}

fn tensor(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1f32, shape, &Device::Cpu).expect("a tensor of normal numbers")
}

/// Batch, side of the input, channels in and out, kernel, stride, groups.
#[derive(Clone, Copy)]
struct Shape(usize, usize, usize, usize, usize, usize, usize);

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(n, side, c_in, c_out, kernel, stride, groups) = self;
        write!(
            f,
            "{n}x{side}x{side}x{c_in} to {c_out}, {kernel}x{kernel}/{stride}, groups {groups}"
        )
    }
}

const CONVOLUTIONS: [Shape; 10] = [
    // First layers: of a network for colour images, and both of LeNet-5.
    Shape(128, 32, 3, 32, 3, 1, 1),
    Shape(64, 28, 1, 6, 5, 1, 1),
    Shape(64, 14, 6, 16, 5, 1, 1),
    // MobileNetV2: pointwise, depthwise.
    Shape(128, 32, 24, 144, 1, 1, 1),
    Shape(128, 8, 64, 384, 1, 1, 1),
    Shape(128, 32, 144, 144, 3, 1, 144),
    Shape(128, 16, 192, 192, 3, 2, 192),
    // ResNet-50 and ResNeXt: dense and grouped 3x3.
    Shape(128, 8, 64, 64, 3, 1, 1),
    Shape(128, 2, 512, 512, 3, 1, 1),
    Shape(32, 8, 128, 128, 3, 1, 32),
];

struct Conv {
    x: Tensor,
    weight: Tensor,
    dy: Tensor,
    geometry: Geometry,
    multiplications: usize,
}

impl Conv {
    fn new(Shape(n, side, c_in, c_out, kernel, stride, groups): Shape) -> Self {
        let geometry = Geometry {
            stride,
            padding: kernel / 2,
            groups,
            ..Geometry::default()
        };
        let x = tensor(&[n, side, side, c_in]);
        let weight = tensor(&[c_out, c_in / groups, kernel, kernel]);
        let y = conv::forward(&x, &weight, None, geometry).expect("shapes fit");
        Self {
            multiplications: y.elem_count() * c_in / groups * kernel * kernel,
            dy: tensor(y.dims()),
            x,
            weight,
            geometry,
        }
    }
}

#[divan::bench(args = CONVOLUTIONS)]
fn conv_forward(bencher: Bencher, shape: Shape) {
    let c = Conv::new(shape);
    bencher
        .counter(ItemsCount::new(c.multiplications))
        .bench_local(|| conv::forward(&c.x, &c.weight, None, c.geometry));
}

#[divan::bench(args = CONVOLUTIONS)]
fn conv_backward_input(bencher: Bencher, shape: Shape) {
    let c = Conv::new(shape);
    bencher
        .counter(ItemsCount::new(c.multiplications))
        .bench_local(|| conv::backward_input(&c.dy, &c.weight, c.x.dims(), c.geometry));
}

#[divan::bench(args = CONVOLUTIONS)]
fn conv_backward_weight(bencher: Bencher, shape: Shape) {
    let c = Conv::new(shape);
    bencher
        .counter(ItemsCount::new(c.multiplications))
        .bench_local(|| conv::backward_weight(&c.x, &c.dy, c.weight.dims(), c.geometry));
}

/// Channels at 32x32, batch 128, with ReLU6 after the norm, statistics of the batch.
const CHANNELS: [usize; 3] = [16, 96, 144];

fn normalised(x: &Tensor) -> runner::Result<(Tensor, batch_norm::Saved)> {
    let c = x.dim(3)?;
    let affine = Affine {
        gamma: &tensor(&[c]),
        beta: &tensor(&[c]),
        running_mean: &tensor(&[c]),
        running_var: &tensor(&[c]),
        eps: 1e-5,
    };
    batch_norm::train(x, &affine, 0.1, None, Activation::Relu6)
}

#[divan::bench(args = CHANNELS)]
fn batch_norm_relu6_forward(bencher: Bencher, channels: usize) {
    let x = tensor(&[128, 32, 32, channels]);
    bencher
        .counter(ItemsCount::new(x.elem_count()))
        .bench_local(|| normalised(&x));
}

#[divan::bench(args = CHANNELS, consts = [false, true])]
fn batch_norm_relu6_backward<const LINEAR: bool>(bencher: Bencher, channels: usize) {
    let x = tensor(&[128, 32, 32, channels]);
    let (y, saved) = normalised(&x).expect("shapes fit");
    let dy = tensor(y.dims());
    bencher
        .counter(ItemsCount::new(x.elem_count()))
        .bench_local(|| batch_norm::backward(&dy, &x, &saved, LINEAR, true, true));
}

#[divan::bench]
fn relu_backward(bencher: Bencher) {
    let (y, dy) = (tensor(&[128, 32, 32, 64]), tensor(&[128, 32, 32, 64]));
    bencher
        .counter(ItemsCount::new(y.elem_count()))
        .bench_local(|| activation::backward(&dy, &y, Activation::Relu));
}

#[divan::bench(args = [6, 64])]
fn max_pool_2x2(bencher: Bencher, channels: usize) {
    let x = tensor(&[64, 28, 28, channels]);
    let window = pool::Window {
        kernel: 2,
        stride: 2,
        padding: 0,
    };
    bencher
        .counter(ItemsCount::new(x.elem_count()))
        .bench_local(|| pool::max_forward(&x, window));
}

/// Batch, inputs, outputs.
const LINEAR: [(usize, usize, usize); 3] = [(64, 784, 400), (128, 1280, 10), (128, 4096, 4096)];

#[divan::bench(args = LINEAR)]
fn linear_forward(bencher: Bencher, (n, inputs, outputs): (usize, usize, usize)) {
    let (x, weight) = (tensor(&[n, inputs]), tensor(&[outputs, inputs]));
    bencher
        .counter(ItemsCount::new(n * inputs * outputs))
        .bench_local(|| linear::forward(&x, &weight, None));
}

#[divan::bench(args = LINEAR)]
fn linear_backward_weight(bencher: Bencher, (n, inputs, outputs): (usize, usize, usize)) {
    let (x, dy) = (tensor(&[n, inputs]), tensor(&[n, outputs]));
    bencher
        .counter(ItemsCount::new(n * inputs * outputs))
        .bench_local(|| linear::backward_weight(&x, &dy));
}

#[divan::bench]
fn cross_entropy_of_a_batch(bencher: Bencher) {
    let logits = tensor(&[128, 10]);
    let labels: Vec<u32> = (0..128).map(|i| i % 10).collect();
    bencher.bench_local(|| cross_entropy::forward_backward(&logits, &labels, 1.0 / 128.0));
}
