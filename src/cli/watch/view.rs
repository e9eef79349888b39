//! What is on the terminal while runs are watched: a table, of the selected run its curves, log or command, and the keys.

use std::path::PathBuf;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState, Wrap};

use super::curves;
use super::watched::Watched;
use crate::quoted::quoted;
use crate::run::{Glance, MetricsRow, Owner, RunState, log_tail, shortened};

const KEYS: &str = "arrows select  s stop  l log  r command  q leave";
/// Letters of a run's name that are always shown, if it has so many.
const LEAST_NAME: u16 = 18;
/// Runs that a page has.
const PAGE: u16 = 10;

/// What stands below the table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Below {
    #[default]
    Curves,
    Log,
    Command,
}

/// The view and where the user is in it.
#[derive(Debug)]
pub struct View {
    watched: Watched,
    runs: Vec<Glance>,
    table: TableState,
    below: Below,
    /// The stage of the selected run whose curves are shown, and its rows.
    epochs: Option<(String, Vec<MetricsRow>)>,
    log: Vec<String>,
    /// The folder of the run that is stopped if the user says yes.
    asking: Option<PathBuf>,
    /// What is said instead of the keys.
    message: String,
}

impl View {
    pub fn new(watched: Watched) -> Self {
        Self {
            watched,
            runs: Vec::new(),
            table: TableState::new().with_selected(0),
            below: Below::default(),
            epochs: None,
            log: Vec::new(),
            asking: None,
            message: String::new(),
        }
    }

    /// Reads the files of the runs again. Where that fails, what was read before stays, and the last line says why.
    pub fn refresh(&mut self) {
        match self.watched.look() {
            Ok(runs) => {
                let folder = self.selected().map(|run| run.folder.clone());
                let place = runs
                    .iter()
                    .position(|run| Some(&run.folder) == folder.as_ref());
                self.runs = runs;
                self.table.select(Some(place.unwrap_or(0)));
            }
            Err(error) if self.asking.is_none() => self.message = error.to_string(),
            Err(_) => {}
        }
        self.read_selected();
    }

    fn selected(&self) -> Option<&Glance> {
        self.runs.get(self.table.selected()?)
    }

    fn read_selected(&mut self) {
        self.epochs = self.selected().and_then(Glance::epochs);
        let most = usize::from(u8::MAX);
        let log = self.selected().map(|run| log_tail(&run.folder, most));
        self.log = log.unwrap_or_default();
    }

