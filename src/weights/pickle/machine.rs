//! The instructions: a stack of objects, marks on it, and a memo of objects to use again.

use super::globals::{self, Global};
use super::{Id, Node, Pickle, Storage};
use std::borrow::Cow;
use std::collections::HashMap;

/// Far more than the state dict of any network with its optimizer takes.
const MAX_INSTRUCTIONS: usize = 8_000_000;

/// Runs the pickle at the beginning of `input` until it stops.
pub(super) fn run(input: &[u8]) -> Result<Pickle<'_>, String> {
    let mut machine = Machine {
        input,
        at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        copied: 0,
    };
    for _ in 0..MAX_INSTRUCTIONS {
        let position = machine.at;
        let instruction = machine.byte()?;
        if instruction == b'.' {
            let root = machine.pop()?;
            return Ok(Pickle {
                nodes: machine.nodes,
                root,
                consumed: machine.at,
            });
        }
        machine.step(instruction).map_err(|fault| {
            format!("{fault} (pickle instruction {instruction:#04x} at byte {position})")
        })?;
    }
    Err(format!(
        "its pickle goes on after {MAX_INSTRUCTIONS} instructions"
    ))
}

pub(super) struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    pub(super) nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// The heights of the stack at which marks were set.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Elements copied by calls so far, see [`Machine::charge`].
    copied: usize,
}

impl<'a> Machine<'a> {
    fn step(&mut self, instruction: u8) -> Result<(), String> {
        match instruction {
            // Protocol number, frame length: nothing to do.
            0x80 => self.take(1).map(drop),
            0x95 => self.take(8).map(drop),
            b'N' | 0x88 | 0x89 | b'I' | b'L' | b'F' | b'J' | b'K' | b'M' | 0x8a | 0x8b | b'G' => {
                self.number(instruction)
            }
            b'U' | b'T' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => {
                self.string(instruction)
            }
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'q' | b'r' | 0x94 | b'h' | b'j' | b'p' | b'g' => self.remember(instruction),
            b']' | b'l' | b')' | b't' | 0x85..=0x87 | b'}' | b'd' | b'a' | b'e' | b's' | b'u' => {
                self.container(instruction)
            }
            b'c' | 0x93 | b'R' | 0x81 | b'b' | b'Q' => self.call(instruction),
            _ => Err("it contains an instruction that plain data does not need".to_string()),
        }
    }

    fn number(&mut self, instruction: u8) -> Result<(), String> {
        let node = match instruction {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'J' => Node::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Node::Int(self.byte()?.into()),
            b'M' => Node::Int(u16::from_le_bytes(self.array()?).into()),
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            0x8a | 0x8b => {
                let length = match instruction {
                    0x8a => self.byte()? as usize,
                    _ => self.length4()?,
                };
                let bytes = self.take(length)?;
                let mut wide = [if bytes.last().is_some_and(|&byte| byte >= 0x80) {
                    0xff
                } else {
                    0
                }; 16];
                let low = wide
                    .get_mut(..length)
                    .ok_or("a whole number is longer than 16 bytes")?;
                low.copy_from_slice(bytes);
                Node::Int(i128::from_le_bytes(wide))
            }
            _ => {
                let line = self.line()?;
                let wrong = || format!("`{}` is not a number", globals::shown(line));
                match (instruction, line) {
                    (b'I', "00") => Node::Bool(false),
                    (b'I', "01") => Node::Bool(true),
                    (b'F', _) => Node::Float(line.parse().map_err(|_| wrong())?),
                    _ => Node::Int(line.trim_end_matches('L').parse().map_err(|_| wrong())?),
                }
            }
        };
        self.push(node);
        Ok(())
    }

