//! What windows go over images: convolutions and pools, with their borders.

use candle_core::{Device, Tensor};

use super::forms::Form;
use super::{Layer, Lower, Lowering, Signal, Value};
use crate::nn::Conv2d;
use crate::onnx::network::With;
use crate::onnx::proto::Node;
use crate::ops::broadcast::Arithmetic;
use crate::ops::conv::Geometry;
use crate::ops::pool::Window;

/// The longest side of a kernel, step and border.
const LONGEST: i64 = 1 << 12;

/// Rows above, columns before, rows below, columns after.
pub(super) type Border = [usize; 4];

/// One number for both directions.
pub(super) fn square(what: &str, numbers: Option<&[i64]>, default: i64) -> Lower<usize> {
    match numbers {
        None | Some([]) => Ok(default as usize),
        Some([a, rest @ ..]) if rest.iter().all(|b| a == b) && (0..=LONGEST).contains(a) => {
            Ok(*a as usize)
        }
        Some(numbers) => {
            Err(format!("with {what} {numbers:?}, which differ between directions").into())
        }
    }
}

/// A number that is a width.
pub(super) fn width(number: i64) -> Lower<usize> {
    match (0..=LONGEST).contains(&number) {
        true => Ok(number as usize),
        false => Err(format!("with a border of {number}").into()),
    }
}

/// The border that a node asks for around `sides`, of windows that reach so far and move by `stride`.
fn border(node: &Node, sides: [usize; 2], reach: [usize; 2], stride: usize) -> Lower<Border> {
    let same = |last: bool| {
        let around = [0, 1].map(|i| {
            let windows = sides[i].div_ceil(stride.max(1)).max(1);
            let all = ((windows - 1) * stride + reach[i]).saturating_sub(sides[i]);
            // What is left over goes to the one end or the other.
            let first = if last { all / 2 } else { all.div_ceil(2) };
            [first, all - first]
        });
        [around[0][0], around[1][0], around[0][1], around[1][1]]
    };
    match node.word("auto_pad").as_deref() {
        None | Some("" | "NOTSET") => match node.ints("pads") {
            None | Some([]) => Ok([0; 4]),
            Some(&[before, after]) => Ok([0, width(before)?, 0, width(after)?]),
            Some(&[a, b, c, d]) => Ok([width(a)?, width(b)?, width(c)?, width(d)?]),
            Some(pads) => Err(format!("with pads {pads:?}").into()),
        },
        Some("VALID") => Ok([0; 4]),
        Some("SAME_UPPER") => Ok(same(true)),
        Some("SAME_LOWER") => Ok(same(false)),
        Some(other) => Err(format!("with auto_pad = {other}").into()),
    }
}

impl<'a> Lowering<'a> {
    pub(super) fn conv(&mut self, node: &'a Node) -> Lower<Value> {
        let stride = square("strides", node.ints("strides"), 1)?;
        let dilation = square("dilations", node.ints("dilations"), 1)?;
        let groups = square("group", Some(&[node.int("group", 1)]), 1)?;
        let mut weight = self.floats(node, 1)?;
        let one_dimension = weight.dims.len() == 3;
        if one_dimension {
            weight.dims.insert(2, 1);
        }
        let (signal, around) = match self.value(node, 0)? {
            Value::Padded(signal, around) => (signal, around),
            _ => (self.operand(node, 0)?, [0; 4]),
        };
        let signal = match (one_dimension, signal.form.sides().as_slice()) {
            (true, &[channels, length]) => self.reshaped(signal, &[channels, 1, length])?,
            _ => signal,
        };
        let signal = self.mapped(signal)?;
        let (Form::Map([channels, height, side]), &[out, per_group, kh, kw]) =
            (signal.form, weight.dims.as_slice())
        else {
            return Err("is computed on (N, C, H, W) with four dimensions of weights".into());
        };
        let wrong = [stride, dilation, groups, kh, kw].contains(&0)
            || kh.max(kw) > LONGEST as usize
            || per_group.checked_mul(groups) != Some(channels)
            || out % groups.max(1) != 0;
        if wrong {
            return Err(format!(
                "of {channels} channels with weights {:?}, {groups} groups, stride {stride} and dilation {dilation}",
                weight.dims
            )
            .into());
        }
        let reach = [kh, kw].map(|taps| (taps - 1) * dilation + 1);
        let own = border(node, [height, side], reach, stride)?;
        let mut outside = [0, 1, 2, 3].map(|i| own[i] + around[i]);
        // What all sides have is the convolution's own, the rest is put around the image before.
        let padding = outside.into_iter().min().unwrap_or(0);
        outside = outside.map(|width| width - padding);
        let signal = self.bordered(signal, outside, 0.0)?;
        let [_, rows, columns] = self.sides(signal)?;
        let given = |side: usize, reach: usize| match (side + 2 * padding).checked_sub(reach) {
            Some(room) => Ok(room / stride + 1),
            None => Err(format!(
                "of {height}x{side} pixels with a kernel that covers {reach}"
            )),
        };
        let form = [out, given(rows, reach[0])?, given(columns, reach[1])?];
        let conv = Conv2d {
            weight: self.tensor(&weight, &weight.dims, false)?,
            bias: match node.operand(2) {
                Some(_) => {
                    let bias = self.floats(node, 2)?;
                    Some(self.tensor(&bias, &[out], false)?)
                }
                None => None,
            },
            geometry: Geometry {
                stride,
                padding,
                groups,
                dilation,
            },
        };
        if one_dimension {
            let signal = self.signal(Layer::Conv(conv), &[signal], Form::Map(form))?;
            let signal = self.reshaped(signal, &[form[0], form[2]])?;
            return Ok(Value::Signal(signal));
        }
        self.layer(node, Layer::Conv(conv), &[signal], Form::Map(form))
    }

