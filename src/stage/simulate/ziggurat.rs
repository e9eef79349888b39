//! The ziggurat of Marsaglia and Tsang ("The Ziggurat Method for Generating Random Variables", Journal of Statistical
//! Software 5(8), 2000), with more layers than theirs and 52 bits of each number for the place in a layer.
//!
//! `f(x) = exp(-x^2 / 2)`, x >= 0, is covered by [`LAYERS`] layers of the same area V. Layer i > 0 is the rectangle of
//! width `x_i` between the heights `f(x_i)` and `f(x_{i+1})`; layer 0 is what lies under `f(R)`, the tail beyond
//! `x_1 = R` included, and `x_0 = V / f(R)` its width were it a rectangle. From `(x_i) (f(x_{i+1}) - f(x_i)) = V` follows
//! `x_{i+1} = f^-1(f(x_i) + V / x_i)`; R is the number for which the topmost layer ends at `f(0) = 1`, and
//! `V = R f(R) + (integral of f from R on)`. A point of a layer that lies left of `x_{i+1}` is under the curve whatever
//! its height, which is so in 997 of 1000 cases. What is left needs the height, or the tail's own method.
//!
//! Every number is a chain of additions, products, square roots and the portable `exp` and `log` of `libm`, so it is
//! the same on every processor.

use std::sync::LazyLock;

use rand::RngCore;

/// Layers; their number takes 10 of the 12 bits that the place in a layer leaves.
pub const LAYERS: usize = 1024;

/// Where the tail begins, to more digits than an `f64` has; found by bisection with 40 digits, as is [`AREA`].
#[allow(clippy::excessive_precision)]
const TAIL: f64 = 4.038_849_846_109_504_522_714_423;

/// The area of every layer.
#[allow(clippy::excessive_precision)]
const AREA: f64 = 0.001_226_324_646_353_088_072_885;

/// The layers' widths and the curve's heights there.
pub struct Ziggurat {
    /// `x_0` to `x_LAYERS = 0`.
    x: [f64; LAYERS + 1],
    /// `f(x_i)`; not used of layer 0.
    f: [f64; LAYERS + 1],
}

static ZIGGURAT: LazyLock<Ziggurat> = LazyLock::new(Ziggurat::build);

impl Ziggurat {
    /// The one ziggurat.
    pub fn get() -> &'static Self {
        &ZIGGURAT
    }

    fn build() -> Self {
        let mut x = [0.0; LAYERS + 1];
        x[0] = AREA / density(TAIL);
        x[1] = TAIL;
        for i in 1..LAYERS - 1 {
            x[i + 1] = (-2.0 * libm::log(density(x[i]) + AREA / x[i])).sqrt();
        }
        Self {
            x,
            f: x.map(density),
        }
    }

    /// Sets each of `numbers` to what its bits make, and `falls` to 1 where that does not stand and is to be replaced by
    /// [`Self::redraw`]. The bits are given in their low and high halves.
    #[inline(always)]
    pub fn fast<const N: usize>(
        &self,
        low: &[u32; N],
        high: &[u32; N],
        numbers: &mut [f64; N],
        falls: &mut [u8; N],
    ) {
        for i in 0..N {
            let (x, stands) = self.one(joined(low[i], high[i]));
            numbers[i] = x;
            falls[i] = u8::from(!stands);
        }
    }

    /// The number that `bits` make, and whether it stands.
    #[inline(always)]
    fn one(&self, bits: u64) -> (f64, bool) {
        let layer = layer(bits);
        let x = place(bits) * self.x[layer];
        (x, x.abs() < self.x[layer + 1])
    }

    /// The number in place of one that [`Self::fast`] did not let stand; `bits` are those it was made of.
    #[cold]
    pub fn redraw(&self, mut bits: u64, rng: &mut impl RngCore) -> f64 {
        loop {
            let (x, stands) = self.one(bits);
            if stands {
                return x;
            }
            let layer = layer(bits);
            if layer == 0 {
                return tail(rng).copysign(x);
            }
            let height = self.f[layer + 1] - self.f[layer];
            if self.f[layer] + height * uniform(rng) < density(x) {
                return x;
            }
            bits = rng.next_u64();
        }
    }
}

/// 64 bits of their halves.
#[inline(always)]
pub fn joined(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[inline(always)]
fn layer(bits: u64) -> usize {
    bits as usize % LAYERS
}

/// From [-1, 1), by the upper 52 bits.
#[inline(always)]
fn place(bits: u64) -> f64 {
    f64::from_bits(bits >> 12 | 2.0_f64.to_bits()) - 3.0
}

/// From (0, 1), both ends excluded.
fn uniform(rng: &mut impl RngCore) -> f64 {
    ((rng.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

fn density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x)
}

/// A number beyond [`TAIL`], by Marsaglia's method of 1964.
fn tail(rng: &mut impl RngCore) -> f64 {
    loop {
        let x = -libm::log(uniform(rng)) / TAIL;
        let y = -libm::log(uniform(rng));
        if 2.0 * y > x * x {
            return TAIL + x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn all_layers_have_the_same_area_and_the_topmost_ends_at_the_top() {
        let ziggurat = Ziggurat::get();
        for i in 1..LAYERS {
            let area = ziggurat.x[i] * (ziggurat.f[i + 1] - ziggurat.f[i]);
            assert!((area / AREA - 1.0).abs() < 1e-9, "layer {i}: {area}");
            assert!(ziggurat.x[i] < ziggurat.x[i - 1], "layer {i}");
        }
        assert_eq!((ziggurat.x[LAYERS], ziggurat.f[LAYERS]), (0.0, 1.0));
        let half = (std::f64::consts::PI / 2.0).sqrt();
        let tail = half * libm::erfc(TAIL / std::f64::consts::SQRT_2);
        assert!(((TAIL * density(TAIL) + tail) / AREA - 1.0).abs() < 1e-13);
        // What covers the curve is hardly larger than what lies under it.
        let covered = AREA * LAYERS as f64;
        assert!((0.998..0.9981).contains(&(half / covered)));
    }

    #[test]
    fn the_tail_keeps_its_sign_and_its_bound() {
        let mut rng = stream(0, Purpose::Simulation, 0, 0, 0);
        // The lowest bits choose layer 0, the highest the places nearest to its ends.
        for (bits, sign) in [(0_u64, -1.0), (u64::MAX << 12, 1.0)] {
            let (_, stands) = Ziggurat::get().one(bits);
            assert!(!stands);
            for _ in 0..1000 {
                let x = Ziggurat::get().redraw(bits, &mut rng);
                assert!(x * sign > TAIL, "{x}");
            }
        }
    }

    #[test]
    fn three_of_a_thousand_fall() {
        let mut rng = stream(1, Purpose::Simulation, 0, 0, 0);
        let falls = (0..1_000_000)
            .filter(|_| !Ziggurat::get().one(rng.next_u64()).1)
            .count();
        assert!((2500..4500).contains(&falls), "{falls}");
    }
}
