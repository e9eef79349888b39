//! The names that a pickle may refer to, and what calling them gives.

use super::machine::Machine;
use super::{Array, Id, Node, TensorRef};
use crate::weights::element::Element;
use crate::weights::layout::Layout;
use std::borrow::Cow;

/// A class or function of Python that stands for plain data. There are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch.FloatStorage` and its like
    Storage(Element),
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`
    Tensor,
    /// `torch._utils._rebuild_parameter` and `_rebuild_parameter_with_state`
    Parameter,
    /// `torch.Size`
    Size,
    /// What settings hold and weights do not need: `torch.device`, `torch.float32` and its like
    Setting,
    /// `numpy.core.multiarray._reconstruct`
    ArrayShell,
    /// `numpy.ndarray`
    ArrayClass,
    /// `numpy.dtype`
    Dtype,
    /// `numpy.core.multiarray.scalar`
    Scalar,
    /// `_codecs.encode`: how Python 3 writes bytes for Python 2
    Encode,
}

const TORCH_DTYPES: [&str; 14] = [
    "float64", "double", "float32", "float", "float16", "half", "bfloat16", "int64", "long",
    "int32", "int16", "int8", "uint8", "bool",
];

impl Global {
    /// The name's meaning, or its refusal.
    pub(super) fn find(module: &str, name: &str) -> Result<Self, String> {
        // numpy 2 moved `core` to `_core`.
        let module = if module == "numpy._core.multiarray" {
            "numpy.core.multiarray"
        } else {
            module
        };
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::Parameter
            }
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Setting,
            ("torch", dtype) if TORCH_DTYPES.contains(&dtype) => Self::Setting,
            ("numpy.core.multiarray", "_reconstruct") => Self::ArrayShell,
            ("numpy.core.multiarray", "scalar") => Self::Scalar,
            ("numpy", "ndarray") => Self::ArrayClass,
            ("numpy", "dtype") => Self::Dtype,
            ("_codecs", "encode") => Self::Encode,
            _ => match Element::of_torch_storage(name)
                .filter(|_| matches!(module, "torch" | "torch.cuda"))
            {
                Some(element) => Self::Storage(element),
                None => {
                    return Err(format!(
                        "it refers to the Python object `{}.{}`, which is neither a tensor nor plain data and is never \
                         run",
                        shown(module),
                        shown(name),
                    ));
                }
            },
        })
    }
}

/// A name from a file for a message: short, and without control characters.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

/// What `global(*arguments)` gives.
pub(super) fn call(machine: &mut Machine, global: Global, arguments: &[Id]) -> Result<Id, String> {
    let wrong = || format!("{global:?} is called with arguments that it does not take");
    let node = match (global, arguments) {
        (Global::OrderedDict, []) => Node::Dict(Vec::new()),
        (Global::OrderedDict, &[items]) => Node::Dict(entries(machine, items)?),
        (Global::Tensor, &[storage, offset, shape, strides, ..]) => {
            Node::Tensor(tensor(machine, storage, offset, shape, strides)?)
        }
        (Global::Parameter, &[data, ..]) if matches!(machine.nodes[data], Node::Tensor(_)) => {
            return Ok(data);
        }
        (Global::Size, &[sizes]) if matches!(machine.nodes[sizes], Node::Tuple(_)) => {
            return Ok(sizes);
        }
        (Global::Setting, _) => Node::None,
        (Global::ArrayShell, &[class, ..])
            if machine.nodes[class] == Node::Global(Global::ArrayClass) =>
        {
            Node::Array(None)
        }
        (Global::Dtype, &[code, ..]) => {
            let code = machine.nodes[code]
                .as_text()
                .filter(|code| code.len() <= 8)
                .ok_or_else(wrong)?;
            Node::NumpyDtype {
                code: Cow::Owned(code.to_string()),
                big_endian: false,
            }
        }
        (Global::Scalar, &[dtype, bytes]) => scalar(&machine.nodes[dtype], &machine.nodes[bytes]),
        (Global::Encode, &[text, coding]) => {
            if !matches!(machine.nodes[coding].as_text(), Some("latin1" | "latin-1")) {
                return Err(wrong());
            }
            let Node::Text(text) = machine.nodes[text].clone() else {
                return Err(wrong());
            };
            machine.charge(text.len())?;
            let bytes = text
                .chars()
                .map(|char| u8::try_from(char).map_err(|_| wrong()));
            Node::Bytes(Cow::Owned(bytes.collect::<Result<_, _>>()?))
        }
        _ => return Err(wrong()),
    };
    Ok(machine.insert(node))
}

/// The pairs of `OrderedDict([[key, value], ...])`, as Python 2 writes it.
fn entries(machine: &mut Machine, items: Id) -> Result<Vec<(Id, Id)>, String> {
    let items = machine.nodes[items]
        .as_items()
        .ok_or("an OrderedDict is made of something else than pairs")?;
    let count = items.len();
    let pair = |&item: &Id| match machine.nodes[item].as_items() {
        Some(&[key, value]) => Ok((key, value)),
        _ => Err("an OrderedDict is made of something else than pairs".to_string()),
    };
    let entries = items.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    machine.charge(count)?;
    Ok(entries)
}

fn tensor(
    machine: &mut Machine,
    storage: Id,
    offset: Id,
    shape: Id,
    strides: Id,
) -> Result<TensorRef, String> {
    let wrong = |what: &str| format!("the {what} of a tensor is none");
    let Node::Storage(position) = &machine.nodes[storage] else {
        return Err(wrong("storage"));
    };
    let len = position.len;
    let offset = machine.nodes[offset]
        .as_size()
        .ok_or_else(|| wrong("offset"))?;
    let shape = sizes(machine, shape).ok_or_else(|| wrong("shape"))?;
    let strides = sizes(machine, strides).ok_or_else(|| wrong("stride"))?;
    let layout = Layout::new(shape, strides, offset, len)
        .map_err(|fault| format!("a tensor cannot be: {fault}"))?;
    Ok(TensorRef { storage, layout })
}

fn sizes(machine: &Machine, id: Id) -> Option<Vec<usize>> {
    const MANY: usize = 64;
    let items = machine.nodes[id]
        .as_items()
        .filter(|items| items.len() <= MANY)?;
    items
        .iter()
        .map(|&item| machine.nodes[item].as_size())
        .collect()
}

/// A single number of numpy's, as checkpoints have them beside the weights (an accuracy); none for rarer types.
fn scalar<'a>(dtype: &Node, bytes: &Node) -> Node<'a> {
    let (
        Node::NumpyDtype {
            code,
            big_endian: false,
        },
        Node::Bytes(bytes),
    ) = (dtype, bytes)
    else {
        return Node::None;
    };
    match (code.as_ref(), bytes.as_ref()) {
        ("f8", &[a, b, c, d, e, f, g, h]) => {
            Node::Float(f64::from_le_bytes([a, b, c, d, e, f, g, h]))
        }
        ("f4", &[a, b, c, d]) => Node::Float(f32::from_le_bytes([a, b, c, d]).into()),
        ("i8", &[a, b, c, d, e, f, g, h]) => {
            Node::Int(i64::from_le_bytes([a, b, c, d, e, f, g, h]).into())
        }
        ("i4", &[a, b, c, d]) => Node::Int(i32::from_le_bytes([a, b, c, d]).into()),
        _ => Node::None,
    }
}

/// What Python's `__setstate__` does to the objects that need it.
pub(super) fn set_state(machine: &mut Machine, target: Id, state: Id) -> Result<(), String> {
    match &machine.nodes[target] {
        // Attributes beside the content, such as a state dict's `_metadata`.
        Node::Dict(_) | Node::Tensor(_) => Ok(()),
        Node::NumpyDtype { code, .. } => {
            let order = match machine.nodes[state].as_items() {
                Some(&[_, order, ..]) => machine.nodes[order].as_text(),
                _ => None,
            };
            let big_endian = order.ok_or("the state of a numpy dtype is none")? == ">";
            let code = code.clone();
            machine.nodes[target] = Node::NumpyDtype { code, big_endian };
            Ok(())
        }
        Node::Array(_) => {
            let array = match machine.nodes[state].as_items() {
                Some(&[_, shape, dtype, fortran, data]) => {
                    sizes(machine, shape).and_then(|shape| {
                        let Node::Bool(fortran) = machine.nodes[fortran] else {
                            return None;
                        };
                        Some(Array {
                            shape,
                            dtype,
                            fortran,
                            data,
                        })
                    })
                }
                _ => None,
            };
            machine.nodes[target] =
                Node::Array(Some(array.ok_or("the state of a numpy array is none")?));
            Ok(())
        }
        other => Err(format!("a state is set on a {}", other.kind())),
    }
}
