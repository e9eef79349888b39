//! Arithmetic with repeated sides, sums, products, softmax, layer norms, and what gives numbers other places.

use candle_core::{DType, Tensor};
use runner::nn::arithmetic::{Operand, Spread, arithmetic, maximum, product, softmax, sum};
use runner::nn::layer_norm::layer_norm;
use runner::nn::rearrange::{Part, join, pad, part, permute, repeat, reshape};
use runner::nn::{Init, Tape, Var};
use runner::ops::broadcast::Arithmetic;

use crate::harness::{Case, body, numbers, on_every_isa};
use crate::naive::{Image, named};

type Forward = fn(&Tape, &Var) -> runner::Result<Var>;

fn check(name: &str, shape: [usize; 4], forward: Forward) -> (Tensor, Image) {
    let case = Case::new(name, shape, |_| body(forward));
    case.check_gradients();
    (case.output(), Image::from_channels_first(&case.input))
}

const ALL: [Arithmetic; 4] = [
    Arithmetic::Add,
    Arithmetic::Subtract,
    Arithmetic::Multiply,
    Arithmetic::Divide,
];

fn of(how: Arithmetic, a: f64, b: f64) -> f64 {
    match how {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
    }
}

/// A value and its means over height and width, in both orders: squeeze-and-excitation without its layers.
#[test]
fn values_with_repeated_sides() {
    on_every_isa(|| {
        for how in ALL {
            for swapped in [false, true] {
                let mut case = Case::new(format!("{how:?} {swapped}"), [2, 5, 3, 4], |_| {
                    body(move |tape, x| {
                        let means = sum(tape, x, &[1, 2], 1.0 / 12.0)?;
                        let (a, b) = if swapped { (&means, x) } else { (x, &means) };
                        let dtype = x.tensor().dtype();
                        arithmetic(tape, Operand::Value(a), Operand::Value(b), how, dtype)
                    })
                });
                // Away from 0, which nothing is divided by.
                case.input = case.input.affine(0.3, 2.0).unwrap();
                let x = Image::from_channels_first(&case.input);
                let mean = |b, k| {
                    let cells = (0..12).map(|at| x.at([b, at / 4, at % 4, k]));
                    cells.sum::<f64>() / 12.0
                };
                let expected = Image::build(x.dims, |at| {
                    let (own, mean) = (x.at(at), mean(at[0], at[3]));
                    if swapped {
                        of(how, mean, own)
                    } else {
                        of(how, own, mean)
                    }
                });
                case.check_output(&expected.values);
                case.check_gradients();
            }
        }
    });
}

/// Parameters of the shape that files have them in, (C, 1, 1), beside values whose channels come last.
#[test]
fn values_with_parameters() {
    on_every_isa(|| {
        for how in ALL {
            for swapped in [false, true] {
                for shape in [
                    vec![5, 1, 1],
                    vec![1, 5, 1, 1],
                    vec![5, 3, 4],
                    vec![1, 3, 1],
                ] {
                    let dims = shape.clone();
                    let mut case = Case::new(format!("{how:?} {shape:?}"), [2, 5, 3, 4], |b| {
                        let missing = vec![1; 4 - dims.len()];
                        let spread = Spread {
                            param: b.parameter("scale", &dims, Init::Constant(1.0))?,
                            shape: [missing, dims.clone()].concat(),
                            order: Some(vec![0, 2, 3, 1]),
                        };
                        body(move |tape, x| {
                            let (value, scale) = (Operand::Value(x), Operand::Parameter(&spread));
                            let (a, b) = if swapped {
                                (scale, value)
                            } else {
                                (value, scale)
                            };
                            arithmetic(tape, a, b, how, x.tensor().dtype())
                        })
                    });
                    case.input = case.input.affine(0.3, 2.0).unwrap();
                    let parameter = &case.network.parameters()[0];
                    let away = parameter.snapshot().unwrap().affine(0.3, 2.0).unwrap();
                    parameter.set(&away).unwrap();
                    let x = Image::from_channels_first(&case.input);
                    let numbers = named(&case.network, "scale");
                    let expected = Image::build(x.dims, |at| {
                        let [_, row, column, channel] = at;
                        let place = match (numbers.len(), shape.last()) {
                            (60, _) => (channel * 3 + row) * 4 + column,
                            (3, _) => row,
                            _ => channel,
                        };
                        let (own, scale) = (x.at(at), numbers[place]);
                        if swapped {
                            of(how, scale, own)
                        } else {
                            of(how, own, scale)
                        }
                    });
                    case.check_output(&expected.values);
                    case.check_gradients();
                }
            }
        }
    });
}

