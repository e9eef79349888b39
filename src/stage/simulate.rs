//! The two student-teacher simulations: BP and LinBP from the same draws, in float64.
//!
//! A repeat is a pure function of the seed and its index, so repeats run on all threads and the file does not depend
//! on how many there are.

mod normals;
mod one_layer_training;
mod two_layer_attack;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use rayon::prelude::*;

use self::normals::Normals;
use super::context::{StageContext, StageSummary};
use crate::error::{Error, Result};
use crate::experiment::SimulateTask;
use crate::rng::{Purpose, stream};
use crate::run::{
    Method, Metrics, Point, Progress, RepeatLines, SimulationWriter, StageFolder, Trajectories,
    interrupt,
};
use crate::stage::{SimulateSpec, SimulationKind};

/// Numbers that a repeat may hold at once: 1 GiB of them.
const MAX_NUMBERS: u128 = 1 << 27;

/// Steps between two looks at whether the user wants to stop.
const STEPS_A_LOOK: u64 = 1024;

/// Runs the simulation, or what is left of it, and leaves `simulation.csv`.
pub(super) fn run(ctx: &StageContext<'_>, task: &SimulateTask) -> Result<StageSummary> {
    ctx.progress.stage(ctx.id, 1);
    let metrics = simulate_all(&task.simulate, ctx.seed, ctx.folder, ctx.progress)?;
    ctx.progress.finish();
    Ok(StageSummary { metrics })
}

