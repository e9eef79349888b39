//! Attacks of transfers held against each other on the same surrogate and judge, image by image, by McNemar's test.

use std::collections::BTreeMap;
use std::path::Path;

use super::comparison::ComparedRun;
use super::paired::{chance, mcnemar};
use super::printed::{Printed, Printing, remark};
use super::results::gradient;
use super::words::method;
use crate::Result;
use crate::run::{TransferExampleRow, files};

/// The images that an attack made on a model, and one judge.
struct Cell {
    stage: String,
    from: String,
    to: String,
    attack: String,
    linbp: bool,
    white_box: bool,
    /// Whether the attack has gradients.
    has_gradients: bool,
    /// Of the attacked images that the judge has right without an attack, by position, whether the attack succeeded.
    success: BTreeMap<usize, bool>,
}

impl Cell {
    fn names(&self) -> [String; 2] {
        let mark = if self.white_box { "*" } else { "" };
        [self.from.clone(), format!("{}{mark}", self.to)]
    }

    fn method(&self) -> String {
        match self.has_gradients {
            true => format!("{} by {}", self.attack, method(self.linbp)),
            false => self.attack.clone(),
        }
    }

    fn same_models(&self, other: &Self) -> bool {
        (&self.stage, &self.from, &self.to) == (&other.stage, &other.from, &other.to)
    }
}

/// The cells of a run, in their order.
fn cells(results: &Path, run: &ComparedRun) -> Result<Vec<Cell>> {
    let mut cells: Vec<Cell> = Vec::new();
    for stage in &run.stages {
        let folder = results.join(&run.run).join(&stage.record.folder);
        let id = &stage.record.id;
        for row in TransferExampleRow::read(&folder.join(files::TRANSFER_EXAMPLES))? {
            let same = |cell: &Cell| {
                (&cell.stage, &cell.from, &cell.to) == (id, &row.from, &row.to)
                    && (&cell.attack, cell.linbp) == (&row.attack, row.linbp)
            };
            // Rows of one cell follow one another.
            if !cells.last().is_some_and(same) {
                cells.push(Cell {
                    stage: id.clone(),
                    has_gradients: gradient(run, id, &row.attack, row.linbp).is_some(),
                    from: row.from,
                    to: row.to,
                    attack: row.attack,
                    linbp: row.linbp,
                    white_box: row.white_box,
                    success: BTreeMap::new(),
                });
            }
            if let (Some(success), true, Some(cell)) = (
                row.success,
                row.clean_prediction == row.label,
                cells.last_mut(),
            ) {
                cell.success.insert(row.index, success);
            }
        }
    }
    Ok(cells)
}

/// Of the images of both: how many, the success rates, on how many one alone succeeded, and how likely chance makes as much of
/// a difference. Nothing where they have none in common.
fn test(one: &Cell, other: &Cell) -> Option<[String; 6]> {
    let both = one.success.iter();
    let both = both.filter_map(|(index, one)| Some((*one, *other.success.get(index)?)));
    let both: Vec<(bool, bool)> = both.collect();
    let count = |wanted: fn(&(bool, bool)) -> bool| both.iter().filter(|pair| wanted(pair)).count();
    let share = |count: usize| format!("{:.2}", 100.0 * count as f64 / both.len() as f64);
    let (first, second) = (
        count(|pair| pair.0 && !pair.1),
        count(|pair| !pair.0 && pair.1),
    );
    (!both.is_empty()).then(|| {
        [
            both.len().to_string(),
            share(count(|pair| pair.0)),
            share(count(|pair| pair.1)),
            first.to_string(),
            second.to_string(),
            chance(mcnemar(first, second)),
        ]
    })
}

const ABOUT: &str = "P: McNemar's exact test, two-sided, on the images that both attacked and the judge has right without an \
    attack, a row at a time: of k rows that one looks at, multiply by k; * white-box";

/// The cell that another one is held against, of the same models.
type Against = for<'a> fn(&'a [Cell], &Cell) -> Option<&'a Cell>;

/// The same attack by BP, of one by LinBP.
fn by_bp<'a>(cells: &'a [Cell], cell: &Cell) -> Option<&'a Cell> {
    let mut same = cells.iter().filter(|other| other.same_models(cell));
    same.find(|other| cell.linbp && !other.linbp && other.attack == cell.attack)
}

/// The first attack, by the same rule where it has gradients.
fn by_the_first<'a>(cells: &'a [Cell], cell: &Cell) -> Option<&'a Cell> {
    let same = || cells.iter().filter(|other| other.same_models(cell));
    let first = same().next().filter(|first| first.attack != cell.attack)?;
    let linbp = cell.linbp && first.has_gradients;
    same().find(|other| other.attack == first.attack && other.linbp == linbp)
}

/// The attacks of a run's transfers: each by LinBP against itself by BP, and each against the first one; nothing where there
/// are no two.
pub(super) fn methods(
    results: &Path,
    run: &ComparedRun,
    printing: Printing,
) -> Result<Option<String>> {
    let cells = cells(results, run)?;
    let against: [Against; 2] = [by_bp, by_the_first];
    let mut rows = Vec::new();
    for against in against {
        for other in &cells {
            let one = against(&cells, other);
            let Some((one, tested)) = one.and_then(|one| Some((one, test(one, other)?))) else {
                continue;
            };
            let [from, to] = other.names();
            let [images, share, other_share, alone, other_alone, p] = tested;
            rows.push([
                from,
                to,
                one.method(),
                other.method(),
                images,
                share,
                other_share,
                alone,
                other_alone,
                p,
            ]);
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let header = [
        "SURROGATE",
        "JUDGE",
        "ONE",
        "OTHER",
        "IMAGES",
        "ONE (%)",
        "OTHER (%)",
        "ONE ALONE",
        "OTHER ALONE",
        "P",
    ];
    let text = Printed::plain(header, 4, rows.into_iter()).print(printing);
    let about = remark(ABOUT, printing);
    Ok(Some(format!("{text}\n{}\n", about.trim_end())))
}

/// The transfers of two runs, method by method; nothing where they share none.
pub(super) fn between(
    results: &Path,
    one: &ComparedRun,
    other: &ComparedRun,
    printing: Printing,
) -> Result<String> {
    let others = cells(results, other)?;
    let mut rows = Vec::new();
    for cell in cells(results, one)? {
        let same = |other: &&Cell| {
            (&other.from, &other.to) == (&cell.from, &cell.to)
                && (&other.attack, other.linbp) == (&cell.attack, cell.linbp)
        };
        let test = others
            .iter()
            .find(same)
            .and_then(|other| test(&cell, other));
        if let Some([images, first, second, alone, other_alone, p]) = test {
            let [from, to] = cell.names();
            let method = cell.method();
            rows.push([
                from,
                to,
                method,
                images,
                first,
                second,
                alone,
                other_alone,
                p,
            ]);
        }
    }
    if rows.is_empty() {
        return Ok(String::new());
    }
    let (first, second) = (&one.run, &other.run);
    let (alone, other_alone) = (format!("{first} ALONE"), format!("{second} ALONE"));
    let header = [
        "SURROGATE",
        "JUDGE",
        "METHOD",
        "IMAGES",
        first,
        second,
        &alone,
        &other_alone,
        "P",
    ];
    let text = Printed::plain(header, 3, rows.into_iter()).print(printing);
    Ok(format!(
        "\n{text}\n{}\n",
        remark(ABOUT, printing).trim_end()
    ))
}
