//! Operators that move, join, leave out and pool numbers.

use super::layers::{border, no_dilation, square};
use super::{Form, Layer, Lower, Lowering, Signal, Value};
use crate::onnx::constant::{Constant, Ints};
use crate::onnx::fold::{numbers, ranges};
use crate::onnx::node::{axis, sliced};
use crate::onnx::proto::Node;
use crate::ops::pool::Window;

/// Dimensions of a map, with the batch.
const RANK: usize = 4;

impl<'a> Lowering<'a> {
    pub(super) fn concat(&mut self, node: &'a Node) -> Lower<Value> {
        let mut parts = Vec::new();
        let mut joined = [0; 3];
        for place in 0..node.input.len() {
            let (signal, [channels, height, width]) = self.map(node, place)?;
            if place > 0 && [height, width] != joined[1..] {
                return Err("of maps of different sizes".into());
            }
            joined = [joined[0] + channels, height, width];
            parts.push(signal);
        }
        match axis(node.int("axis", 0), RANK)? {
            1 => self.layer(node, Layer::Join, &parts, Form::Map(joined)),
            axis => Err(format!("along dimension {axis}: only channels are joined").into()),
        }
    }

    fn window(&self, node: &Node) -> Lower<Window> {
        no_dilation(node)?;
        Ok(Window {
            kernel: square("kernel_shape", node.ints("kernel_shape"), 0)?,
            stride: square("strides", node.ints("strides"), 1)?,
            padding: border(node)?,
        })
    }

    /// The sides of what a window gives, which must not depend on how they are rounded.
    fn pooled(node: &Node, window: Window, [channels, height, width]: [usize; 3]) -> Lower<Form> {
        let mut sides = [height, width];
        for side in &mut sides {
            let rest = *side + 2 * window.padding;
            let given = window.output(*side)?;
            if node.int("ceil_mode", 0) != 0
                && !(rest - window.kernel).is_multiple_of(window.stride)
            {
                return Err("with ceil_mode, where windows reach over the edge".into());
            }
            *side = given;
        }
        Ok(Form::Map([channels, sides[0], sides[1]]))
    }

    pub(super) fn max_pool(&mut self, node: &'a Node) -> Lower<Value> {
        let window = self.window(node)?;
        let (signal, sides) = self.map(node, 0)?;
        let form = Self::pooled(node, window, sides)?;
        self.layer(node, Layer::MaxPool(window), &[signal], form)
    }

    pub(super) fn average_pool(&mut self, node: &'a Node) -> Lower<Value> {
        let window = self.window(node)?;
        if window.padding > 0 {
            return Err("with a border".into());
        }
        let (signal, sides) = self.map(node, 0)?;
        if [window.kernel; 2] == sides[1..] {
            return self.global_average(node, true);
        }
        let form = Self::pooled(node, window, sides)?;
        let layer = Layer::AveragePool {
            kernel: window.kernel,
            stride: window.stride,
        };
        self.layer(node, layer, &[signal], form)
    }

    pub(super) fn global_average(&mut self, node: &'a Node, keep: bool) -> Lower<Value> {
        let (signal, [channels, ..]) = self.map(node, 0)?;
        let form = Form::Map([channels, 1, 1]);
        if keep {
            return self.layer(node, Layer::Means(1, 1), &[signal], form);
        }
        let signal = self.signal(Layer::Means(1, 1), &[signal], form)?;
        self.flattened(node, signal)
    }

    pub(super) fn reduce_mean(
        &mut self,
        node: &'a Node,
        constants: &[Option<&Constant>],
    ) -> Lower<Value> {
        let axes = numbers(node, constants, 1, "axes")?.unwrap_or_default();
        let mut axes = axes
            .iter()
            .map(|&n| axis(n, RANK))
            .collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        match axes.as_slice() {
            [2, 3] => self.global_average(node, node.int("keepdims", 1) != 0),
            _ => Err(format!("over dimensions {axes:?}: only over height and width").into()),
        }
    }

