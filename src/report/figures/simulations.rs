//! Distance and loss over the steps of a simulation: the mean over the repeats, BP and LinBP.

use super::chart::{Chart, Series, Ticks};
use crate::error::Result;
use crate::run::{Method, SimulationRow};

/// More points a line than this cannot be seen.
const MAX_POINTS: usize = 600;

/// The sums over the repeats, step by step.
#[derive(Debug, Default)]
pub struct Sums {
    repeats: u64,
    /// Of BP and of LinBP, in the order of the steps.
    steps: [Vec<StepSum>; 2],
    /// Where the next row of each is expected.
    next: [usize; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct StepSum {
    step: u64,
    distance: Sum,
    loss: Sum,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: f64,
    sum: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
    }
}

impl Sums {
    /// Adds a row. Rows may come in any order; those in the file's order, step after step, are found at once.
    pub fn add(&mut self, row: &SimulationRow) {
        self.repeats = self.repeats.max(row.repeat + 1);
        let method = row.method as usize;
        let (steps, next) = (&mut self.steps[method], &mut self.next[method]);
        let expected = steps.get(*next).is_some_and(|sum| sum.step == row.step);
        if !expected {
            *next = match steps.binary_search_by_key(&row.step, |sum| sum.step) {
                Ok(index) => index,
                Err(index) => {
                    let new = StepSum {
                        step: row.step,
                        ..StepSum::default()
                    };
                    steps.insert(index, new);
                    index
                }
            };
        }
        steps[*next].distance.add(row.l1_distance);
        if let Some(loss) = row.loss {
            steps[*next].loss.add(loss);
        }
        *next += 1;
    }

    /// The mean of one method, at steps evenly chosen where there are many.
    fn mean(&self, method: Method, name: &str, value: fn(&StepSum) -> Sum) -> Series {
        let sums = self.steps[method as usize]
            .iter()
            .map(|step| (step.step, value(step)))
            .filter(|(_, sum)| sum.count > 0.0);
        let count = sums.clone().count();
        let every = count.div_ceil(MAX_POINTS).max(1);
        let chosen = sums
            .enumerate()
            .filter(|(index, _)| index % every == 0 || index + 1 == count);
        Series {
            name: name.to_owned(),
            points: chosen
                .map(|(_, (step, sum))| (step as f64, sum.sum / sum.count))
                .collect(),
            ..Series::default()
        }
    }
}

/// The charts of a simulation, as (name, SVG).
pub fn charts(title: &str, sums: &Sums) -> Result<Vec<(&'static str, String)>> {
    let chart = |what: &str, y_label: &str, value: fn(&StepSum) -> Sum| {
        Chart {
            title: format!("{title}: {what}, mean of {} repeats", sums.repeats),
            x_label: "step".to_owned(),
            y_label: y_label.to_owned(),
            x_ticks: Ticks::Whole,
            y_bounds: (0.0, f64::INFINITY),
            series: [(Method::Bp, "BP"), (Method::Linbp, "LinBP")]
                .map(|(method, name)| sums.mean(method, name, value))
                .into(),
            markers: false,
        }
        .svg()
    };
    let (distance, loss) = rayon::join(
        || {
            chart("distance to the target", "l1 distance", |step| {
                step.distance
            })
        },
        || chart("loss", "loss (half mean squared error)", |step| step.loss),
    );
    let found = [
        ("simulation-distance", distance?),
        ("simulation-loss", loss?),
    ];
    Ok(found
        .into_iter()
        .filter_map(|(name, svg)| Some((name, svg?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(steps: u64) -> Sums {
        let mut sums = Sums::default();
        for repeat in 0..2 {
            for step in 1..=steps {
                for method in [Method::Bp, Method::Linbp] {
                    sums.add(&SimulationRow {
                        repeat,
                        step,
                        method,
                        l1_distance: (repeat * 2 + step) as f64,
                        loss: None,
                    });
                }
            }
        }
        sums
    }

    #[test]
    fn means_are_over_the_repeats() {
        let line = sums(2).mean(Method::Bp, "BP", |step| step.distance);
        assert_eq!(line.points, [(1.0, 2.0), (2.0, 3.0)]);
    }

    #[test]
    fn rows_may_come_in_any_order() {
        let mut sums = Sums::default();
        for (step, l1_distance) in [(5, 1.0), (2, 8.0), (9, 4.0), (2, 4.0), (5, 2.0)] {
            sums.add(&SimulationRow {
                repeat: 0,
                step,
                method: Method::Linbp,
                l1_distance,
                loss: None,
            });
        }
        let line = sums.mean(Method::Linbp, "LinBP", |step| step.distance);
        assert_eq!(line.points, [(2.0, 6.0), (5.0, 1.5), (9.0, 4.0)]);
    }

    #[test]
    fn long_lines_keep_their_ends() {
        let line = sums(5000).mean(Method::Linbp, "LinBP", |step| step.distance);
        assert!(line.points.len() <= MAX_POINTS + 1);
        assert_eq!(line.points[0].0, 1.0);
        assert_eq!(line.points.last().unwrap().0, 5000.0);
    }

    #[test]
    fn what_was_not_recorded_is_not_drawn() {
        let charts = charts("exp", &sums(3)).unwrap();
        assert_eq!(charts.len(), 1);
        assert!(charts[0].1.contains("LinBP"));
    }
}
