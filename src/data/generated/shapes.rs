//! Ten shapes, 32x32 in colour: one bright figure on a darker, uneven ground with a few specks.

use super::canvas::{Coverage, Placement, Point, polygon_distance};
use super::{byte, normal};
use crate::data::source::{DataKind, Drawing, Images};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::f32::consts::{PI, TAU};
use std::sync::LazyLock;

pub static SHAPES: DataKind = DataKind {
    name: "shapes",
    about: "drawn by the program: shapes, 32x32 in colour, ten classes",
    shape: Some([3, 32, 32]),
    classes: Some(&CLASSES),
    statistics: None,
    images: Images::Drawn(Drawing { set: 1, draw }),
    downloads: None,
};

const CLASSES: [&str; 10] = [
    "circle", "square", "triangle", "star", "cross", "ring", "crescent", "arrow", "heart", "bars",
];
const SIDE: usize = 32;

static TRIANGLE: LazyLock<Vec<Point>> = LazyLock::new(|| around(3, |_| 1.0));
static STAR: LazyLock<Vec<Point>> =
    LazyLock::new(|| around(10, |corner| if corner % 2 == 0 { 1.0 } else { 0.42 }));
static HEART: LazyLock<Vec<Point>> = LazyLock::new(heart);
const CROSS: [Point; 12] = [
    [-0.3, -0.95],
    [0.3, -0.95],
    [0.3, -0.3],
    [0.95, -0.3],
    [0.95, 0.3],
    [0.3, 0.3],
    [0.3, 0.95],
    [-0.3, 0.95],
    [-0.3, 0.3],
    [-0.95, 0.3],
    [-0.95, -0.3],
    [-0.3, -0.3],
];
const ARROW: [Point; 7] = [
    [0.0, -1.0],
    [0.78, -0.1],
    [0.28, -0.1],
    [0.28, 0.95],
    [-0.28, 0.95],
    [-0.28, -0.1],
    [-0.78, -0.1],
];

/// Corners around the origin, the first one on top.
fn around(corners: usize, radius: impl Fn(usize) -> f32) -> Vec<Point> {
    (0..corners)
        .map(|corner| {
            let (sin, cos) = (TAU * corner as f32 / corners as f32).sin_cos();
            [radius(corner) * sin, -radius(corner) * cos]
        })
        .collect()
}

/// The usual heart curve, `x = 16 sin^3 t`, `y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t`, scaled to the unit circle.
fn heart() -> Vec<Point> {
    const CORNERS: usize = 28;
    (0..CORNERS)
        .map(|corner| {
            let t = TAU * corner as f32 / CORNERS as f32;
            let y =
                13.0 * t.cos() - 5.0 * (2.0 * t).cos() - 2.0 * (3.0 * t).cos() - (4.0 * t).cos();
            [t.sin().powi(3) * 16.0 / 17.0, -(y + 2.5) / 15.5]
        })
        .collect()
}

/// The signed distance to the figure of a class, which fills about the unit circle.
fn distance(class: usize, [x, y]: Point) -> f32 {
    let radius = x.hypot(y);
    if radius > 1.3 {
        // Far outside, where no pixel is covered: the exact distance to a polygon would be wasted work.
        return radius - 1.0;
    }
    let bar = |left: f32| ((x - left).abs() - 0.24).max(y.abs() - 0.85);
    match class {
        0 => radius - 0.88,
        1 => x.abs().max(y.abs()) - 0.76,
        2 => polygon_distance([x, y], &TRIANGLE),
        3 => polygon_distance([x, y], &STAR),
        4 => polygon_distance([x, y], &CROSS),
        5 => (radius - 0.7).abs() - 0.22,
        6 => (radius - 0.95).max(0.78 - (x - 0.42).hypot(y)),
        7 => polygon_distance([x, y], &ARROW),
        8 => polygon_distance([x, y], &HEART),
        _ => bar(-0.5).min(bar(0.5)),
    }
}

