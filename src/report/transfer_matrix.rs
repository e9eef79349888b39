//! Transfer as papers show it: a row a surrogate and method, a column a judge, means and deviations over seeds.

use toml::Value;

use super::cells::{number, setting};
use super::comparison::{ComparedRun, ComparedStage, Comparison};
use super::groups::{Group, Spread, groups, keys, over_seeds, shared_name};
use super::overview::{Format, csv_text, words};
use super::printed::{Printed, Printing, remark};
use super::results::gradient;
use super::words::{method, value_words};
use crate::Result;
use crate::run::TransferRow;

/// What is measured of images and a judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// The success rate over the images that every model has right without an attack.
    Common,
    /// The success rate over those that the judge has right.
    Own,
    /// The error rate over all images, those included that were wrong before.
    Error,
}

impl Measure {
    const ALL: [Self; 3] = [Self::Common, Self::Own, Self::Error];

    /// Its column in CSV, and that of how many images it is over.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Common => ["common_success_rate", "common_examples"],
            Self::Own => ["success_rate", "success_examples"],
            Self::Error => ["error_rate", "examples"],
        }
    }

    fn of(self, row: &TransferRow) -> Option<f64> {
        match self {
            Self::Common => row.common_success_rate,
            Self::Own => row.success_rate,
            Self::Error => Some(1.0 - row.accuracy),
        }
    }

    fn examples(self, row: &TransferRow) -> Option<u64> {
        match self {
            Self::Common => row.common_examples,
            Self::Own => row.success_examples,
            Self::Error => row.examples,
        }
    }
}

/// The table.
#[derive(Debug)]
pub struct TransferMatrix {
    /// The settings that tell the runs apart.
    keys: Vec<String>,
    /// The models that judge.
    judges: Vec<String>,
    rows: Vec<Row>,
    /// Over how many seeds its numbers are means, in words.
    over_seeds: String,
}

/// The images that an attack made on a model.
#[derive(Debug)]
struct Row {
    settings: Vec<Option<Value>>,
    stage: String,
    surrogate: String,
    attack: String,
    /// `bp` or `linbp`, where the attack follows gradients.
    gradient: Option<&'static str>,
    linbp: bool,
    runs: usize,
    /// Of each judge, where it judged them.
    cells: Vec<Option<Cell>>,
}

/// The images and a judge.
#[derive(Debug)]
struct Cell {
    /// In the order of [`Measure::ALL`].
    spreads: [Option<Spread>; 3],
    /// How many images they are over, the fewest and the most of the runs.
    examples: [Option<(u64, u64)>; 3],
    white_box: bool,
}

impl TransferMatrix {
    /// Of the finished runs.
    pub fn new(comparison: &Comparison) -> Self {
        let groups = groups(comparison);
        let keys = keys(comparison, &groups);
        let mut judges: Vec<String> = Vec::new();
        let stages = groups.iter().flat_map(|group| &group.runs);
        let rows = stages.flat_map(|run| &run.stages);
        for row in rows.flat_map(|stage| &stage.transfer) {
            if !judges.contains(&row.to) {
                judges.push(row.to.clone());
            }
        }
        let mut rows = Vec::new();
        for group in &groups {
            let settings: Vec<_> = keys.iter().map(|key| group.setting(key).cloned()).collect();
            let Some(first) = group.runs.first() else {
                continue;
            };
            for stage in &first.stages {
                rows.extend(of_stage(group, first, stage, &judges, &settings));
            }
        }
        Self {
            over_seeds: over_seeds(&groups),
            keys: keys
                .iter()
                .map(|key| shared_name(key, comparison).to_owned())
                .collect(),
            judges,
            rows,
        }
    }

    /// Whether no finished run has a transfer.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The tables in a format, as text that ends with a line's end.
    ///
    /// # Errors
    /// Cells that CSV cannot hold: a defect.
    pub fn write(&self, format: Format) -> Result<String> {
        let printing = match format {
            Format::Csv => return self.csv(),
            Format::Markdown => Printing::Markdown,
            Format::Latex => Printing::Latex,
        };
        let tables = self.tables().into_iter();
        let texts = tables.map(|(about, table)| remark(&about, printing) + &table.print(printing));
        Ok(texts.collect::<Vec<_>>().join("\n"))
    }

