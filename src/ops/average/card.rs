//! Averages of tensors on a card, in one launch.

use super::Pair;
use crate::Result;
use crate::ops::card::{Card, chunks};

pub fn step(card: &dyn Card, pairs: &[Pair<'_>], share: f64) -> Result<()> {
    let rows = pairs
        .iter()
        .map(|pair| [Some(pair.average), Some(pair.value)]);
    let rows: Vec<_> = rows.collect();
    chunks::launch(card, "average", &rows, |call| call.float(share))
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::super::cpu;
    use super::*;
    use crate::ops::card::chunks::tests::{flat, tensors};
    use crate::ops::card::host::{host, within};

    #[test]
    fn averages_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        let (found, expected, values) = (tensors(1), tensors(1), tensors(20));
        fn pairs<'a>(averages: &'a [Tensor], values: &'a [Tensor]) -> Vec<Pair<'a>> {
            let pairs = averages.iter().zip(values);
            pairs
                .map(|(average, value)| Pair { average, value })
                .collect()
        }
        step(card, &pairs(&found, &values), 0.3).unwrap();
        cpu::step(&pairs(&expected, &values), 0.3).unwrap();
        let both = found.iter().zip(&expected);
        both.for_each(|(found, expected)| within(found, expected, 1e-6));
        assert_ne!(flat(&found), flat(&tensors(1)));
    }
}
