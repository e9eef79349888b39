//! Functions of each number on the CPU, computed in float64.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use candle_core::Tensor;
use candle_core::cpu::erf::erf_f64 as erf;

use super::Curve;
use crate::ops::Real;
use crate::ops::parallel::{GRAIN, chunk, chunks_mut};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, with_real};

/// What GELU's tanh form has before the cube.
const CUBE: f64 = 0.044715;

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// `ln(1 + exp(z))` without overflow.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// The density of the standard normal distribution.
fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

fn value(curve: Curve, z: f64) -> f64 {
    match curve {
        Curve::Sigmoid => sigmoid(z),
        Curve::HardSigmoid { slope, shift } => (slope * z + shift).clamp(0.0, 1.0),
        Curve::HardSwish => z * (z + 3.0).clamp(0.0, 6.0) / 6.0,
        Curve::LeakyRelu { slope } if z <= 0.0 => slope * z,
        Curve::Elu { scale } if z <= 0.0 => scale * z.exp_m1(),
        Curve::LeakyRelu { .. } | Curve::Elu { .. } => z,
        Curve::Gelu => 0.5 * z * (1.0 + erf(z * FRAC_1_SQRT_2)),
        Curve::GeluTanh => 0.5 * z * (1.0 + inner(z).tanh()),
        Curve::Mish => z * softplus(z).tanh(),
        // Not-a-number stays what it is: a run must notice it.
        Curve::Clip { least, .. } if z < least => least,
        Curve::Clip { most, .. } if z > most => most,
        Curve::Clip { .. } => z,
        Curve::Tanh => z.tanh(),
        Curve::Softplus { .. } if z.is_nan() => z,
        Curve::Softplus { beta } => softplus(beta * z) / beta,
        Curve::Erf => erf(z),
        Curve::Exp => z.exp(),
        Curve::Log => z.ln(),
        Curve::Absolute => z.abs(),
        Curve::Power { exponent } => z.powf(exponent),
    }
}

/// What the tanh of GELU's tanh form is taken of.
fn inner(z: f64) -> f64 {
    (2.0 / PI).sqrt() * (z + CUBE * z * z * z)
}

fn derivative(curve: Curve, z: f64) -> f64 {
    match curve {
        Curve::Sigmoid => sigmoid(z) * (1.0 - sigmoid(z)),
        Curve::HardSigmoid { slope, shift } => {
            let inside = 0.0 < slope * z + shift && slope * z + shift < 1.0;
            if inside { slope } else { 0.0 }
        }
        Curve::HardSwish if z <= -3.0 => 0.0,
        Curve::HardSwish if z < 3.0 => z / 3.0 + 0.5,
        Curve::LeakyRelu { slope } if z <= 0.0 => slope,
        Curve::Elu { scale } if z <= 0.0 => scale * z.exp(),
        Curve::HardSwish | Curve::LeakyRelu { .. } | Curve::Elu { .. } => 1.0,
        Curve::Gelu => 0.5 * (1.0 + erf(z * FRAC_1_SQRT_2)) + z * density(z),
        Curve::GeluTanh => {
            let t = inner(z).tanh();
            let slope = (2.0 / PI).sqrt() * (1.0 + 3.0 * CUBE * z * z);
            0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * slope
        }
        Curve::Mish => {
            let t = softplus(z).tanh();
            t + z * (1.0 - t * t) * sigmoid(z)
        }
        Curve::Clip { least, most } => f64::from(least <= z && z <= most),
        Curve::Tanh => 1.0 - z.tanh() * z.tanh(),
        Curve::Softplus { beta } => sigmoid(beta * z),
        Curve::Erf => FRAC_2_SQRT_PI * (-z * z).exp(),
        Curve::Exp => z.exp(),
        Curve::Log => 1.0 / z,
        Curve::Absolute if z == 0.0 => 0.0,
        Curve::Absolute => z.signum(),
        Curve::Power { exponent: 0.0 } => 0.0,
        Curve::Power { exponent } => exponent * z.powf(exponent - 1.0),
    }
}

pub fn forward(x: &Tensor, curve: Curve) -> Result<Tensor> {
    with_real!(x.dtype(), T => {
        let input = &*view::<T>(x)?;
        let mut y = scratch::<T>(input.len());
        chunks_mut(&mut y, GRAIN, &|i, y| {
            for (y, x) in y.iter_mut().zip(chunk(input, GRAIN, i)) {
                *y = T::of(value(curve, x.wide()));
            }
        });
        tensor(y, x.shape())
    })
}

pub fn backward(dy: &Tensor, x: &Tensor, curve: Curve) -> Result<Tensor> {
    with_real!(dy.dtype(), T => {
        let (gradient, input) = (&*view::<T>(dy)?, &*view::<T>(x)?);
        let mut dx = scratch::<T>(input.len());
        chunks_mut(&mut dx, GRAIN, &|i, dx| {
            let pairs = chunk(gradient, GRAIN, i).iter().zip(chunk(input, GRAIN, i));
            for (dx, (dy, x)) in dx.iter_mut().zip(pairs) {
                *dx = T::of(dy.wide() * derivative(curve, x.wide()));
            }
        });
        tensor(dx, dy.shape())
    })
}
