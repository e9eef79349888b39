//! Max and average pooling on a card.

use candle_core::{DType, Tensor};

use super::{Average, Window, channels_last};
use crate::Result;
use crate::ops::card::columns::pack;
use crate::ops::card::{Call, Card, constant, expect, suffix};

/// Channels that a thread has, where they are a multiple of it.
const PACKED: usize = constant(include_str!("kernel.cu"), "PACKED");

pub fn max_forward(card: &dyn Card, x: &Tensor, window: Window) -> Result<(Tensor, Tensor)> {
    let (n, h, w, c) = x.dims4()?;
    let (oh, ow) = (window.output(h)?, window.output(w)?);
    expect::indexable("pooling", &[n, h, w, c])?;
    expect::indexable("pooling", &[n, oh, ow, c])?;
    let y = card.scratch(&[n, oh, ow, c], x.dtype())?;
    let taps = card.scratch(&[n, oh, ow, c], DType::U8)?;
    let pack = pack(card, c, PACKED, &[x, &y, &taps])?;
    card.launch(
        &Call::rows("pool", "pool_max_forward", n * oh, ow * c / pack)
            .of(suffix(x.dtype())?)
            .tensors([x, &y, &taps])
            .ints([
                h,
                w,
                c,
                oh,
                ow,
                window.kernel,
                window.stride,
                window.padding,
                pack,
            ]),
    )?;
    Ok((y, taps))
}

pub fn max_backward(
    card: &dyn Card,
    dy: &Tensor,
    taps: &Tensor,
    input: &[usize],
    window: Window,
) -> Result<Tensor> {
    let (n, h, w, c) = channels_last(input)?;
    let (oh, ow) = (window.output(h)?, window.output(w)?);
    expect::indexable("pooling", input)?;
    expect::indexable("pooling", &[n, oh, ow, c])?;
    expect::tensor("pooling's gradient", dy, &[n, oh, ow, c], dy.dtype())?;
    expect::tensor("pooling's taps", taps, &[n, oh, ow, c], DType::U8)?;
    let dx = card.scratch(input, dy.dtype())?;
    let pack = pack(card, c, PACKED, &[dy, taps, &dx])?;
    card.launch(
        &Call::rows("pool", "pool_max_backward", n * h, w * c / pack)
            .of(suffix(dy.dtype())?)
            .tensors([dy, taps, &dx])
            .ints([
                h,
                w,
                c,
                oh,
                ow,
                window.kernel,
                window.stride,
                window.padding,
                pack,
            ]),
    )?;
    Ok(dx)
}

pub fn softmax_backward(
    card: &dyn Card,
    dy: &Tensor,
    x: &Tensor,
    y: &Tensor,
    window: Window,
    temperature: f64,
) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let (oh, ow) = (window.output(h)?, window.output(w)?);
    expect::indexable("pooling", x.dims())?;
    expect::tensor("pooling's gradient", dy, &[n, oh, ow, c], x.dtype())?;
    expect::tensor("pooling's output", y, dy.dims(), x.dtype())?;
    let sums = card.scratch(dy.dims(), DType::F32)?;
    let dx = card.scratch(x.dims(), x.dtype())?;
    let suffix = suffix(x.dtype())?;
    let sides = [
        h,
        w,
        c,
        oh,
        ow,
        window.kernel,
        window.stride,
        window.padding,
    ];
    card.launch(
        &Call::rows("pool", "pool_softmax_sums", n * oh, ow * c)
            .of(suffix)
            .tensors([x, y, &sums])
            .ints(sides)
            .float(temperature),
    )?;
    card.launch(
        &Call::rows("pool", "pool_softmax_backward", n * h, w * c)
            .of(suffix)
            .tensors([dy, x, y, &sums, &dx])
            .ints(sides)
            .float(temperature),
    )?;
    Ok(dx)
}

pub fn average_forward(card: &dyn Card, x: &Tensor, average: Average) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let (rows, columns) = average.cells(h, w)?;
    let (oh, ow) = (rows.len(), columns.len());
    expect::indexable("pooling", &[n, h, w, c])?;
    expect::indexable("pooling", &[n, oh, ow, c])?;
    let y = card.scratch(&[n, oh, ow, c], x.dtype())?;
    let (kernel, stride) = steps(average);
    let pack = pack(card, c, PACKED, &[x, &y])?;
    card.launch(
        &Call::rows("pool", "pool_average_forward", n * oh, ow * c / pack)
            .of(suffix(x.dtype())?)
            .tensors([x, &y])
            .ints([h, w, c, oh, ow, kernel, stride, pack]),
    )?;
    Ok(y)
}

pub fn average_backward(
    card: &dyn Card,
    dy: &Tensor,
    input: &[usize],
    average: Average,
) -> Result<Tensor> {
    let (n, h, w, c) = channels_last(input)?;
    let (rows, columns) = average.cells(h, w)?;
    let (oh, ow) = (rows.len(), columns.len());
    expect::indexable("pooling", input)?;
    expect::indexable("pooling", &[n, oh, ow, c])?;
    expect::tensor("pooling's gradient", dy, &[n, oh, ow, c], dy.dtype())?;
    let dx = card.scratch(input, dy.dtype())?;
    let (kernel, stride) = steps(average);
    let pack = pack(card, c, PACKED, &[dy, &dx])?;
    card.launch(
        &Call::rows("pool", "pool_average_backward", n * h, w * c / pack)
            .of(suffix(dy.dtype())?)
            .tensors([dy, &dx])
            .ints([h, w, c, oh, ow, kernel, stride, pack]),
    )?;
    Ok(dx)
}

