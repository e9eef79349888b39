//! Sums of tensors on a card.

use candle_core::Tensor;

use crate::Result;
use crate::ops::card::{Call, Card, suffix};

pub fn add(card: &dyn Card, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = card.scratch(a.dims(), a.dtype())?;
    into(card, a, b, &y)?;
    Ok(y)
}

pub fn add_assign(card: &dyn Card, target: &Tensor, x: &Tensor) -> Result<()> {
    into(card, target, x, target)
}

fn into(card: &dyn Card, a: &Tensor, b: &Tensor, y: &Tensor) -> Result<()> {
    let n = a.elem_count();
    card.launch(
        &Call::elements("elementwise", "elementwise_add", n)
            .of(suffix(a.dtype())?)
            .tensors([a, b, y])
            .size(n),
    )
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{close, each_type, numbers};

    #[test]
    fn sums_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            for shape in [vec![3, 5, 7, 11], vec![1], vec![2, 64, 33]] {
                let a = card.tensor(&numbers(&shape, 1, 1.0), &shape, dtype);
                let b = card.tensor(&numbers(&shape, 2, 1.0), &shape, dtype);
                let expected = cpu::add(&card.wide(&a), &card.wide(&b)).unwrap();
                close(&add(card, &a, &b).unwrap(), &expected, dtype);
                add_assign(card, &a, &b).unwrap();
                close(&a, &expected, dtype);
            }
        });
    }

    #[test]
    fn other_shapes_and_types_are_errors() {
        each_type(|card, dtype| {
            let a = card.tensor(&[0.0; 6], &[2, 3], dtype);
            assert!(super::super::add(&a, &a.reshape((3, 2)).unwrap()).is_err());
            assert!(super::super::add_assign(&a, &card.wide(&a)).is_err());
        });
    }
}