    /// A row of all numbers of a value.
    fn flattened(&mut self, node: &'a Node, signal: Signal) -> Lower<Value> {
        match signal.form {
            Form::Flat(_) => Ok(Value::Signal(signal)),
            Form::Map([channels, height, width]) => {
                let form = Form::Flat(channels * height * width);
                self.layer(node, Layer::Flatten, &[signal], form)
            }
        }
    }

    pub(super) fn flatten(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let rank = if matches!(signal.form, Form::Flat(_)) {
            2
        } else {
            RANK
        };
        match axis(node.int("axis", 1), rank)? {
            1 => self.flattened(node, signal),
            axis => Err(format!("from dimension {axis} on: only from 1").into()),
        }
    }

    pub(super) fn reshape(
        &mut self,
        node: &'a Node,
        constants: &[Option<&Constant>],
    ) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let asked = match constants.get(1).copied().flatten() {
            Some(Constant::Ints(asked)) => asked,
            _ => return Err("to a shape that is not known".into()),
        };
        let sides: Vec<usize> = match signal.form {
            Form::Map(sides) => sides.to_vec(),
            Form::Flat(count) => vec![count],
        };
        let count: usize = sides.iter().product();
        // The batch is free, whichever number of images the file was written for.
        let free = |side: Option<i64>| match side {
            None | Some(-1..=1) => true,
            Some(side) => usize::try_from(side).ok() == self.graph.batch,
        };
        let is = |side: Option<i64>, expected: usize| match side {
            Some(-1) => true,
            Some(side) => usize::try_from(side).ok() == Some(expected),
            None => false,
        };
        match asked.values.as_slice() {
            [batch, rest] if free(*batch) && is(*rest, count) => self.flattened(node, signal),
            [batch, rest @ ..]
                if free(*batch)
                    && rest.len() == sides.len()
                    && rest
                        .iter()
                        .zip(&sides)
                        .all(|(side, own)| is(*side, *own) || *side == Some(0)) =>
            {
                Ok(Value::Signal(signal))
            }
            asked => {
                let words = asked
                    .iter()
                    .map(|side| side.map_or("N".into(), |side| side.to_string()));
                let words: Vec<String> = words.collect();
                Err(format!(
                    "of (N, {sides:?}) to ({}): only all numbers of an image into one row",
                    words.join(", ")
                )
                .into())
            }
        }
    }

    pub(super) fn squeeze(
        &mut self,
        node: &'a Node,
        constants: &[Option<&Constant>],
    ) -> Lower<Value> {
        let axes = numbers(node, constants, 1, "axes")?.unwrap_or(vec![2, 3]);
        let (signal, sides) = self.map(node, 0)?;
        let mut axes = axes
            .iter()
            .map(|&n| axis(n, RANK))
            .collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        match (axes.as_slice(), sides) {
            ([2, 3], [_, 1, 1]) => self.flattened(node, signal),
            _ => Err(format!("of dimensions {axes:?} of an image {sides:?}").into()),
        }
    }

    pub(super) fn expand(
        &mut self,
        node: &'a Node,
        constants: &[Option<&Constant>],
    ) -> Lower<Value> {
        let (signal, [channels, height, width]) = self.map(node, 0)?;
        let asked = match constants.get(1).copied().flatten() {
            Some(Constant::Ints(asked)) => asked.values.as_slice(),
            _ => return Err("to a shape that is not known".into()),
        };
        let side = |asked: Option<i64>, own: usize| match asked.map(usize::try_from) {
            Some(Ok(1)) => own,
            Some(Ok(asked)) => asked,
            // Minus one, and the number of images.
            _ => own,
        };
        match (asked, [height, width]) {
            (&[_, c, rows, columns], [1, 1]) if side(c, channels) == channels => {
                let (rows, columns) = (side(rows, 1), side(columns, 1));
                let form = Form::Map([channels, rows, columns]);
                self.layer(node, Layer::Means(rows, columns), &[signal], form)
            }
            _ => Err("of anything but one pixel to an image".into()),
        }
    }

    pub(super) fn pad(&mut self, node: &'a Node, constants: &[Option<&Constant>]) -> Lower<Value> {
        let mode = node.word("mode").unwrap_or("constant".into());
        let filled = match constants.get(2).copied().flatten() {
            Some(Constant::Floats(floats)) => floats.scalar() == Some(0.0),
            Some(Constant::Ints(ints)) => ints.known() == Some(vec![0]),
            None => node.operand(2).is_none() && node.float("value", 0.0) == 0.0,
        };
        if mode != "constant" || !filled {
            return Err("with anything but zeros".into());
        }
        let pads = numbers(node, constants, 1, "pads")?.ok_or("of sizes that are not known")?;
        let (signal, sides) = self.map(node, 0)?;
        let axes = numbers(node, constants, 3, "axes")?.unwrap_or(vec![0, 1, 2, 3]);
        let (mut before, mut after) = ([0; RANK], [0; RANK]);
        if pads.len() != 2 * axes.len() {
            return Err(
                format!("by {pads:?}, which are not two numbers for each dimension").into(),
            );
        }
        for (i, &number) in axes.iter().enumerate() {
            let at = axis(number, RANK)?;
            (before[at], after[at]) = (pads[i], pads[axes.len() + i]);
        }
        match (before, after) {
            ([0, 0, a, b], [0, 0, c, d]) if a == b && a == c && a == d => {
                Ok(match square("pads", Some(&[a]), 0)? {
                    0 => Value::Signal(signal),
                    around => Value::Padded(signal, around),
                })
            }
            ([0, first, 0, 0], [0, last, 0, 0]) => {
                let [first, last] = [first, last].map(|side| square("pads", Some(&[side]), 0));
                let (first, last) = (first?, last?);
                let form = Form::Map([sides[0] + first + last, sides[1], sides[2]]);
                self.layer(node, Layer::MoreChannels(first, last), &[signal], form)
            }
            _ => Err(format!("by {pads:?}: only all sides alike, or channels").into()),
        }
    }

    pub(super) fn slice(
        &mut self,
        node: &'a Node,
        constants: &[Option<&Constant>],
    ) -> Lower<Value> {
        let (signal, mut left_out) = match self.value(node, 0)? {
            Value::Strided(signal, axis, step) => (signal, vec![(axis, step)]),
            _ => (self.operand(node, 0)?, Vec::new()),
        };
        let Form::Map(sides) = signal.form else {
            return Err("of a row of numbers".into());
        };
        for (at, [start, end, step]) in ranges(node, constants, RANK)? {
            let Some(&side) = at.checked_sub(1).and_then(|at| sides.get(at)) else {
                return Err("of the images of a batch".into());
            };
            let taken = sliced(side, start, end, step)?;
            let step = usize::try_from(step).unwrap_or(0);
            if step == 0 || !taken.iter().copied().eq((0..side).step_by(step)) {
                return Err(format!("of {} of {side} along dimension {at}", taken.len()).into());
            }
            if step > 1 {
                left_out.push((at, step));
            }
        }
        left_out.sort_unstable();
        match left_out.as_slice() {
            [] => Ok(Value::Signal(signal)),
            &[(at @ (2 | 3), step)] => Ok(Value::Strided(signal, at, step)),
            &[(2, step), (3, same)] if step == same => {
                let side = |side: usize| (side - 1) / step + 1;
                let form = Form::Map([sides[0], side(sides[1]), side(sides[2])]);
                let layer = Layer::AveragePool {
                    kernel: 1,
                    stride: step,
                };
                self.layer(node, layer, &[signal], form)
            }
            _ => Err("that leaves out other rows than columns".into()),
        }
    }

    pub(super) fn shape(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let sides: Vec<usize> = match signal.form {
            Form::Map(sides) => sides.to_vec(),
            Form::Flat(count) => vec![count],
        };
        let known = sides.iter().map(|&side| i64::try_from(side).ok());
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
