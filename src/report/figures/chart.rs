//! A line chart: the one look that all curves share.

use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{Look, grey};
use super::x_axis::XAxis;
use crate::error::{Error, Result};
use crate::report::words::number;

/// Everything is drawn at twice its size and shown at half, since the backend rounds to whole units.
pub(super) const SCALE: i32 = 2;
const PLOT_WIDTH: i32 = 560;
/// Ticks of the x axis at most, where they are not given.
const X_LABELS: usize = 9;
const HEIGHT: i32 = 380;
const MARGIN: i32 = 12;
const TITLE: i32 = 40;
const Y_LABELS: i32 = 62;
const FONT: &str = "sans-serif";
pub(super) const INK: RGBColor = RGBColor(35, 35, 35);
/// Estimated width of a letter of the legend: there is no font to ask, and there should be none.
const LETTER: i32 = 7;
const MAX_LEGEND: i32 = 320;
/// Letters of a name in the legend and of a title; longer ones are cut.
const MAX_NAME: usize = 38;
const MAX_TITLE: usize = 72;
/// The backend divides font sizes by this.
const FONT_FACTOR: f64 = 1.24;
/// More entries than this are counted instead of listed.
const MAX_ENTRIES: usize = 14;

/// A line with its name in the legend.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points in the order of x. Points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// How far each point scatters; empty where nothing does.
    pub deviations: Vec<f64>,
    /// Whether the points are categories, between which no line leads.
    pub apart: bool,
}

/// What the numbers of an axis are.
#[derive(Clone, Debug, PartialEq)]
pub enum Ticks {
    /// Any number.
    Real,
    /// Whole numbers alone.
    Whole,
    /// These, each under its label.
    At(Vec<(f64, String)>),
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// One line above it.
    pub title: String,
    /// What x is, with its unit.
    pub x_label: String,
    /// What y is, with its unit.
    pub y_label: String,
    /// What the numbers of the x axis are.
    pub x_ticks: Ticks,
    /// Bounds that the y axis never exceeds.
    pub y_bounds: (f64, f64),
    /// The lines.
    pub series: Vec<Series>,
    /// Whether each point is marked: right for few points.
    pub markers: bool,
}

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// What `draw` puts on a white area of this width and height, as SVG text.
pub(super) fn drawn(
    title: &str,
    [width, height]: [i32; 2],
    draw: impl FnOnce(&Area) -> Drawn,
) -> Result<String> {
    let mut text = String::new();
    let on = |root: &Area| -> Drawn {
        root.fill(&WHITE)?;
        draw(root)?;
        Ok(root.present()?)
    };
    let size = ((width * SCALE) as u32, (height * SCALE) as u32);
    on(&SVGBackend::with_string(&mut text, size).into_drawing_area())
        .map_err(|error| Error::failed(format!("cannot draw {title:?}: {error}")))?;
    // Replaces the size in the first tag; the view box keeps the drawing's own units.
    let large = format!("width=\"{}\" height=\"{}\"", width * SCALE, height * SCALE);
    let shown = format!("width=\"{width}\" height=\"{height}\"");
    Ok(text.replacen(&large, &shown, 1))
}

impl Chart {
    /// The chart as SVG text; `None` if there is no point to draw.
    pub fn svg(&self) -> Result<Option<String>> {
        let Some(ranges) = self.ranges() else {
            return Ok(None);
        };
        let width = PLOT_WIDTH + self.legend_width();
        drawn(&self.title, [width, HEIGHT], |root| self.draw(root, ranges)).map(Some)
    }

