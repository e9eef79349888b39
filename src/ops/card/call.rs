//! One launch of a kernel: its name, its grid and its arguments in the order of the source.

use candle_core::Tensor;

use super::THREADS;

/// An argument, of exactly the type that the kernel's source has in its place: the tests on the host compare the two.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// `T *`, the first element of a tensor of `T`
    Tensor(&'a Tensor),
    /// `T *`, null
    Null,
    /// `size_t`
    Size(usize),
    /// `uint64_t`
    Word(u64),
    /// `int`
    Int(i32),
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
}

/// A kernel's launch.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The folder of the kernel's source.
    pub module: &'static str,
    pub kernel: &'static str,
    /// What follows the kernel's name: a type of activations, or nothing.
    pub suffix: &'static str,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: u32,
    pub args: Vec<Arg<'a>>,
}

/// Blocks beyond which a kernel goes round its elements several times.
const MOST_BLOCKS: usize = 1 << 14;

impl<'a> Call<'a> {
    /// A kernel that goes through `n` elements by itself, in whatever number of blocks.
    pub fn elements(module: &'static str, kernel: &'static str, n: usize) -> Self {
        let blocks = n.div_ceil(THREADS as usize).clamp(1, MOST_BLOCKS) as u32;
        Self::blocks(module, kernel, [blocks, 1, 1])
    }

    /// A kernel with a block for each part of its work.
    pub fn blocks(module: &'static str, kernel: &'static str, grid: [u32; 3]) -> Self {
        Self {
            module,
            kernel,
            suffix: "",
            grid,
            block: THREADS,
            args: Vec::new(),
        }
    }

    /// A kernel whose blocks each work on a stretch of one of `rows` rows of `width` values: x is the row, y the
    /// stretch. Without rows there are no blocks, and nothing is started.
    pub fn rows(module: &'static str, kernel: &'static str, rows: usize, width: usize) -> Self {
        let threads = width.next_multiple_of(32).clamp(32, THREADS as usize);
        let stretches = width.div_ceil(threads);
        Self::blocks(module, kernel, [rows as u32, stretches as u32, 1]).threads(threads as u32)
    }

    /// A kernel that gives a block to each of `examples` examples of `width` values, with threads in a number that
    /// sums of `block_sum.h` take. Without examples nothing is started.
    pub fn examples(
        module: &'static str,
        kernel: &'static str,
        examples: usize,
        width: usize,
    ) -> Self {
        let threads = width.next_power_of_two().clamp(32, 512);
        Self::blocks(module, kernel, [examples as u32, 1, 1]).threads(threads as u32)
    }

    /// The variant for a type of activations, see [`super::suffix`].
    pub fn of(mut self, suffix: &'static str) -> Self {
        self.suffix = suffix;
        self
    }

    /// Another number of threads in a block.
    pub fn threads(mut self, threads: u32) -> Self {
        self.block = threads;
        self
    }

    pub fn tensor(mut self, tensor: &'a Tensor) -> Self {
        self.args.push(Arg::Tensor(tensor));
        self
    }

    pub fn tensors(self, tensors: impl IntoIterator<Item = &'a Tensor>) -> Self {
        tensors.into_iter().fold(self, Self::tensor)
    }

    /// A tensor, or null where there is none.
    pub fn optional(mut self, tensor: Option<&'a Tensor>) -> Self {
        self.args.push(tensor.map_or(Arg::Null, Arg::Tensor));
        self
    }

    pub fn size(mut self, value: usize) -> Self {
        self.args.push(Arg::Size(value));
        self
    }

    pub fn word(mut self, value: u64) -> Self {
        self.args.push(Arg::Word(value));
        self
    }

    pub fn int(mut self, value: usize) -> Self {
        self.args.push(Arg::Int(value as i32));
        self
    }

    pub fn ints(self, values: impl IntoIterator<Item = usize>) -> Self {
        values.into_iter().fold(self, Self::int)
    }

    pub fn float(mut self, value: f64) -> Self {
        self.args.push(Arg::Float(value as f32));
        self
    }

    pub fn floats(self, values: impl IntoIterator<Item = f64>) -> Self {
        values.into_iter().fold(self, Self::float)
    }

    pub fn double(mut self, value: f64) -> Self {
        self.args.push(Arg::Double(value));
        self
    }

    pub fn doubles(self, values: impl IntoIterator<Item = f64>) -> Self {
        values.into_iter().fold(self, Self::double)
    }

    /// The kernel's whole name.
    pub fn name(&self) -> String {
        match self.suffix {
            "" => self.kernel.to_string(),
            suffix => format!("{}_{suffix}", self.kernel),
        }
    }
}