    fn string(&mut self, instruction: u8) -> Result<(), String> {
        let length = match instruction {
            b'U' | b'C' | 0x8c => self.byte()? as usize,
            b'T' | b'X' | b'B' => self.length4()?,
            _ => usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX),
        };
        let bytes = self.take(length)?;
        let node = match instruction {
            b'X' | 0x8c | 0x8d => {
                let text = std::str::from_utf8(bytes).map_err(|_| "a string is not UTF-8")?;
                Node::Text(Cow::Borrowed(text))
            }
            _ => Node::Bytes(Cow::Borrowed(bytes)),
        };
        self.push(node);
        Ok(())
    }

    fn remember(&mut self, instruction: u8) -> Result<(), String> {
        let slot = match instruction {
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            0x94 => u32::try_from(self.memo.len()).map_err(|_| "too many objects to use again")?,
            _ => self
                .line()?
                .parse()
                .map_err(|_| "the number of an object to use again is none")?,
        };
        if matches!(instruction, b'h' | b'j' | b'g') {
            let id = *self
                .memo
                .get(&slot)
                .ok_or_else(|| format!("object {slot} is used before it was made"))?;
            self.stack.push(id);
        } else {
            let top = self.top()?;
            self.memo.insert(slot, top);
        }
        Ok(())
    }

    fn container(&mut self, instruction: u8) -> Result<(), String> {
        match instruction {
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Node::List(items));
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items));
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0..instruction - 0x84 {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Node::Tuple(items));
            }
            b'd' => {
                let items = self.pop_mark()?;
                let entries = pairs(&items)?;
                self.push(Node::Dict(entries));
            }
            _ => {
                let items = match instruction {
                    b'a' => vec![self.pop()?],
                    b's' => {
                        let value = self.pop()?;
                        vec![self.pop()?, value]
                    }
                    _ => self.pop_mark()?,
                };
                let to_list = matches!(instruction, b'a' | b'e');
                let target = self.top()?;
                match &mut self.nodes[target] {
                    Node::List(list) if to_list => list.extend(items),
                    Node::Dict(dict) if !to_list => dict.extend(pairs(&items)?),
                    other => {
                        let (what, expected) = match to_list {
                            true => ("items are added to", "list"),
                            false => ("keys are set on", "dict"),
                        };
                        let kind = other.kind();
                        return Err(format!("{what} a {kind}, a {expected} was expected"));
                    }
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, instruction: u8) -> Result<(), String> {
        match instruction {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(Global::find(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) =
                    (self.nodes[module].as_text(), self.nodes[name].as_text())
                else {
                    return Err("the name of a class or function is not a string".to_string());
                };
                let global = Global::find(module, name)?;
                self.push(Node::Global(global));
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let Node::Global(global) = self.nodes[callee] else {
                    return Err(format!("a {} is called", self.nodes[callee].kind()));
                };
                let Node::Tuple(arguments) = self.nodes[arguments].clone() else {
                    return Err("the arguments of a call are not a tuple".to_string());
                };
                self.charge(arguments.len())?;
                let id = globals::call(self, global, &arguments)?;
                self.stack.push(id);
            }
            b'b' => {
                let (state, target) = (self.pop()?, self.top()?);
                globals::set_state(self, target, state)?;
            }
            _ => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Node::Storage(storage));
            }
        }
        Ok(())
    }

    /// torch's reference to a storage: `("storage", class, key, device, number of elements)`, and in the old format a
    /// description of the view that it is, or none.
    fn storage(&self, id: Id) -> Result<Storage<'a>, String> {
        let fields: Vec<&Node<'a>> = match &self.nodes[id] {
            Node::Tuple(fields) if fields.len() <= 6 => {
                fields.iter().map(|&field| &self.nodes[field]).collect()
            }
            _ => return Err("a reference to something outside is not a tuple".to_string()),
        };
        match fields[..] {
            [
                kind,
                &Node::Global(Global::Storage(element)),
                Node::Text(key),
                _device,
                len,
                ref rest @ ..,
            ] if kind.as_text() == Some("storage") && matches!(rest, [] | [Node::None]) => {
                let len = len
                    .as_size()
                    .ok_or("the length of a storage is not a size")?;
                // Keys are short numbers; longer ones would be copied about for nothing.
                if key.len() > 64 {
                    return Err("the key of a storage is too long".to_string());
                }
                Ok(Storage {
                    element,
                    key: key.clone(),
                    len,
                })
            }
            _ => Err("a reference to something outside is not one to a plain storage".to_string()),
        }
    }

    /// Accounts for `elements` that a call copies. Calls may use one object again and again, so the sum is bounded:
    /// a short file must not make long work.
    pub(super) fn charge(&mut self, elements: usize) -> Result<(), String> {
        self.copied = self.copied.saturating_add(elements);
        if self.copied > 64 * 1024 + 8 * self.input.len() {
            return Err("its objects copy more than the file holds".to_string());
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, node: Node<'a>) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn push(&mut self, node: Node<'a>) {
        let id = self.insert(node);
        self.stack.push(id);
    }

    /// The object on top. What lies below the last mark is out of reach.
    fn top(&self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&id) if self.stack.len() > floor => Ok(id),
            _ => Err("an object is missing on the stack".to_string()),
        }
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// What lies above the last mark, which is removed.
    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("a mark is missing on the stack")?;
        Ok(self.stack.split_off(mark))
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array().map(|[byte]| byte)
    }

    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], String> {
        let bytes = self.take(SIZE)?;
        Ok(bytes.try_into().expect("as many bytes were taken"))
    }

    fn length4(&mut self) -> Result<usize, String> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let rest = &self.input[self.at..];
        let taken = rest.get(..length).ok_or("its pickle breaks off")?;
        self.at += length;
        Ok(taken)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.input[self.at..];
        let length = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or("its pickle breaks off")?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| "a name is not UTF-8".to_string())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err("a key has no value".to_string()),
    }
}
