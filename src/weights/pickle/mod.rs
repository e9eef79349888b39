//! Python pickles, read by a machine that can build plain data and nothing else.
//!
//! A pickle is a program. Python's own interpreter of it imports and calls whatever the file names; this one knows
//! dicts, lists, tuples, numbers, strings, torch's tensors and numpy's arrays, and refuses every other name. Objects
//! live in a list and refer to each other by position, so shared and even cyclic ones cost nothing, and nothing here
//! recurses. Every instruction takes at least a byte and makes at most one object: memory is bounded by the file.

mod globals;
mod machine;

pub use globals::Global;

use super::element::Element;
use super::layout::Layout;
use std::borrow::Cow;

/// The position of an object in its pickle.
pub type Id = usize;

/// An object of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Cow<'a, str>),
    /// Python's `bytes`, and Python 2's `str`.
    Bytes(Cow<'a, [u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    /// Keys and values in the order in which they were set; of equal keys the last one counts.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(TensorRef),
    /// numpy's element type by its code (`u1`, `f8`), and whether it is big-endian.
    NumpyDtype {
        code: Cow<'a, str>,
        big_endian: bool,
    },
    /// A numpy array; nothing is known of it until its state is set.
    Array(Option<Array>),
}

/// torch's storage of elements, whose bytes lie outside the pickle.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage<'a> {
    pub element: Element,
    /// The name of its bytes.
    pub key: Cow<'a, str>,
    /// The number of elements.
    pub len: usize,
}

/// torch's tensor: a layout of elements in a storage.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorRef {
    pub storage: Id,
    pub layout: Layout,
}

/// A numpy array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub dtype: Id,
    /// Whether the first dimension is the one whose neighbours lie side by side.
    pub fortran: bool,
    /// Its bytes.
    pub data: Id,
}

/// All objects of a pickle.
#[derive(Debug)]
pub struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
    /// The length of the pickle: what follows it is not its own.
    pub consumed: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the beginning of `bytes`.
    ///
    /// # Errors
    /// In words that go on from "the file ...": what was found at which byte, or which name was refused.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        machine::run(bytes)
    }

    /// The object that the pickle is about.
    pub fn root(&self) -> Id {
        self.root
    }

    /// An object by its position, which must come from this pickle.
    pub fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id]
    }

    /// A string, or bytes that are one.
    pub fn text(&self, id: Id) -> Option<&str> {
        self.node(id).as_text()
    }

    /// All storages that the pickle refers to.
    pub fn storages(&self) -> impl Iterator<Item = &Storage<'a>> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    /// The value of a key of a dict.
    pub fn get(&self, dict: Id, key: &str) -> Option<Id> {
        let Node::Dict(entries) = self.node(dict) else {
            return None;
        };
        entries
            .iter()
            .rev()
            .find(|(name, _)| self.text(*name) == Some(key))
            .map(|&(_, value)| value)
    }
}

impl Node<'_> {
    /// A string, or bytes that are one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// A number that can count or index.
    pub fn as_size(&self) -> Option<usize> {
        match self {
            Self::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The items of a tuple or a list.
    pub fn as_items(&self) -> Option<&[Id]> {
        match self {
            Self::Tuple(items) | Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// What it is, in a word of Python's.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Global(_) => "class or function",
            Self::Storage(_) => "storage",
            Self::Tensor(_) => "tensor",
            Self::NumpyDtype { .. } => "numpy dtype",
            Self::Array(_) => "numpy array",
        }
    }
}
