//! Heat maps: a square for each pair, its shade a number; of transfer a pair of models, and the success rate.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart::{Area, Drawn, INK, SCALE, drawn, font, shortened};
use crate::error::Result;
use crate::report::words::method;
use crate::run::TransferRow;

const CELL: i32 = 74;
const LEFT: i32 = 180;
const TOP: i32 = 76;
const MARGIN: i32 = 16;
const BOTTOM: i32 = 52;
/// Letters of a model's name beside a row and above a column; longer ones are cut.
const MAX_ROW: usize = 24;
const MAX_COLUMN: usize = 11;
const MAX_TITLE: usize = 60;

/// The colours of 0 and of 1: light for what withstands, dark for what is broken, readable in grey too.
const LOW: (f64, f64, f64) = (250.0, 240.0, 200.0);
const HIGH: (f64, f64, f64) = (0.0, 68.0, 112.0);

fn color(share: f64) -> RGBColor {
    let mix = |low: f64, high: f64| (low + (high - low) * share.clamp(0.0, 1.0)).round() as u8;
    RGBColor(mix(LOW.0, HIGH.0), mix(LOW.1, HIGH.1), mix(LOW.2, HIGH.2))
}

/// A map of shares, the larger the darker, with the names of its rows and columns.
pub(super) struct HeatMap<'a> {
    pub title: String,
    /// What the names beside the rows and above the columns are.
    pub rows_are: &'a str,
    pub columns_are: &'a str,
    pub rows: Vec<&'a str>,
    pub columns: Vec<&'a str>,
    /// Row, column, share from 0 to 1, and its text.
    pub cells: Vec<(usize, usize, f64, String)>,
    /// What the numbers are.
    pub below: String,
}

/// What a map of transfer shows: the success rate over the images that every model has right, one set for all its cells; where a
/// cell lacks it, since there is no such image or an early version wrote the table, the error rate over all images.
fn measure(rows: &[&TransferRow]) -> (Vec<f64>, String) {
    let common = rows.iter().map(|row| row.common_success_rate);
    let (shares, words) = match common.collect::<Option<Vec<f64>>>() {
        Some(shares) => {
            let count = rows.iter().find_map(|row| row.common_examples);
            let count = count.map_or(String::new(), |count| format!("{count} "));
            let words =
                format!("success rate (%) over the {count}images that every model has right");
            (shares, words)
        }
        None => {
            let errors = rows.iter().map(|row| 1.0 - row.accuracy);
            (
                errors.collect(),
                "error rate (%) over all images".to_owned(),
            )
        }
    };
    (shares, words + "; * white-box")
}

/// A map for each attack, by BP and by LinBP on one scale, under the name of its file.
pub fn charts(title: &str, rows: &[TransferRow]) -> Result<Vec<(String, String)>> {
    let attacks = names(rows.iter().map(|row| row.attack.as_str())).into_iter();
    let charts = attacks.map(|attack| {
        let rows: Vec<&TransferRow> = rows.iter().filter(|row| row.attack == attack).collect();
        let by_linbp = rows.iter().any(|row| row.linbp);
        let surrogates = names(rows.iter().map(|row| row.from.as_str())).into_iter();
        // The two rules of a model one below the other.
        let made: Vec<(&str, bool)> = surrogates
            .flat_map(|from| [(from, false), (from, true)])
            .filter(|made| rows.iter().any(|row| (&*row.from, row.linbp) == *made))
            .collect();
        let words = made.iter().map(|(from, linbp)| match by_linbp {
            true => format!("{from}, {}", method(*linbp)),
            false => (*from).to_owned(),
        });
        let words: Vec<String> = words.collect();
        let to = names(rows.iter().map(|row| row.to.as_str()));
        let (shares, below) = measure(&rows);
        let cell = |(row, share): (&&TransferRow, f64)| {
            let white_box = if row.is_white_box() { "*" } else { "" };
            let row_of = |made: &(&str, bool)| *made == (row.from.as_str(), row.linbp);
            Some((
                made.iter().position(row_of)?,
                to.iter().position(|name| *name == row.to)?,
                share,
                format!("{:.1}{white_box}", 100.0 * share),
            ))
        };
        let map = HeatMap {
            title: format!("{title}: {attack}"),
            rows_are: "made on",
            columns_are: "judged by",
            cells: rows.iter().zip(shares).filter_map(cell).collect(),
            rows: words.iter().map(String::as_str).collect(),
            columns: to,
            below,
        };
        Ok((format!("transfer-{attack}"), map.svg()?))
    });
    charts.collect()
}

/// The models in the order of the rows.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

