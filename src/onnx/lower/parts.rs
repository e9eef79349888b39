//! Operators that join values, take parts of them, put borders around them, and sum them up.

use super::forms::Form;
use super::shapes::{axes, inner_axis, without};
use super::windows::width;
use super::{Layer, Lower, Lowering, Signal, Value};
use crate::nn::Bend;
use crate::nn::rearrange::Part;
use crate::onnx::constant::Constants;
use crate::onnx::fold::{numbers, ranges};
use crate::onnx::node::{axis, sliced};
use crate::onnx::proto::Node;
use crate::ops::curve::Curve;

/// Parts that a value is put together of at most.
const MOST: usize = 256;

impl<'a> Lowering<'a> {
    pub(super) fn concat(&mut self, node: &'a Node) -> Lower<Value> {
        let signals = (0..node.input.len()).map(|place| self.operand(node, place));
        let signals = signals.collect::<Lower<Vec<_>>>()?;
        let parts = self.alike(&signals)?;
        let first = match parts.as_slice() {
            [] => return Err("of nothing".into()),
            &[only] => return Ok(Value::Signal(only)),
            [first, ..] => *first,
        };
        let at = inner_axis(node, 0, first.form.rank(), "of the images of a batch")?;
        let mut sides = first.form.sides();
        let mut all = 0;
        for part in &parts {
            let own = part.form.sides();
            all += own[at - 1];
            if without(&own, &[at]) != without(&sides, &[at]) {
                return Err(format!("of {sides:?} and {own:?} along dimension {at}").into());
            }
        }
        sides[at - 1] = all;
        let form = first.form.with(&sides)?;
        let layer = match (form, at) {
            (Form::Map(_), 1) => Layer::Join,
            _ => Layer::Stack(form.stored(at)),
        };
        self.layer(node, layer, &parts, form)
    }

