//! How large a batch a card has room for, found by trying.

use candle_core::Tensor;

use crate::nn::{Coordinates, LinearPlan, Network, Pass, Tape};
use crate::ops::cross_entropy;
use crate::ops::device::enter_for;
use crate::{Error, Result};

/// The error of a training step that found no room, with the largest of half, a quarter, .. of its batch that does.
///
/// The trials change running statistics, so this is for a run that ends.
pub(super) fn too_large(
    why: &str,
    network: &Network,
    plan: &LinearPlan,
    images: &Tensor,
    labels: &[u32],
) -> Error {
    let halves = std::iter::successors(Some(labels.len() / 2), |n| Some(n / 2));
    let fits = halves
        .take_while(|&n| n > 0)
        .find(|&n| pass(network, plan, images, labels, n).is_ok());
    Error::failed(match fits {
        Some(n) => format!("{why}. A step of {n} images was tried and fits: data.batch_size = {n}"),
        None => {
            format!("{why}. Not even a step of one image fits: another card, or a smaller model")
        }
    })
}

/// A training step of the first `n` images, without its update.
fn pass(
    network: &Network,
    plan: &LinearPlan,
    images: &Tensor,
    labels: &[u32],
    n: usize,
) -> Result<()> {
    enter_for(network.device(), || {
        let tape = Tape::new(Pass::training(plan.clone(), Coordinates::default()));
        let logits = network.forward(&tape, &tape.input(&images.narrow(0, 0, n)?))?;
        let slope = cross_entropy::gradient(logits.tensor(), &labels[..n], 1.0)?;
        tape.backward(&logits, slope).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{self, ModelConfig};
    use crate::ops::card::host::{numbers, on_host, with_room};
    use candle_core::Device;

    #[test]
    fn a_batch_that_fits_is_named() {
        let network = models::build("lenet5", &ModelConfig::new([1, 28, 28], 10)).unwrap();
        let shape = [32, 1, 28, 28];
        let images = Tensor::from_vec(numbers(&shape, 1, 1.0), &shape, &Device::Cpu).unwrap();
        let message = |bytes: usize| {
            let plan = LinearPlan::none();
            with_room(bytes, || {
                too_large("no room", &network, &plan, &images, &[3; 32])
            })
            .to_string()
        };
        on_host(|| {
            // The first convolution leaves 28 x 28 x 6 numbers an image, the largest weight gradient has 400 x 120.
            assert!(message(250_000).ends_with("data.batch_size = 8"));
            assert!(message(320_000).ends_with("data.batch_size = 16"));
            assert!(message(1_000).contains("Not even a step of one image fits"));
        });
    }
}
