//! Depthwise convolutions on a card are those of the CPU.

use candle_core::DType;

use crate::ops::card::host::{close, each_type, numbers, within};
use crate::ops::conv::card::{backward_input, backward_weight};
use crate::ops::conv::{self, Geometry, card, cpu};

/// Input shape, kernel, stride, padding: images of ragged tiles and of one pixel, channels in packs and not, every
/// path of each pass.
const CASES: [([usize; 4], usize, usize, usize); 24] = [
    ([2, 7, 9, 5], 3, 1, 1),
    ([2, 8, 8, 64], 3, 1, 1),
    ([1, 5, 6, 130], 3, 1, 1),
    ([3, 4, 4, 33], 3, 1, 0),
    ([1, 3, 5, 1], 3, 1, 2),
    ([2, 7, 9, 6], 3, 2, 1),
    ([2, 8, 8, 64], 3, 2, 1),
    ([1, 9, 8, 33], 3, 2, 0),
    ([1, 8, 9, 3], 3, 2, 2),
    ([2, 1, 1, 4], 3, 2, 1),
    ([2, 1, 2, 3], 3, 1, 1),
    ([2, 7, 6, 5], 5, 1, 2),
    ([1, 9, 9, 34], 5, 2, 2),
    ([1, 6, 7, 3], 1, 1, 0),
    ([1, 6, 7, 4], 1, 2, 0),
    ([1, 9, 7, 4], 3, 3, 1),
    ([1, 5, 5, 3], 3, 1, 4),
    ([1, 4, 6, 2], 2, 2, 1),
    ([1, 11, 13, 66], 11, 1, 5),
    // Sums of many parts.
    ([9, 16, 15, 64], 3, 1, 1),
    ([4, 17, 29, 66], 3, 2, 1),
    ([3, 11, 15, 65], 5, 1, 2),
    // More tiles than blocks.
    ([33_000, 1, 1, 64], 3, 1, 1),
    ([33_000, 1, 1, 64], 1, 1, 0),
];

#[test]
fn all_passes_are_those_of_the_cpu() {
    each_type(|card, dtype| {
        for (index, (shape, kernel, stride, padding)) in CASES.into_iter().enumerate() {
            let channels = shape[3];
            let geometry = Geometry {
                stride,
                padding,
                groups: channels,
                ..Geometry::default()
            };
            let filters = [channels, 1, kernel, kernel];
            let seed = 10 * index as u64;
            let x = card.tensor(&numbers(&shape, seed, 1.0), &shape, dtype);
            let w = card.tensor(&numbers(&filters, seed + 1, 1.0), &filters, DType::F32);
            let y = card::forward(card, &x, &w, None, geometry).unwrap();
            let (wide_x, wide_w) = (card.wide(&x), card.wide(&w));
            close(
                &y,
                &cpu::forward(&wide_x, &wide_w, None, geometry).unwrap(),
                dtype,
            );
            let dy = card.tensor(&numbers(y.dims(), seed + 2, 1.0), y.dims(), dtype);
            let wide_dy = card.wide(&dy);
            let dx = backward_input(card, &dy, &w, &shape, geometry).unwrap();
            close(
                &dx,
                &cpu::backward_input(&wide_dy, &wide_w, &shape, geometry).unwrap(),
                dtype,
            );
            let dw = backward_weight(card, &x, &dy, &filters, geometry).unwrap();
            assert_eq!(dw.dtype(), DType::F32);
            within(
                &dw,
                &cpu::backward_weight(&wide_x, &wide_dy, &filters, geometry).unwrap(),
                2e-6,
            );
        }
    });
}

#[test]
fn a_tensor_that_begins_anywhere_is_read_right() {
    each_type(|card, dtype| {
        let geometry = Geometry {
            stride: 1,
            padding: 1,
            groups: 2,
            ..Geometry::default()
        };
        // One element in, no pack of two lies as it must.
        let all = card.tensor(&numbers(&[1 + 3 * 3 * 2], 1, 1.0), &[19], dtype);
        let x = all.narrow(0, 1, 18).unwrap();
        let x = x.reshape((1, 3, 3, 2)).unwrap();
        let w = card.tensor(&numbers(&[2, 1, 3, 3], 2, 1.0), &[2, 1, 3, 3], DType::F32);
        let y = card::forward(card, &x, &w, None, geometry).unwrap();
        let expected = cpu::forward(
            &card.wide(&x).contiguous().unwrap(),
            &card.wide(&w),
            None,
            geometry,
        );
        close(&y, &expected.unwrap(), dtype);
    });
}

#[test]
fn wrong_shapes_are_refused() {
    each_type(|card, dtype| {
        let x = card.tensor(&numbers(&[1, 4, 4, 3], 1, 1.0), &[1, 4, 4, 3], dtype);
        let w = card.tensor(&numbers(&[3, 1, 3, 3], 2, 1.0), &[3, 1, 3, 3], DType::F32);
        let geometry = |stride, padding, groups| Geometry {
            stride,
            padding,
            groups,
            ..Geometry::default()
        };
        assert!(card::forward(card, &x, &w, None, geometry(1, 1, 3)).is_ok());
        assert!(card::forward(card, &x, &w, None, geometry(1, 1, 2)).is_err());
        assert!(card::forward(card, &x, &w, None, geometry(0, 1, 3)).is_err());
        let narrow = w.narrow(0, 0, 2).unwrap();
        assert!(card::forward(card, &x, &narrow, None, geometry(1, 1, 3)).is_err());
        let wide = w.to_dtype(DType::F64).unwrap();
        assert!(card::forward(card, &x, &wide, None, geometry(1, 1, 3)).is_err());
        // Too small for the gradient of these outputs.
        assert!(conv::backward_input(&x, &w, &[1, 4, 4, 3], geometry(2, 1, 3)).is_err());
        assert!(conv::backward_weight(&x, &x, &[3, 1, 3, 3], geometry(1, 0, 3)).is_err());
    });
}
