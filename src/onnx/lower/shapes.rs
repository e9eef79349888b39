//! Operators that change shapes and orders of dimensions.

use super::forms::Form;
use super::windows::width;
use super::{Layer, Lower, Lowering, Signal, Value};
use crate::onnx::constant::{Constant, Constants, Ints};
use crate::onnx::fold::numbers;
use crate::onnx::node::{axis, sliced};
use crate::onnx::proto::Node;

/// The dimensions of a value with that rank that numbers of the file mean, in order.
pub(super) fn axes(numbers: &[i64], rank: usize) -> Lower<Vec<usize>> {
    let axes = numbers.iter().map(|&number| axis(number, rank));
    let mut axes = axes.collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    match axes.contains(&0) {
        true => Err("along the images of a batch".into()),
        false => Ok(axes),
    }
}

/// The dimension that a node's `axis` means, which must not be that of the images; `why` is what is wrong with those.
pub(super) fn inner_axis(node: &Node, default: i64, rank: usize, why: &str) -> Lower<usize> {
    match axis(node.int("axis", default), rank)? {
        0 => Err(why.into()),
        axis => Ok(axis),
    }
}

impl<'a> Lowering<'a> {
    /// A row of all numbers of a value.
    pub(super) fn flattened(&mut self, node: &'a Node, signal: Signal) -> Lower<Value> {
        match signal.form {
            Form::Flat(_) => Ok(Value::Signal(signal)),
            Form::Map([channels, height, width]) => {
                let form = Form::Flat(channels * height * width);
                self.layer(node, Layer::Flatten, &[signal], form)
            }
            form => {
                let all = form.sides().iter().product();
                Ok(Value::Signal(self.reshaped(signal, &[all])?))
            }
        }
    }

    pub(super) fn flatten(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        match axis(node.int("axis", 1), signal.form.rank())? {
            1 => self.flattened(node, signal),
            axis => Err(format!("from dimension {axis} on: only from 1").into()),
        }
    }

    pub(super) fn reshape(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let asked = constants.ints(1).ok_or("to a shape that is not known")?;
        let own = signal.form.sides();
        let count: usize = own.iter().product();
        let wrong = || {
            let words = asked.values.iter();
            let words = words.map(|side| side.map_or("N".into(), |side| side.to_string()));
            let words: Vec<String> = words.collect();
            format!(
                "of (N, {own:?}) to ({}): images of a batch stay apart",
                words.join(", ")
            )
        };
        let Some((&batch, rest)) = asked.values.split_first() else {
            return Err(wrong().into());
        };
        // The batch is free, whichever number of images the file was written for.
        let free = match batch {
            None | Some(-1..=1) => true,
            Some(side) => usize::try_from(side).ok() == self.graph.batch,
        };
        let copied = node.int("allowzero", 0) == 0;
        let sides = rest.iter().enumerate().map(|(i, side)| match side {
            Some(-1) => Some(None),
            Some(0) if copied => own.get(i).map(|&side| Some(side)),
            Some(side) => usize::try_from(*side).ok().map(Some),
            None => None,
        });
        let sides: Option<Vec<Option<usize>>> = sides.collect();
        let sides = sides.filter(|_| free).ok_or_else(wrong)?;
        let mut known = sides.iter().flatten();
        let known = known.try_fold(1usize, |all, &side| all.checked_mul(side));
        let known = known.filter(|&known| known > 0).ok_or_else(wrong)?;
        let sides: Vec<usize> = sides
            .iter()
            .map(|side| side.unwrap_or(count / known))
            .collect();
        if sides
            .iter()
            .try_fold(1usize, |all, &side| all.checked_mul(side))
            != Some(count)
        {
            return Err(wrong().into());
        }
        self.in_shape(node, signal, &sides)
    }

    /// A value with these sides, which may be a row of numbers.
    fn in_shape(&mut self, node: &'a Node, signal: Signal, sides: &[usize]) -> Lower<Value> {
        match sides {
            [_] => self.flattened(node, signal),
            sides => Ok(Value::Signal(self.reshaped(signal, sides)?)),
        }
    }

    pub(super) fn squeeze(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let own = signal.form.sides();
        let sides = match numbers(node, constants, 1, "axes")? {
            Some(asked) => {
                let gone = axes(&asked, own.len() + 1)?;
                if let Some(&at) = gone.iter().find(|&&at| own[at - 1] != 1) {
                    return Err(format!("a side of {} is to vanish", own[at - 1]).into());
                }
                without(&own, &gone)
            }
            None => own.iter().copied().filter(|&side| side != 1).collect(),
        };
        self.in_shape(node, signal, &sides)
    }

    pub(super) fn unsqueeze(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let asked = numbers(node, constants, 1, "axes")?.ok_or("it has no axes")?;
        let signal = self.operand(node, 0)?;
        let mut own = signal.form.sides().into_iter();
        let rank = own.len() + 1 + asked.len().min(8);
        let new = axes(&asked, rank)?;
        let sides = (1..rank).map(|at| match new.contains(&at) {
            true => Some(1),
            false => own.next(),
        });
        let sides: Option<Vec<usize>> = sides.collect();
        let sides = sides.filter(|_| own.next().is_none());
        let sides = sides.ok_or("two axes are the same")?;
        Ok(Value::Signal(self.reshaped(signal, &sides)?))
    }

