//! How rows of channels are shared among blocks and threads, see `columns.h`.

use candle_core::Tensor;

use super::{Card, THREADS, constant};
use crate::Result;

/// Columns that a block folds.
pub const FOLDED: usize = constant(include_str!("columns.h"), "FOLDED");

/// Blocks that occupy any card: a small tensor is cut into no more than this asks for.
const ENOUGH_BLOCKS: usize = 528;

/// Packs of channels that neighbouring threads take before the rest of a block takes further rows.
const MOST_WIDTH: usize = 32;

/// Channels in blocks: each thread takes a pack of neighbouring ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Channels that a thread reads at once.
    pub pack: usize,
    /// Packs of a block.
    pub width: usize,
    /// Rows that a block's threads take at once.
    pub lanes: usize,
    /// Blocks that together have all channels.
    pub tiles: usize,
}

/// Rows in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub count: usize,
    /// Rows of each but the last.
    pub stretch: usize,
}

impl Columns {
    /// `channels` in packs of `pack`, which divides them, and at most `most` packs a block.
    pub fn new(channels: usize, pack: usize, most: usize) -> Self {
        let most = most.clamp(1, MOST_WIDTH);
        let packs = channels / pack;
        let mut width = packs;
        if packs > most {
            // Tiles of about the same size, which begin where a memory sector does.
            width = packs
                .div_ceil(packs.div_ceil(most))
                .next_multiple_of(4)
                .min(most);
        }
        Self {
            pack,
            width,
            lanes: THREADS as usize / width,
            tiles: packs.div_ceil(width),
        }
    }

    /// Rows cut so that a thread has at most `most` and, where there are few, such that many blocks have some.
    pub fn parts(&self, rows: usize, most: usize) -> Parts {
        let needed = rows.div_ceil(self.lanes * most);
        let useful = rows.div_ceil(self.lanes * most.min(2));
        let count = needed.max(useful.min(ENOUGH_BLOCKS / self.tiles)).max(1);
        let stretch = rows.div_ceil(count);
        Parts {
            count: rows.div_ceil(stretch),
            stretch,
        }
    }
}

/// `pack` where it divides the channels and all of the tensors lie such that they can be read that way, else 1.
pub fn pack(card: &dyn Card, channels: usize, pack: usize, tensors: &[&Tensor]) -> Result<usize> {
    if !channels.is_multiple_of(pack) {
        return Ok(1);
    }
    for tensor in tensors {
        let bytes = (pack * tensor.dtype().size_in_bytes()) as u64;
        if !card.address(tensor)?.is_multiple_of(bytes) {
            return Ok(1);
        }
    }
    Ok(pack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_channels_and_rows_once() {
        for channels in (1..200).chain([240, 384, 576, 960, 1023, 2048]) {
            for (pack, most) in [(1, 32), (4, 32), (2, 7), (1, 1)] {
                if channels % pack != 0 {
                    continue;
                }
                let columns = Columns::new(channels, pack, most);
                assert!((1..=most).contains(&columns.width), "{columns:?}");
                assert!(columns.width * columns.lanes <= THREADS as usize);
                let covered = columns.tiles * columns.width * pack;
                assert!(covered >= channels && covered - columns.width * pack < channels);
                for rows in [1, 2, 7, 2048, 131_072] {
                    let parts = columns.parts(rows, 32);
                    assert!(parts.stretch <= columns.lanes * 32, "{columns:?} {parts:?}");
                    let covered = parts.count * parts.stretch;
                    assert!(covered >= rows && covered - parts.stretch < rows);
                }
            }
        }
    }

    #[test]
    fn both_extremes_have_some_hundred_blocks() {
        for (channels, rows) in [(2048, 2048), (64, 131_072), (3, 131_072), (960, 8192)] {
            let columns = Columns::new(channels, if channels % 4 == 0 { 4 } else { 1 }, 32);
            let blocks = columns.tiles * columns.parts(rows, 32).count;
            assert!(
                (100..2000).contains(&blocks),
                "{channels} {rows}: {blocks} blocks"
            );
        }
    }
}
