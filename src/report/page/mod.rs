//! `report.html`: all that the runs of a name have to show, in one file that needs no network.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::cells::setting;
use super::comparison::{ComparedRun, Comparison};
use super::overview::Overview;
use super::printed::Printed;
use super::settings::lookup;
use super::transfer_matrix::TransferMatrix;
use super::words::{metric_words, number};
use crate::atomic;
use crate::error::{Error, Result};
use crate::run::{RunState, files};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Writes the page of the runs in `named` (`results/<name>`) to `path`; `figures`: name and SVG of each figure over several
/// runs. The figures of a run are on it where there is one run alone.
pub fn write(
    path: &Path,
    named: &Path,
    name: &str,
    comparison: &Comparison,
    figures: &[(String, String)],
) -> Result<()> {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{name}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>{name}</h1>\n<p class=\"about\">{}</p>\n",
        counts(&comparison.runs),
        name = escaped(name),
    );
    let overview = Overview::new(comparison);
    if !overview.is_empty() {
        html += "<h2>Results</h2>\n<p class=\"about\">Means over runs that differ in their seed alone, with the standard \
                 deviation; the largest of a column in bold, of losses the smallest.</p>\n";
        html += &printed_table("results", overview.printed());
    }
    for (number, (about, printed)) in TransferMatrix::new(comparison)
        .tables()
        .into_iter()
        .enumerate()
    {
        let heading = if number == 0 {
            "<h2>Transfer</h2>\n"
        } else {
            ""
        };
        let about = escaped(&about);
        let _ = writeln!(html, "{heading}<p class=\"about\">{about}</p>");
        html += &printed_table(&format!("transfer-{number}"), printed);
    }
    let own = match comparison.runs.as_slice() {
        [only] => figures_of(named, only)?,
        _ => Vec::new(),
    };
    if !figures.is_empty() || !own.is_empty() {
        html += "<h2>Figures</h2>\n<div class=\"figures\">\n";
        for (title, svg) in figures.iter().chain(&own) {
            let title = escaped(title);
            let _ = writeln!(html, "<figure aria-label=\"{title}\">{svg}</figure>");
        }
        html += "</div>\n";
    }
    html += &failures(&comparison.runs);
    html += "<h2>Runs</h2>\n<input type=\"search\" id=\"filter\" aria-label=\"Filter runs\" placeholder=\"Filter: words that a \
             row has\">\n";
    html += &runs_table(comparison);
    html += &specs(named, comparison)?;
    let _ = write!(html, "<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    atomic::write(path, html.as_bytes())
}

/// How many runs there are, and how they ended.
fn counts(runs: &[ComparedRun]) -> String {
    let mut states: Vec<(&str, usize)> = Vec::new();
    for run in runs {
        let state = run.state_name();
        match states.iter_mut().find(|(name, _)| *name == state) {
            Some((_, count)) => *count += 1,
            None => states.push((state, 1)),
        }
    }
    let runs = match runs.len() {
        1 => "1 run".to_owned(),
        count => format!("{count} runs"),
    };
    let states: Vec<String> = states
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    format!("{runs}: {}", states.join(", "))
}