/// Draws the figure of `class` (0 to 9).
fn draw(class: usize, rng: &mut ChaCha8Rng, image: &mut [u8]) {
    let radius = rng.random_range(7.0..12.5f32);
    let stretch = normal(rng, 0.08).clamp(-0.2, 0.2);
    let size = [radius * (1.0 + stretch), radius * (1.0 - stretch)];
    let angle = normal(rng, 0.3).clamp(-PI / 4.0, PI / 4.0);
    let room = SIDE as f32 / 2.0 - radius;
    let centre = [(); 2].map(|()| SIDE as f32 / 2.0 + rng.random_range(-room..room) * 0.9);
    let mut figure = Coverage::new(SIDE, SIDE);
    figure.fill(&Placement::new(size, 0.0, angle, centre), |point| {
        distance(class, point)
    });

    let mut specks = Coverage::new(SIDE, SIDE);
    for _ in 0..rng.random_range(0..4u32) {
        let from = [(); 2].map(|()| rng.random_range(0.0..SIDE as f32));
        let to = from.map(|coordinate| coordinate + normal(rng, 3.0));
        let half = rng.random_range(0.5..1.3f32);
        specks.stroke(&[from, to], |_| half);
    }

    let [ground, ground_end, figure_colour, speck_colour] = colours(rng);
    let (sin, cos) = rng.random_range(0.0..TAU).sin_cos();
    let noise = rng.random_range(0.01..0.07f32);
    let plane = SIDE * SIDE;
    for (channel, values) in image.chunks_exact_mut(plane).enumerate() {
        for (position, pixel) in values.iter_mut().enumerate() {
            let [x, y] =
                [position % SIDE, position / SIDE].map(|at| at as f32 / (SIDE - 1) as f32 - 0.5);
            let blend = |from: f32, to: f32, share: f32| from + share * (to - from);
            let along = (0.5 + cos * x + sin * y).clamp(0.0, 1.0);
            let mut value = blend(ground[channel], ground_end[channel], along);
            value = blend(value, speck_colour[channel], specks.values()[position]);
            value = blend(value, figure_colour[channel], figure.values()[position]);
            *pixel = byte(value + normal(rng, noise));
        }
    }
}

/// Two ends of the ground's shading, the figure's colour and the specks'. The figure is the brightest of them by far
/// in most images, but never by its colour alone.
fn colours(rng: &mut ChaCha8Rng) -> [[f32; 3]; 4] {
    let mut colour = |low: f32, high: f32| [(); 3].map(|()| rng.random_range(low..high));
    let ground = colour(0.0, 0.5);
    let ground_end = colour(0.0, 0.5);
    let speck = colour(0.1, 0.8);
    let mut figure = colour(0.3, 1.0);
    // At least one channel stands out from the ground.
    let strongest = rng.random_range(0..3u32) as usize;
    figure[strongest] = rng.random_range(0.8..1.0f32);
    [ground, ground_end, figure, speck]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every figure lies within the radius that places it, and none is a speck of its own.
    #[test]
    fn figures_fill_the_unit_circle() {
        for (class, name) in CLASSES.iter().enumerate() {
            let mut canvas = Coverage::new(64, 64);
            canvas.fill(
                &Placement::new([20.0, 20.0], 0.0, 0.0, [32.0, 32.0]),
                |point| distance(class, point),
            );
            let covered = |inside: bool| {
                let values = canvas.values().iter().enumerate().filter(|(position, _)| {
                    let [x, y] = [position % 64, position / 64].map(|at| at as f32 + 0.5 - 32.0);
                    (x.hypot(y) <= 22.5) == inside
                });
                values.map(|(_, &value)| value).sum::<f32>()
            };
            assert!(covered(false) < 1.0, "{name} sticks out");
            assert!(
                (300.0..1260.0).contains(&covered(true)),
                "{name} covers {}",
                covered(true)
            );
        }
    }
}