    /// Means, sums, largest numbers and norms along dimensions.
    pub(super) fn reduce(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let asked = numbers(node, constants, 1, "axes")?.unwrap_or_default();
        if asked.is_empty() {
            return Err("over the images of a batch".into());
        }
        let axes = axes(&asked, signal.form.rank())?;
        let keep = node.int("keepdims", 1) != 0;
        if let (Form::Map(_), [2, 3], "ReduceMean") =
            (signal.form, axes.as_slice(), node.op_type.as_str())
        {
            return self.global_average(node, keep);
        }
        let mut sides = signal.form.sides();
        let mut count = 1;
        for &at in &axes {
            count *= std::mem::replace(&mut sides[at - 1], 1);
        }
        let form = signal.form.with(&sides)?;
        let stored: Vec<usize> = axes.iter().map(|&at| signal.form.stored(at)).collect();
        let factor = if node.op_type == "ReduceMean" {
            1.0 / count as f64
        } else {
            1.0
        };
        let sum = Layer::Sum(stored.clone(), factor);
        let signal = match node.op_type.as_str() {
            "ReduceMax" => self.signal(Layer::Maximum(stored), &[signal], form)?,
            "ReduceL2" => {
                let power = |exponent| Layer::Bend(Bend::gate(Curve::Power { exponent }));
                let squares = self.signal(power(2.0), &[signal], signal.form)?;
                let sum = self.signal(sum, &[squares], form)?;
                self.signal(power(0.5), &[sum], form)?
            }
            _ => self.signal(sum, &[signal], form)?,
        };
        match keep {
            true => Ok(Value::Signal(signal)),
            false => {
                let kept = without(&signal.form.sides(), &axes);
                Ok(Value::Signal(self.reshaped(signal, &kept)?))
            }
        }
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

    pub(super) fn global_maximum(&mut self, node: &'a Node) -> Lower<Value> {
        let (signal, [channels, ..]) = self.map(node, 0)?;
        let form = Form::Map([channels, 1, 1]);
        self.layer(node, Layer::Maximum(vec![1, 2]), &[signal], form)
    }

    /// A softmax along one dimension, in the middle of a network.
    pub(super) fn softmax(&mut self, node: &'a Node) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let form = signal.form;
        let rank = form.rank();
        let at = inner_axis(node, -1, rank, "over the images of a batch")?;
        if form.stored(at) + 1 == rank {
            return self.layer(node, Layer::Softmax, &[signal], form);
        }
        let signal = self.plain(signal)?;
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(at, rank - 1);
        let own = signal.form.sides();
        let turned: Vec<usize> = order[1..].iter().map(|&at| own[at - 1]).collect();
        let turned = Form::plain(&turned)?;
        let turn = Layer::Permute(order.clone());
        let signal = self.signal(turn, &[signal], turned)?;
        let signal = self.signal(Layer::Softmax, &[signal], turned)?;
        self.layer(node, Layer::Permute(order), &[signal], Form::plain(&own)?)
    }

    pub(super) fn pad(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let mode = node.word("mode").unwrap_or("constant".into());
        let value = match constants.get(2) {
            Some(constant) => constant.number(),
            None if node.operand(2).is_none() => Some(f64::from(node.float("value", 0.0))),
            None => None,
        };
        let (Some(value), "constant") = (value, mode.as_str()) else {
            return Err("with anything but one number".into());
        };
        let pads = numbers(node, constants, 1, "pads")?.ok_or("of sizes that are not known")?;
        let signal = self.operand(node, 0)?;
        let rank = signal.form.rank();
        let axes = match numbers(node, constants, 3, "axes")? {
            Some(axes) => axes,
            None => (0..).take(rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(
                format!("by {pads:?}, which are not two numbers for each dimension").into(),
            );
        }
        let mut borders = vec![[0, 0]; rank];
        for (i, &number) in axes.iter().enumerate() {
            let at = axis(number, rank)?;
            borders[at] = [width(pads[i])?, width(pads[axes.len() + i])?];
        }
        match (signal.form, borders.as_slice()) {
            (_, [batch, ..]) if *batch != [0, 0] => Err("of the images of a batch".into()),
            (Form::Map(_), &[_, [0, 0], rows, columns]) if value == 0.0 => {
                let around = [rows[0], columns[0], rows[1], columns[1]];
                Ok(match around {
                    [0, 0, 0, 0] => Value::Signal(signal),
                    around => Value::Padded(signal, around),
                })
            }
            (_, borders) => {
                let mut signal = signal;
                for (at, &border) in borders.iter().enumerate().skip(1) {
                    signal = self.bordered_along(signal, at, border, value)?;
                }
                Ok(Value::Signal(signal))
            }
        }
    }

    pub(super) fn slice(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let (mut signal, mut left_out) = match self.value(node, 0)? {
            Value::Strided(signal, axis, step) => (signal, vec![(axis, step)]),
            _ => (self.operand(node, 0)?, Vec::new()),
        };
        let sides = signal.form.sides();
        let mut parts = Vec::new();
        for (at, [start, end, step]) in ranges(node, constants, signal.form.rank())? {
            let Some(&side) = at.checked_sub(1).and_then(|at| sides.get(at)) else {
                return Err("of the images of a batch".into());
            };
            let taken = sliced(side, start, end, step)?;
            let step = usize::try_from(step).map_err(|_| "from the end to the beginning")?;
            let every = taken.iter().copied().eq((0..side).step_by(step));
            match taken.first() {
                Some(_) if every && step == 1 => {}
                Some(_) if every && at > 1 && matches!(signal.form, Form::Map(_)) => {
                    left_out.push((at, step));
                }
                Some(&start) => parts.push((at, start, step, taken.len())),
                None => return Err(format!("of nothing of {side} along dimension {at}").into()),
            }
        }
        left_out.sort_unstable();
        let same = match left_out.as_slice() {
            &[(2, step), (3, same)] => step == same,
            _ => false,
        };
        if same && parts.is_empty() {
            let step = left_out[0].1;
            let side = |side: usize| (side - 1) / step + 1;
            let form = Form::Map([sides[0], side(sides[1]), side(sides[2])]);
            let layer = Layer::AveragePool {
                kernel: 1,
                stride: step,
            };
            return self.layer(node, layer, &[signal], form);
        }
        if let (&[(at, step)], true) = (left_out.as_slice(), parts.is_empty()) {
            return Ok(Value::Strided(signal, at, step));
        }
        for (at, step) in left_out {
            signal = self.every(signal, at, step)?;
        }
        for (at, start, step, count) in parts {
            signal = self.part(signal, at, start, step, count)?;
        }
        Ok(Value::Signal(signal))
    }

    /// Every so many positions of a dimension of the file.
    pub(super) fn every(&mut self, signal: Signal, at: usize, step: usize) -> Lower<Signal> {
        let count = signal.form.sides()[at - 1].div_ceil(step);
        self.part(signal, at, 0, step, count)
    }

    /// Positions of a dimension of the file: from `start` on every `step`, `count` of them.
    fn part(
        &mut self,
        signal: Signal,
        at: usize,
        start: usize,
        step: usize,
        count: usize,
    ) -> Lower<Signal> {
        let mut sides = signal.form.sides();
        if count == sides[at - 1] && step == 1 {
            return Ok(signal);
        }
        sides[at - 1] = count;
        let part = Part {
            axis: signal.form.stored(at),
            start,
            step,
            count,
        };
        let form = signal.form.with(&sides)?;
        self.signal(Layer::Part(part), &[signal], form)
    }

    /// The first part; the others become values here.
    pub(super) fn split(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let at = inner_axis(node, 0, signal.form.rank(), "of the images of a batch")?;
        let side = signal.form.sides()[at - 1];
        let count = node.output.len();
        let sizes = match numbers(node, constants, 1, "split")? {
            Some(sizes) => sizes.into_iter().map(width).collect::<Lower<Vec<_>>>()?,
            None => {
                let each = side.div_ceil(count.max(1));
                let starts = (0..count).map(|i| i * each);
                starts
                    .map(|start| each.min(side.saturating_sub(start)))
                    .collect()
            }
        };
        if sizes.len() != count || sizes.contains(&0) || sizes.iter().sum::<usize>() != side {
            return Err(format!("of {side} to {sizes:?}").into());
        }
        let (mut start, mut first) = (0, None);
        for (name, size) in node.output.iter().zip(sizes) {
            let part = self.part(signal, at, start, 1, size)?;
            start += size;
            self.values.insert(name, Value::Signal(part));
            first = first.or(Some(part));
        }
        first
            .map(Value::Signal)
            .ok_or_else(|| "into nothing".into())
    }

    /// One position of a dimension, which vanishes, or some of them.
    pub(super) fn gather(&mut self, node: &'a Node, constants: Constants<'_>) -> Lower<Value> {
        let signal = self.operand(node, 0)?;
        let at = inner_axis(node, 0, signal.form.rank(), "of the images of a batch")?;
        let sides = signal.form.sides();
        let indices = constants.ints(1).filter(|ints| ints.dims.len() <= 1);
        let indices = indices.ok_or("at places that are no constants")?;
        let known = indices.known().ok_or("at places that are not known")?;
        if known.is_empty() || known.len() > MOST {
            return Err(format!("at {} places", known.len()).into());
        }
        let places = known.iter().map(|&place| axis(place, sides[at - 1]));
        let places = places.collect::<Result<Vec<_>, _>>()?;
        let parts = places
            .iter()
            .map(|&place| self.part(signal, at, place, 1, 1));
        let parts = parts.collect::<Lower<Vec<_>>>()?;
        if indices.dims.is_empty() {
            let kept = without(&sides, &[at]);
            return Ok(Value::Signal(self.reshaped(parts[0], &kept)?));
        }
        let mut all = sides;
        all[at - 1] = parts.len();
        let form = signal.form.with(&all)?;
        self.layer(node, Layer::Stack(form.stored(at)), &parts, form)
    }
}
