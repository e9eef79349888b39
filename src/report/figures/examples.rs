//! What an attack did to all images of a set: which classes it turned into which, and how large a change it took.

use std::collections::BTreeMap;

use super::chart::{Chart, Series, Ticks};
use super::heatmap::HeatMap;
use crate::Result;
use crate::attacks::AttackName;
use crate::run::{ExampleOutcome, ExampleRow};

/// More classes than this make no map that can be read.
const MAX_CLASSES: usize = 20;
/// Changes whose sizes are closer together than this share of the largest have the size that the attack was told.
const SCATTER: f64 = 0.05;

/// The figures of the rows of `examples.csv`, each under the name of its file. `norm`: the attack's, `linf` or `l2`.
pub fn charts(
    title: &str,
    norm: Option<&str>,
    rows: &[ExampleRow],
) -> Result<Vec<(String, String)>> {
    let confusion = confusion(title, rows)?.map(|svg| ("confusion".to_owned(), svg));
    let norms = match norm {
        Some(norm) => norms(title, norm, rows)?.map(|svg| (format!("accuracy-over-{norm}"), svg)),
        None => None,
    };
    let found = confusion.into_iter().chain(norms);
    Ok(found.chain(steps(title, rows)?).collect())
}

/// Of the attacked images of each class how many are taken for which: rows of the map are classes, columns answers.
fn confusion(title: &str, rows: &[ExampleRow]) -> Result<Option<String>> {
    let answered = rows.iter().filter_map(|row| {
        let answer = row.adversarial_prediction? as usize;
        Some((row.label as usize, answer, row))
    });
    let answered: Vec<(usize, usize, &ExampleRow)> = answered.collect();
    let largest = answered.iter().map(|(label, answer, _)| *label.max(answer));
    let Some(classes) = largest.max().map(|class| class + 1) else {
        return Ok(None);
    };
    if classes > MAX_CLASSES {
        return Ok(None);
    }
    let mut counts = vec![vec![0usize; classes]; classes];
    let mut names = vec![""; classes];
    for (label, answer, row) in answered {
        counts[label][answer] += 1;
        names[label] = &row.label_name;
        names[answer] = row
            .adversarial_prediction_name
            .as_deref()
            .unwrap_or_default();
    }
    let mut cells = Vec::new();
    for (label, counts) in counts.iter().enumerate() {
        let all = counts.iter().sum::<usize>().max(1);
        for (answer, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            cells.push((label, answer, count as f64 / all as f64, count.to_string()));
        }
    }
    let map = HeatMap {
        title: format!("{title}: answers to the attacked images"),
        rows_are: "class",
        columns_are: "taken for",
        rows: names.clone(),
        columns: names,
        cells,
        below: "images; the darker, the larger their share of the row".to_owned(),
    };
    map.svg().map(Some)
}

fn is_attacked(row: &ExampleRow) -> bool {
    [ExampleOutcome::Broken, ExampleOutcome::Withstood].contains(&row.outcome)
}

/// The accuracy under attacks of every size up to the largest change that was needed: of an attack that looks for the least change.
fn norms(title: &str, norm: &str, rows: &[ExampleRow]) -> Result<Option<String>> {
    let size = |row: &ExampleRow| match norm {
        "l2" => row.l2,
        _ => row.linf,
    };
    let broken = rows
        .iter()
        .filter(|row| row.outcome == ExampleOutcome::Broken);
    let mut sizes: Vec<f64> = broken.filter_map(size).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else {
        return Ok(None);
    };
    if most - least <= SCATTER * most {
        return Ok(None);
    }
    let right = rows.iter().filter(|row| is_attacked(row)).count();
    let per_cent = |count: usize| 100.0 * count as f64 / rows.len() as f64;
    let mut points = vec![(0.0, per_cent(right))];
    for (before, &size) in sizes.iter().enumerate() {
        points.extend([
            (size, per_cent(right - before)),
            (size, per_cent(right - before - 1)),
        ]);
    }
    let chart = Chart {
        title: format!("{title}: accuracy by the least change that was found"),
        x_label: format!("largest change allowed ({norm}, 1 = full pixel range)"),
        y_label: "accuracy (%)".to_owned(),
        x_ticks: Ticks::Real,
        y_bounds: (0.0, 100.0),
        series: vec![Series {
            name: "images that stand".to_owned(),
            points,
            ..Series::default()
        }],
        markers: false,
    };
    chart.svg()
}