    pub(super) fn transpose(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let rank = signal.form.rank();
        let order = match node.ints("perm") {
            Some(order) => order
                .iter()
                .map(|&n| axis(n, rank))
                .collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).rev().collect(),
        };
        let mut all = order.clone();
        all.sort_unstable();
        if order.first() != Some(&0) || !all.iter().copied().eq(0..rank) {
            return Err(format!("by {order:?}: images of a batch stay apart").into());
        }
        let own = signal.form.sides();
        let sides: Vec<usize> = order[1..].iter().map(|&at| own[at - 1]).collect();
        // Between the two orders in which maps are kept, nothing has to move.
        let form = match (signal.form, order.as_slice()) {
            (Form::Map(_), [0, 2, 3, 1]) => Some(Form::plain(&sides)?),
            (Form::Block(_), [0, 3, 1, 2]) => Some(Form::Map([sides[0], sides[1], sides[2]])),
            _ => order.iter().copied().eq(0..rank).then_some(signal.form),
        };
        if let Some(form) = form {
            return Ok(Value::Signal(Signal { form, ..signal }));
        }
        let signal = self.plain(signal)?;
        let form = Form::plain(&sides)?;
        self.layer(node, Layer::Permute(order), &[signal], form)
    }

    pub(super) fn expand(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let asked = constants.ints(1).ok_or("to a shape that is not known")?;
        let asked = asked.values.as_slice();
        let own = signal.form.sides();
        if asked.len() != own.len() + 1 {
            return Err("to a shape of another rank".into());
        }
        let sides = asked[1..]
            .iter()
            .zip(&own)
            .map(|(asked, &own)| match *asked {
                // Minus one, and what is not known, leaves a side as it is.
                None | Some(-1 | 1) => Ok(own),
                Some(side) if own == 1 => width(side),
                Some(side) if usize::try_from(side) == Ok(own) => Ok(own),
                Some(side) => Err(format!("of a side of {own} to {side}").into()),
            });
        let sides = sides.collect::<Lower<Vec<usize>>>()?;
        if let (Form::Map([channels, 1, 1]), &[same, rows, columns]) =
            (signal.form, sides.as_slice())
            && same == channels
        {
            let form = Form::Map([channels, rows, columns]);
            return self.layer(node, Layer::Means(rows, columns), &[signal], form);
        }
        let form = signal.form.with(&sides)?;
        let repeated = Layer::Repeat(in_memory(form));
        self.layer(node, repeated, &[signal], form)
    }

    /// An image enlarged by whole numbers, each pixel repeated.
    pub(super) fn resize(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        if node.word("mode").is_some_and(|mode| mode != "nearest") {
            return Err("by interpolation".into());
        }
        let (signal, [channels, height, side]) = self.map(node, 0)?;
        let places = [2, 1, 3].map(|place| constants.get(place));
        let sides = match places {
            [Some(Constant::Floats(scales)), ..] | [_, Some(Constant::Floats(scales)), _]
                if scales.count() == 4 =>
            {
                let numbers = scales.numbers()?;
                let by = |side: usize, scale: f64| side as f64 * scale;
                [by(height, numbers[2]), by(side, numbers[3])]
            }
            [_, _, Some(Constant::Ints(sizes))] => match sizes.values.as_slice() {
                &[_, _, Some(rows), Some(columns)] => [rows as f64, columns as f64],
                _ => return Err("to a size that is not known".into()),
            },
            _ => return Err("to a size that is not known".into()),
        };
        let times = [sides[0] / height as f64, sides[1] / side as f64];
        if times
            .iter()
            .any(|&times| times.fract() != 0.0 || !(1.0..=64.0).contains(&times))
        {
            return Err(format!("by {times:?}, which are no whole numbers").into());
        }
        let [down, across] = times.map(|times| times as usize);
        let split = Form::plain(&[height, 1, side, 1, channels])?;
        let signal = self.signal(Layer::Reshape(split.sides()), &[signal], split)?;
        let all = Form::plain(&[height, down, side, across, channels])?;
        let signal = self.signal(Layer::Repeat(all.sides()), &[signal], all)?;
        let form = Form::Map([channels, height * down, side * across]);
        self.layer(node, Layer::Reshape(in_memory(form)), &[signal], form)
    }

    pub(super) fn shape(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let sides = signal.form.sides().into_iter();
        let known = sides.map(|side| i64::try_from(side).ok());
        let all: Vec<Option<i64>> = [None].into_iter().chain(known).collect();
        let (start, end) = (node.int("start", 0), node.int("end", i64::MAX));
        let taken = sliced(all.len(), start, end, 1)?;
        let values: Vec<Option<i64>> = taken.into_iter().map(|at| all[at]).collect();
        Ok(Value::Constant(Constant::Ints(Ints {
            dims: vec![values.len()],
            values,
        })))
    }
}

/// The sides but for those dimensions, which count with the batch.
pub(super) fn without(sides: &[usize], axes: &[usize]) -> Vec<usize> {
    let kept = sides.iter().zip(1..).filter(|(_, at)| !axes.contains(at));
    kept.map(|(&side, _)| side).collect()
}

/// The sides in the order of memory.
fn in_memory(form: Form) -> Vec<usize> {
    let sides = form.sides();
    match form.order() {
        Some(order) => order[1..].iter().map(|&at| sides[at - 1]).collect(),
        None => sides,
    }
}
