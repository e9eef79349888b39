//! The attack on a two-layer network: an input moves from its start towards a target's output.
//!
//! `f(x) = V relu(W x)`; the loss is `0.5 |f(x) - f(x*)|^2 / n` for inputs of n elements (n = 100 in the reference).
//! Draws, in order: `W` and `V` row by row, the target `x*` from N(1, 2^2), the start `x0` from N(0, 1).

use super::normals::Normals;
use super::{Stop, check_step, is_recorded, no_points};
use crate::run::{Method, Point, Trajectories};
use crate::stage::{SimulateSpec, StepRule};

/// What both methods share.
struct Draws {
    /// First layer, hidden x inputs.
    w: Vec<f64>,
    /// Second layer, outputs x hidden.
    v: Vec<f64>,
    target: Vec<f64>,
    start: Vec<f64>,
    /// `f(x*)`.
    target_output: Vec<f64>,
}

/// One method's input and the buffers of its steps.
struct Walk {
    method: Method,
    x: Vec<f64>,
    gradient: Vec<f64>,
    /// `W x`.
    hidden: Vec<f64>,
    /// `f(x) - f(x*)`.
    residual: Vec<f64>,
}

/// Runs both methods from the next draws of `normals`.
#[inline(always)]
pub fn simulate(spec: &SimulateSpec, mut normals: Normals) -> Result<Trajectories, Stop> {
    let draws = Draws::new(spec, &mut normals);
    let [mut bp, mut linbp] = [Method::Bp, Method::Linbp].map(|method| Walk::new(method, &draws));
    let mut recorded = no_points(spec);
    for step in 1..=spec.steps as u64 {
        let bp_loss = bp.step(spec, &draws);
        let linbp_loss = linbp.step(spec, &draws);
        check_step(step, bp_loss, linbp_loss)?;
        if is_recorded(spec, step) {
            let point = |walk: &Walk, loss| Point {
                step,
                l1_distance: l1_distance(&walk.x, &draws.target),
                loss,
            };
            recorded.bp.push(point(&bp, bp_loss));
            recorded.linbp.push(point(&linbp, linbp_loss));
        }
    }
    Ok(recorded)
}

impl Draws {
    fn new(spec: &SimulateSpec, normals: &mut Normals) -> Self {
        let w = normals.vector(spec.hidden * spec.inputs, 0.0, 1.0);
        let v = normals.vector(spec.outputs * spec.hidden, 0.0, 1.0);
        let target = normals.vector(spec.inputs, 1.0, 2.0);
        let start = normals.vector(spec.inputs, 0.0, 1.0);
        let mut draws = Self {
            w,
            v,
            target,
            start,
            target_output: vec![0.0; spec.outputs],
        };
        let mut hidden = vec![0.0; spec.hidden];
        let mut output = vec![0.0; spec.outputs];
        draws.forward(&draws.target, &mut hidden, &mut output);
        draws.target_output = output;
        draws
    }

    /// `hidden = W x`, `residual = V relu(hidden) - f(x*)`.
    #[inline(always)]
    fn forward(&self, x: &[f64], hidden: &mut [f64], residual: &mut [f64]) {
        for (a, row) in hidden.iter_mut().zip(self.w.chunks_exact(x.len())) {
            *a = dot(row, x);
        }
        let rows = self.v.chunks_exact(hidden.len());
        for ((r, row), target) in residual.iter_mut().zip(rows).zip(&self.target_output) {
            let products = row.iter().zip(&*hidden).map(|(v, a)| v * a.max(0.0));
            *r = products.sum::<f64>() - target;
        }
    }

    /// The gradient of the loss with respect to the input, times the number of inputs, by `method`, after a
    /// [`Draws::forward`]. `hidden` is overwritten.
    #[inline(always)]
    fn backward(&self, method: Method, hidden: &mut [f64], residual: &[f64], gradient: &mut [f64]) {
        let width = hidden.len();
        gradient.fill(0.0);
        for (unit, (a, row)) in hidden
            .iter_mut()
            .zip(self.w.chunks_exact(gradient.len()))
            .enumerate()
        {
            // LinBP lets the gradient pass the activation as it is.
            let passes = method == Method::Linbp || *a > 0.0;
            let column = self.v[unit..].iter().step_by(width);
            let incoming: f64 = column.zip(residual).map(|(v, r)| v * r).sum();
            *a = if passes { incoming } else { 0.0 };
            for (g, w) in gradient.iter_mut().zip(row) {
                *g += *a * w;
            }
        }
    }
}

impl Walk {
    fn new(method: Method, draws: &Draws) -> Self {
        let outputs = draws.target_output.len();
        Self {
            method,
            x: draws.start.clone(),
            gradient: vec![0.0; draws.start.len()],
            hidden: vec![0.0; draws.v.len() / outputs],
            residual: vec![0.0; outputs],
        }
    }

