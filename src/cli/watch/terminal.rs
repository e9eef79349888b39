//! The terminal while runs are watched on it.

use std::time::Instant;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use super::EVERY;
use super::view::View;
use super::watched::Watched;
use crate::cli::output::out;
use crate::run::interrupt;
use crate::{Error, Result};

/// Draws the runs until the user leaves. The terminal is then what it was before, however that ends.
///
/// # Errors
/// Runs that cannot be read at the beginning, a terminal that fails.
pub fn show(mut watched: Watched) -> Result<()> {
    if watched.look()?.is_empty() {
        return out(&watched.none());
    }
    // Ctrl-C is a key here: this is for other ways to end, such as a closed terminal, which the wait for keys never returns from.
    ctrlc::set_handler(|| {
        let _ = ratatui::try_restore();
        std::process::exit(interrupt::EXIT_CODE);
    })
    .map_err(|error| Error::failed(format!("cannot handle signals: {error}")))?;
    let shown = ratatui::try_init().and_then(|mut terminal| keep_drawing(&mut terminal, watched));
    let restored = ratatui::try_restore();
    shown
        .and(restored)
        .map_err(|error| Error::failed(format!("the terminal: {error}")))
}

fn keep_drawing(terminal: &mut DefaultTerminal, watched: Watched) -> std::io::Result<()> {
    let mut view = View::new(watched);
    loop {
        let began = Instant::now();
        view.refresh();
        let read = Instant::now();
        // What takes long to read, as over a network, is read less often: keys wait meanwhile.
        let pause = EVERY.max(3 * (read - began));
        loop {
            terminal.draw(|frame| view.draw(frame))?;
            let left = pause.saturating_sub(read.elapsed());
            if !event::poll(left)? {
                break;
            }
            if let Event::Key(key) = event::read()?
                && !view.press(key)
            {
                return Ok(());
            }
        }
    }
}
