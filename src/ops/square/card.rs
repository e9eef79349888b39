//! Proposals on a card, of float32 images.

use candle_core::{DType, Tensor};

use super::{Proposal, Window};
use crate::Result;
use crate::ops::card::{Call, Card, expect};

pub fn propose(
    card: &dyn Card,
    images: &Tensor,
    originals: &Tensor,
    proposals: &[Proposal],
    epsilon: f64,
) -> Result<Tensor> {
    let (n, c, h, w) = images.dims4()?;
    expect::tensor("images", images, images.dims(), DType::F32)?;
    let numbers = proposals.iter().flat_map(|Proposal { window, up }| {
        let Window { top, left, side } = *window;
        let place = [top, left, side].map(|number| number as u32);
        place.into_iter().chain(up.iter().map(|&up| u32::from(up)))
    });
    let numbers: Vec<u32> = numbers.collect();
    let numbers = Tensor::from_vec(numbers, (n, 3 + c), card.device())?;
    let out = card.scratch(images.dims(), DType::F32)?;
    card.launch(
        &Call::elements("square", "square_propose", images.elem_count())
            .tensors([images, originals, &numbers, &out])
            .size(images.elem_count())
            .ints([c, h, w])
            .float(epsilon),
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::{check, cpu};
    use super::*;
    use crate::ops::card::host::{host, numbers, within};

    fn proposal(top: usize, left: usize, side: usize, up: &[bool]) -> Proposal {
        let window = Window { top, left, side };
        let up = up.to_vec();
        Proposal { window, up }
    }

    #[test]
    fn proposals_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        let shape = [4, 3, 9, 17];
        let pixels = |seed| {
            let values = numbers(&shape, seed, 0.7);
            let values: Vec<f32> = values.iter().map(|v| (v + 0.5).clamp(0.0, 1.0)).collect();
            card.tensor(&values, &shape, DType::F32)
        };
        let (x, o) = (pixels(1), pixels(2));
        let proposals = [
            proposal(0, 0, 9, &[true, false, true]),
            proposal(3, 12, 5, &[false, false, true]),
            proposal(8, 16, 1, &[true, true, true]),
            proposal(4, 5, 0, &[true, false, false]),
        ];
        for epsilon in [8.0 / 255.0, 0.4] {
            let found = propose(card, &x, &o, &proposals, epsilon).unwrap();
            let expected = cpu::propose(&x, &o, &proposals, epsilon).unwrap();
            within(&found, &expected, 0.0);
        }
        assert!(check(&x, &o, &proposals).is_ok());
        assert!(check(&x, &o, &proposals[1..]).is_err());
        let beyond = [&proposals[..3], &[proposal(5, 5, 5, &[true; 3])]].concat();
        assert!(check(&x, &o, &beyond).is_err());
        assert!(propose(card, &card.wide(&x), &card.wide(&o), &proposals, 0.1).is_err());
    }
}
