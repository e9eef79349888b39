//! What a run shows on standard error while it works: bars on a terminal, plain lines otherwise.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::log;
use super::throughput::{human, per_second, rate, time_left};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::Level;

/// How often a bar is redrawn, and how often a plain line appears.
const BAR_INTERVAL: Duration = Duration::from_millis(100);
const LINE_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Bars,
    Lines,
    Quiet,
}

/// The progress of one run. Runs that go on in parallel each have their own, made by [`Progress::labelled`].
#[derive(Debug)]
pub struct Progress {
    mode: Mode,
    bars: MultiProgress,
    label: String,
    sink: Arc<Mutex<Sink>>,
    work: Mutex<Work>,
}

/// Where plain lines go.
#[derive(Debug)]
enum Sink {
    Stderr,
    #[cfg(test)]
    Memory(Vec<u8>),
}

/// What is being worked on.
#[derive(Debug)]
struct Work {
    bar: Option<ProgressBar>,
    stage: String,
    epochs: u64,
    epoch: u64,
    phase: String,
    batches: u64,
    done: u64,
    examples: u64,
    phase_began: Instant,
    /// Share that was done when it began of a phase beside the epochs, which has its own time left.
    beside: Option<f64>,
    /// Share of the epochs that was done when the first batch was seen, and when that was: a resumed stage starts in
    /// the middle. Evaluations between epochs take time too, so it is kept over them.
    baseline: Option<(f64, Instant)>,
    shown: Instant,
}