#[test]
fn sums_and_maxima() {
    let (y, x) = check("sum over channels", [2, 5, 3, 4], |tape, x| {
        sum(tape, x, &[3], 2.0)
    });
    let expected = Image::build([2, 3, 4, 1], |[b, row, column, _]| {
        (0..5).map(|k| 2.0 * x.at([b, row, column, k])).sum()
    });
    assert!(crate::harness::distance(&numbers(&y), &expected.values) < 1e-12);
    let (y, x) = check("maxima", [2, 5, 3, 4], |tape, x| maximum(tape, x, &[1, 2]));
    let expected = Image::build([2, 1, 1, 5], |[b, _, _, k]| {
        (0..12)
            .map(|at| x.at([b, at / 4, at % 4, k]))
            .fold(f64::NEG_INFINITY, f64::max)
    });
    assert_eq!(numbers(&y), expected.values);
}

#[test]
fn softmax_and_products() {
    let (y, x) = check("softmax", [2, 5, 3, 4], softmax);
    let expected = Image::build(x.dims, |[b, row, column, k]| {
        let power = |k| x.at([b, row, column, k]).exp();
        power(k) / (0..5).map(power).sum::<f64>()
    });
    assert!(crate::harness::distance(&numbers(&y), &expected.values) < 1e-12);
    let (y, x) = check("product", [2, 5, 3, 4], |tape, x| {
        product(tape, x, &permute(tape, x, &[0, 1, 3, 2])?)
    });
    let expected = Image::build([2, 3, 4, 4], |[b, row, i, j]| {
        (0..5)
            .map(|k| x.at([b, row, i, k]) * x.at([b, row, j, k]))
            .sum()
    });
    assert!(crate::harness::distance(&numbers(&y), &expected.values) < 1e-12);
}

#[test]
fn layer_norms() {
    let (y, x) = check("layer norm", [2, 7, 3, 4], |tape, x| {
        layer_norm(tape, x, 1e-3)
    });
    let expected: Vec<f64> = x
        .values
        .chunks(7)
        .flat_map(|row| {
            let mean = row.iter().sum::<f64>() / 7.0;
            let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 7.0;
            row.iter()
                .map(move |v| (v - mean) / (variance + 1e-3).sqrt())
        })
        .collect();
    assert!(crate::harness::distance(&numbers(&y), &expected) < 1e-12);
}

#[test]
fn other_places() {
    let (y, x) = check("permute", [2, 5, 3, 4], |tape, x| {
        permute(tape, x, &[0, 3, 1, 2])
    });
    let expected = Image::build([2, 5, 3, 4], |[b, k, row, column]| {
        x.at([b, row, column, k])
    });
    assert_eq!(numbers(&y), expected.values);
    let (y, x) = check("reshape", [2, 5, 3, 4], |tape, x| {
        reshape(tape, x, &[2, 4, 15])
    });
    assert_eq!((y.dims(), numbers(&y)), (&[2usize, 4, 15][..], x.values));
    for (start, step, count) in [(0, 1, 2), (1, 2, 2), (0, 3, 2), (2, 1, 1), (0, 2, 3)] {
        let case = Case::new(format!("part {start} {step} {count}"), [2, 4, 3, 5], |_| {
            let which = Part {
                axis: 2,
                start,
                step,
                count,
            };
            body(move |tape, x| part(tape, x, which))
        });
        let x = Image::from_channels_first(&case.input);
        let expected = Image::build([2, 3, count, 4], |[b, row, column, k]| {
            x.at([b, row, start + step * column, k])
        });
        case.check_output(&expected.values);
        case.check_gradients();
    }
    let (y, x) = check("pad", [2, 4, 3, 5], |tape, x| pad(tape, x, 1, [1, 2], -3.5));
    let expected = Image::build([2, 6, 5, 4], |[b, row, column, k]| match row {
        1..=3 => x.at([b, row - 1, column, k]),
        _ => -3.5,
    });
    assert_eq!(numbers(&y), expected.values);
    let (y, x) = check("join", [2, 4, 3, 5], |tape, x| {
        join(tape, &[x.clone(), x.clone()], 2)
    });
    let expected = Image::build([2, 3, 10, 4], |[b, row, column, k]| {
        x.at([b, row, column % 5, k])
    });
    assert_eq!(numbers(&y), expected.values);
    let (y, x) = check("repeat", [2, 1, 3, 5], |tape, x| {
        repeat(tape, x, &[2, 3, 5, 4])
    });
    let expected = Image::build([2, 3, 5, 4], |[b, row, column, _]| {
        x.at([b, row, column, 0])
    });
    assert_eq!(numbers(&y), expected.values);
    assert_eq!(y.dtype(), DType::F64);
}
