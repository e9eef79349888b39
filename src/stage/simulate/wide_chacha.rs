//! ChaCha with 8 rounds, many blocks at a time: the same blocks as [`ChaCha8Rng`]'s, in an order that suits vectors.

use rand_chacha::ChaCha8Rng;

/// Blocks made at a time: enough for several vectors of the widest kind.
pub const BLOCKS: usize = 64;

/// The words of as many blocks, the first of every block first.
pub type Blocks = [[u32; BLOCKS]; 16];

/// "expand 32-byte k", the first four words of every state.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// The blocks of one stream from its first on.
pub struct WideChaCha {
    /// The state before the rounds; words 12 and 13, the block's number, are set for each block.
    start: [u32; 16],
    next_block: u64,
}

impl WideChaCha {
    /// The blocks of the stream that `rng` draws from, wherever `rng` stands in it.
    pub fn new(rng: &ChaCha8Rng) -> Self {
        let mut start = [0; 16];
        start[..4].copy_from_slice(&CONSTANTS);
        for (word, bytes) in start[4..12].iter_mut().zip(rng.get_seed().as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        start[14] = rng.get_stream() as u32;
        start[15] = (rng.get_stream() >> 32) as u32;
        Self {
            start,
            next_block: 0,
        }
    }

    /// Sets `words` to the next [`BLOCKS`] blocks: `words[w][l]` to word `w` of the `l`-th.
    // An iterator over one of 16 rows says less.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    pub fn fill(&mut self, words: &mut Blocks) {
        let mut start = self.start;
        start[13] = (self.next_block >> 32) as u32;
        let number = self.next_block as u32;
        // One block a lane of a vector, so that the state of a whole vector of blocks stays in registers.
        for lane in 0..BLOCKS {
            // No carry: the group's first number is a multiple of BLOCKS.
            start[12] = number.wrapping_add(lane as u32);
            let mut state = start;
            double_round(&mut state);
            double_round(&mut state);
            double_round(&mut state);
            double_round(&mut state);
            for w in 0..16 {
                words[w][lane] = state[w].wrapping_add(start[w]);
            }
        }
        self.next_block = self.next_block.wrapping_add(BLOCKS as u64);
    }
}

/// Two of the eight rounds.
#[inline(always)]
fn double_round(state: &mut [u32; 16]) {
    quarter(state, [0, 4, 8, 12]);
    quarter(state, [1, 5, 9, 13]);
    quarter(state, [2, 6, 10, 14]);
    quarter(state, [3, 7, 11, 15]);
    quarter(state, [0, 5, 10, 15]);
    quarter(state, [1, 6, 11, 12]);
    quarter(state, [2, 7, 8, 13]);
    quarter(state, [3, 4, 9, 14]);
}

#[inline(always)]
fn quarter(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(16);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(12);
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(8);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use rand::RngCore;

    /// Asserts that the next three groups of `wide` are what `rng` draws.
    fn assert_same(wide: &mut WideChaCha, rng: &mut ChaCha8Rng) {
        let mut words = [[0; BLOCKS]; 16];
        for group in 0..3 {
            wide.fill(&mut words);
            for lane in 0..BLOCKS {
                for word in &words {
                    assert_eq!(word[lane], rng.next_u32(), "group {group}, block {lane}");
                }
            }
        }
    }

    #[test]
    fn the_blocks_are_those_of_the_stream() {
        let mut rng = stream(1 << 40, Purpose::Simulation, 2, 3, (7 << 32) + 5);
        assert_same(&mut WideChaCha::new(&rng), &mut rng);
    }

    #[test]
    fn block_numbers_beyond_32_bits_carry() {
        let mut rng = stream(0, Purpose::Simulation, 0, 0, 0);
        let mut wide = WideChaCha::new(&rng);
        wide.next_block = (1 << 32) - BLOCKS as u64;
        rng.set_word_pos(u128::from(wide.next_block) * 16);
        assert_same(&mut wide, &mut rng);
    }
}
