//! A graph that is being written: its nodes, its tensors, and which names are taken.

use std::collections::{BTreeMap, HashMap, HashSet};

use candle_core::{DType, Tensor};

use crate::nn::Network;
use crate::onnx::proto;
use crate::{Error, Result};

/// The numbers that the format gives to types of elements.
pub const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// Settings of a node.
pub enum Setting {
    Int(i64),
    Ints(Vec<usize>),
    Float(f64),
}

pub struct Writer<'a> {
    /// The network's activations, whose names are those of their nodes.
    pub activations: &'a [String],
    /// Those that have a node already.
    pub named: HashSet<usize>,
    pub nodes: Vec<proto::Node>,
    pub initializers: Vec<proto::Tensor>,
    /// Names of values and nodes that are taken.
    taken: HashSet<String>,
    /// The names of the pass's values.
    pub values: HashMap<usize, String>,
    /// The names of single numbers, by their bits.
    numbers: BTreeMap<u32, String>,
}

impl<'a> Writer<'a> {
    pub fn new(network: &'a Network) -> Result<Self> {
        let all = || network.parameters().iter().chain(network.buffers());
        let mut initializers = Vec::new();
        for param in all() {
            initializers.push(floats(param.name(), param.tensor())?);
        }
        let names = all().map(|param| param.name().to_owned());
        Ok(Self {
            activations: network.activations(),
            named: HashSet::new(),
            nodes: Vec::new(),
            initializers,
            taken: names.chain(network.activations().iter().cloned()).collect(),
            values: HashMap::new(),
            numbers: BTreeMap::new(),
        })
    }

    /// A name that nothing has, from `base` on.
    pub fn fresh(&mut self, base: &str) -> String {
        let numbered = (1..).map(|number| format!("{base}_{number}"));
        let mut names = [base.to_owned()].into_iter().chain(numbered);
        let free = names.find(|name| !self.taken.contains(name));
        let free = free.unwrap_or_default();
        self.taken.insert(free.clone());
        free
    }

    pub fn value(&self, number: usize) -> Result<String> {
        self.values.get(&number).cloned().ok_or_else(|| {
            Error::failed("the network has a layer that cannot be written to an ONNX file yet")
        })
    }

    /// Numbers of the channels, `(1, C, 1, 1)`.
    pub fn channels(&mut self, name: &str, numbers: &Tensor) -> Result<String> {
        let name = self.fresh(name);
        let numbers = numbers.reshape((1, (), 1, 1))?;
        self.initializers.push(floats(&name, &numbers)?);
        Ok(name)
    }

    /// A single number.
    pub fn number(&mut self, number: f32) -> String {
        if let Some(name) = self.numbers.get(&number.to_bits()) {
            return name.clone();
        }
        let name = self.fresh("bound");
        self.numbers.insert(number.to_bits(), name.clone());
        let bytes = number.to_le_bytes().to_vec();
        self.initializers.push(tensor(&name, FLOAT, &[], bytes));
        name
    }

    /// Whole numbers.
    pub fn whole(&mut self, name: &str, numbers: &[usize]) -> String {
        let name = self.fresh(name);
        let bytes = numbers.iter().flat_map(|&n| (n as i64).to_le_bytes());
        let row = tensor(&name, INT64, &[numbers.len()], bytes.collect());
        self.initializers.push(row);
        name
    }

    /// Adds a node whose name begins with `name`. Returns the value that it gives.
    pub fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: Vec<String>,
        settings: Vec<(&str, Setting)>,
    ) -> String {
        let name = self.fresh(name);
        self.push(operator, &name, inputs, name.clone(), settings);
        name
    }

    pub fn push(
        &mut self,
        operator: &str,
        name: &str,
        input: Vec<String>,
        output: String,
        settings: Vec<(&str, Setting)>,
    ) {
        self.nodes.push(proto::Node {
            input,
            output: vec![output],
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute: settings.into_iter().map(attribute).collect(),
            ..proto::Node::default()
        });
    }
}

fn attribute((name, setting): (&str, Setting)) -> proto::Attribute {
    let blank = proto::Attribute {
        name: name.to_owned(),
        ..proto::Attribute::default()
    };
    // The types are numbered by the format.
    match setting {
        Setting::Float(f) => proto::Attribute {
            f: f as f32,
            r#type: 1,
            ..blank
        },
        Setting::Int(i) => proto::Attribute {
            i,
            r#type: 2,
            ..blank
        },
        Setting::Ints(ints) => proto::Attribute {
            ints: ints.into_iter().map(|i| i as i64).collect(),
            r#type: 7,
            ..blank
        },
    }
}

/// Numbers in f32.
pub fn floats(name: &str, values: &Tensor) -> Result<proto::Tensor> {
    let flat = values
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let bytes = flat.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(tensor(name, FLOAT, values.dims(), bytes))
}

fn tensor(name: &str, data_type: i32, dims: &[usize], bytes: Vec<u8>) -> proto::Tensor {
    proto::Tensor {
        dims: dims.iter().map(|&side| side as i64).collect(),
        data_type,
        name: name.to_owned(),
        raw_data: bytes.into(),
        ..proto::Tensor::default()
    }
}