/// A table whose columns sort; a cell is its text, its class, and the number that it sorts by.
fn table(id: &str, header: &[String], rows: impl Iterator<Item = Vec<Cell>>) -> String {
    let mut html =
        format!("<div class=\"wide\"><table class=\"sortable\" id=\"{id}\">\n<thead><tr>");
    for name in header {
        let _ = write!(
            html,
            "<th scope=\"col\"><button type=\"button\">{}</button></th>",
            escaped(name)
        );
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        html += "<tr>";
        for cell in row {
            let class = cell
                .class
                .map(|class| format!(" class=\"{class}\""))
                .unwrap_or_default();
            let value = cell
                .value
                .map(|value| format!(" data-value=\"{value}\""))
                .unwrap_or_default();
            let _ = write!(html, "<td{class}{value}>{}</td>", cell.html);
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table></div>\n"
}

#[derive(Default)]
struct Cell {
    html: String,
    class: Option<&'static str>,
    value: Option<f64>,
}

impl Cell {
    fn text(text: &str) -> Self {
        Self {
            html: escaped(text),
            value: text.parse().ok().filter(|number: &f64| number.is_finite()),
            ..Self::default()
        }
    }
}

fn printed_table(id: &str, printed: Printed) -> String {
    let cell = |(text, best): (String, bool)| Cell {
        // A mean sorts by itself.
        value: text
            .split([' ', '*'])
            .next()
            .and_then(|mean| mean.parse().ok()),
        class: best.then_some("best"),
        html: escaped(&text),
    };
    let rows = printed.rows.into_iter();
    let rows = rows.map(|row| row.into_iter().map(cell).collect());
    table(id, &printed.header, rows)
}

fn runs_table(comparison: &Comparison) -> String {
    let metrics = comparison.metrics();
    let first = ["run", "state", "epoch"].map(str::to_owned);
    let header = first.into_iter().chain(comparison.keys.iter().cloned());
    let header: Vec<String> = header
        .chain(metrics.iter().map(|name| metric_words(name)))
        .collect();
    let rows = comparison.runs.iter().map(|run| {
        let short = short(run);
        let link = format!("<a href=\"{0}/\">{0}</a>", escaped(short));
        let failed = matches!(run.state, None | Some(RunState::Failed));
        let mut cells = vec![
            Cell {
                html: link,
                ..Cell::default()
            },
            Cell {
                class: failed.then_some("failed"),
                ..Cell::text(run.state_name())
            },
            Cell::text(
                &run.epoch()
                    .map(|epoch| epoch.to_string())
                    .unwrap_or_default(),
            ),
        ];
        let settings = comparison.keys.iter();
        cells.extend(settings.map(|key| Cell::text(&setting(lookup(&run.settings, key)))));
        cells.extend(metrics.iter().map(|name| match run.metrics.get(name) {
            None => Cell::default(),
            Some(value) => Cell {
                html: number(*value),
                class: Some("number"),
                value: Some(*value),
            },
        }));
        cells
    });
    table("runs", &header, rows)
}

/// A run's folder, as seen from the page.
fn short(run: &ComparedRun) -> &str {
    run.run
        .split_once('/')
        .map_or(run.run.as_str(), |(_, folder)| folder)
}

fn failures(runs: &[ComparedRun]) -> String {
    let failed = runs
        .iter()
        .filter_map(|run| Some((short(run), run.error.as_ref()?)));
    let lines: String = failed
        .map(|(run, why)| format!("<li><code>{}</code>: {}</li>\n", escaped(run), escaped(why)))
        .collect();
    match lines.is_empty() {
        true => lines,
        false => format!("<h2>What failed</h2>\n<ul class=\"failed\">\n{lines}</ul>\n"),
    }
}

/// The figures that a run left.
fn figures_of(named: &Path, run: &ComparedRun) -> Result<Vec<(String, String)>> {
    let folder = named.join(short(run)).join(files::FIGURES);
    let entries = Error::if_there("read", &folder, fs::read_dir(&folder))?;
    let mut found = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "svg") {
            let svg = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
            found.push((entry.file_name().to_string_lossy().into_owned(), svg));
        }
    }
    found.sort();
    Ok(found)
}

/// The settings of the first run; what the others have otherwise stands in the table.
fn specs(named: &Path, comparison: &Comparison) -> Result<String> {
    let Some(run) = comparison.runs.iter().find(|run| run.state.is_some()) else {
        return Ok(String::new());
    };
    let path = named.join(short(run)).join(files::SPEC);
    let spec = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    Ok(format!(
        "<h2>Settings</h2>\n<details><summary>Every setting of <code>{}</code>; in what the others differ is in the \
         table</summary>\n<pre>{}</pre></details>\n<p class=\"about\">Programs, libraries, device and inputs with their hashes: \
         <code>runner report {} --provenance</code>, and <code>run.json</code> in each folder.</p>\n",
        escaped(short(run)),
        escaped(&spec),
        escaped(run.run.split_once('/').map_or("", |(name, _)| name)),
    ))
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html += "&amp;",
            '<' => html += "&lt;",
            '>' => html += "&gt;",
            '"' => html += "&quot;",
            letter => html.push(letter),
        }
    }
    html
}
