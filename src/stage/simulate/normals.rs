//! Standard normal numbers of one repeat, in a fixed order.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// The normal numbers of one stream, drawn one after the other: the k-th is a function of the stream and of k, however
/// many are asked for at a time.
pub struct Normals {
    rng: ChaCha8Rng,
    /// Numbers drawn elsewhere, to be given first.
    #[cfg(test)]
    replay: std::collections::VecDeque<f64>,
}

impl Normals {
    /// The numbers of `rng`'s stream, from its beginning.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self {
            rng,
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
    #[inline(never)]
    pub fn fill(&mut self, values: &mut [f64]) {
        #[cfg(test)]
        if !self.replay.is_empty() {
            let given = self.replay.drain(..values.len()).collect::<Vec<_>>();
            return values.copy_from_slice(&given);
        }
        for value in values {
            *value = self.rng.sample(StandardNormal);
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
}
