//! Handwriting-like digits, 28x28 in grey: pen strokes through jittered points, bright on dark.

use super::canvas::{Coverage, Placement, Point, smooth};
use super::{byte, normal};
use crate::data::source::{DataKind, Drawing, Images};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub static DIGITS: DataKind = DataKind {
    name: "digits",
    about: "drawn by the program: handwriting-like digits, 28x28 in grey, ten classes",
    shape: Some([1, 28, 28]),
    classes: Some(&CLASSES),
    statistics: None,
    images: Images::Drawn(Drawing { set: 0, draw }),
    downloads: None,
};

const CLASSES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const SIDE: usize = 28;

/// A part of a digit, in a unit square: x to the right, y downwards.
enum Stroke {
    /// Straight from point to point.
    Lines(&'static [Point]),
    /// A smooth curve through the points.
    Curve(&'static [Point]),
}

use Stroke::{Curve, Lines};

/// The ways to write a digit; each is drawn equally often.
fn styles(digit: usize) -> &'static [&'static [Stroke]] {
    match digit {
        0 => &[
            &[Curve(&[
                [0.52, 0.04],
                [0.26, 0.14],
                [0.14, 0.5],
                [0.26, 0.86],
                [0.5, 0.96],
                [0.74, 0.86],
                [0.86, 0.5],
                [0.74, 0.14],
                [0.48, 0.04],
            ])],
            &[Curve(&[
                [0.6, 0.1],
                [0.34, 0.08],
                [0.24, 0.5],
                [0.34, 0.9],
                [0.56, 0.94],
                [0.74, 0.7],
                [0.74, 0.3],
                [0.5, 0.05],
            ])],
        ],
        1 => &[
            &[Lines(&[[0.5, 0.04], [0.5, 0.96]])],
            &[Lines(&[[0.28, 0.26], [0.54, 0.04], [0.54, 0.96]])],
            &[
                Lines(&[[0.3, 0.24], [0.52, 0.04], [0.52, 0.95]]),
                Lines(&[[0.28, 0.95], [0.76, 0.95]]),
            ],
        ],
        2 => &[
            &[
                Curve(&[
                    [0.16, 0.26],
                    [0.32, 0.08],
                    [0.62, 0.06],
                    [0.8, 0.26],
                    [0.66, 0.52],
                    [0.36, 0.78],
                    [0.14, 0.94],
                ]),
                Lines(&[[0.14, 0.94], [0.86, 0.93]]),
            ],
            &[Curve(&[
                [0.2, 0.2],
                [0.5, 0.04],
                [0.78, 0.22],
                [0.64, 0.56],
                [0.34, 0.88],
                [0.16, 0.88],
                [0.3, 0.76],
                [0.56, 0.9],
                [0.86, 0.92],
            ])],
        ],
        3 => &[
            &[
                Curve(&[
                    [0.2, 0.16],
                    [0.5, 0.04],
                    [0.76, 0.2],
                    [0.66, 0.42],
                    [0.4, 0.48],
                ]),
                Curve(&[
                    [0.4, 0.48],
                    [0.74, 0.54],
                    [0.84, 0.74],
                    [0.56, 0.95],
                    [0.16, 0.85],
                ]),
            ],
            &[
                Lines(&[[0.2, 0.06], [0.78, 0.06], [0.44, 0.42]]),
                Curve(&[
                    [0.44, 0.42],
                    [0.76, 0.52],
                    [0.8, 0.78],
                    [0.52, 0.96],
                    [0.16, 0.86],
                ]),
            ],
        ],
        4 => &[
            &[Lines(&[
                [0.64, 0.96],
                [0.64, 0.05],
                [0.12, 0.66],
                [0.9, 0.66],
            ])],
            &[
                Lines(&[[0.24, 0.06], [0.18, 0.54], [0.84, 0.54]]),
                Lines(&[[0.72, 0.08], [0.68, 0.96]]),
            ],
        ],
        5 => &[
            &[
                Lines(&[[0.8, 0.06], [0.28, 0.06], [0.23, 0.44]]),
                Curve(&[
                    [0.23, 0.44],
                    [0.52, 0.36],
                    [0.8, 0.52],
                    [0.8, 0.78],
                    [0.5, 0.96],
                    [0.16, 0.86],
                ]),
            ],
            &[Curve(&[
                [0.78, 0.08],
                [0.4, 0.06],
                [0.26, 0.22],
                [0.34, 0.42],
                [0.66, 0.5],
                [0.78, 0.72],
                [0.54, 0.95],
                [0.18, 0.88],
            ])],
        ],
        6 => &[
            &[Curve(&[
                [0.7, 0.05],
                [0.4, 0.22],
                [0.2, 0.6],
                [0.3, 0.88],
                [0.58, 0.95],
                [0.79, 0.74],
                [0.62, 0.53],
                [0.34, 0.58],
                [0.21, 0.74],
            ])],
            &[Curve(&[
                [0.46, 0.04],
                [0.24, 0.4],
                [0.22, 0.76],
                [0.46, 0.96],
                [0.76, 0.84],
                [0.74, 0.6],
                [0.48, 0.56],
                [0.24, 0.7],
            ])],
        ],
        7 => &[
            &[Lines(&[[0.14, 0.07], [0.85, 0.07], [0.42, 0.96]])],
            &[
                Lines(&[[0.14, 0.07], [0.85, 0.07], [0.4, 0.96]]),
                Lines(&[[0.32, 0.5], [0.78, 0.5]]),
            ],
            &[Lines(&[
                [0.16, 0.22],
                [0.16, 0.08],
                [0.84, 0.08],
                [0.56, 0.5],
                [0.48, 0.96],
            ])],
        ],
        8 => &[
            &[Curve(&[
                [0.74, 0.18],
                [0.5, 0.04],
                [0.27, 0.18],
                [0.38, 0.4],
                [0.64, 0.57],
                [0.78, 0.78],
                [0.5, 0.96],
                [0.22, 0.78],
                [0.36, 0.57],
                [0.62, 0.4],
                [0.75, 0.2],
            ])],
            &[
                Curve(&[
                    [0.5, 0.46],
                    [0.28, 0.26],
                    [0.48, 0.05],
                    [0.72, 0.24],
                    [0.52, 0.46],
                ]),
                Curve(&[
                    [0.5, 0.46],
                    [0.2, 0.7],
                    [0.5, 0.96],
                    [0.8, 0.7],
                    [0.5, 0.46],
                ]),
            ],
        ],
        _ => &[
            &[
                Curve(&[
                    [0.77, 0.2],
                    [0.54, 0.05],
                    [0.26, 0.16],
                    [0.24, 0.4],
                    [0.5, 0.5],
                    [0.74, 0.36],
                    [0.78, 0.18],
                ]),
                Lines(&[[0.78, 0.18], [0.72, 0.96]]),
            ],
            &[Curve(&[
                [0.76, 0.24],
                [0.54, 0.05],
                [0.26, 0.18],
                [0.28, 0.42],
                [0.54, 0.48],
                [0.76, 0.24],
                [0.76, 0.6],
                [0.62, 0.9],
                [0.3, 0.94],
            ])],
        ],
    }
}

/// Draws digit `class` (0 to 9).
fn draw(class: usize, rng: &mut ChaCha8Rng, image: &mut [u8]) {
    let styles = styles(class);
    let style = styles[rng.random_range(0..styles.len() as u32) as usize];
    let height = rng.random_range(13.0..22.0f32);
    let width = height * rng.random_range(0.6..1.0f32);
    let angle = normal(rng, 0.17).clamp(-0.45, 0.45);
    let slant = -normal(rng, 0.2).clamp(-0.5, 0.5);
    // The middle of the digit goes where the whole of it mostly fits.
    let room = (SIDE as f32 - height) / 2.0;
    let centre = [(); 2].map(|()| SIDE as f32 / 2.0 + rng.random_range(-room..room) * 0.8);
    let placement = Placement::new([width, height], slant, angle, centre);

    let mut canvas = Coverage::new(SIDE, SIDE);
    let pen = rng.random_range(0.65..1.45f32);
    for stroke in style {
        let points = match stroke {
            Lines(points) | Curve(points) => points,
        };
        let jittered: Vec<Point> = points
            .iter()
            .map(|[x, y]| {
                placement.apply([x - 0.5 + normal(rng, 0.035), y - 0.5 + normal(rng, 0.035)])
            })
            .collect();
        let line = match stroke {
            Lines(_) => jittered,
            Curve(_) => smooth(&jittered, 6),
        };
        // The pen presses harder at one end.
        let pressure = normal(rng, 0.15).clamp(-0.3, 0.3);
        canvas.stroke(&line, |position| {
            pen * (1.0 + pressure * (2.0 * position - 1.0))
        });
    }

    let ink = rng.random_range(0.6..1.0f32);
    let paper = rng.random_range(0.0..0.15f32);
    let noise = rng.random_range(0.01..0.09f32);
    for (pixel, &coverage) in image.iter_mut().zip(canvas.values()) {
        *pixel = byte(paper + coverage * (ink - paper) + normal(rng, noise));
    }
}