    fn draw(&self, root: &Area, ranges: Ranges) -> Drawn {
        let (plot, legend) = root.split_horizontally(PLOT_WIDTH * SCALE);
        let mut chart = ChartBuilder::on(&plot)
            .margin(MARGIN * SCALE)
            .margin_top(TITLE * SCALE)
            .x_label_area_size(42 * SCALE)
            .y_label_area_size(Y_LABELS * SCALE)
            .build_cartesian_2d(
                XAxis::new(ranges.x.0..ranges.x.1, self.x_key_points(ranges)),
                ranges.y.0..ranges.y.1,
            )?;
        // The library centres a caption by a guess at its width; at the left edge no guess is needed.
        let place = ((MARGIN + Y_LABELS) * SCALE, TITLE / 2 * SCALE);
        let style = font(15).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(shortened(&self.title, MAX_TITLE), place, style))?;
        let x_ticks = |x: &f64| match &self.x_ticks {
            Ticks::Whole if (x - x.round()).abs() > 1e-6 => String::new(),
            Ticks::At(ticks) => {
                let label = ticks.iter().find(|(at, _)| at == x);
                label.map(|(_, label)| label.clone()).unwrap_or_default()
            }
            _ => number(*x),
        };
        chart
            .configure_mesh()
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .x_labels(X_LABELS)
            .y_labels(8)
            .x_label_formatter(&x_ticks)
            .y_label_formatter(&|y| number(*y))
            .label_style(font(12))
            .axis_desc_style(font(13))
            .bold_line_style(grey(225).stroke_width(1))
            .light_line_style(TRANSPARENT)
            .axis_style(grey(110).stroke_width(SCALE as u32))
            .draw()?;
        for (index, series) in self.series.iter().enumerate() {
            self.draw_series(&mut chart, series, Look::of(index))?;
        }
        self.draw_legend(&legend)
    }

    fn x_key_points(&self, ranges: Ranges) -> Vec<f64> {
        let axis = RangedCoordf64::from(ranges.x.0..ranges.x.1);
        match &self.x_ticks {
            Ticks::Real => axis.key_points(X_LABELS),
            Ticks::Whole => {
                let whole_numbers = (ranges.x.1 - ranges.x.0).floor() as usize + 1;
                axis.key_points(whole_numbers.min(X_LABELS))
            }
            Ticks::At(ticks) => ticks.iter().map(|(at, _)| *at).collect(),
        }
    }

    /// The points that can be drawn, each with how far it scatters down and up.
    fn spreads(&self, series: &Series) -> Vec<(f64, f64, f64)> {
        let (least, most) = self.y_bounds;
        let points = series.points.iter().zip(&series.deviations);
        let spreads = points.filter(|((x, y), d)| x.is_finite() && y.is_finite() && d.is_finite());
        spreads
            .map(|((x, y), d)| (*x, (y - d).max(least), (y + d).min(most)))
            .collect()
    }

    fn draw_series<'a>(
        &self,
        chart: &mut ChartContext<'a, SVGBackend, Cartesian2d<XAxis, RangedCoordf64>>,
        series: &Series,
        look: Look,
    ) -> Drawn {
        let finite = |(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
        let points: Vec<(f64, f64)> = series.points.iter().filter(finite).copied().collect();
        let style = look.color.stroke_width(2 * SCALE as u32);
        let spreads = self.spreads(series);
        if series.apart {
            let whisker = |&(x, low, high): &(f64, f64, f64)| {
                PathElement::new(
                    vec![(x, low), (x, high)],
                    look.color.stroke_width(SCALE as u32),
                )
            };
            chart.draw_series(spreads.iter().map(whisker))?;
        } else if spreads.len() > 1 {
            let upper = spreads.iter().map(|&(x, _, high)| (x, high));
            let lower = spreads.iter().rev().map(|&(x, low, _)| (x, low));
            let band = Polygon::new(upper.chain(lower).collect::<Vec<_>>(), look.color.mix(0.18));
            chart.draw_series([band])?;
        }
        if series.apart {
            // Marks alone.
        } else if look.dash == 0 {
            chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        } else {
            let (dash, gap) = (look.dash * SCALE, 3 * SCALE);
            chart.draw_series(DashedLineSeries::new(
                points.iter().copied(),
                dash,
                gap,
                style,
            ))?;
        }
        if self.markers || points.len() == 1 {
            let mark = |&point| Circle::new(point, 3 * SCALE, look.color.filled());
            chart.draw_series(points.iter().map(mark))?;
        }
        Ok(())
    }

    /// The legend stands beside the plot, so that it never hides data.
    fn draw_legend(&self, area: &Area) -> Drawn {
        let style = font(12).pos(Pos::new(HPos::Left, VPos::Center));
        let (left, mut y) = (4 * SCALE, 48 * SCALE);
        for (index, series) in self.series.iter().enumerate().take(MAX_ENTRIES) {
            let look = Look::of(index);
            let stroke = look.color.stroke_width(2 * SCALE as u32);
            let pieces: &[(i32, i32)] = match look.dash {
                0 => &[(0, 24)],
                dash if dash < 5 => &[(0, 3), (7, 10), (14, 17), (21, 24)],
                _ => &[(0, 10), (14, 24)],
            };
            for (from, to) in pieces {
                let ends = vec![(left + from * SCALE, y), (left + to * SCALE, y)];
                area.draw(&PathElement::new(ends, stroke))?;
            }
            if self.markers {
                let middle = (left + 12 * SCALE, y);
                area.draw(&Circle::new(middle, 3 * SCALE, look.color.filled()))?;
            }
            area.draw(&Text::new(
                shortened(&series.name, MAX_NAME),
                (left + 31 * SCALE, y),
                style.clone(),
            ))?;
            y += 20 * SCALE;
        }
        if self.series.len() > MAX_ENTRIES {
            let more = format!("and {} more", self.series.len() - MAX_ENTRIES);
            area.draw(&Text::new(more, (left + 31 * SCALE, y), style))?;
        }
        Ok(())
    }

    fn legend_width(&self) -> i32 {
        let names = self
            .series
            .iter()
            .map(|series| shortened(&series.name, MAX_NAME));
        let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
        (48 + longest as i32 * LETTER).min(MAX_LEGEND)
    }

    fn ranges(&self) -> Option<Ranges> {
        let all = || self.series.iter().flat_map(|series| &series.points);
        let x = extent(all().map(|point| point.0))?;
        let spreads = self.series.iter().flat_map(|series| self.spreads(series));
        let spreads = spreads.flat_map(|(_, low, high)| [low, high]);
        let y = extent(all().map(|point| point.1).chain(spreads))?;
        let y = padded(y, 0.06);
        Some(Ranges {
            x: match (x.1 > x.0, self.markers) {
                // Categories stand in the middle of their share of the axis.
                _ if self.series.iter().any(|series| series.apart) => (x.0 - 0.5, x.1 + 0.5),
                // Marks at the ends stand clear of the frame.
                (true, true) => padded(x, 0.03),
                (true, false) => x,
                (false, _) => (x.0 - 0.5, x.1 + 0.5),
            },
            y: (y.0.max(self.y_bounds.0), y.1.min(self.y_bounds.1)),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Ranges {
    x: (f64, f64),
    y: (f64, f64),
}

pub(super) fn font(size: i32) -> TextStyle<'static> {
    let size = f64::from(size * SCALE) * FONT_FACTOR;
    TextStyle::from((FONT, size).into_font()).color(&INK)
}

/// Smallest and largest finite number.
fn extent(numbers: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    numbers
        .filter(|number| number.is_finite())
        .map(|number| (number, number))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

fn padded((low, high): (f64, f64), share: f64) -> (f64, f64) {
    let pad = match high > low {
        true => (high - low) * share,
        // Of nothing but zeros a unit is shown.
        false if low == 0.0 => 1.0,
        false => (low.abs() * share).max(1e-6),
    };
    (low - pad, high + pad)
}

pub(super) fn shortened(text: &str, max: usize) -> String {
    match text.chars().count() > max {
        true => text.chars().take(max - 1).chain(['\u{2026}']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "chart_tests.rs"]
mod tests;