    /// A table for each denominator that is the same along a row, with what it shows: over the images that were right before,
    /// and over all.
    pub fn tables(&self) -> Vec<(String, Printed)> {
        let seeds = &self.over_seeds;
        let mark = "* white-box: the judge is the surrogate, or one of an ensemble; bold: the most of a surrogate's";
        [
            (
                Measure::Common,
                "Success rate (%)",
                " that every model has right without an attack",
            ),
            (
                Measure::Error,
                "Error rate (%)",
                ", those included that were wrong without an attack",
            ),
        ]
        .into_iter()
        .filter(|(measure, ..)| {
            let mut cells = self.rows.iter().flat_map(|row| row.cells.iter().flatten());
            cells.any(|cell| cell.spreads[*measure as usize].is_some())
        })
        .map(|(measure, what, of)| {
            let all = if measure == Measure::Error {
                "all "
            } else {
                "the "
            };
            let count = self.examples(measure);
            (
                format!("{what}{seeds} over {all}{count}images{of}; {mark}"),
                self.printed(measure),
            )
        })
        .collect()
    }

    /// How many images a measure is over, with a space behind; nothing where early versions did not say it.
    fn examples(&self, measure: Measure) -> String {
        let cells = self.rows.iter().flat_map(|row| row.cells.iter().flatten());
        let counts: Vec<(u64, u64)> = cells
            .filter_map(|cell| cell.examples[measure as usize])
            .collect();
        let least = counts.iter().map(|(least, _)| least).min();
        match (least, counts.iter().map(|(_, most)| most).max()) {
            (Some(least), Some(most)) if least == most => format!("{least} "),
            (Some(least), Some(most)) => format!("{least} to {most} "),
            _ => String::new(),
        }
    }

    /// The columns of a row that are no judges; the stage among them where there are several.
    fn first(&self, row: &Row) -> Vec<String> {
        let settings = self.keys.iter().zip(&row.settings);
        let settings = settings.map(|(key, value)| value_words(key, value.as_ref()));
        let stage = self.has_stages().then(|| row.stage.clone());
        let gradient = row.gradient.map(|_| method(row.linbp).to_owned());
        let method = [
            row.surrogate.clone(),
            row.attack.clone(),
            gradient.unwrap_or_default(),
        ];
        settings.chain(stage).chain(method).collect()
    }

    fn has_stages(&self) -> bool {
        self.rows.iter().any(|row| row.stage != self.rows[0].stage)
    }

    fn printed(&self, measure: Measure) -> Printed {
        let stage = self.has_stages().then(|| "stage".to_owned());
        let names = ["surrogate", "attack", "gradient"].map(str::to_owned);
        let first = self.keys.iter().cloned().chain(stage).chain(names);
        let mut header: Vec<String> = first.collect();
        let text_columns = header.len();
        header.extend(self.judges.iter().cloned());
        let of = |row: &Row, judge: usize| row.cells[judge].as_ref()?.spreads[measure as usize];
        let rows = self.rows.iter().map(|row| {
            let first = self.first(row).into_iter().map(|cell| (cell, false));
            let numbers = (0..self.judges.len()).map(|judge| {
                let Some(spread) = of(row, judge) else {
                    return (String::new(), false);
                };
                let rivals = self.rows.iter().filter(|other| {
                    (&other.settings, &other.stage, &other.surrogate)
                        == (&row.settings, &row.stage, &row.surrogate)
                });
                let means = rivals.filter_map(|rival| of(rival, judge));
                let means: Vec<f64> = means.map(|spread| spread.mean).collect();
                let is_best = means.iter().all(|mean| *mean <= spread.mean)
                    && means.iter().any(|mean| *mean < spread.mean);
                let white_box = row.cells[judge].as_ref().is_some_and(|cell| cell.white_box);
                let white_box = if white_box { "*" } else { "" };
                // Both are shares, which are shown alike.
                (words("success_rate", spread) + white_box, is_best)
            });
            first.chain(numbers).collect()
        });
        Printed {
            rows: rows.collect(),
            header,
            text_columns,
        }
    }

