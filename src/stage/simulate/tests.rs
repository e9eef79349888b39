//! The simulations against a second implementation: nested vectors, the formulas of the paper as they stand.

use std::path::Path;

use super::*;
use crate::run::{Point, SimulationRow, table};
use crate::stage::StepRule;

/// A spec of `kind` with the reference's settings but for the TOML lines in `changes`.
pub(super) fn spec(kind: &str, changes: &str) -> SimulateSpec {
    let attack = kind == "two-layer-attack";
    let changes: toml::Table = changes.parse().unwrap();
    let number = |key: &str, usual: f64| match changes.get(key) {
        Some(value) => value
            .as_float()
            .or(value.as_integer().map(|n| n as f64))
            .unwrap(),
        None => usual,
    };
    let (step_rule, usual_size) = match changes.get("step_rule").and_then(|rule| rule.as_str()) {
        Some("sign") => (StepRule::Sign, 0.005),
        Some("raw") => (StepRule::Raw, 0.001),
        _ => (StepRule::L2, if attack { 0.05 } else { 0.001 }),
    };
    SimulateSpec {
        kind: match attack {
            true => SimulationKind::TwoLayerAttack,
            false => SimulationKind::OneLayerTraining,
        },
        repeats: number("repeats", 10.0) as usize,
        steps: number("steps", if attack { 100.0 } else { 10_000.0 }) as usize,
        step_rule,
        step_size: number("step_size", usual_size),
        epsilon: number("epsilon", 0.25),
        inputs: number("inputs", if attack { 100.0 } else { 10.0 }) as usize,
        hidden: number("hidden", 20.0) as usize,
        outputs: number("outputs", 10.0) as usize,
        batch: number("batch", 100.0) as usize,
        record_every: number("record_every", 1.0) as usize,
    }
}

type Matrix = Vec<Vec<f64>>;

fn normal(normals: &mut Normals) -> f64 {
    let mut one = [0.0];
    normals.fill(&mut one);
    one[0]
}

fn matrix(normals: &mut Normals, rows: usize, columns: usize) -> Matrix {
    (0..rows)
        .map(|_| (0..columns).map(|_| normal(normals)).collect())
        .collect()
}

fn times(m: &Matrix, x: &[f64]) -> Vec<f64> {
    let mut result = vec![0.0; m.len()];
    for i in 0..m.len() {
        for j in 0..x.len() {
            result[i] += m[i][j] * x[j];
        }
    }
    result
}

fn transposed(m: &Matrix) -> Matrix {
    (0..m[0].len())
        .map(|j| m.iter().map(|row| row[j]).collect())
        .collect()
}

fn relu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| if x > 0.0 { x } else { 0.0 }).collect()
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// Zero where the activation was off, unless the method ignores that.
fn masked(x: &[f64], before_activation: &[f64], linear: bool) -> Vec<f64> {
    let mut result = x.to_vec();
    for i in 0..x.len() {
        if !linear && before_activation[i] <= 0.0 {
            result[i] = 0.0;
        }
    }
    result
}

fn l1(x: &[f64]) -> f64 {
    x.iter().map(|x| x.abs()).sum()
}

fn naive_two_layer(spec: &SimulateSpec, normals: &mut Normals, linear: bool) -> Vec<[f64; 2]> {
    let w = matrix(normals, 20, 100);
    let v = matrix(normals, 10, 20);
    let target: Vec<f64> = (0..100).map(|_| 1.0 + 2.0 * normal(normals)).collect();
    let start: Vec<f64> = (0..100).map(|_| normal(normals)).collect();
    let f = |x: &[f64]| times(&v, &relu(&times(&w, x)));
    let mut x = start.clone();
    let mut record = Vec::new();
    for _ in 0..spec.steps {
        let residual = minus(&f(&x), &f(&target));
        let loss = residual.iter().map(|r| r * r).sum::<f64>() / 200.0;
        let at_hidden = masked(&times(&transposed(&v), &residual), &times(&w, &x), linear);
        let gradient: Vec<f64> = times(&transposed(&w), &at_hidden)
            .iter()
            .map(|g| g / 100.0)
            .collect();
        let norm = gradient.iter().map(|g| g.powi(2)).sum::<f64>().sqrt();
        for i in 0..100 {
            x[i] -= match spec.step_rule {
                StepRule::L2 => 0.05 * gradient[i] / norm,
                StepRule::Sign => 0.005 * gradient[i].signum(),
                StepRule::Raw => 0.001 * gradient[i],
            };
            x[i] = start[i] + (x[i] - start[i]).clamp(-0.25, 0.25);
        }
        record.push([l1(&minus(&x, &target)), loss]);
    }
    record
}