/// The kernel and the stride of windows; a kernel of 0 tells the kernels that cells are adaptive.
fn steps(average: Average) -> (usize, usize) {
    match average {
        Average::Windows { kernel, stride } => (kernel, stride),
        Average::Adaptive { .. } => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{Host, close, each_type, numbers, within};

    fn random(card: &Host, shape: &[usize], seed: u64, dtype: DType) -> Tensor {
        card.tensor(&numbers(shape, seed, 2.0), shape, dtype)
    }

    fn bytes(taps: &Tensor) -> Vec<u8> {
        taps.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Windows that overlap, that leave gaps, that reach over the edge, and those that torch's models have.
    const WINDOWS: [Window; 6] = [
        Window::new(2, 2, 0),
        Window::new(3, 2, 1),
        Window::new(3, 1, 1),
        Window::new(2, 3, 0),
        Window::new(5, 2, 2),
        Window::new(1, 1, 0),
    ];

    #[test]
    fn max_pooling_and_its_gradient_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            for window in WINDOWS {
                for shape in [[2, 9, 7, 33], [3, 6, 8, 1], [1, 5, 5, 64], [2, 5, 70, 5]] {
                    let x = random(card, &shape, 1, dtype);
                    let (y, taps) = max_forward(card, &x, window).unwrap();
                    let (expected, expected_taps) =
                        cpu::max_forward(&card.wide(&x), window).unwrap();
                    within(&y, &expected, 0.0);
                    assert_eq!(bytes(&taps), bytes(&expected_taps));
                    let dy = random(card, y.dims(), 2, dtype);
                    let dx = max_backward(card, &dy, &taps, &shape, window).unwrap();
                    let expected =
                        cpu::max_backward(&card.wide(&dy), &taps, &shape, window).unwrap();
                    close(&dx, &expected, dtype);
                }
            }
        });
    }

    #[test]
    fn the_softened_gradient_is_that_of_the_cpu() {
        each_type(|card, dtype| {
            for window in WINDOWS {
                for shape in [[2, 9, 7, 33], [3, 6, 8, 1], [1, 5, 70, 5]] {
                    let x = random(card, &shape, 1, dtype);
                    let (y, _) = max_forward(card, &x, window).unwrap();
                    let dy = random(card, y.dims(), 2, dtype);
                    let dx = softmax_backward(card, &dy, &x, &y, window, 10.0).unwrap();
                    let [dy, x, y] = [&dy, &x, &y].map(|tensor| card.wide(tensor));
                    let expected = cpu::softmax_backward(&dy, &x, &y, window, 10.0).unwrap();
                    close(&dx, &expected, dtype);
                }
            }
        });
    }

    #[test]
    fn ties_and_not_a_number_are_settled_as_on_the_cpu() {
        each_type(|card, dtype| {
            // Few different values: most windows have ties, some of not-a-number.
            let shape = [2, 8, 8, 3];
            let values: Vec<f32> = numbers(&shape, 3, 2.0)
                .iter()
                .map(|&v| if v > 1.5 { f32::NAN } else { v.round() })
                .collect();
            let x = card.tensor(&values, &shape, dtype);
            for window in WINDOWS {
                let (y, taps) = max_forward(card, &x, window).unwrap();
                let (expected, expected_taps) = cpu::max_forward(&card.wide(&x), window).unwrap();
                assert_eq!(bytes(&taps), bytes(&expected_taps));
                let flat = |t: &Tensor| -> Vec<f64> {
                    card.wide(t).flatten_all().unwrap().to_vec1().unwrap()
                };
                for (found, expected) in flat(&y).iter().zip(flat(&expected)) {
                    assert!(*found == expected || found.is_nan() && expected.is_nan());
                }
            }
        });
    }

    #[test]
    fn average_pooling_and_its_gradient_are_those_of_the_cpu() {
        let windows = |Window { kernel, stride, .. }| Average::Windows { kernel, stride };
        let adaptive = [(1, 1), (2, 3), (7, 7), (9, 5), (4, 6)];
        let adaptive = adaptive.map(|(oh, ow)| Average::Adaptive { oh, ow });
        each_type(|card, dtype| {
            for average in WINDOWS.map(windows).into_iter().chain(adaptive) {
                for shape in [[2, 9, 7, 33], [3, 6, 8, 1], [1, 5, 5, 64], [2, 5, 70, 5]] {
                    let x = random(card, &shape, 1, dtype);
                    let y = average_forward(card, &x, average).unwrap();
                    let expected = cpu::average_forward(&card.wide(&x), average).unwrap();
                    close(&y, &expected, dtype);
                    let dy = random(card, y.dims(), 2, dtype);
                    let dx = average_backward(card, &dy, &shape, average).unwrap();
                    let expected = cpu::average_backward(&card.wide(&dy), &shape, average).unwrap();
                    close(&dx, &expected, dtype);
                }
            }
        });
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        each_type(|card, dtype| {
            let x = random(card, &[1, 4, 4, 2], 1, dtype);
            assert!(max_forward(card, &x, Window::new(5, 1, 0)).is_err());
            let window = Window::new(2, 1, 0);
            let (y, taps) = max_forward(card, &x, window).unwrap();
            assert!(max_backward(card, &y, &taps, &[1, 5, 4, 2], window).is_err());
            assert!(max_backward(card, &y, &y, &[1, 4, 4, 2], window).is_err());
            let average = Average::Adaptive { oh: 2, ow: 2 };
            assert!(average_backward(card, &y, &[1, 4, 4, 2], average).is_err());
        });
    }
}