    /// A line for each row and judge, with every digit.
    fn csv(&self) -> Result<String> {
        let names = [
            "stage",
            "surrogate",
            "victim",
            "attack",
            "gradient",
            "white_box",
            "runs",
        ];
        let measures = Measure::ALL.into_iter().flat_map(|measure| {
            let [name, examples] = measure.names();
            [
                format!("{name}_mean"),
                format!("{name}_std"),
                examples.to_owned(),
            ]
        });
        let header = self.keys.iter().cloned();
        let header = header.chain(names.map(str::to_owned)).chain(measures);
        let lines = self.rows.iter().flat_map(|row| {
            let judged = self.judges.iter().zip(&row.cells);
            judged.filter_map(move |(judge, cell)| {
                let cell = cell.as_ref()?;
                let mut line: Vec<String> = row
                    .settings
                    .iter()
                    .map(|value| setting(value.as_ref()))
                    .collect();
                line.extend([&row.stage, &row.surrogate, judge, &row.attack].map(String::clone));
                line.push(row.gradient.unwrap_or_default().to_owned());
                line.extend([cell.white_box.to_string(), row.runs.to_string()]);
                for (spread, examples) in cell.spreads.iter().zip(cell.examples) {
                    let deviation = spread.and_then(|spread| spread.deviation);
                    line.extend([number(spread.map(|spread| spread.mean)), number(deviation)]);
                    line.push(examples.map_or(String::new(), |(least, most)| {
                        match least == most {
                            true => least.to_string(),
                            false => format!("{least}-{most}"),
                        }
                    }));
                }
                Some(line)
            })
        });
        csv_text(std::iter::once(header.collect()).chain(lines))
    }
}

/// The rows of a stage, whose first run in the group has them in order.
fn of_stage(
    group: &Group,
    first: &ComparedRun,
    stage: &ComparedStage,
    judges: &[String],
    settings: &[Option<Value>],
) -> Vec<Row> {
    let id = &stage.record.id;
    let mut made: Vec<&TransferRow> = Vec::new();
    for row in &stage.transfer {
        if made.iter().all(|other| !same_images(other, row)) {
            made.push(row);
        }
    }
    let cell = |images: &TransferRow, judge: &String| {
        let rows = group.runs.iter().map(|run| of_run(run, id, images, judge));
        let rows = rows.collect::<Option<Vec<_>>>()?;
        let spreads = Measure::ALL.map(|measure| {
            let numbers = rows.iter().map(|row| measure.of(row));
            Spread::of(&numbers.collect::<Option<Vec<f64>>>()?)
        });
        let examples = Measure::ALL.map(|measure| {
            let counts = || rows.iter().filter_map(|row| measure.examples(row));
            Some((counts().min()?, counts().max()?))
        });
        let white_box = rows.iter().any(|row| row.is_white_box());
        Some(Cell {
            spreads,
            examples,
            white_box,
        })
    };
    let row = |images: &TransferRow| Row {
        settings: settings.to_vec(),
        stage: id.clone(),
        surrogate: images.from.clone(),
        attack: images.attack.clone(),
        gradient: gradient(first, id, &images.attack, images.linbp),
        linbp: images.linbp,
        runs: group.runs.len(),
        cells: judges.iter().map(|judge| cell(images, judge)).collect(),
    };
    let rows = made.into_iter().map(row);
    // Without gradients LinBP is no other method.
    rows.filter(|row| row.gradient.is_some() || !row.linbp)
        .collect()
}

/// The row of these images and this judge in a run.
fn of_run<'a>(
    run: &'a ComparedRun,
    id: &str,
    images: &TransferRow,
    judge: &str,
) -> Option<&'a TransferRow> {
    let stage = run.stages.iter().find(|stage| stage.record.id == id)?;
    let mut rows = stage.transfer.iter();
    rows.find(|row| same_images(row, images) && row.to == judge)
}

fn same_images(one: &TransferRow, other: &TransferRow) -> bool {
    (&one.from, &one.attack, one.linbp) == (&other.from, &other.attack, other.linbp)
}

#[cfg(test)]
mod tests;
