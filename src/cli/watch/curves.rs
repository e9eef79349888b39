//! Accuracy and loss over epochs in letters.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType};

use crate::report::{Series, series};
use crate::run::MetricsRow;

/// Colours that terminals have, on light and on dark ground.
const COLORS: [Color; 6] = [
    Color::Cyan,
    Color::Magenta,
    Color::Green,
    Color::Red,
    Color::Yellow,
    Color::Blue,
];

/// Draws the accuracies and losses of a stage, whose rows these are, below a line that names them.
pub fn draw(frame: &mut Frame, area: Rect, stage: &str, rows: &[MetricsRow]) {
    let rows: Vec<&MetricsRow> = rows.iter().collect();
    let charts = [
        (
            "accuracy (%)",
            1,
            series(&rows, |row| row.accuracy.map(|share| 100.0 * share)),
        ),
        ("loss", 3, series(&rows, |row| row.loss)),
    ];
    let mut names: Vec<&str> = Vec::new();
    for series in charts.iter().flat_map(|(_, _, series)| series) {
        if !names.contains(&series.name.as_str()) {
            names.push(&series.name);
        }
    }
    let style = |name: &str| {
        let place = names.iter().position(|known| *known == name).unwrap_or(0);
        Style::new().fg(COLORS[place % COLORS.len()])
    };
    let [top, below] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let mut legend = vec![Span::raw(stage).dim()];
    legend.extend(
        names
            .iter()
            .map(|name| Span::styled(format!("  {name}"), style(name))),
    );
    frame.render_widget(Line::from(legend), top);
    let last = rows.iter().map(|row| row.epoch).max().unwrap_or(1);
    let places: [Rect; 2] = Layout::horizontal([Constraint::Fill(1); 2])
        .spacing(1)
        .areas(below);
    for ((title, digits, series), place) in charts.iter().zip(places) {
        let Some([low, high]) = bounds(series) else {
            continue;
        };
        let sets = series.iter().map(|series| {
            Dataset::default()
                .marker(Marker::Braille)
                .graph_type(GraphType::Line)
                .style(style(&series.name))
                .data(&series.points)
        });
        let labels = [low, high].map(|value| format!("{value:.digits$}"));
        let x = Axis::default()
            .bounds([1.0, last.max(2) as f64])
            .labels(["1".to_owned(), format!("epoch {last}")])
            .style(Style::new().dim());
        let y = Axis::default()
            .bounds([low, high])
            .labels(labels)
            .style(Style::new().dim());
        let chart = Chart::new(sets.collect()).x_axis(x).y_axis(y);
        let chart = chart.block(Block::new().title(*title));
        frame.render_widget(chart, place);
    }
}

/// The smallest and the largest value, with room where they are one; nothing where no value is a number.
fn bounds(series: &[Series]) -> Option<[f64; 2]> {
    let values = series.iter().flat_map(|series| &series.points);
    let values = values.map(|(_, y)| *y).filter(|y| y.is_finite());
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    match (low.partial_cmp(&high)?, (high - low).is_finite()) {
        (std::cmp::Ordering::Less, true) => Some([low, high]),
        (std::cmp::Ordering::Equal, _) => Some([low - 0.5, high + 0.5]),
        _ => None,
    }
}
