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

#[cfg(test)]
mod tests {
    use super::*;

    fn root(bytes: &[u8]) -> Node<'_> {
        let pickle = Pickle::parse(bytes).unwrap();
        pickle.node(pickle.root()).clone()
    }

    fn fault(bytes: &[u8]) -> String {
        Pickle::parse(bytes).unwrap_err()
    }

    #[test]
    fn numbers_and_strings() {
        assert_eq!(root(b"\x80\x02J\xfe\xff\xff\xff."), Node::Int(-2));
        assert_eq!(root(b"M\x01\x02."), Node::Int(513));
        assert_eq!(root(b"\x8a\x00."), Node::Int(0));
        assert_eq!(root(b"\x8a\x02\x00\xff."), Node::Int(-256));
        assert_eq!(root(b"\x8a\x02\xff\x00."), Node::Int(255));
        assert_eq!(root(b"I-12\n."), Node::Int(-12));
        assert_eq!(root(b"L99L\n."), Node::Int(99));
        assert_eq!(root(b"I01\n."), Node::Bool(true));
        assert_eq!(root(b"F1.5\n."), Node::Float(1.5));
        assert_eq!(root(b"G\x3f\xf8\0\0\0\0\0\0."), Node::Float(1.5));
        assert_eq!(root(b"\x8c\x03abc.").as_text(), Some("abc"));
        assert_eq!(root(b"U\x03abc."), Node::Bytes(Cow::Borrowed(b"abc")));
        assert!(
            fault(b"\x8a\x11aaaaaaaaaaaaaaaaa.")
                .starts_with("a whole number is longer than 16 bytes")
        );
        assert!(fault(b"\x8c\x01\xff.").starts_with("a string is not UTF-8"));
        assert!(fault(b"Itwelve\n.").starts_with("`twelve` is not a number"));
    }

    #[test]
    fn containers_are_shared_and_not_copied() {
        // d = {}; l = [d, d]; d["a"] = l: one dict, reached from itself.
        let pickle = Pickle::parse(b"]q\x00(}q\x01h\x01eh\x01\x8c\x01ah\x00s0.").unwrap();
        let items = pickle.node(pickle.root()).as_items().unwrap();
        assert_eq!(items[0], items[1]);
        assert_eq!(pickle.get(items[0], "a"), Some(pickle.root()));
        assert_eq!(pickle.get(items[0], "b"), None);

        // Of equal keys the last counts.
        let pickle = Pickle::parse(b"(\x8c\x01aK\x01\x8c\x01aK\x02d.").unwrap();
        let value = pickle.get(pickle.root(), "a").unwrap();
        assert_eq!(pickle.node(value).as_size(), Some(2));
        assert_eq!(
            root(b"K\x01K\x02\x86.").as_items().map(<[Id]>::len),
            Some(2)
        );
        assert_eq!(
            root(b"ccollections\nOrderedDict\n)Rq\x00}b."),
            Node::Dict(vec![])
        );
    }

    #[test]
    fn impossible_programs_are_refused() {
        for (bytes, expected) in [
            (&b""[..], "its pickle breaks off"),
            (b".", "an object is missing on the stack"),
            (b"N(.", "an object is missing on the stack"),
            (
                b"(K\x01d.",
                "a key has no value (pickle instruction 0x64 at byte 3)",
            ),
            (b"NNs.", "an object is missing on the stack"),
            (b"NNNs.", "keys are set on a None, a dict was expected"),
            (b"}Na.", "items are added to a dict, a list was expected"),
            (b"t.", "a mark is missing on the stack"),
            (b"h\x07.", "object 7 is used before it was made"),
            (b"K\x01)R.", "a int is called"),
            (
                b"ccollections\nOrderedDict\nNR.",
                "the arguments of a call are not a tuple",
            ),
            (b"NQ.", "a reference to something outside is not a tuple"),
            (b"]Nb.", "a state is set on a list"),
            (b"X\xff\xff\xff\xffab.", "its pickle breaks off"),
            (
                b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab.",
                "its pickle breaks off",
            ),
            (
                b"\x8f.",
                "it contains an instruction that plain data does not need (pickle instruction 0x8f at byte 0)",
            ),
            (
                b"i.",
                "it contains an instruction that plain data does not need",
            ),
            (
                b"cos\nsystem\n.",
                "it refers to the Python object `os.system`, which is neither a tensor nor plain data",
            ),
            (
                b"\x8c\x08builtins\x8c\x04eval\x93.",
                "it refers to the Python object `builtins.eval`",
            ),
            (
                b"cos\nFloatStorage\n.",
                "it refers to the Python object `os.FloatStorage`",
            ),
            (
                b"ca\x1bb\nc\n.",
                "it refers to the Python object `a\\u{1b}b.c`",
            ),
        ] {
            let found = fault(bytes);
            assert!(
                found.starts_with(expected),
                "{:?}: {found}",
                bytes.escape_ascii().to_string()
            );
        }
    }

    /// A few bytes that call something with one long argument, again and again, must not make it long work.
    #[test]
    fn short_files_do_not_make_long_work() {
        let mut pairs = b"](".to_vec();
        (0..20_000).for_each(|_| pairs.extend(b"))\x86"));
        pairs.extend(b"eq\x00");
        let mut encoded = b"X".to_vec();
        encoded.extend(100_000u32.to_le_bytes());
        encoded.extend([b'a'; 100_000]);
        encoded.extend(b"q\x00");
        for (mut bytes, call) in [
            (pairs, &b"ccollections\nOrderedDict\nh\x00\x85R0"[..]),
            (encoded, b"c_codecs\nencode\nh\x00\x8c\x06latin1\x86R0"),
        ] {
            (0..1000).for_each(|_| bytes.extend(call));
            bytes.push(b'.');
            let fault = fault(&bytes);
            assert!(
                fault.starts_with("its objects copy more than the file holds"),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_pickle_ends_where_it_stops() {
        assert_eq!(Pickle::parse(b"\x80\x02K\x05.rest").unwrap().consumed, 5);
    }
}