    /// The sides of a map.
    fn sides(&self, signal: Signal) -> Lower<[usize; 3]> {
        match signal.form {
            Form::Map(sides) => Ok(sides),
            _ => Err("of a value that is no map, where (N, C, H, W) was expected".into()),
        }
    }

    /// A map with numbers around it.
    pub(super) fn bordered(
        &mut self,
        signal: Signal,
        [above, before, below, after]: Border,
        value: f64,
    ) -> Lower<Signal> {
        let mut signal = signal;
        for (axis, border) in [(2, [above, below]), (3, [before, after])] {
            signal = self.bordered_along(signal, axis, border, value)?;
        }
        Ok(signal)
    }

    /// The same along one dimension of the file.
    pub(super) fn bordered_along(
        &mut self,
        signal: Signal,
        axis: usize,
        border: [usize; 2],
        value: f64,
    ) -> Lower<Signal> {
        if border == [0, 0] {
            return Ok(signal);
        }
        let mut sides = signal.form.sides();
        sides[axis - 1] += border[0] + border[1];
        let form = signal.form.with(&sides)?;
        let layer = match (signal.form, axis) {
            (Form::Map(_), 1) if value == 0.0 => Layer::MoreChannels(border[0], border[1]),
            _ => Layer::Pad {
                axis: signal.form.stored(axis),
                border,
                value,
            },
        };
        self.signal(layer, &[signal], form)
    }

    /// A pool's window, its border, and the columns and rows that its last windows reach over that.
    fn window(
        &self,
        node: &Node,
        [_, height, side]: [usize; 3],
    ) -> Lower<(Window, Border, [usize; 2])> {
        if square("dilations", node.ints("dilations"), 1)? != 1 {
            return Err("with a dilation".into());
        }
        let kernel = square("kernel_shape", node.ints("kernel_shape"), 0)?;
        let stride = square("strides", node.ints("strides"), 1)?;
        let around = border(node, [height, side], [kernel; 2], stride)?;
        let window = Window::new(kernel, stride, 0);
        let mut over = [0, 0];
        for (i, side) in [height, side].into_iter().enumerate() {
            let whole = side + around[i] + around[i + 2];
            let rest = (window.output(whole)? - 1) * stride + kernel;
            // A further window has to start inside the image, or in the border before it.
            let start = rest - kernel + stride;
            if node.int("ceil_mode", 0) != 0 && rest < whole && start < side + around[i] {
                over[i] = start + kernel - whole;
            }
        }
        Ok((window, around, over))
    }

    pub(super) fn max_pool(&mut self, node: &'a Node) -> Lower<Value> {
        let (signal, sides) = self.map(node, 0)?;
        let (mut window, around, over) = self.window(node, sides)?;
        let mut outside = around;
        (outside[2], outside[3]) = (around[2] + over[0], around[3] + over[1]);
        let least = outside.into_iter().min().unwrap_or(0);
        window.padding = least.min(window.kernel / 2);
        outside = outside.map(|width| width - window.padding);
        let signal = self.bordered(signal, outside, f64::NEG_INFINITY)?;
        let [channels, rows, columns] = self.sides(signal)?;
        let form = Form::Map([channels, window.output(rows)?, window.output(columns)?]);
        self.b.note_max_pool();
        self.layer(node, Layer::MaxPool(window), &[signal], form)
    }

    pub(super) fn average_pool(&mut self, node: &'a Node) -> Lower<Value> {
        let (signal, sides) = self.map(node, 0)?;
        let [channels, height, side] = sides;
        let kernel = node.ints("kernel_shape").unwrap_or_default();
        let alone = node
            .ints("pads")
            .is_none_or(|pads| pads.iter().all(|&pad| pad == 0));
        let all = [height as i64, side as i64];
        if kernel == all && alone {
            return self.global_average(node, true);
        }
        let (window, around, over) = self.window(node, sides)?;
        let Window { kernel, stride, .. } = window;
        let mut outside = around;
        (outside[2], outside[3]) = (around[2] + over[0], around[3] + over[1]);
        let signal = self.bordered(signal, outside, 0.0)?;
        let [_, rows, columns] = self.sides(signal)?;
        let sides = [window.output(rows)?, window.output(columns)?];
        let form = Form::Map([channels, sides[0], sides[1]]);
        let layer = Layer::AveragePool { kernel, stride };
        // How many cells of each window count: those of the image, or those of the border too.
        let bordered = node.int("count_include_pad", 0) != 0;
        let counted = |i: usize, whole: usize| -> Vec<f64> {
            let (first, last) = match bordered {
                true => (0, around[i] + whole + around[i + 2]),
                false => (around[i], around[i] + whole),
            };
            let starts = (0..sides[i]).map(|at| at * stride);
            let cells = starts.map(|at| (at + kernel).min(last).saturating_sub(at.max(first)));
            cells
                .map(|cells| kernel as f64 / cells.max(1) as f64)
                .collect()
        };
        let (rows, columns) = (counted(0, height), counted(1, side));
        if rows.iter().chain(&columns).all(|&factor| factor == 1.0) {
            return self.layer(node, layer, &[signal], form);
        }
        let signal = self.signal(layer, &[signal], form)?;
        let shape = [1, rows.len(), columns.len(), 1];
        let factors = rows
            .iter()
            .flat_map(|row| columns.iter().map(move |column| row * column));
        let factors: Vec<f64> = factors.collect();
        let fixed = self.b.given(&shape, || {
            Ok(Tensor::from_vec(factors, &shape, &Device::Cpu)?)
        })?;
        let layer = Layer::by(With::Fixed(fixed), Arithmetic::Multiply);
        self.layer(node, layer, &[signal], form)
    }
}
