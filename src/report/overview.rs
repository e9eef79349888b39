//! The groups of a name's runs as one table: a row a combination of settings, means and deviations over seeds.

use toml::Value;

use super::cells::{number, setting};
use super::comparison::Comparison;
use super::groups::{Group, Spread, groups, keys, shared_name};
use super::printed::{Printed, Printing};
use super::words::{metric_number, metric_words, unit, value_words};
use crate::{Error, Result};

/// How the table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table of Markdown
    #[value(name = "md")]
    Markdown,
    /// A `tabular` of LaTeX with the rules of booktabs
    Latex,
    /// Comma-separated values: means and deviations in columns of their own
    Csv,
}

/// The table.
#[derive(Debug)]
pub struct Overview {
    keys: Vec<String>,
    metrics: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    settings: Vec<Option<Value>>,
    runs: usize,
    spreads: Vec<Option<Spread>>,
}

impl Overview {
    /// Of the finished runs, with the metrics that matter.
    pub fn new(comparison: &Comparison) -> Self {
        let groups = groups(comparison);
        let keys = keys(comparison, &groups);
        let metrics = comparison.main_metrics();
        let row = |group: &Group| Row {
            settings: keys.iter().map(|key| group.setting(key).cloned()).collect(),
            runs: group.runs.len(),
            spreads: metrics.iter().map(|metric| group.spread(metric)).collect(),
        };
        Self {
            rows: groups.iter().map(row).collect(),
            keys: keys
                .iter()
                .map(|key| shared_name(key, comparison).to_owned())
                .collect(),
            metrics,
        }
    }

    /// Whether there is no finished run.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in a format, as text that ends with a line's end.
    ///
    /// # Errors
    /// Cells that CSV cannot hold: a defect.
    pub fn write(&self, format: Format) -> Result<String> {
        match format {
            Format::Markdown => Ok(self.printed().print(Printing::Markdown)),
            Format::Latex => Ok(self.printed().print(Printing::Latex)),
            Format::Csv => self.csv(),
        }
    }

    /// The table in words: names with units above the columns, means with deviations, and which of a column is best: the
    /// largest, of losses the smallest.
    pub fn printed(&self) -> Printed {
        let metrics = self.metrics.iter();
        let metrics = metrics.map(|metric| format!("{}{}", metric_words(metric), unit(metric).1));
        let header = self.keys.iter().cloned().chain(["runs".to_owned()]);
        let best: Vec<Option<f64>> = (0..self.metrics.len())
            .map(|column| self.best(column))
            .collect();
        let cells = |row: &Row| {
            let settings = self.keys.iter().zip(&row.settings);
            let settings = settings.map(|(key, value)| value_words(key, value.as_ref()));
            let first = settings.chain([row.runs.to_string()]);
            let spreads = row.spreads.iter().zip(&self.metrics).zip(&best);
            let spreads = spreads.map(|((spread, metric), best)| match spread {
                None => (String::new(), false),
                Some(spread) => (words(metric, *spread), Some(spread.mean) == *best),
            });
            first.map(|cell| (cell, false)).chain(spreads).collect()
        };
        Printed {
            header: header.chain(metrics).collect(),
            text_columns: self.keys.len(),
            rows: self.rows.iter().map(cells).collect(),
        }
    }

    /// The best mean of a column; none where there is nothing to compare.
    fn best(&self, column: usize) -> Option<f64> {
        let means = self.rows.iter().filter_map(|row| row.spreads[column]);
        let means: Vec<f64> = means.map(|spread| spread.mean).collect();
        let is_loss = self.metrics[column].ends_with("loss");
        let best = means
            .iter()
            .copied()
            .reduce(if is_loss { f64::min } else { f64::max });
        // Where all are alike none is better.
        best.filter(|best| means.iter().any(|mean| mean != best))
    }

    fn csv(&self) -> Result<String> {
        let columns = self.metrics.iter();
        let columns =
            columns.flat_map(|metric| [format!("{metric}_mean"), format!("{metric}_std")]);
        let header = self
            .keys
            .iter()
            .cloned()
            .chain(["runs".to_owned()])
            .chain(columns);
        let lines = self.rows.iter().map(|row| {
            let spreads = row.spreads.iter().flat_map(|spread| {
                [
                    number(spread.map(|spread| spread.mean)),
                    number(spread.and_then(|spread| spread.deviation)),
                ]
            });
            let settings = row.settings.iter().map(|value| setting(value.as_ref()));
            let first = settings.chain([row.runs.to_string()]);
            first.chain(spreads).collect()
        });
        csv_text(std::iter::once(header.collect()).chain(lines))
    }
}

/// Lines of cells, the header first, as text.
///
/// # Errors
/// Cells that CSV cannot hold: a defect.
pub(super) fn csv_text(lines: impl Iterator<Item = Vec<String>>) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| Error::failed(format!("a table: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).map_err(|e| failed(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(e.error()))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}

/// Mean and deviation.
pub(super) fn words(metric: &str, spread: Spread) -> String {
    let mean = metric_number(metric, spread.mean);
    match spread.deviation {
        None => mean,
        Some(deviation) => format!("{mean} ± {}", metric_number(metric, deviation)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overview() -> Overview {
        let spread = |mean: f64, deviation: Option<f64>| Some(Spread { mean, deviation });
        let row = |rate: &str, runs, spreads| Row {
            settings: vec![Some(Value::String(rate.to_owned()))],
            runs,
            spreads,
        };
        Overview {
            keys: vec!["optimizer.lr".to_owned()],
            metrics: vec!["test_accuracy".to_owned(), "test_loss".to_owned()],
            rows: vec![
                row(
                    "0.1",
                    3,
                    vec![spread(0.9347, Some(0.00125)), spread(0.25, Some(0.5))],
                ),
                row("a|b_c", 1, vec![spread(0.91, None), spread(0.125, None)]),
                row("0.3", 1, vec![None, None]),
            ],
        }
    }

    #[test]
    fn markdown_has_means_deviations_and_the_best_in_bold() {
        assert_eq!(
            overview().write(Format::Markdown).unwrap(),
            "| optimizer.lr | runs | test accuracy (%) | test loss (per example) |\n\
             |---|---|---|---|\n\
             | 0.1 | 3 | **93.47 ± 0.12** | 0.25 ± 0.5 |\n\
             | a\\|b_c | 1 | 91.00 | **0.125** |\n\
             | 0.3 | 1 |  |  |\n"
        );
    }

    #[test]
    fn latex_is_escaped() {
        assert_eq!(
            overview().write(Format::Latex).unwrap(),
            "\\begin{tabular}{lrrr}\n\\toprule\n\
             optimizer.lr & runs & test accuracy (\\%) & test loss (per example) \\\\\n\\midrule\n\
             0.1 & 3 & \\textbf{93.47 $\\pm$ 0.12} & 0.25 $\\pm$ 0.5 \\\\\n\
             a|b\\_c & 1 & 91.00 & \\textbf{0.125} \\\\\n\
             0.3 & 1 &  &  \\\\\n\
             \\bottomrule\n\\end{tabular}\n"
        );
    }

    #[test]
    fn csv_keeps_every_digit() {
        assert_eq!(
            overview().write(Format::Csv).unwrap(),
            "optimizer.lr,runs,test_accuracy_mean,test_accuracy_std,test_loss_mean,test_loss_std\n\
             0.1,3,0.9347,0.00125,0.25,0.5\n\
             a|b_c,1,0.91,,0.125,\n\
             0.3,1,,,,\n"
        );
    }
}
