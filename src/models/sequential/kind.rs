//! The kinds of layers that a spec can write down: how each is written, and how its words are read.

use std::ops::RangeInclusive;

use super::layer::Layer;
use crate::ops::activation::Activation;

/// A kind of layer.
pub struct LayerKind {
    /// How it is written: its name, what must follow and, in brackets, what may.
    pub usage: &'static str,
    /// What it is, with what holds where nothing is said.
    pub about: &'static str,
    pub(super) read: fn(&mut Words) -> Result<Layer, String>,
}

impl LayerKind {
    /// The word that its texts begin with.
    pub fn name(&self) -> &'static str {
        self.usage.split(' ').next().unwrap_or(self.usage)
    }
}

/// The widest layer: far above what any network has, and so small that no product of sizes overflows.
const WIDEST: usize = 1 << 20;
/// The largest kernel, stride and padding of a convolution.
const LARGEST: usize = 64;
/// The largest window of a pool, which its kernels ask for.
const WINDOW: usize = 15;

/// The kinds of layers, but for residual blocks, which are tables.
pub const LAYER_KINDS: &[LayerKind] = &[
    LayerKind {
        usage: "conv OUT KxK [stride=S] [pad=P] [groups=G] [bias=false]",
        about: "convolution to OUT channels; stride 1, no padding, one group, with a bias",
        read: |words| {
            let out = words.number("OUT", 1..=WIDEST)?;
            let kernel = words.kernel()?;
            Ok(Layer::Conv {
                out,
                kernel,
                stride: words.option("stride", 1, 1..=LARGEST)?,
                padding: words.option("pad", 0, 0..=LARGEST)?,
                groups: words.option("groups", 1, 1..=WIDEST)?,
                bias: words.bias()?,
            })
        },
    },
    LayerKind {
        usage: "batch-norm",
        about: "batch normalisation, of channels or of the numbers of a flat input",
        read: |_| Ok(Layer::BatchNorm),
    },
    LayerKind {
        usage: "relu",
        about: "max(z, 0)",
        read: |_| Ok(Layer::Activation(Activation::Relu)),
    },
    LayerKind {
        usage: "relu6",
        about: "min(max(z, 0), 6)",
        read: |_| Ok(Layer::Activation(Activation::Relu6)),
    },
    LayerKind {
        usage: "silu",
        about: "z / (1 + exp(-z))",
        read: |_| Ok(Layer::Activation(Activation::Silu)),
    },
    LayerKind {
        usage: "max-pool K [stride=S] [pad=P]",
        about: "maximum of windows of KxK; stride K, no padding",
        read: |words| {
            let kernel = words.number("K", 1..=WINDOW)?;
            let padding = words.option("pad", 0, 0..=WINDOW)?;
            if 2 * padding > kernel {
                return Err("a pad is at most half of the window".into());
            }
            Ok(Layer::MaxPool {
                kernel,
                stride: words.option("stride", kernel, 1..=LARGEST)?,
                padding,
            })
        },
    },
    LayerKind {
        usage: "avg-pool K [stride=S]",
        about: "mean of windows of KxK; stride K",
        read: |words| {
            let kernel = words.number("K", 1..=WINDOW)?;
            Ok(Layer::AvgPool {
                kernel,
                stride: words.option("stride", kernel, 1..=LARGEST)?,
            })
        },
    },
    LayerKind {
        usage: "global-avg-pool",
        about: "mean of each channel, an image of one pixel",
        read: |_| Ok(Layer::GlobalAvgPool),
    },
    LayerKind {
        usage: "dropout P",
        about: "zeroes numbers with probability P in training",
        read: |words| {
            let text = words.next("P")?;
            let rate = text.parse().ok().filter(|rate| (0.0..1.0).contains(rate));
            let rate = rate.ok_or_else(|| format!("P is a number in [0, 1), not \"{text}\""))?;
            Ok(Layer::Dropout(rate))
        },
    },
    LayerKind {
        usage: "flatten",
        about: "an image as a row of numbers",
        read: |_| Ok(Layer::Flatten),
    },
    LayerKind {
        usage: "linear OUT [bias=false]",
        about: "fully connected layer to OUT numbers, with a bias",
        read: |words| {
            Ok(Layer::Linear {
                out: words.number("OUT", 1..=WIDEST)?,
                bias: words.bias()?,
            })
        },
    },
];

/// The words after a layer's name: some by position, the others as NAME=VALUE. Errors say what is wrong with one.
pub(super) struct Words<'a> {
    positional: std::vec::IntoIter<&'a str>,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    pub fn new(words: impl Iterator<Item = &'a str>) -> Self {
        let (mut positional, mut options) = (Vec::new(), Vec::new());
        for word in words {
            match word.split_once('=') {
                Some(option) => options.push(option),
                None => positional.push(word),
            }
        }
        Self {
            positional: positional.into_iter(),
            options,
        }
    }

    fn next(&mut self, what: &str) -> Result<&'a str, String> {
        self.positional
            .next()
            .ok_or_else(|| format!("{what} is missing"))
    }

    fn number(&mut self, what: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
        whole(self.next(what)?, what, range)
    }

    /// The side of a kernel, written KxK.
    fn kernel(&mut self) -> Result<usize, String> {
        let text = self.next("the kernel KxK")?;
        let side = text
            .split_once('x')
            .filter(|(rows, columns)| rows == columns);
        match side {
            Some((side, _)) => whole(side, "K", 1..=LARGEST)
                .map_err(|_| format!("the kernel is 1x1 to {LARGEST}x{LARGEST}, not \"{text}\"")),
            None => Err(format!(
                "the kernel is a square such as 3x3, not \"{text}\""
            )),
        }
    }

    fn take(&mut self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(at) = self.options.iter().position(|(found, _)| *found == name) else {
            return Ok(None);
        };
        let (_, value) = self.options.remove(at);
        match self.options.iter().any(|(found, _)| *found == name) {
            true => Err(format!("\"{name}\" stands there twice")),
            false => Ok(Some(value)),
        }
    }

    fn option(
        &mut self,
        name: &str,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> Result<usize, String> {
        let text = self.take(name)?;
        text.map_or(Ok(default), |text| whole(text, name, range))
    }

    fn bias(&mut self) -> Result<bool, String> {
        match self.take("bias")? {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(format!("bias is true or false, not \"{other}\"")),
        }
    }

    /// Refuses words that nothing asked for.
    pub fn end(mut self) -> Result<(), String> {
        if let Some(word) = self.positional.next() {
            return Err(format!("\"{word}\" is too much"));
        }
        match self.options.first() {
            Some((name, _)) => Err(format!("there is no \"{name}\"")),
            None => Ok(()),
        }
    }
}

fn whole(text: &str, what: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        format!("{what} is a whole number from {least} to {most}, not \"{text}\"")
    })
}
