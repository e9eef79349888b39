//! Convolutions of every algorithm: matrix product, depthwise, patches.

use runner::nn::{ConvConfig, conv2d};

use crate::harness::{Case, body, on_every_isa};
use crate::naive::{self, Image, named};

fn check(shape: [usize; 4], conv: naive::Conv, bias: bool) {
    let naive::Conv {
        out,
        kernel,
        stride,
        padding,
        groups,
        dilation,
    } = conv;
    let name = format!(
        "conv {kernel}x{kernel} of {shape:?} to {out} channels, stride {stride}, padding {padding}, groups {groups}, \
         dilation {dilation}"
    );
    let case = Case::new(name, shape, |b| {
        let config = ConvConfig {
            stride,
            padding,
            groups,
            bias,
            ..ConvConfig::default()
        };
        let mut layer = conv2d(&b.pp("conv"), shape[1], out, kernel, config)?;
        layer.geometry.dilation = dilation;
        body(move |tape, x| layer.forward(tape, x))
    });
    let bias = bias.then(|| named(&case.network, "conv.bias"));
    let weight = named(&case.network, "conv.weight");
    let x = Image::from_channels_first(&case.input);
    case.check_output(&naive::conv(&x, &weight, bias.as_deref(), conv).values);
    case.check_gradients();
}

/// Input (N, C, H, W), output channels, kernel, stride, padding, groups.
type Row = ([usize; 4], usize, usize, usize, usize, usize);

fn check_all(rows: &[Row]) {
    check_dilated(1, rows);
}

fn check_dilated(dilation: usize, rows: &[Row]) {
    on_every_isa(|| {
        for (i, &(shape, out, kernel, stride, padding, groups)) in rows.iter().enumerate() {
            let conv = naive::Conv {
                out,
                kernel,
                stride,
                padding,
                groups,
                dilation,
            };
            check(shape, conv, i % 2 == 0);
        }
    });
}

#[test]
fn pointwise() {
    check_all(&[
        ([2, 3, 5, 7], 4, 1, 1, 0, 1),
        ([2, 17, 4, 4], 24, 1, 1, 0, 1),
        ([1, 24, 1, 1], 5, 1, 1, 0, 1),
        // Several tasks of pixels.
        ([2, 200, 16, 16], 150, 1, 1, 0, 1),
        // Not a plain matrix product.
        ([2, 5, 5, 7], 3, 1, 2, 0, 1),
        ([2, 16, 8, 8], 17, 1, 2, 0, 1),
        ([1, 4, 3, 3], 4, 1, 1, 1, 1),
        ([1, 6, 4, 3], 4, 1, 1, 0, 2),
    ]);
}

#[test]
fn dense() {
    check_all(&[
        ([2, 3, 5, 7], 4, 3, 1, 1, 1),
        ([2, 17, 6, 5], 5, 3, 1, 1, 1),
        ([2, 3, 7, 7], 24, 3, 2, 1, 1),
        ([2, 5, 8, 6], 3, 3, 2, 1, 1),
        ([1, 3, 9, 9], 4, 3, 3, 0, 1),
        ([2, 1, 9, 8], 6, 5, 1, 0, 1),
        ([2, 3, 6, 6], 5, 5, 1, 2, 1),
        // Few channels and long rows: along rows, in stacks of images, in blocks of 6, 4, 2 and 1 outputs.
        ([5, 3, 9, 11], 13, 3, 1, 1, 1),
        ([11, 1, 28, 28], 6, 5, 1, 2, 1),
        ([19, 6, 14, 14], 16, 5, 1, 0, 1),
        ([3, 8, 20, 17], 3, 2, 1, 0, 1),
        ([1, 3, 2, 2], 5, 3, 1, 1, 1),
        ([1, 3, 1, 1], 5, 3, 1, 1, 1),
        // More padding than the kernel reaches.
        ([1, 2, 3, 4], 3, 3, 2, 3, 1),
        ([2, 4, 6, 5], 3, 2, 2, 0, 1),
        // Tiles of several images, and several tiles an image.
        ([9, 16, 4, 4], 16, 3, 1, 1, 1),
        ([3, 64, 24, 24], 8, 3, 1, 1, 1),
    ]);
}

#[test]
fn grouped() {
    check_all(&[
        ([2, 6, 5, 7], 4, 3, 1, 1, 2),
        ([2, 8, 5, 5], 12, 3, 2, 1, 4),
        ([1, 34, 4, 4], 34, 3, 1, 1, 2),
        // As many groups as inputs, but two outputs each.
        ([2, 5, 5, 5], 10, 3, 1, 1, 5),
        ([3, 64, 12, 12], 64, 3, 1, 1, 4),
    ]);
}

#[test]
fn dilated() {
    let rows = [
        ([2, 3, 9, 8], 4, 3, 1, 0, 1),
        ([2, 17, 7, 7], 5, 3, 1, 2, 1),
        ([1, 3, 9, 10], 6, 3, 2, 1, 1),
        ([2, 6, 9, 8], 4, 2, 1, 1, 2),
        ([2, 5, 9, 11], 5, 3, 1, 2, 5),
        ([2, 4, 11, 9], 4, 3, 2, 3, 4),
        // More border than the kernel reaches.
        ([1, 2, 3, 3], 3, 3, 2, 5, 1),
    ];
    check_dilated(2, &rows);
    check_dilated(3, &rows);
}

#[test]
fn depthwise() {
    let row = |shape: [usize; 4], kernel, stride, padding| {
        (shape, shape[1], kernel, stride, padding, shape[1])
    };
    check_all(&[
        row([2, 3, 5, 7], 3, 1, 1),
        row([2, 17, 6, 5], 3, 1, 1),
        row([2, 24, 7, 7], 3, 2, 1),
        row([2, 5, 8, 6], 3, 2, 1),
        row([2, 16, 4, 4], 3, 2, 1),
        row([2, 40, 6, 7], 5, 1, 2),
        row([1, 17, 7, 9], 5, 2, 2),
        row([2, 32, 5, 5], 3, 1, 0),
        row([1, 3, 1, 1], 3, 1, 1),
        row([1, 3, 2, 2], 3, 2, 1),
        row([1, 4, 5, 6], 1, 1, 0),
        row([1, 4, 4, 4], 3, 1, 3),
        row([1, 1, 6, 6], 3, 1, 1),
        row([20, 3, 4, 4], 3, 1, 1),
        // Several strips of rows.
        row([1, 144, 24, 20], 3, 1, 1),
        row([1, 144, 23, 20], 3, 2, 1),
    ]);
}