impl Progress {
    /// Bars if standard error is a terminal, plain lines otherwise; nothing at all if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|name| name != "dumb");
        let mode = match (quiet, terminal) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Bars,
            (false, false) => Mode::Lines,
        };
        Self::with(mode, Sink::Stderr)
    }

    /// Shows nothing.
    pub fn hidden() -> Self {
        Self::with(Mode::Quiet, Sink::Stderr)
    }

    fn with(mode: Mode, sink: Sink) -> Self {
        let target = match mode {
            Mode::Bars => ProgressDrawTarget::stderr(),
            Mode::Lines | Mode::Quiet => ProgressDrawTarget::hidden(),
        };
        Self {
            mode,
            bars: MultiProgress::with_draw_target(target),
            label: String::new(),
            sink: Arc::new(Mutex::new(sink)),
            work: Mutex::new(Work::new()),
        }
    }

    /// The progress of one of several runs, on the same terminal; `label` tells it from the others.
    pub fn labelled(&self, label: &str) -> Self {
        Self {
            mode: self.mode,
            bars: self.bars.clone(),
            label: label.to_owned(),
            sink: Arc::clone(&self.sink),
            work: Mutex::new(Work::new()),
        }
    }

    pub(super) fn root(&self) -> Self {
        self.labelled("")
    }

    /// A stage of `epochs` epochs begins (1 where there are none).
    pub fn stage(&self, id: &str, epochs: u64) {
        let mut work = self.work();
        work.clear_bar();
        *work = Work::new();
        work.stage = id.to_owned();
        work.epochs = epochs.max(1);
        drop(work);
        if self.mode == Mode::Lines && epochs > 1 {
            self.say(&self.prefixed(id, &format!("{epochs} epochs")));
        } else if self.mode == Mode::Lines {
            self.say(&self.prefixed(id, "begins"));
        }
    }

    /// Epoch `epoch` (from 1) of `batches` batches begins.
    pub fn epoch(&self, epoch: u64, batches: u64) {
        let mut work = self.work();
        work.epoch = epoch.max(1);
        let phase = match work.epochs {
            1 => String::new(),
            epochs => format!("epoch {epoch}/{epochs}"),
        };
        self.begin(&mut work, phase, batches, 0);
    }

    /// Something else of `batches` batches begins within the epoch, an evaluation for example, of which `done` were done
    /// before. It is not counted as part of the epochs.
    pub fn phase(&self, name: &str, batches: u64, done: u64) {
        let mut work = self.work();
        let phase = match (work.epochs, work.epoch) {
            (1, _) | (_, 0) => name.to_owned(),
            (epochs, epoch) => format!("epoch {epoch}/{epochs} {name}"),
        };
        self.begin(&mut work, phase, batches, done);
        work.beside = Some(work.share_of_phase());
    }

    /// `done` batches of the epoch are done; the last one had `loss` and `examples` examples.
    pub fn batch(&self, done: u64, loss: Option<f64>, examples: u64) {
        if self.mode == Mode::Quiet {
            return;
        }
        let mut work = self.work();
        work.done = done;
        work.examples += examples;
        let now = Instant::now();
        let (base, share, since) = match work.beside {
            Some(base) => (base, work.share_of_phase(), work.phase_began),
            None => {
                let share = work.share_of_epochs();
                let (base, since) = *work.baseline.get_or_insert((share, now));
                (base, share, since)
            }
        };
        let interval = match self.mode {
            Mode::Bars => BAR_INTERVAL,
            _ => LINE_INTERVAL,
        };
        if now.duration_since(work.shown) < interval {
            return;
        }
        work.shown = now;
        let mut parts = Vec::new();
        if let Some(loss) = loss {
            parts.push(format!("loss {loss:.4}"));
        }
        let seconds = now.duration_since(work.phase_began).as_secs_f64();
        if let Some(throughput) =
            per_second(work.examples, seconds).filter(|throughput| *throughput > 0.0)
        {
            parts.push(rate(throughput));
        }
        if let Some(left) = time_left(base, share, now.duration_since(since)) {
            parts.push(format!("{} left", human(left)));
        }
        let message = parts.join(", ");
        if let Some(bar) = &work.bar {
            bar.set_position(done);
            bar.set_message(message);
            return;
        }
        let position = format!("batch {done}/{}", work.batches);
        let text = [work.phase.as_str(), &position, &message]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", ");
        let line = self.prefixed(&work.stage, &text);
        drop(work);
        self.say(&line);
    }

    /// A line that stays: what an epoch ended with, for example. In the log alone if quiet.
    pub fn line(&self, text: &str) {
        let stage = self.work().stage.clone();
        let line = self.prefixed(&stage, text);
        match self.mode {
            Mode::Quiet => log::shown(Level::INFO, &line),
            _ => self.say(&line),
        }
    }

    /// A line on standard error and in the log.
    fn say(&self, line: &str) {
        log::shown(Level::INFO, line);
        self.print(line);
    }

    /// The work is done: its bar disappears.
    pub fn finish(&self) {
        self.work().clear_bar();
    }

    fn begin(&self, work: &mut Work, phase: String, batches: u64, done: u64) {
        work.phase = phase;
        work.batches = batches;
        work.done = done;
        work.examples = 0;
        work.phase_began = Instant::now();
        work.beside = None;
        if self.mode != Mode::Bars {
            return;
        }
        // A bar that is changed piece by piece is drawn between the pieces, the count of one phase beside the length of
        // another: each phase has a bar of its own, which is whole before it is shown.
        let bar = ProgressBar::with_draw_target(Some(batches), ProgressDrawTarget::hidden())
            .with_prefix(self.prefixed(&work.stage, &work.phase))
            .with_position(done);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {wide_msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        let bar = match work.bar.take() {
            Some(old) => {
                let bar = self.bars.insert_after(&old, bar);
                self.bars.remove(&old);
                bar
            }
            None => self.bars.add(bar),
        };
        bar.tick();
        work.bar = Some(bar);
    }

    fn prefixed(&self, stage: &str, text: &str) -> String {
        [self.label.as_str(), stage, text]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    }

    /// Prints a line above the bars, whatever the mode. Control characters, which names from outside may hold,
    /// do not reach the terminal.
    pub(super) fn print(&self, text: &str) {
        let safe = |c: char| !c.is_control() || c == '\n' || c == '\t';
        let text: String = text
            .chars()
            .map(|c| if safe(c) { c } else { '?' })
            .collect();
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed standard error is no failure.
        let _ = match &mut *sink {
            Sink::Stderr if self.mode == Mode::Bars => self.bars.println(text),
            Sink::Stderr => writeln!(std::io::stderr(), "{text}"),
            #[cfg(test)]
            Sink::Memory(bytes) => writeln!(bytes, "{text}"),
        };
    }

    /// Lets `write` write to standard output. Where that is the terminal, no bar is on it meanwhile, so that none stays
    /// between the lines.
    pub fn apart<T>(&self, write: impl FnOnce() -> T) -> T {
        let shared = self.mode == Mode::Bars && std::io::stdout().is_terminal();
        // A terminal that is gone takes no bars away, and has none to bring back.
        match shared && self.bars.clear().is_ok() {
            true => self.bars.suspend(write),
            false => write(),
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Work {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            bar: None,
            stage: String::new(),
            epochs: 1,
            epoch: 0,
            phase: String::new(),
            batches: 0,
            done: 0,
            examples: 0,
            phase_began: now,
            beside: None,
            baseline: None,
            shown: now,
        }
    }

    fn share_of_phase(&self) -> f64 {
        self.done as f64 / self.batches.max(1) as f64
    }

    fn share_of_epochs(&self) -> f64 {
        (self.epoch.saturating_sub(1) as f64 + self.share_of_phase()) / self.epochs as f64
    }

    fn clear_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests;