fn naive_one_layer(spec: &SimulateSpec, normals: &mut Normals, linear: bool) -> Vec<[f64; 2]> {
    let (n, d) = (spec.batch, spec.inputs);
    let teacher: Vec<f64> = (0..d).map(|_| 1.0 + 3.0 * normal(normals)).collect();
    let mut w: Vec<f64> = (0..d).map(|_| normal(normals)).collect();
    let mut record = Vec::new();
    for _ in 0..spec.steps {
        let mut x = vec![vec![0.0; d]; n.div_ceil(4) * 4];
        for block in x.chunks_mut(4) {
            for column in 0..d {
                for row in block.iter_mut() {
                    row[column] = normal(normals);
                }
            }
        }
        x.truncate(n);
        let before = times(&x, &w);
        let difference = minus(&relu(&before), &relu(&times(&x, &teacher)));
        let loss = 0.5 * difference.iter().map(|d| d * d).sum::<f64>() / n as f64;
        let gradient = times(&transposed(&x), &masked(&difference, &before, linear));
        for i in 0..d {
            w[i] -= 0.001 * gradient[i] / n as f64;
        }
        record.push([l1(&minus(&w, &teacher)), loss]);
    }
    record
}

fn naive(spec: &SimulateSpec, seed: u64, repeat: u64, linear: bool) -> Vec<[f64; 2]> {
    let mut normals = Normals::new(stream(seed, Purpose::Simulation, 0, 0, repeat));
    match spec.kind {
        SimulationKind::TwoLayerAttack => naive_two_layer(spec, &mut normals, linear),
        SimulationKind::OneLayerTraining => naive_one_layer(spec, &mut normals, linear),
    }
}

fn assert_close(points: &[Point], expected: &[[f64; 2]]) {
    assert_eq!(points.len(), expected.len());
    for (point, [distance, loss]) in points.iter().zip(expected) {
        let step = point.step;
        let error = (point.l1_distance - distance).abs();
        assert!(
            error <= 1e-9 * distance.max(1.0),
            "distance at step {step}: {error}"
        );
        let error = (point.loss - loss).abs();
        assert!(
            error <= 1e-9 * loss.max(1.0),
            "loss at step {step}: {error}"
        );
    }
}

#[test]
fn every_step_agrees_with_the_formulas_on_the_same_draws() {
    let specs = [
        spec("two-layer-attack", ""),
        spec("two-layer-attack", "step_rule = 'sign'"),
        spec("two-layer-attack", "step_rule = 'raw'"),
        spec("one-layer-training", "steps = 2000"),
        spec("one-layer-training", "steps = 50\ninputs = 7\nbatch = 30"),
    ];
    for spec in specs {
        for repeat in 0..2 {
            let both = simulate(&spec, 11, repeat).unwrap();
            assert_close(&both.bp, &naive(&spec, 11, repeat, false));
            assert_close(&both.linbp, &naive(&spec, 11, repeat, true));
            assert_ne!(both.bp.last(), both.linbp.last());
        }
    }
}

#[test]
fn every_step_agrees_with_numpy() {
    #[derive(serde::Deserialize)]
    struct Case {
        spec: toml::Table,
        draws: Vec<f64>,
        bp: Vec<[f64; 2]>,
        linbp: Vec<[f64; 2]>,
    }
    // Made by simulations.py beside it.
    let text = include_str!("../../../tests/parity/simulations.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let kind = case.spec["kind"].as_str().unwrap();
        let spec = spec(kind, &case.spec.to_string());
        let normals = Normals::replay(case.draws);
        let both = match spec.kind {
            SimulationKind::TwoLayerAttack => two_layer_attack::simulate(&spec, normals),
            SimulationKind::OneLayerTraining => one_layer_training::simulate(&spec, normals),
        }
        .unwrap();
        assert_close(&both.bp, &case.bp);
        assert_close(&both.linbp, &case.linbp);
    }
}

