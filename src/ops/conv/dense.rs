//! Convolutions of images of few pixels: a fully connected layer of all inputs and all outputs of an image, which multiplies
//! nothing with padding. Of 2x2 pixels a 3x3 filter with padding 1 has five of its nine taps outside.

use super::geometry::Sizes;
use crate::ops::Real;
use crate::ops::linear::cpu::{self as linear, Sides};
use crate::ops::parallel::chunks_mut;
use crate::ops::real::scratch;

/// Pixels of an image at most: the layer's weights grow with their square.
const PIXELS: usize = 4;

impl Sizes {
    /// Whether there are fewer pixels than taps.
    pub(super) fn suits_dense(&self) -> bool {
        let pixels = self.h * self.w;
        self.groups == 1 && pixels <= PIXELS && pixels < self.kh * self.kw
    }

    /// Images, inputs and outputs of each.
    fn sides(&self) -> Sides {
        let inputs = self.h * self.w * self.c_in;
        (self.n, inputs, self.oh * self.ow * self.c_out)
    }

    /// The tap by which the input pixel `from` goes into the output pixel `to`, if there is one.
    fn tap(&self, from: usize, to: usize) -> Option<usize> {
        let along = |from: usize, to: usize, taps: usize| {
            let distance = (from + self.padding).checked_sub(to * self.stride)?;
            let tap = distance / self.dilation;
            (distance.is_multiple_of(self.dilation) && tap < taps).then_some(tap)
        };
        let ky = along(from / self.w, to / self.ow, self.kh)?;
        let kx = along(from % self.w, to % self.ow, self.kw)?;
        Some(ky * self.kw + kx)
    }
}

/// The layer's weights `(outputs, inputs)`.
fn layer<T: Real>(sizes: &Sizes, filters: &[T]) -> Vec<T> {
    let (_, inputs, outputs) = sizes.sides();
    let taps = sizes.kh * sizes.kw;
    let mut layer = scratch::<T>(inputs * outputs);
    chunks_mut(&mut layer, inputs, &|output, row| {
        let (to, out) = (output / sizes.c_out, output % sizes.c_out);
        let filter = &filters[out * sizes.c_in * taps..][..sizes.c_in * taps];
        for (from, row) in row.chunks_exact_mut(sizes.c_in).enumerate() {
            match sizes.tap(from, to) {
                None => row.fill(T::ZERO),
                Some(tap) => {
                    for (value, filter) in row.iter_mut().zip(filter.chunks_exact(taps)) {
                        *value = filter[tap];
                    }
                }
            }
        }
    });
    layer
}

pub(super) fn forward<T: Real>(sizes: &Sizes, x: &[T], weight: &[T]) -> Vec<T> {
    linear::outputs(x, &layer(sizes, weight), sizes.sides())
}

pub(super) fn backward_input<T: Real>(sizes: &Sizes, dy: &[T], weight: &[T]) -> Vec<T> {
    linear::input_gradient(dy, &layer(sizes, weight), sizes.sides())
}

pub(super) fn backward_weight<T: Real>(sizes: &Sizes, x: &[T], dy: &[T]) -> Vec<T> {
    let layer = linear::weight_gradient(x, dy, sizes.sides());
    let (_, inputs, _) = sizes.sides();
    let taps = sizes.kh * sizes.kw;
    let mut dw = scratch::<T>(sizes.c_out * sizes.c_in * taps);
    chunks_mut(&mut dw, sizes.c_in * taps, &|out, filter| {
        filter.fill(T::ZERO);
        for to in 0..sizes.oh * sizes.ow {
            let row = &layer[(to * sizes.c_out + out) * inputs..][..inputs];
            for (from, row) in row.chunks_exact(sizes.c_in).enumerate() {
                if let Some(tap) = sizes.tap(from, to) {
                    for (filter, value) in filter.chunks_exact_mut(taps).zip(row) {
                        filter[tap] += *value;
                    }
                }
            }
        }
    });
    dw
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::finish::unfinished;
    use crate::ops::conv::geometry::Geometry;
    use crate::ops::conv::{self, patches};
    use crate::ops::real::view;
    use candle_core::{DType, Device, Tensor};

    fn numbers(shape: &[usize]) -> Tensor {
        Tensor::rand(-1.0, 1.0, shape, &Device::Cpu).unwrap()
    }

    fn hold(found: &Tensor, expected: &[f64]) {
        let found = &*view::<f64>(found).unwrap();
        assert_eq!(found.len(), expected.len());
        let pairs = found.iter().zip(expected);
        let far = pairs.map(|(found, expected)| (found - expected).abs());
        assert!(far.fold(0.0, f64::max) < 1e-12);
    }

    #[test]
    fn few_pixels_give_what_patches_give() {
        let at = |stride, padding, dilation| Geometry {
            stride,
            padding,
            dilation,
            ..Geometry::default()
        };
        for (image, taps, geometry) in [
            ([2, 2], [3, 3], at(1, 1, 1)),
            ([2, 2], [3, 3], at(2, 1, 1)),
            ([1, 1], [3, 3], at(1, 1, 1)),
            ([1, 1], [3, 3], at(2, 1, 1)),
            ([1, 3], [3, 3], at(1, 1, 1)),
            ([2, 2], [3, 2], at(1, 2, 1)),
            ([2, 2], [5, 5], at(1, 4, 2)),
        ] {
            let (input, filters) = ([5, image[0], image[1], 9], [11, 9, taps[0], taps[1]]);
            let sizes = Sizes::new(&input, &filters, geometry).unwrap();
            assert!(sizes.suits_dense(), "{sizes:?}");
            let (x, weight) = (numbers(&input), numbers(&filters));
            let (dy, bias) = (numbers(&sizes.output()), numbers(&[11]));
            let [x_of, weight_of, dy_of] =
                [&x, &weight, &dy].map(|tensor| view::<f64>(tensor).unwrap().to_vec());
            let y = conv::forward(&x, &weight, Some(&bias), geometry).unwrap();
            let y = y.broadcast_sub(&bias).unwrap();
            hold(
                &y,
                &patches::forward(&sizes, &x_of, &weight_of, &unfinished),
            );
            let dx = conv::backward_input(&dy, &weight, &input, geometry).unwrap();
            hold(&dx, &patches::backward_input(&sizes, &dy_of, &weight_of));
            let dw = conv::backward_weight(&x, &dy, &filters, geometry).unwrap();
            hold(&dw, &patches::backward_weight(&sizes, &x_of, &dy_of));
            // An image of a batch is the same alone.
            let [x, weight] = [x, weight].map(|tensor| tensor.to_dtype(DType::F32).unwrap());
            let all = conv::forward(&x, &weight, None, geometry).unwrap();
            let one = x.narrow(0, 3, 1).unwrap().contiguous().unwrap();
            let one = conv::forward(&one, &weight, None, geometry).unwrap();
            let there = all.narrow(0, 3, 1).unwrap().flatten_all().unwrap();
            assert_eq!(
                one.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
                there.to_vec1::<f32>().unwrap()
            );
        }
    }
}