    /// One step; gives the loss before it.
    #[inline(always)]
    fn step(&mut self, spec: &SimulateSpec, draws: &Draws) -> f64 {
        let inputs = self.x.len() as f64;
        draws.forward(&self.x, &mut self.hidden, &mut self.residual);
        let loss = 0.5 * self.residual.iter().map(|r| r * r).sum::<f64>() / inputs;
        draws.backward(
            self.method,
            &mut self.hidden,
            &self.residual,
            &mut self.gradient,
        );
        for g in &mut self.gradient {
            *g /= inputs;
        }
        apply(spec, &draws.start, &self.gradient, &mut self.x);
        loss
    }
}

/// Moves `x` against `gradient` by the rule of the spec, then back into the ball around `start`.
#[inline(always)]
fn apply(spec: &SimulateSpec, start: &[f64], gradient: &[f64], x: &mut [f64]) {
    let direction: (f64, bool) = match spec.step_rule {
        StepRule::Raw => (spec.step_size, false),
        StepRule::Sign => (spec.step_size, true),
        StepRule::L2 => {
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            // Where nothing pulls, nothing moves.
            (
                if norm > 0.0 {
                    spec.step_size / norm
                } else {
                    0.0
                },
                false,
            )
        }
    };
    let (scale, signs_only) = direction;
    for ((x, g), start) in x.iter_mut().zip(gradient).zip(start) {
        let pull = match signs_only {
            true if *g == 0.0 => 0.0,
            true => g.signum(),
            false => *g,
        };
        let change = (*x - scale * pull - start).clamp(-spec.epsilon, spec.epsilon);
        *x = start + change;
    }
}

#[inline(always)]
fn l1_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum()
}

/// The dot product, summed in eight interleaved parts so that it vectorises.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a_blocks, a_rest) = a.as_chunks::<8>();
    let (b_blocks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use crate::stage::simulate::tests::spec;

    fn draws(spec: &SimulateSpec) -> Draws {
        let rng = stream(5, Purpose::Simulation, 0, 0, 0);
        Draws::new(spec, &mut Normals::new(rng))
    }

    fn loss(draws: &Draws, x: &[f64]) -> f64 {
        let mut hidden = vec![0.0; draws.w.len() / x.len()];
        let mut residual = vec![0.0; draws.target_output.len()];
        draws.forward(x, &mut hidden, &mut residual);
        0.5 * residual.iter().map(|r| r * r).sum::<f64>() / x.len() as f64
    }

    fn gradient(draws: &Draws, method: Method, x: &[f64]) -> Vec<f64> {
        let mut walk = Walk::new(method, draws);
        draws.forward(x, &mut walk.hidden, &mut walk.residual);
        draws.backward(method, &mut walk.hidden, &walk.residual, &mut walk.gradient);
        walk.gradient.iter().map(|g| g / x.len() as f64).collect()
    }

    #[test]
    fn the_bp_gradient_is_that_of_the_loss() {
        let draws = draws(&spec("two-layer-attack", ""));
        let by_formula = gradient(&draws, Method::Bp, &draws.start);
        let linear = gradient(&draws, Method::Linbp, &draws.start);
        let mut x = draws.start.clone();
        let h = 1e-6;
        for i in 0..x.len() {
            x[i] = draws.start[i] + h;
            let above = loss(&draws, &x);
            x[i] = draws.start[i] - h;
            let below = loss(&draws, &x);
            x[i] = draws.start[i];
            let by_difference = (above - below) / (2.0 * h);
            assert!((by_formula[i] - by_difference).abs() < 1e-6, "element {i}");
        }
        assert!(l1_distance(&by_formula, &linear) > 0.1);
    }

    #[test]
    fn a_zero_gradient_moves_nothing_under_any_rule() {
        for rule in ["l2", "sign", "raw"] {
            let spec = spec("two-layer-attack", &format!("step_rule = {rule:?}"));
            let start = [1.0, -2.0];
            let mut x = [1.1, -2.1];
            apply(&spec, &start, &[0.0, 0.0], &mut x);
            for (x, expected) in x.iter().zip([1.1, -2.1]) {
                assert!((x - expected).abs() < 1e-15, "{rule}");
            }
        }
        // At its own target, the network has no gradient and a whole walk stays where it is.
        let spec = spec("two-layer-attack", "");
        let mut draws = draws(&spec);
        draws.start = draws.target.clone();
        let mut walk = Walk::new(Method::Linbp, &draws);
        assert_eq!(walk.step(&spec, &draws), 0.0);
        assert_eq!(walk.x, draws.target);
    }

    #[test]
    fn steps_stay_in_the_ball() {
        let spec = spec("two-layer-attack", "epsilon = 0.1\nstep_size = 3.0");
        let draws = draws(&spec);
        let mut walk = Walk::new(Method::Linbp, &draws);
        for _ in 0..20 {
            walk.step(&spec, &draws);
            for (x, start) in walk.x.iter().zip(&draws.start) {
                assert!((x - start).abs() <= 0.1 + 1e-15);
            }
        }
        assert!(l1_distance(&walk.x, &draws.start) > 1.0);
    }
}
