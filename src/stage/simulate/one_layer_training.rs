//! The training of a one-layer student by its teacher, on fresh inputs each step.
//!
//! `f(x) = relu(x w)`; the loss of a batch of n rows is `0.5 |y - y*|^2 / n` (n = 100 in the reference).
//! Draws, in order: the teacher `w*` from N(1, 3^2), the student `w0` from N(0, 1), then each step's rows from N(0, 1).
//!
//! Rows are stored, and drawn, in blocks of [`LANES`]: within a block column by column, so that one vector
//! instruction works on one column of a block. The surplus rows of a last block are drawn and not used.

use super::normals::Normals;
use super::{Stop, check_step, is_recorded, no_points};
use crate::run::{Point, Trajectories};
use crate::stage::SimulateSpec;

/// Rows in a block.
pub const LANES: usize = 4;

/// One number of each row of a block.
type Lane = [f64; LANES];

/// The reference's input dimension, for which the loops are compiled apart.
const USUAL_INPUTS: usize = 10;

/// Runs both methods from the next draws of `normals`.
#[inline(always)]
pub fn simulate(spec: &SimulateSpec, normals: Normals) -> Result<Trajectories, Stop> {
    match spec.inputs {
        USUAL_INPUTS => train(spec, USUAL_INPUTS, normals),
        inputs => train(spec, inputs, normals),
    }
}

#[inline(always)]
fn train(spec: &SimulateSpec, inputs: usize, mut normals: Normals) -> Result<Trajectories, Stop> {
    let teacher = normals.vector(inputs, 1.0, 3.0);
    let student = normals.vector(inputs, 0.0, 1.0);
    let mut pair = Pair::new(&student);
    let mut rows = vec![[0.0; LANES]; spec.batch.div_ceil(LANES) * inputs];
    let surplus = rows.len() / inputs * LANES - spec.batch;
    let mut recorded = no_points(spec);
    for step in 1..=spec.steps as u64 {
        normals.fill(rows.as_flattened_mut());
        if surplus > 0 {
            let last = rows.len() - inputs;
            for lane in &mut rows[last..] {
                lane[LANES - surplus..].fill(0.0);
            }
        }
        let [bp_loss, linbp_loss] = pair.step(inputs, &rows, &teacher, spec);
        check_step(step, bp_loss, linbp_loss)?;
        if is_recorded(spec, step) {
            let point = |w: &[f64], loss| Point {
                step,
                l1_distance: w.iter().zip(&teacher).map(|(w, t)| (w - t).abs()).sum(),
                loss,
            };
            recorded.bp.push(point(&pair.bp, bp_loss));
            recorded.linbp.push(point(&pair.linbp, linbp_loss));
        }
    }
    Ok(recorded)
}

/// The students of both methods and their gradients' partial sums.
struct Pair {
    bp: Vec<f64>,
    linbp: Vec<f64>,
    bp_gradient: Vec<Lane>,
    linbp_gradient: Vec<Lane>,
}

impl Pair {
    fn new(student: &[f64]) -> Self {
        Self {
            bp: student.to_vec(),
            linbp: student.to_vec(),
            bp_gradient: vec![[0.0; LANES]; student.len()],
            linbp_gradient: vec![[0.0; LANES]; student.len()],
        }
    }

    /// One step of both students on the same rows; gives their losses before it.
    #[inline(always)]
    fn step(
        &mut self,
        inputs: usize,
        rows: &[Lane],
        teacher: &[f64],
        spec: &SimulateSpec,
    ) -> [f64; 2] {
        let batch = spec.batch as f64;
        let losses = self.gradients(inputs, rows, teacher);
        for (w, g) in self.bp.iter_mut().zip(&self.bp_gradient) {
            *w -= spec.step_size * (total(*g) / batch);
        }
        for (w, g) in self.linbp.iter_mut().zip(&self.linbp_gradient) {
            *w -= spec.step_size * (total(*g) / batch);
        }
        losses.map(|squares| 0.5 * total(squares) / batch)
    }

    /// Sets both gradients to `X^T e` in partial sums, where BP's `e` is `[Xw > 0] (y - y*)` and LinBP's `y - y*`;
    /// gives the partial sums of `(y - y*)^2` of both.
    #[inline(always)]
    fn gradients(&mut self, inputs: usize, rows: &[Lane], teacher: &[f64]) -> [Lane; 2] {
        let teacher = &teacher[..inputs];
        let (bp, linbp) = (&self.bp[..inputs], &self.linbp[..inputs]);
        let bp_gradient = &mut self.bp_gradient[..inputs];
        let linbp_gradient = &mut self.linbp_gradient[..inputs];
        bp_gradient.fill([0.0; LANES]);
        linbp_gradient.fill([0.0; LANES]);
        let mut squares = [[0.0; LANES]; 2];
        for block in rows.chunks_exact(inputs) {
            let mut teacher_sum = [0.0; LANES];
            let mut bp_sum = [0.0; LANES];
            let mut linbp_sum = [0.0; LANES];
            for (column, x) in block.iter().enumerate() {
                for lane in 0..LANES {
                    teacher_sum[lane] += x[lane] * teacher[column];
                    bp_sum[lane] += x[lane] * bp[column];
                    linbp_sum[lane] += x[lane] * linbp[column];
                }
            }
            let mut bp_error = [0.0; LANES];
            let mut linbp_error = [0.0; LANES];
            for lane in 0..LANES {
                let goal = teacher_sum[lane].max(0.0);
                let difference = bp_sum[lane].max(0.0) - goal;
                bp_error[lane] = if bp_sum[lane] > 0.0 { difference } else { 0.0 };
                linbp_error[lane] = linbp_sum[lane].max(0.0) - goal;
                squares[0][lane] += difference * difference;
                squares[1][lane] += linbp_error[lane] * linbp_error[lane];
            }
            for (column, x) in block.iter().enumerate() {
                for lane in 0..LANES {
                    bp_gradient[column][lane] += x[lane] * bp_error[lane];
                    linbp_gradient[column][lane] += x[lane] * linbp_error[lane];
                }
            }
        }
        squares
    }
}

#[inline(always)]
fn total(lane: Lane) -> f64 {
    lane.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn the_bp_gradient_is_that_of_the_loss() {
        let mut normals = Normals::new(stream(3, Purpose::Simulation, 0, 0, 0));
        let inputs = 7;
        let teacher = normals.vector(inputs, 1.0, 3.0);
        let student = normals.vector(inputs, 0.0, 1.0);
        let mut rows = vec![[0.0; LANES]; 5 * inputs];
        normals.fill(rows.as_flattened_mut());
        let loss = |student: &[f64]| {
            let [squares, _] = Pair::new(student).gradients(inputs, &rows, &teacher);
            0.5 * total(squares)
        };
        let mut pair = Pair::new(&student);
        pair.gradients(inputs, &rows, &teacher);
        let h = 1e-6;
        let mut moved = student.clone();
        let mut apart = 0.0;
        for i in 0..inputs {
            moved[i] = student[i] + h;
            let above = loss(&moved);
            moved[i] = student[i] - h;
            let below = loss(&moved);
            moved[i] = student[i];
            let by_formula = total(pair.bp_gradient[i]);
            let by_difference = (above - below) / (2.0 * h);
            assert!((by_formula - by_difference).abs() < 1e-5, "element {i}");
            apart += (by_formula - total(pair.linbp_gradient[i])).abs();
        }
        assert!(apart > 1.0, "LinBP has a gradient of its own");
    }
}
