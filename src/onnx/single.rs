//! Arithmetic of single numbers, by which exporters compute borders from the sides of images.

use super::constant::{Constant, Constants, Floats, Ints};
use super::proto::Node;

/// What a node gives whose inputs are single numbers, one of them at least in floating point; none where it is another operator.
pub fn single(node: &Node, inputs: Constants<'_>) -> Option<Constant> {
    let floating = |input: &Option<&Constant>| matches!(input, Some(Constant::Floats(_)));
    if !inputs.0.iter().any(floating) {
        return None;
    }
    let numbers = inputs
        .0
        .iter()
        .enumerate()
        .map(|(place, input)| match input {
            Some(constant) => constant.number(),
            // A bound that is not there.
            None if node.op_type == "Clip" => {
                Some([f64::NAN, f64::NEG_INFINITY, f64::INFINITY][place.min(2)])
            }
            None => None,
        });
    let numbers: Option<Vec<f64>> = numbers.collect();
    let value = match (node.op_type.as_str(), numbers?.as_slice()) {
        ("Clip", [a, low]) => a.max(*low),
        ("Clip", [a, low, high]) => a.max(*low).min(*high),
        ("Add", [a, b]) => a + b,
        ("Sub", [a, b]) => a - b,
        ("Mul", [a, b]) => a * b,
        ("Div", [a, b]) => a / b,
        ("Max", [a, b]) => a.max(*b),
        ("Min", [a, b]) => a.min(*b),
        ("Ceil", [a]) => a.ceil(),
        ("Floor", [a]) => a.floor(),
        ("Neg", [a]) => -a,
        ("Sqrt", [a]) => a.sqrt(),
        // Towards 0, as the format has it.
        ("Cast", [a]) if matches!(node.int("to", 1), 6 | 7) => {
            return Some(Constant::Ints(Ints {
                dims: Vec::new(),
                values: vec![Some(*a as i64)],
            }));
        }
        _ => return None,
    };
    let name = node.output.first().map_or("", String::as_str);
    Some(Constant::Floats(Floats::number(name, value as f32)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::fold::fold;
    use crate::onnx::proto::Attribute;

    fn node(operator: &str) -> Node {
        Node {
            op_type: operator.into(),
            output: vec!["y".into()],
            ..Node::default()
        }
    }

    #[test]
    fn borders_are_computed_from_sides() {
        let (seven, half) = (Ints::row([7]), Floats::number("x", 0.5));
        let (seven, half) = (Constant::Ints(seven), Constant::Floats(half));
        let product = single(&node("Mul"), Constants(&[Some(&seven), Some(&half)])).unwrap();
        assert_eq!(product.number(), Some(3.5));
        let above = single(&node("Ceil"), Constants(&[Some(&product)])).unwrap();
        let low = Constant::Floats(Floats::number("low", 5.0));
        let bounds = [Some(&above), Some(&low), None];
        let clipped = single(&node("Clip"), Constants(&bounds)).unwrap();
        assert_eq!(clipped.number(), Some(5.0));
        let whole = Node {
            attribute: vec![Attribute {
                name: "to".into(),
                i: 7,
                ..Attribute::default()
            }],
            ..node("Cast")
        };
        match single(&whole, Constants(&[Some(&above)])) {
            Some(Constant::Ints(ints)) => assert_eq!(ints.known(), Some(vec![4])),
            other => panic!("{other:?}"),
        }
        assert!(single(&node("Add"), Constants(&[Some(&seven), Some(&seven)])).is_none());
        assert!(single(&node("Sin"), Constants(&[Some(&half)])).is_none());
    }

    #[test]
    fn borders_are_joined_and_become_whole() {
        let row = |values: &[f32]| Constant::Floats(Floats::row("x", values, vec![values.len()]));
        let (one, two) = (row(&[1.0]), row(&[2.9, -0.5]));
        let joined = fold(&node("Concat"), Constants(&[Some(&one), Some(&two)]));
        let joined = joined.unwrap().unwrap();
        let to_whole = Node {
            attribute: vec![Attribute {
                name: "to".into(),
                i: 7,
                ..Attribute::default()
            }],
            ..node("Cast")
        };
        for (operator, expected) in [(&to_whole, vec![1, 2, 0]), (&node("Shape"), vec![3])] {
            match fold(operator, Constants(&[Some(&joined)])) {
                Some(Ok(Constant::Ints(ints))) => assert_eq!(ints.known(), Some(expected)),
                _ => panic!("{}", operator.op_type),
            }
        }
    }
}