    /// Does what a key asks for; whether the user stays.
    pub fn press(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return true;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return false;
        }
        self.message.clear();
        if let Some(folder) = self.asking.take() {
            self.message = match key.code {
                KeyCode::Char('y' | 'Y') => stopped(&folder),
                _ => "not stopped".to_owned(),
            };
            return true;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Up | KeyCode::Char('k') => self.table.scroll_up_by(1),
            KeyCode::Down | KeyCode::Char('j') => self.table.scroll_down_by(1),
            KeyCode::PageUp => self.table.scroll_up_by(PAGE),
            KeyCode::PageDown => self.table.scroll_down_by(PAGE),
            KeyCode::Home => self.table.select(Some(0)),
            KeyCode::End => self.table.select(Some(usize::MAX)),
            KeyCode::Char('s') => self.ask(),
            KeyCode::Char('l') => self.toggle(Below::Log),
            KeyCode::Char('r') => self.toggle(Below::Command),
            _ => return true,
        }
        let last = self.runs.len().saturating_sub(1);
        let place = self.table.selected().unwrap_or(0).min(last);
        self.table.select(Some(place));
        self.read_selected();
        true
    }

    fn toggle(&mut self, below: Below) {
        self.below = match self.below == below {
            true => Below::Curves,
            false => below,
        };
    }

    fn ask(&mut self) {
        let Some(run) = self.selected() else {
            return;
        };
        let (message, asking) = match Owner::here(&run.folder) {
            Ok(owner) => {
                let question = format!("process {} writes a checkpoint and ends?", owner.process);
                let question = format!("stop {}: {question} y/n", shortened(&run.run, 30));
                (question, Some(run.folder.clone()))
            }
            Err(why) => (format!("{}: {why}", shortened(&run.run, 30)), None),
        };
        self.message = message;
        self.asking = asking;
    }

    /// Draws all of it.
    pub fn draw(&mut self, frame: &mut Frame) {
        let failed = self.selected().is_some_and(|run| run.error.is_some());
        let lines = (self.runs.len() as u16).saturating_add(1);
        let [top, table, about, below, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(lines.min((frame.area().height * 2 / 5).max(3))),
            Constraint::Length(if failed { 4 } else { 2 }),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Line::from(summary(&self.runs)).bold(), top);
        self.draw_table(frame, table);
        if let Some(run) = self.selected() {
            let last = run.last(|name, value| format!("{name} {value:.4}"));
            let name = Line::from(format!("{}/{}", run.name, run.run)).bold();
            let text = Paragraph::new(vec![name, Line::from(last)]);
            frame.render_widget(text.wrap(Wrap { trim: false }), about);
        }
        match (self.below, &self.epochs) {
            (Below::Curves, Some((stage, rows))) => curves::draw(frame, below, stage, rows),
            (Below::Curves, None) => {
                frame.render_widget(Line::from("no epochs to draw yet"), below);
            }
            (Below::Log, _) => {
                let letters = self.log.iter().map(|line| line.chars().collect());
                let letters: Vec<Vec<char>> = letters.collect();
                // Long lines go on in the next one, and the end is what is seen.
                let width = usize::from(below.width).max(1);
                let pieces = letters.iter().flat_map(|line| line.chunks(width));
                let pieces: Vec<String> = pieces.map(String::from_iter).collect();
                let hidden = pieces.len().saturating_sub(below.height.into());
                let lines = pieces[hidden..].iter().map(|line| Line::from(&**line));
                frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), below);
            }
            (Below::Command, _) => {
                let text = Paragraph::new(self.command());
                frame.render_widget(text.wrap(Wrap { trim: false }), below);
            }
        }
        let (words, style) = match self.message.is_empty() {
            true => (KEYS, Style::new().dim()),
            false => (self.message.as_str(), Style::new().fg(Color::Yellow)),
        };
        frame.render_widget(Line::styled(words, style), bottom);
    }

    fn draw_table(&mut self, frame: &mut Frame, area: Rect) {
        let several = self.runs.iter().any(|run| run.name != self.runs[0].name);
        let heading = [
            "RUN",
            "STATE",
            "PROGRESS",
            "LEFT",
            "EX/S",
            "MEMORY",
            "LAST METRICS",
        ];
        let mut rows = vec![heading.map(str::to_owned)];
        rows.extend(self.runs.iter().map(|run| {
            let name = match several {
                true => format!("{}/{}", run.name, run.run),
                false => run.run.clone(),
            };
            [
                name,
                run.state_name().to_owned(),
                run.progress.clone(),
                run.left.clone(),
                run.rate.clone(),
                run.memory.clone(),
                // The number first: the end is cut where there is no room.
                run.last(|name, value| format!("{value:.4} {name}")),
            ]
        }));
        let mut widths: [u16; 7] = std::array::from_fn(|column| {
            let cells = rows[1..].iter().map(|row| row[column].chars().count());
            match cells.max().unwrap_or(0) {
                0 => 0,
                widest => widest.max(heading[column].len()).min(999) as u16,
            }
        });
        let gaps = widths.iter().filter(|width| **width > 0).count() as u16;
        let others: u16 = widths[1..6].iter().sum::<u16>() + gaps;
        let room = area.width.saturating_sub(others);
        let least = LEAST_NAME.max(room.saturating_sub(widths[6]));
        widths[0] = widths[0].min(least);
        widths[6] = room.saturating_sub(widths[0]);
        for row in &mut rows {
            row[0] = shortened(&row[0], widths[0].into());
        }
        let shown = |row: &[String; 7]| {
            let cells = row.iter().zip(widths).filter(|(_, width)| *width > 0);
            Row::new(
                cells
                    .map(|(cell, _)| Cell::from(cell.clone()))
                    .collect::<Vec<_>>(),
            )
        };
        let states = self.runs.iter().map(|run| match run.state {
            Some(RunState::Running) => Style::new().fg(Color::Green),
            Some(RunState::Failed) | None => Style::new().fg(Color::Red),
            Some(RunState::Interrupted) => Style::new().fg(Color::Yellow),
            _ => Style::new(),
        });
        let lines = rows[1..].iter().zip(states);
        let lines = lines.map(|(row, style)| shown(row).style(style));
        let columns = widths.into_iter().filter(|width| *width > 0);
        let table = Table::new(lines, columns.map(Constraint::Length))
            .header(shown(&rows[0]).dim())
            .row_highlight_style(Style::new().reversed());
        frame.render_stateful_widget(table, area, &mut self.table);
    }

    /// How the selected run is taken up again.
    fn command(&self) -> String {
        let Some(run) = self.selected() else {
            return String::new();
        };
        let words: Vec<String> = run.command.iter().map(|word| quoted(word)).collect();
        match words.is_empty() {
            true => "its record names no command".to_owned(),
            false => format!(
                "The same command takes it up again, in the folder where it was started:\n\n{}",
                words.join(" ")
            ),
        }
    }
}

/// How many runs there are of each state.
fn summary(runs: &[Glance]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for run in runs {
        match counts
            .iter_mut()
            .find(|(name, _)| *name == run.state_name())
        {
            Some((_, count)) => *count += 1,
            None => counts.push((run.state_name(), 1)),
        }
    }
    let words = counts.iter().map(|(name, count)| format!("{count} {name}"));
    words.collect::<Vec<_>>().join(", ")
}

/// Asks the process that works in a folder to end, as `runner stop` does; what came of it.
fn stopped(folder: &std::path::Path) -> String {
    let asked = Owner::here(folder).map(|owner| (owner.process, owner.interrupt()));
    match asked {
        Ok((process, Ok(()))) => format!("process {process} is asked to end"),
        Ok((_, Err(error))) => error.to_string(),
        Err(why) => why,
    }
}

#[cfg(test)]
mod tests;
