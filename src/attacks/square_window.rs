//! The windows of the Square attack, and its proposals in the l2 norm, which move the budget from one window to another.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::ball::{into_l2, into_pixels, length};
use crate::ops::Real;
use crate::ops::square::Window;

/// -1 or 1.
pub(super) fn random_sign(rng: &mut ChaCha8Rng) -> f64 {
    if rng.random::<bool>() { 1.0 } else { -1.0 }
}

/// The fewest pixels of a side in the l2 norm.
const LEAST_SIDE: usize = 3;
/// The image is divided into so many tiles a side at the start.
const TILES: usize = 5;

/// A position drawn uniformly within an image of `h` rows of `w` pixels.
pub(super) fn random_window(side: usize, h: usize, w: usize, rng: &mut ChaCha8Rng) -> Window {
    Window {
        top: rng.random_range(0..=h - side),
        left: rng.random_range(0..=w - side),
        side,
    }
}

/// Concentric rectangles around the middle of `rows` by `columns` pixels: the one with `r` rings around it adds
/// `1 / (r + 1)^2`, so that values fall off from the middle.
fn bump(rows: usize, columns: usize) -> Vec<f64> {
    let mut values = vec![0.0; rows * columns];
    let (middle_row, middle_column) = ((rows / 2) as i64, (columns / 2) as i64);
    for ring in 0..=(middle_row.max(middle_column)) {
        for row in (middle_row - ring).max(0)..(middle_row + ring + 1).min(rows as i64) {
            for column in
                (middle_column - ring).max(0)..(middle_column + ring + 1).min(columns as i64)
            {
                values[row as usize * columns + column as usize] +=
                    1.0 / ((ring + 1) * (ring + 1)) as f64;
            }
        }
    }
    values
}

fn normalise(values: &mut [f64]) {
    let scale = 1.0 / length(values.iter().copied()).max(f64::MIN_POSITIVE);
    values.iter_mut().for_each(|value| *value *= scale);
}

/// The shape of a window's change, of length 1: a bump in one half and its negative in the other, upright or lying.
fn eta(side: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let half = side / 2;
    let mut values = Vec::with_capacity(side * side);
    for (rows, sign) in [(half, 1.0), (side - half, -1.0)] {
        let mut part = bump(rows, side);
        normalise(&mut part);
        values.extend(part.into_iter().map(|value| sign * value));
    }
    normalise(&mut values);
    if rng.random::<bool>() {
        let upright = values.clone();
        for (k, value) in values.iter_mut().enumerate() {
            *value = upright[k % side * side + k / side];
        }
    }
    values
}

/// Scales a change to the length `epsilon` and adds it to the original, within the pixel range.
fn apply<T: Real>(origin: &[T], change: &[f64], epsilon: f64, out: &mut [T]) {
    let scale = epsilon / length(change.iter().copied()).max(1e-12);
    for ((y, &o), &d) in out.iter_mut().zip(origin).zip(change) {
        *y = into_pixels(T::of(o.wide() + scale * d));
    }
    into_l2(out, origin, epsilon);
}

/// The first proposal: a shape in every tile, of one sign a channel.
pub(super) fn start_l2<T: Real>(
    origin: &[T],
    epsilon: f64,
    [c, h, w]: [usize; 3],
    rng: &mut ChaCha8Rng,
    out: &mut [T],
) {
    let side = (h.min(w) / TILES).max(1);
    let (above, left) = (h % side / 2, w % side / 2);
    let mut change = vec![0.0; c * h * w];
    for tile in 0..(h / side) * (w / side) {
        let window = Window {
            top: above + tile / (w / side) * side,
            left: left + tile % (w / side) * side,
            side,
        };
        let shape = eta(side, rng);
        for channel in 0..c {
            let sign = random_sign(rng);
            for (pixel, value) in window.pixels(w).zip(&shape) {
                change[channel * h * w + pixel] = sign * value;
            }
        }
    }
    apply(origin, &change, epsilon, out);
}

/// Takes the change out of one window and puts its length, with whatever the ball has left, into another one. `out`
/// holds the present point and gets the proposal.
pub(super) fn propose_l2<T: Real>(
    origin: &[T],
    epsilon: f64,
    share: f64,
    [c, h, w]: [usize; 3],
    rng: &mut ChaCha8Rng,
    out: &mut [T],
) {
    // An odd side has a middle.
    let side = (share * (h * w) as f64).sqrt().round() as usize;
    let side = (side.max(LEAST_SIDE) | 1).min(h.min(w));
    let into = random_window(side, h, w, rng);
    let from = random_window(side, h, w, rng);
    let shape = eta(side, rng);
    let mut change: Vec<f64> = out
        .iter()
        .zip(origin)
        .map(|(x, o)| x.wide() - o.wide())
        .collect();
    let used: f64 = change.iter().map(|v| v * v).sum();
    let unused = (epsilon * epsilon - used).max(0.0);
    let plane = h * w;
    for channel in 0..c {
        let sign = random_sign(rng);
        let change = &mut change[channel * plane..(channel + 1) * plane];
        let outside = from.pixels(w).filter(|&pixel| !into.contains(pixel, w));
        let freed = into.pixels(w).chain(outside).map(|pixel| change[pixel]);
        let available = (unused / c as f64 + freed.map(|v| v * v).sum::<f64>()).sqrt();
        let before = length(into.pixels(w).map(|pixel| change[pixel])).max(1e-12);
        let mut new: Vec<f64> = into
            .pixels(w)
            .zip(&shape)
            .map(|(pixel, value)| sign * value + change[pixel] / before)
            .collect();
        normalise(&mut new);
        from.pixels(w).for_each(|pixel| change[pixel] = 0.0);
        for (pixel, value) in into.pixels(w).zip(new) {
            change[pixel] = value * available;
        }
    }
    apply(origin, &change, epsilon, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn shapes_have_length_one_and_two_signs() {
        let mut rng = stream(0, Purpose::AttackSearch, 0, 0, 0);
        for side in [3, 5, 6] {
            let shape = eta(side, &mut rng);
            assert!((length(shape.iter().copied()) - 1.0).abs() < 1e-12);
            assert!(shape.iter().any(|v| *v > 0.0) && shape.iter().any(|v| *v < 0.0));
        }
    }

    #[test]
    fn a_bump_is_highest_in_its_middle() {
        let values = bump(3, 3);
        assert!(values.iter().all(|&v| v <= values[4]));
        assert!((values[4] - (1.0 + 0.25)).abs() < 1e-12);
        assert!((values[0] - 0.25).abs() < 1e-12);
    }

    #[test]
    fn proposals_use_the_whole_ball_where_no_pixel_is_clamped() {
        let mut rng = stream(0, Purpose::AttackSearch, 0, 0, 1);
        let (origin, shape) = (vec![0.5f64; 3 * 12 * 12], [3, 12, 12]);
        let mut x = origin.clone();
        start_l2(&origin, 0.4, shape, &mut rng, &mut x);
        for _ in 0..20 {
            propose_l2(&origin, 0.4, 0.1, shape, &mut rng, &mut x);
            let far = length(x.iter().zip(&origin).map(|(x, o)| x - o));
            assert!((far - 0.4).abs() < 1e-9, "{far}");
        }
    }
}