impl HeatMap<'_> {
    /// The map as SVG text.
    pub(super) fn svg(&self) -> Result<String> {
        let width = (LEFT + CELL * self.columns.len() as i32 + MARGIN).max(360);
        let height = TOP + CELL * self.rows.len() as i32 + BOTTOM;
        drawn(&self.title, [width, height], |root| self.draw(root))
    }

    fn draw(&self, root: &Area) -> Drawn {
        let write = |text: &str, (x, y): (i32, i32), style: TextStyle<'static>, across: HPos| {
            let style = style.pos(Pos::new(across, VPos::Center));
            let text = Text::new(text.to_owned(), (x * SCALE, y * SCALE), style);
            root.draw(&text)
        };
        let title = shortened(&self.title, MAX_TITLE);
        write(&title, (MARGIN, 20), font(15), HPos::Left)?;
        let middle = |place: usize, start: i32| start + CELL * place as i32 + CELL / 2;
        write(self.rows_are, (LEFT - 8, TOP - 14), font(11), HPos::Right)?;
        for (row, name) in self.rows.iter().enumerate() {
            let name = shortened(name, MAX_ROW);
            write(&name, (LEFT - 8, middle(row, TOP)), font(12), HPos::Right)?;
        }
        for (column, name) in self.columns.iter().enumerate() {
            let name = shortened(name, MAX_COLUMN);
            let place = (middle(column, LEFT), TOP - 14);
            write(&name, place, font(11), HPos::Center)?;
        }
        write(self.columns_are, (LEFT, TOP - 32), font(11), HPos::Left)?;
        for (row, column, share, text) in &self.cells {
            let corner = (LEFT + CELL * *column as i32, TOP + CELL * *row as i32);
            let corners = [
                (corner.0 * SCALE, corner.1 * SCALE),
                ((corner.0 + CELL - 2) * SCALE, (corner.1 + CELL - 2) * SCALE),
            ];
            root.draw(&Rectangle::new(corners, color(*share).filled()))?;
            let ink: &'static RGBColor = if *share > 0.5 { &WHITE } else { &INK };
            let place = (middle(*column, LEFT), middle(*row, TOP));
            write(text, place, font(13).color(ink), HPos::Center)?;
        }
        let below = TOP + CELL * self.rows.len() as i32 + 24;
        write(&self.below, (MARGIN, below), font(11), HPos::Left)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(from: &str, to: &str, linbp: bool, success_rate: f64) -> TransferRow {
        TransferRow {
            from: from.into(),
            to: to.into(),
            attack: "pgd".into(),
            linbp,
            accuracy: 0.9,
            common_success_rate: Some(success_rate),
            common_examples: Some(8),
            ..TransferRow::default()
        }
    }

    fn has(svg: &str, text: &str) -> bool {
        svg.lines().any(|line| line.trim() == text)
    }

    #[test]
    fn every_cell_is_drawn_in_its_colour_with_its_number() {
        let rows = [
            row("a", "a", false, 0.0),
            row("a", "b<", false, 0.5),
            row("b<", "a", false, 1.0),
            row("b<", "b<", false, 0.125),
            row("a", "a", true, 0.25),
            TransferRow {
                attack: "square".into(),
                ..row("a", "b<", false, 0.75)
            },
        ];
        let charts = charts("t", &rows).unwrap();
        let files: Vec<&str> = charts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(files, ["transfer-pgd", "transfer-square"]);
        let svg = &charts[0].1;
        for text in [
            "0.0*",
            "50.0",
            "100.0",
            "12.5*",
            "25.0*",
            "b&lt;, BP",
            "a, LinBP",
            "judged by",
            "success rate (%) over the 8 images that every model has right; * white-box",
        ] {
            assert!(has(svg, text), "{text}\n{svg}");
        }
        assert!(!has(svg, "b&lt;, LinBP"), "nothing was made on it by LinBP");
        assert!(svg.contains("#004470") && svg.contains("#FAF0C8"));
        assert!(has(&charts[1].1, "75.0") && has(&charts[1].1, "a"));
    }

    #[test]
    fn without_an_image_that_all_have_right_errors_are_shown() {
        let missing = TransferRow {
            common_success_rate: None,
            ..row("a", "b", false, 0.0)
        };
        let svg = &charts("t", &[missing, row("a", "a", false, 0.5)]).unwrap()[0].1;
        for text in [
            "10.0",
            "10.0*",
            "error rate (%) over all images; * white-box",
        ] {
            assert!(has(svg, text), "{text}\n{svg}");
        }
    }

    #[test]
    fn no_rows_are_no_chart() {
        assert!(charts("t", &[]).unwrap().is_empty());
    }
}
