//! The two tables of a transfer, which grow together.

use super::entrant::Entrant;
use super::rows::{Judged, Made, put};
use crate::Result;
use crate::run::table::Appender;
use crate::run::{MadeOn, TransferExampleRow, TransferRow, files};
use crate::stage::context::StageContext;
use crate::stage::examples::Examples;

/// `transfer.csv` and `transfer_examples.csv`.
pub(super) struct Table<'a> {
    ctx: &'a StageContext<'a>,
    rows: Vec<TransferRow>,
    examples: Appender<TransferExampleRow>,
    /// The images whose rows stand in both.
    standing: Vec<MadeOn>,
}

impl<'a> Table<'a> {
    /// The tables as an earlier start left them, or new ones.
    pub fn open(
        ctx: &'a StageContext<'a>,
        entrants: &[Entrant<'_>],
        examples: &Examples,
    ) -> Result<Self> {
        let rows = TransferRow::read(&ctx.folder.file(files::TRANSFER))?;
        let stand = |(from, attack, linbp): &MadeOn| {
            entrants.iter().all(|to| {
                let position = (&**from, to.name, &**attack, *linbp);
                let mut rows = rows.iter();
                rows.any(|row| (&*row.from, &*row.to, &*row.attack, row.linbp) == position)
            })
        };
        let path = ctx.folder.file(files::TRANSFER_EXAMPLES);
        let rows_each = entrants.len() * examples.labels.len();
        let (examples, standing) = TransferExampleRow::open(&path, rows_each, stand)?;
        Ok(Self {
            ctx,
            rows,
            examples,
            standing,
        })
    }

    /// Whether the images' rows stand.
    pub fn has(&self, made_on: &MadeOn) -> bool {
        self.standing.contains(made_on)
    }

    /// Adds the rows of all judges. Those of `transfer.csv` come last: images that it does not know are computed again.
    pub fn add(&mut self, made: &Made<'_>, judged: &[Judged<'_>]) -> Result<()> {
        self.ctx.folder.check()?;
        let examples = judged.iter().flat_map(|judged| made.examples(judged));
        self.examples.append_rows(examples)?;
        let new = judged.iter().map(|judged| made.row(judged));
        put(&mut self.rows, new.collect());
        self.ctx.folder.write_transfer(&self.rows)
    }

    /// The rows of `transfer.csv`.
    pub fn rows(&self) -> &[TransferRow] {
        &self.rows
    }
}
