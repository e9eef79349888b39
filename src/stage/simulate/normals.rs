//! Standard normal numbers of one repeat, in a fixed order.

use rand_chacha::ChaCha8Rng;

use super::wide_chacha::{BLOCKS, Blocks, WideChaCha};
use super::ziggurat::{Ziggurat, joined};

/// The block of a stream from which the numbers are redrawn that do not stand at once: the middle, which the others
/// do not reach.
const REDRAWS: u128 = 1 << 63;

/// Numbers made at a time: half as many as there are words in a group of blocks.
const GROUP: usize = 8 * BLOCKS;

/// The normal numbers of one stream, drawn one after the other.
///
/// The k-th number is a function of the stream and of k, however many are asked for at a time and whatever vectors the
/// processor has. [`GROUP`] numbers are made at a time, one of two words of [`WideChaCha`]; those that do not stand
/// are then redrawn in their order from the second half of the stream's blocks.
pub struct Normals {
    arch: pulp::Arch,
    blocks: WideChaCha,
    redraws: ChaCha8Rng,
    words: Box<Blocks>,
    ready: Box<[f64; GROUP]>,
    /// Numbers of `ready` that have been given.
    given: usize,
    /// Numbers drawn elsewhere, to be given first.
    #[cfg(test)]
    replay: std::collections::VecDeque<f64>,
}

impl Normals {
    /// The numbers of `rng`'s stream, from its beginning.
    pub fn new(mut rng: ChaCha8Rng) -> Self {
        let blocks = WideChaCha::new(&rng);
        rng.set_word_pos(REDRAWS * 16);
        Self {
            arch: pulp::Arch::new(),
            blocks,
            redraws: rng,
            words: Box::new([[0; BLOCKS]; 16]),
            ready: Box::new([0.0; GROUP]),
            given: GROUP,
            #[cfg(test)]
            replay: Default::default(),
        }
    }

    /// The given numbers, in their order.
    #[cfg(test)]
    pub fn replay(numbers: Vec<f64>) -> Self {
        use crate::rng::{Purpose, stream};
        Self {
            replay: numbers.into(),
            ..Self::new(stream(0, Purpose::Simulation, 0, 0, 0))
        }
    }

    /// The next numbers of N(0,1), as many as `values` holds.
    #[inline(always)]
    pub fn fill(&mut self, mut values: &mut [f64]) {
        #[cfg(test)]
        if !self.replay.is_empty() {
            let given = self.replay.drain(..values.len()).collect::<Vec<_>>();
            return values.copy_from_slice(&given);
        }
        while !values.is_empty() {
            if self.given == GROUP {
                self.make();
            }
            let count = values.len().min(GROUP - self.given);
            let (now, later) = values.split_at_mut(count);
            now.copy_from_slice(&self.ready[self.given..][..count]);
            self.given += count;
            values = later;
        }
    }

    /// The next `count` numbers of N(`mean`, `deviation`^2).
    pub fn vector(&mut self, count: usize, mean: f64, deviation: f64) -> Vec<f64> {
        let mut values = vec![0.0; count];
        self.fill(&mut values);
        for value in &mut values {
            *value = mean + deviation * *value;
        }
        values
    }

    /// Makes the next [`GROUP`] numbers.
    #[inline(never)]
    fn make(&mut self) {
        // Two calls, since the compiler vectorises each alone better than both together.
        self.arch.dispatch(Words(&mut self.blocks, &mut self.words));
        let ziggurat = Ziggurat::get();
        let (low, high) = halves(&self.words);
        let mut falls = [0; GROUP];
        self.arch
            .dispatch(Fast(ziggurat, low, high, &mut self.ready, &mut falls));
        for (eighth, falls) in falls.as_chunks::<8>().0.iter().enumerate() {
            let mut falls = u64::from_le_bytes(*falls);
            while falls != 0 {
                let index = eighth * 8 + falls.trailing_zeros() as usize / 8;
                let bits = joined(low[index], high[index]);
                self.ready[index] = ziggurat.redraw(bits, &mut self.redraws);
                falls &= falls - 1;
            }
        }
        self.given = 0;
    }
}

/// The first and the last eight words of every block: the low and the high halves of the numbers' bits.
#[inline(always)]
fn halves(words: &Blocks) -> (&[u32; GROUP], &[u32; GROUP]) {
    let (low, high) = words.as_flattened().split_at(GROUP);
    match (low.try_into(), high.try_into()) {
        (Ok(low), Ok(high)) => (low, high),
        _ => unreachable!("16 words are twice 8"),
    }
}

/// [`WideChaCha::fill`], to be compiled for every instruction set.
struct Words<'a>(&'a mut WideChaCha, &'a mut Blocks);

impl pulp::NullaryFnOnce for Words<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.0.fill(self.1);
    }
}

/// [`Ziggurat::fast`], likewise.
struct Fast<'a>(
    &'a Ziggurat,
    &'a [u32; GROUP],
    &'a [u32; GROUP],
    &'a mut [f64; GROUP],
    &'a mut [u8; GROUP],
);

impl pulp::NullaryFnOnce for Fast<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.0.fast(self.1, self.2, self.3, self.4);
    }
}

#[cfg(test)]
#[path = "normals_tests.rs"]
mod tests;
