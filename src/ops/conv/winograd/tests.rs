//! Passes by tiles against passes by patches.

use super::*;
use crate::ops::conv::geometry::Geometry;
use crate::ops::conv::patches;

fn sizes(n: usize, [h, w]: [usize; 2], c_in: usize, c_out: usize, padding: usize) -> Sizes {
    let geometry = Geometry {
        padding,
        ..Geometry::default()
    };
    Sizes::new(&[n, h, w, c_in], &[c_out, c_in, 3, 3], geometry).unwrap()
}

/// Numbers in [-1, 1).
fn numbers<T: Real>(len: usize, seed: u64) -> Vec<T> {
    let mut rng = crate::rng::stream(seed, crate::rng::Purpose::Generate, 0, 0, 0);
    let number = |_| T::of(rand::Rng::random::<f64>(&mut rng) * 2.0 - 1.0);
    (0..len).map(number).collect()
}

/// The three passes by tiles and by patches: outputs, gradients of the input, gradients of the weights.
fn passes<T: Real>(sizes: &Sizes) -> [[Vec<T>; 2]; 3] {
    let x = numbers::<T>(sizes.input_len(), 1);
    let weight = numbers::<T>(sizes.c_out * sizes.c_in * 9, 2);
    let dy = numbers::<T>(sizes.output_len(), 3);
    [
        [
            forward(sizes, &x, &weight, &unfinished),
            patches::forward(sizes, &x, &weight, &unfinished),
        ],
        [
            backward_input(sizes, &dy, &weight),
            patches::backward_input(sizes, &dy, &weight),
        ],
        [
            backward_weight(sizes, &x, &dy),
            patches::backward_weight(sizes, &x, &dy),
        ],
    ]
}

/// The mean distance as a share of the mean of `exact`.
fn error<T: Real>(found: &[T], exact: &[f64]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let far = found.iter().zip(exact);
    let far: f64 = far.map(|(found, exact)| (found.wide() - exact).abs()).sum();
    far / exact.iter().map(|exact| exact.abs()).sum::<f64>()
}

#[test]
fn tiles_give_what_patches_give() {
    let cases = [
        sizes(3, [8, 8], 16, 32, 1),
        // Several blocks, the last one with fewer images, then several groups of blocks.
        sizes(70, [4, 4], 32, 16, 1),
        sizes(9, [32, 32], 64, 64, 1),
        // Tiles that reach over the edge, and every padding.
        sizes(2, [7, 9], 16, 16, 1),
        sizes(2, [10, 9], 16, 16, 0),
        sizes(2, [6, 7], 16, 16, 2),
        sizes(1, [3, 3], 16, 16, 0),
    ];
    for sizes in cases {
        for (pass, [tiles, patches]) in passes::<f64>(&sizes).into_iter().enumerate() {
            let far = error(&tiles, &patches);
            assert!(far < 1e-13, "pass {pass} of {sizes:?}: {far}");
        }
    }
}

#[test]
fn errors_in_f32_are_few_times_those_of_sums_of_products() {
    let sizes = sizes(16, [8, 8], 64, 64, 1);
    let exact = passes::<f64>(&sizes);
    for ([tiles, patches], [exact, _]) in passes::<f32>(&sizes).into_iter().zip(exact) {
        let [tiles, patches] = [tiles, patches].map(|found| error(&found, &exact));
        assert!(
            tiles < 8.0 * patches && tiles < 1.5e-6,
            "{tiles:e} {patches:e}"
        );
    }
}

#[test]
fn an_image_is_the_same_in_every_batch() {
    let all = sizes(70, [8, 8], 16, 48, 1);
    let (x, weight) = (
        numbers::<f32>(all.input_len(), 1),
        numbers::<f32>(16 * 48 * 9, 2),
    );
    let together = forward(&all, &x, &weight, &unfinished);
    for (first, n) in [(0, 1), (17, 2), (33, 37)] {
        let some = sizes(n, [8, 8], 16, 48, 1);
        let x = &x[first * 64 * 16..][..some.input_len()];
        let y = forward(&some, x, &weight, &unfinished);
        assert_eq!(
            y,
            together[first * 64 * 48..][..y.len()],
            "{n} from {first}"
        );
    }
}
