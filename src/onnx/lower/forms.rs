//! What an image has become, and how that lies in memory.

use super::{Layer, Lower, Lowering, Signal};

/// Sides of a value at most, without the batch.
const MOST: usize = 6;

/// The shape of a value, without the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// Channels, height, width; in memory channels come last.
    Map([usize; 3]),
    /// A row of so many numbers.
    Flat(usize),
    /// Two sides or more, in memory in their order.
    Block(Sides),
}

/// Some sides.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Sides {
    count: usize,
    sides: [usize; MOST],
}

impl std::fmt::Debug for Sides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.sides[..self.count].fmt(f)
    }
}

/// Where the dimensions of `(N, C, H, W)` are in memory.
const CHANNELS_LAST: [usize; 4] = [0, 3, 1, 2];
/// And the other way round.
const CHANNELS_FIRST: [usize; 4] = [0, 2, 3, 1];

impl Form {
    /// The form of a value that lies in memory as its sides say.
    pub fn plain(sides: &[usize]) -> Result<Self, String> {
        match sides {
            [] => Err("gives one number an image, without a dimension for it".into()),
            [count] => Ok(Self::Flat(*count)),
            _ if sides.len() <= MOST => {
                let mut all = [0; MOST];
                all[..sides.len()].copy_from_slice(sides);
                Ok(Self::Block(Sides {
                    count: sides.len(),
                    sides: all,
                }))
            }
            _ => Err(format!("gives a value of shape {sides:?}: too many sides")),
        }
    }

    /// The sides in the order of the file.
    pub fn sides(&self) -> Vec<usize> {
        match self {
            Self::Map(sides) => sides.to_vec(),
            Self::Flat(count) => vec![*count],
            Self::Block(sides) => sides.sides[..sides.count].to_vec(),
        }
    }

    /// Dimensions in the file, with the batch.
    pub fn rank(&self) -> usize {
        match self {
            Self::Map(_) => 4,
            Self::Flat(_) => 2,
            Self::Block(sides) => sides.count + 1,
        }
    }

    /// Where in memory a dimension of the file is, both with the batch.
    pub fn stored(&self, axis: usize) -> usize {
        match self {
            Self::Map(_) => CHANNELS_LAST[axis],
            _ => axis,
        }
    }

    /// The order of dimensions in memory by those of the file, where they differ.
    pub fn order(&self) -> Option<Vec<usize>> {
        matches!(self, Self::Map(_)).then(|| CHANNELS_FIRST.to_vec())
    }

    /// A form that lies in memory in the same way and has other sides, equally many.
    pub fn with(&self, sides: &[usize]) -> Result<Self, String> {
        match (self, sides) {
            (Self::Map(_), &[channels, height, width]) => Ok(Self::Map([channels, height, width])),
            _ => Self::plain(sides),
        }
    }
}

impl<'a> Lowering<'a> {
    /// The signal with its sides in memory in the order of the file.
    pub(super) fn plain(&mut self, signal: Signal) -> Lower<Signal> {
        let Form::Map([channels, height, width]) = signal.form else {
            return Ok(signal);
        };
        let form = Form::plain(&[channels, height, width])?;
        self.signal(Layer::Permute(CHANNELS_LAST.to_vec()), &[signal], form)
    }

    /// The signal with channels last in memory.
    pub(super) fn mapped(&mut self, signal: Signal) -> Lower<Signal> {
        match signal.form {
            Form::Map(_) => Ok(signal),
            form => match *form.sides() {
                [channels, height, width] => {
                    let form = Form::Map([channels, height, width]);
                    self.signal(Layer::Permute(CHANNELS_FIRST.to_vec()), &[signal], form)
                }
                _ => Err("of a value that is no map, where (N, C, H, W) was expected".into()),
            },
        }
    }

    /// Signals of one rank that lie in memory alike: as maps where one of them is.
    pub(super) fn alike(&mut self, signals: &[Signal]) -> Lower<Vec<Signal>> {
        let rank = signals.first().map_or(0, |signal| signal.form.rank());
        if signals.iter().any(|signal| signal.form.rank() != rank) {
            let forms = signals
                .iter()
                .map(|signal| format!("{:?}", signal.form.sides()));
            let forms: Vec<String> = forms.collect();
            return Err(format!("of values {} of different ranks", forms.join(" and ")).into());
        }
        let maps = signals
            .iter()
            .any(|signal| matches!(signal.form, Form::Map(_)));
        let signals = signals.iter().map(|&signal| match maps {
            true => self.mapped(signal),
            false => Ok(signal),
        });
        signals.collect()
    }

    /// The same numbers with other sides.
    pub(super) fn reshaped(&mut self, signal: Signal, sides: &[usize]) -> Lower<Signal> {
        if signal.form.sides() == sides {
            return Ok(signal);
        }
        let form = Form::plain(sides)?;
        if let (Form::Map(_), Form::Flat(_)) = (signal.form, form) {
            return self.signal(Layer::Flatten, &[signal], form);
        }
        // One pixel lies in memory as its channels do.
        let signal = match signal.form {
            Form::Map([_, 1, 1]) => signal,
            _ => self.plain(signal)?,
        };
        self.signal(Layer::Reshape(sides.to_vec()), &[signal], form)
    }
}
