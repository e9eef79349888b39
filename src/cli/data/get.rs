//! `runner data get NAME`: what happens is shown on standard error, what came of it on standard output.

use std::cell::RefCell;
use std::io::{IsTerminal, stderr};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::{out, remark};
use crate::data::DataKind;
use crate::data::download::{self, Event, Installed};
use crate::{Error, Result};

/// Brings a data set into `dir`.
///
/// # Errors
/// As [`download::get`].
pub fn get(name: &str, dir: &Path, from: Option<&Path>, mirrors: &[String]) -> Result<()> {
    let set = DataKind::find(name)
        .and_then(DataKind::published)
        .ok_or_else(|| Error::spec(format!("data get: no data set \"{name}\" is known")))?;
    let is_url = |text: &&String| text.starts_with("https://") || text.starts_with("http://");
    if let Some(other) = mirrors.iter().find(|mirror| !is_url(mirror)) {
        return Err(Error::spec(format!(
            "--mirror {other}: expected an address that begins with https:// or http://"
        )));
    }
    let set = match mirrors {
        [] => set,
        _ => set.from_mirrors(mirrors),
    };
    let show = Show::new();
    let placed = download::get(&set, dir, from, &|event| show.event(event));
    show.end_bar();
    for placed in placed? {
        out(&match placed {
            Installed::There(path) => format!("{}: already there\n", path.display()),
            Installed::Fetched(path) => format!("{}: fetched and verified\n", path.display()),
            Installed::Taken { from, to } => {
                format!("{}: verified, from {}\n", to.display(), from.display())
            }
        })?;
    }
    out(&format!(
        "in a spec: data = {{ kind = \"{name}\", dir = \"{}\" }}\n",
        dir.display()
    ))
}

/// A bar where standard error is a terminal, a line a source otherwise.
struct Show {
    terminal: bool,
    bar: RefCell<Option<ProgressBar>>,
}

impl Show {
    fn new() -> Self {
        Self {
            terminal: stderr().is_terminal(),
            bar: RefCell::new(None),
        }
    }

    fn event(&self, event: Event<'_>) {
        match event {
            Event::Source(url) => {
                self.end_bar();
                remark("fetching", url);
            }
            Event::Bytes { done, total } if self.terminal => {
                let mut bar = self.bar.borrow_mut();
                let bar = bar.get_or_insert_with(|| bytes_bar(done));
                bar.set_length(total);
                bar.set_position(done);
            }
            Event::Bytes { .. } => {}
            Event::Verifying(name) => {
                self.end_bar();
                remark("verifying", name);
            }
            Event::Unpacking(name) => remark("unpacking", name),
            Event::Failure(line) => {
                self.end_bar();
                remark("warning", line);
            }
        }
    }

    fn end_bar(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}

/// A bar whose speed counts from what was there already.
fn bytes_bar(done: u64) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_position(done)
}