/// Simulates every repeat that does not stand in `folder` yet. Gives the means of the last recorded step over all
/// repeats, by method.
fn simulate_all(
    spec: &SimulateSpec,
    seed: u64,
    folder: &StageFolder,
    progress: &Progress,
) -> Result<Metrics> {
    refuse_too_large(spec)?;
    let steps = recorded_steps(spec);
    let mut writer = folder.simulation(&steps)?;
    let repeats = spec.repeats as u64;
    progress.epoch(1, repeats);
    progress.batch(writer.repeats_done(), None, 0);
    let next = AtomicU64::new(writer.repeats_done());
    let threads = rayon::current_num_threads();
    let (finished, to_write) = mpsc::sync_channel(threads);
    // The next repeats are computed while the last ones are written, which is mostly waiting for the disk.
    let (computed, written) = thread::scope(|scope| {
        let writer = &mut writer;
        let writing = scope.spawn(move || write_in_order(writer, &to_write, progress));
        let computed = (0..threads)
            .into_par_iter()
            .try_for_each_with(finished, |finished, _| {
                compute(spec, seed, &next, finished).inspect_err(|_| {
                    // No thread begins another one.
                    next.store(repeats, Ordering::Relaxed);
                })
            });
        (computed, writing.join())
    });
    match written {
        Ok(written) => written?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    computed?;
    Ok(final_means(writer.final_points()))
}

/// Computes one repeat after the other, each the next that no thread has begun, until none is left.
fn compute(
    spec: &SimulateSpec,
    seed: u64,
    next: &AtomicU64,
    finished: &SyncSender<RepeatLines>,
) -> Result<()> {
    loop {
        let repeat = next.fetch_add(1, Ordering::Relaxed);
        if repeat >= spec.repeats as u64 {
            return Ok(());
        }
        interrupt::check()?;
        let lines = RepeatLines::new(repeat, &simulate(spec, seed, repeat)?)?;
        if finished.send(lines).is_err() {
            // Writing has failed, and says why.
            return Ok(());
        }
    }
}

/// Writes the repeats in their order, whatever the order they come in, as many at a time as there are.
fn write_in_order(
    writer: &mut SimulationWriter,
    finished: &Receiver<RepeatLines>,
    progress: &Progress,
) -> Result<()> {
    let mut early: BTreeMap<u64, RepeatLines> = BTreeMap::new();
    while let Ok(first) = finished.recv() {
        let come = std::iter::once(first).chain(finished.try_iter());
        early.extend(come.map(|lines| (lines.repeat(), lines)));
        let ready: Vec<RepeatLines> = (writer.repeats_done()..)
            .map_while(|repeat| early.remove(&repeat))
            .collect();
        if !ready.is_empty() {
            writer.append(&ready)?;
            progress.batch(writer.repeats_done(), None, 0);
        }
    }
    Ok(())
}

/// One repeat, both methods.
fn simulate(spec: &SimulateSpec, seed: u64, repeat: u64) -> Result<Trajectories> {
    let normals = Normals::new(stream(seed, Purpose::Simulation, 0, 0, repeat));
    let outcome = match spec.kind {
        SimulationKind::TwoLayerAttack => two_layer_attack::simulate(spec, normals),
        SimulationKind::OneLayerTraining => one_layer_training::simulate(spec, normals),
    };
    outcome.map_err(|stop| match stop {
        Stop::Interrupted => Error::Interrupted,
        Stop::NotFinite { step, method } => Error::failed(format!(
            "simulation: repeat {repeat}, step {step}: the loss of {} is not finite; lower simulate.step_size",
            method.name()
        )),
    })
}

/// Why a repeat ended early.
#[derive(Debug)]
enum Stop {
    Interrupted,
    NotFinite { step: u64, method: Method },
}

/// To be called after each step: stops where a loss is no number any more or the user wants to stop.
#[inline(always)]
fn check_step(step: u64, bp_loss: f64, linbp_loss: f64) -> Result<(), Stop> {
    for (method, loss) in [(Method::Bp, bp_loss), (Method::Linbp, linbp_loss)] {
        if !loss.is_finite() {
            return Err(Stop::NotFinite { step, method });
        }
    }
    if step.is_multiple_of(STEPS_A_LOOK) && interrupt::requested() {
        return Err(Stop::Interrupted);
    }
    Ok(())
}

/// Whether `step`, from 1, is recorded: every n-th and the last.
fn is_recorded(spec: &SimulateSpec, step: u64) -> bool {
    step.is_multiple_of(spec.record_every as u64) || step == spec.steps as u64
}

/// No points yet, with room for all of a repeat.
fn no_points(spec: &SimulateSpec) -> Trajectories {
    Trajectories::with_capacity(spec.steps / spec.record_every + 1)
}

fn recorded_steps(spec: &SimulateSpec) -> Vec<u64> {
    (1..=spec.steps as u64)
        .filter(|&step| is_recorded(spec, step))
        .collect()
}

/// What a simulation takes at least, by the key that it grows with.
pub fn simulation_bytes(spec: &SimulateSpec) -> Vec<(&'static str, u128)> {
    /// A point of both methods while a repeat is computed, and its lines.
    const POINT: u128 = 2 * size_of::<Point>() as u128 + 80;
    /// What is kept of each repeat.
    const REPEAT: u128 = 2 * size_of::<Point>() as u128;
    let points = (spec.steps / spec.record_every + 1) as u128;
    // The first of equals.
    let largest = |sides: &[(&'static str, usize)]| {
        let sides = sides.iter().rev();
        let largest = sides.max_by_key(|(_, side)| *side);
        largest.map_or("simulate.inputs", |(key, _)| *key)
    };
    let side = match spec.kind {
        SimulationKind::TwoLayerAttack => {
            let sides = [
                ("simulate.inputs", spec.inputs),
                ("simulate.hidden", spec.hidden),
                ("simulate.outputs", spec.outputs),
            ];
            largest(&sides)
        }
        SimulationKind::OneLayerTraining => largest(&[
            ("simulate.inputs", spec.inputs),
            ("simulate.batch", spec.batch),
        ]),
    };
    vec![
        ("simulate.steps", points * POINT),
        ("simulate.repeats", spec.repeats as u128 * REPEAT),
        (side, 8 * matrix_numbers(spec)),
    ]
}

/// The numbers in a repeat's matrices.
fn matrix_numbers(spec: &SimulateSpec) -> u128 {
    let product = |a: usize, b: usize| a as u128 * b as u128;
    match spec.kind {
        SimulationKind::TwoLayerAttack => {
            product(spec.hidden, spec.inputs) + product(spec.hidden, spec.outputs)
        }
        SimulationKind::OneLayerTraining => product(spec.batch, spec.inputs),
    }
}

/// Refuses matrices beyond what the simulations are made for.
///
/// # Errors
/// The numbers that there are, and the keys to lower.
pub fn refuse_too_large(spec: &SimulateSpec) -> Result<()> {
    let numbers = matrix_numbers(spec);
    if numbers > MAX_NUMBERS {
        return Err(Error::spec(format!(
            "simulation: its matrices have {numbers} numbers, at most {MAX_NUMBERS} are possible; lower \
             simulate.inputs, simulate.hidden, simulate.outputs or simulate.batch"
        )));
    }
    Ok(())
}

fn final_means(points: &[[Point; 2]]) -> Metrics {
    let mut metrics = Metrics::new();
    for (index, method) in [Method::Bp, Method::Linbp].into_iter().enumerate() {
        let mean = |value: fn(&Point) -> f64| {
            points.iter().map(|pair| value(&pair[index])).sum::<f64>() / points.len() as f64
        };
        let name = method.name();
        metrics.insert(
            format!("{name}_l1_distance"),
            mean(|point| point.l1_distance),
        );
        metrics.insert(format!("{name}_loss"), mean(|point| point.loss));
    }
    metrics
}

#[cfg(test)]
mod tests;