/// Of the attacked images, how many each attack had broken after how many steps: it has one figure for each attack that counts them.
fn steps(title: &str, rows: &[ExampleRow]) -> Result<Vec<(String, String)>> {
    let mut taken: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for row in rows {
        if let (Some(attack), Some(steps)) = (&row.broken_by, row.steps) {
            taken.entry(attack).or_default().push(steps);
        }
    }
    let attacked = rows.iter().filter(|row| is_attacked(row)).count();
    let mut charts = Vec::new();
    for (attack, mut taken) in taken {
        taken.sort_unstable();
        let most = taken[taken.len() - 1];
        if most <= 1 {
            continue;
        }
        let per_cent = |count: usize| 100.0 * count as f64 / attacked as f64;
        let mut points = vec![(0.0, 0.0)];
        for steps in taken.chunk_by(|one, other| one == other) {
            let before = points[points.len() - 1].1;
            let at = steps[0] as f64;
            points.extend([(at, before), (at, before + per_cent(steps.len()))]);
        }
        let chart = Chart {
            title: format!("{title}: success of {attack}"),
            x_label: match AttackName::find(attack) {
                Some(named) if !named.kind.description().has_gradients => "queries".to_owned(),
                _ => "steps".to_owned(),
            },
            y_label: "attacked images that are broken (%)".to_owned(),
            x_ticks: Ticks::Whole,
            y_bounds: (0.0, 100.0),
            series: vec![Series {
                name: attack.to_owned(),
                points,
                ..Series::default()
            }],
            markers: false,
        };
        charts.extend(
            chart
                .svg()?
                .map(|svg| (format!("success-over-steps-{attack}"), svg)),
        );
    }
    Ok(charts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: u32, answer: Option<u32>, linf: f64) -> ExampleRow {
        ExampleRow {
            label,
            label_name: format!("class {label}"),
            adversarial_prediction: answer,
            adversarial_prediction_name: answer.map(|class| format!("class {class}")),
            outcome: match answer {
                None => ExampleOutcome::Misclassified,
                Some(answer) if answer == label => ExampleOutcome::Withstood,
                Some(_) => ExampleOutcome::Broken,
            },
            linf: answer.map(|_| linf),
            ..ExampleRow::default()
        }
    }

    #[test]
    fn classes_are_counted_by_what_they_are_taken_for() {
        let rows = [
            row(0, Some(2), 0.1),
            row(0, Some(2), 0.2),
            row(0, Some(0), 0.3),
            row(1, None, 0.0),
            row(2, Some(1), 0.1),
        ];
        let charts = charts("t", Some("linf"), &rows).unwrap();
        let names: Vec<&str> = charts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["confusion", "accuracy-over-linf"]);
        let map = &charts[0].1;
        // Three pairs are there, beside the white ground.
        assert_eq!(map.matches("<rect").count(), 1 + 3);
        for text in ["\n2\n", "class 2", "taken for"] {
            assert!(map.contains(text), "{map}");
        }
    }

    #[test]
    fn success_rises_at_each_number_of_steps() {
        let broken = |attack: &str, steps| ExampleRow {
            broken_by: Some(attack.to_owned()),
            steps: Some(steps),
            ..row(0, Some(1), 0.1)
        };
        let rows = [
            broken("pgd", 4),
            broken("pgd", 2),
            broken("square", 30),
            broken("fgsm", 1),
            row(1, Some(1), 0.1),
            row(1, None, 0.0),
        ];
        let charts = steps("t", &rows).unwrap();
        let names: Vec<&str> = charts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["success-over-steps-pgd", "success-over-steps-square"]
        );
        // (0, 0) (2, 0) (2, 20) (4, 20) (4, 40)
        let points = curve(&charts[0].1);
        assert_eq!(points.len(), 5);
        assert!((points[4].1 - points[0].1 - 2.0 * (points[2].1 - points[1].1)).abs() <= 1.0);
        assert!((points[4].0 - points[0].0 - 2.0 * (points[2].0 - points[0].0)).abs() <= 1.0);
        assert!(charts[0].1.contains("\nsteps\n") && charts[1].1.contains("\nqueries\n"));
    }

    /// The points of the figure's line, in its own units.
    fn curve(svg: &str) -> Vec<(f64, f64)> {
        let is_curve = |line: &&str| line.contains("<polyline") && line.contains("#0072B2");
        let line = svg.lines().find(is_curve).unwrap();
        let points = line.split("points=\"").nth(1).unwrap();
        let points = points.split('"').next().unwrap();
        points
            .split_whitespace()
            .map(|pair| pair.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect()
    }

    #[test]
    fn accuracy_falls_by_an_image_at_each_size() {
        let rows = [
            row(0, Some(1), 0.1),
            row(0, Some(1), 0.4),
            row(1, Some(1), 0.0),
            row(1, None, 0.0),
        ];
        let svg = norms("t", "linf", &rows).unwrap().unwrap();
        let points = curve(&svg);
        // (0, 75) (0.1, 75) (0.1, 50) (0.4, 50) (0.4, 25), in the drawing's own units.
        assert_eq!(points.len(), 5);
        let step = points[2].1 - points[1].1;
        assert!(
            step > 0.0 && (points[4].1 - points[3].1 - step).abs() <= 1.0,
            "{points:?}"
        );
        let width = points[1].0 - points[0].0;
        assert!(
            (points[3].0 - points[2].0 - 3.0 * width).abs() <= 3.0,
            "{points:?}"
        );
        // An attack of one size has no such curve.
        let same = [row(0, Some(1), 0.1), row(0, Some(1), 0.1)];
        assert!(norms("t", "linf", &same).unwrap().is_none());
    }
}