/// Mean and standard error of the last l1 distances.
fn statistics(last: &[f64]) -> (f64, f64) {
    let n = last.len() as f64;
    let mean = last.iter().sum::<f64>() / n;
    let variance = last.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn final_distances_agree_in_distribution_with_other_seeds() {
    for (kind, repeats) in [("two-layer-attack", 60), ("one-layer-training", 24)] {
        let spec = spec(kind, "steps = 100");
        for linear in [false, true] {
            let ours: Vec<f64> = (0..repeats)
                .map(|repeat| {
                    let both = simulate(&spec, 1, repeat).unwrap();
                    let points = if linear { both.linbp } else { both.bp };
                    points.last().unwrap().l1_distance
                })
                .collect();
            let theirs: Vec<f64> = (0..repeats)
                .map(|repeat| naive(&spec, 2, repeat, linear).last().unwrap()[0])
                .collect();
            let ((a, a_error), (b, b_error)) = (statistics(&ours), statistics(&theirs));
            let tolerance = 4.0 * a_error.hypot(b_error);
            assert!(
                (a - b).abs() < tolerance,
                "{kind}, linear {linear}: {a} and {b}"
            );
            assert!(tolerance < 0.3 * b, "{kind}: the test can tell nothing");
        }
    }
}

fn stage_folder(named: &Path) -> StageFolder {
    StageFolder::shared(named, "main", "key", |_| ()).unwrap()
}

fn file_with_threads(threads: usize, spec: &SimulateSpec) -> (Vec<u8>, Metrics) {
    let named = tempfile::tempdir().unwrap();
    let folder = stage_folder(named.path());
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    let metrics = pool
        .install(|| simulate_all(spec, 0, &folder, &Progress::hidden()))
        .unwrap();
    let bytes = std::fs::read(folder.file(crate::run::files::SIMULATION)).unwrap();
    (bytes, metrics)
}

#[test]
fn the_file_does_not_depend_on_the_number_of_threads() {
    let spec = spec("one-layer-training", "repeats = 5\nsteps = 30");
    assert_eq!(file_with_threads(1, &spec), file_with_threads(3, &spec));
}

#[test]
fn rows_are_in_order_and_a_cut_file_is_completed() {
    let spec = spec(
        "two-layer-attack",
        "repeats = 3\nsteps = 25\nrecord_every = 10",
    );
    let named = tempfile::tempdir().unwrap();
    let folder = stage_folder(named.path());
    let path = folder.file(crate::run::files::SIMULATION);
    let all_repeats = || simulate_all(&spec, 0, &folder, &Progress::hidden()).unwrap();
    let metrics = all_repeats();
    let whole = std::fs::read(&path).unwrap();
    let rows: Vec<SimulationRow> = table::read(&path).unwrap();
    let order: Vec<_> = rows
        .iter()
        .map(|row| (row.repeat, row.step, row.method.name()))
        .collect();
    let mut expected = Vec::new();
    for repeat in 0..3 {
        for step in [10, 20, 25] {
            expected.extend([(repeat, step, "bp"), (repeat, step, "linbp")]);
        }
    }
    assert_eq!(order, expected);
    let mean = (rows[4].l1_distance + rows[10].l1_distance + rows[16].l1_distance) / 3.0;
    assert_eq!(metrics["bp_l1_distance"], mean);

    std::fs::write(&path, &whole[..whole.len() * 3 / 5]).unwrap();
    assert_eq!(all_repeats(), metrics);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn a_step_too_long_is_an_error_that_names_the_step() {
    let spec = spec("one-layer-training", "step_size = 1e9\nsteps = 200");
    let message = simulate(&spec, 0, 0).unwrap_err().to_string();
    assert!(
        message.starts_with("simulation: repeat 0, step "),
        "{message}"
    );
    assert!(message.ends_with("lower simulate.step_size"), "{message}");
}

#[test]
fn matrices_without_end_are_refused() {
    let spec = SimulateSpec {
        hidden: 1_000_000,
        ..spec("two-layer-attack", "inputs = 1000000")
    };
    let message = refuse_too_large(&spec).unwrap_err().to_string();
    assert!(message.contains("lower simulate.inputs"), "{message}");
}
