//! Activations that exporters write as several operators, made one again, so that they have one name and one derivative.

use std::collections::HashMap;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

use bytes::Bytes;

use super::constant::Constant;
use super::proto::{Attribute, Node};

/// How far a number may be from the one that a pattern has: files have them in f32, and some exporters rounded.
const CLOSE: f64 = 1e-4;

/// Puts one operator in the place of the last one of several that are one activation; the others are not used any more.
pub fn recognise(nodes: &mut [Node], constants: &HashMap<String, Constant>) {
    let mut found = Vec::new();
    {
        let graph = Operators::new(nodes, constants);
        for (at, node) in nodes.iter().enumerate() {
            if let Some((kind, of)) = graph.activation(node) {
                found.push((at, kind, of.to_owned()));
            }
        }
    }
    for (at, kind, of) in found {
        let node = &mut nodes[at];
        let (operator, approximate) = match kind {
            Kind::Gelu => ("Gelu", "none"),
            Kind::GeluTanh => ("Gelu", "tanh"),
            Kind::Mish => ("Mish", ""),
        };
        node.op_type = operator.into();
        node.input = vec![of];
        node.attribute = vec![Attribute {
            name: "approximate".into(),
            s: Bytes::from_static(approximate.as_bytes()),
            ..Attribute::default()
        }];
    }
}

enum Kind {
    Gelu,
    GeluTanh,
    Mish,
}

struct Operators<'a> {
    makers: HashMap<&'a str, &'a Node>,
    constants: &'a HashMap<String, Constant>,
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < CLOSE * b.abs()
}

impl<'a> Operators<'a> {
    fn new(nodes: &'a [Node], constants: &'a HashMap<String, Constant>) -> Self {
        let named = |node: &'a Node| Some((node.output.first()?.as_str(), node));
        Self {
            makers: nodes.iter().filter_map(named).collect(),
            constants,
        }
    }

    /// The single number of that name.
    fn number(&self, name: &str) -> Option<f64> {
        match self.constants.get(name)? {
            Constant::Floats(floats) => floats.scalar(),
            Constant::Ints(ints) => match ints.known()?.as_slice() {
                &[only] => Some(only as f64),
                _ => None,
            },
        }
    }

    /// What the operator of that kind takes that gives the value of that name.
    fn unary(&self, name: &str, operator: &str) -> Option<&'a str> {
        let node = self.makers.get(name)?;
        (node.op_type == operator).then(|| node.operand(0))?
    }

    fn pair(&self, name: &str, operator: &str) -> Option<[&'a str; 2]> {
        let node = self.makers.get(name)?;
        (node.op_type == operator).then(|| Some([node.operand(0)?, node.operand(1)?]))?
    }

    /// A number and what it is added to or multiplied by.
    fn with_number(&self, name: &str, operator: &str) -> Option<(f64, &'a str)> {
        let [a, b] = self.pair(name, operator)?;
        match (self.number(a), self.number(b)) {
            (Some(number), None) => Some((number, b)),
            (None, Some(number)) => Some((number, a)),
            _ => None,
        }
    }

    /// A value as so many times another.
    fn times(&self, name: &str) -> Option<(f64, &'a str)> {
        self.with_number(name, "Mul").or_else(|| {
            let [of, by] = self.pair(name, "Div")?;
            Some((1.0 / self.number(by)?, of))
        })
    }

    fn activation(&self, node: &'a Node) -> Option<(Kind, &'a str)> {
        let (a, b) = (node.operand(0)?, node.operand(1)?);
        let mut products: Vec<(f64, &str, &str)> = Vec::new();
        match node.op_type.as_str() {
            "Mul" => {
                products.push((1.0, a, b));
                for (other, product) in [(a, b), (b, a)] {
                    if let Some(factor) = self.number(other) {
                        products.extend(self.pair(product, "Mul").map(|[x, y]| (factor, x, y)));
                    } else if let Some((factor, of)) = self.times(product) {
                        products.push((factor, of, other));
                    }
                }
            }
            "Div" => {
                let [x, y] = self.pair(a, "Mul")?;
                products.push((1.0 / self.number(b)?, x, y));
            }
            _ => return None,
        }
        products.into_iter().find_map(|(factor, a, b)| {
            [(a, b), (b, a)].into_iter().find_map(|(x, gate)| {
                let kind = self.gate(x, gate, factor)?;
                Some((kind, x))
            })
        })
    }

    /// What `factor` times `x` times the gate is.
    fn gate(&self, x: &str, gate: &str, factor: f64) -> Option<Kind> {
        if factor == 1.0 {
            let inside = self.unary(self.unary(gate, "Tanh")?, "Softplus")?;
            return (inside == x).then_some(Kind::Mish);
        }
        let (one, curve) = self.with_number(gate, "Add")?;
        if factor != 0.5 || one != 1.0 {
            return None;
        }
        if let Some(inside) = self.unary(curve, "Erf") {
            let (scale, of) = self.times(inside)?;
            return (of == x && close(scale, FRAC_1_SQRT_2)).then_some(Kind::Gelu);
        }
        let (scale, sum) = self.with_number(self.unary(curve, "Tanh")?, "Mul")?;
        let [a, b] = self.pair(sum, "Add")?;
        let cube = if a == x { b } else { a };
        let (small, cube) = self.with_number(cube, "Mul")?;
        let whole = (a == x || b == x) && self.is_cube(cube, x);
        let numbers = close(scale, (2.0 / PI).sqrt()) && close(small, 0.044715);
        (whole && numbers).then_some(Kind::GeluTanh)
    }

    fn is_cube(&self, name: &str, x: &str) -> bool {
        if let Some([base, exponent]) = self.pair(name, "Pow") {
            return base == x && self.number(exponent) == Some(3.0);
        }
        let square = |name: &str| self.pair(name, "Mul") == Some([x, x]);
        match self.pair(name, "Mul") {
            Some([a, b]) => a == x && square(b) || b == x && square(a),
            None => false,
        }
    }
}
