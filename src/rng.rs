//! Random numbers as pure functions of (seed, purpose, epoch, batch, index).
//!
//! No generator lives longer than the call that uses it, so nothing has to be saved in a checkpoint and nothing is
//! shared between threads or devices: whoever needs the noise of image 7 in batch 3 of epoch 2 computes it from
//! those numbers. The generator is ChaCha with 8 rounds: its key holds the first four coordinates, its stream
//! number the index, so every coordinate addresses an independent sequence.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a random number is for. Two purposes never share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights; the index is the parameter's, see [`name_index`].
    Init = 1,
    /// The order of the examples of an epoch.
    Shuffle = 2,
    /// Crops and flips; the index is the example's position in the data set.
    Augment = 3,
    /// Dropout masks; the index is the layer's.
    Dropout = 4,
    /// Random starts of attacks in training and evaluation; the index is the example's position in the data set.
    AttackStart = 5,
    /// Generated data sets; the index is the example's position in the split.
    Generate = 6,
    /// Draws of the simulations; the index is the repeat.
    Simulation = 7,
    /// Further random choices of attacks (restarts, search directions); the index is the example's.
    AttackSearch = 8,
    /// Which images of a training set are held back.
    HoldBack = 9,
    /// The sample of a sweep's points; the index is the point's.
    Sweep = 10,
    /// Which image of a training batch is mixed with which.
    Mix = 11,
    /// Which images of `data.extra` a training batch has.
    Extra = 12,
    /// What attacks draw in their steps (input transformations, neighbours); the index is the example's.
    AttackWay = 13,
}

/// The generator at the given coordinates.
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, batch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (slot, value) in key
        .chunks_exact_mut(8)
        .zip([seed, purpose as u64, epoch, batch])
    {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(index);
    rng
}

/// An index for something that has a name and no number (a parameter, a layer): independent of definition order.
pub fn name_index(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    u64::from_le_bytes(
        hash.as_bytes()[..8]
            .try_into()
            .expect("a hash has 32 bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn every_coordinate_changes_the_sequence() {
        let base = stream(1, Purpose::Shuffle, 2, 3, 4).next_u64();
        let others = [
            stream(0, Purpose::Shuffle, 2, 3, 4).next_u64(),
            stream(1, Purpose::Augment, 2, 3, 4).next_u64(),
            stream(1, Purpose::Shuffle, 0, 3, 4).next_u64(),
            stream(1, Purpose::Shuffle, 2, 0, 4).next_u64(),
            stream(1, Purpose::Shuffle, 2, 3, 0).next_u64(),
        ];
        assert!(others.iter().all(|&other| other != base));
        assert_eq!(base, stream(1, Purpose::Shuffle, 2, 3, 4).next_u64());
    }

    #[test]
    fn names_give_stable_indices() {
        assert_eq!(name_index("conv1.weight"), name_index("conv1.weight"));
        assert_ne!(name_index("conv1.weight"), name_index("conv1.bias"));
    }
}
