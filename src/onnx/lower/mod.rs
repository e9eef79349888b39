//! From the operators of a graph to layers. Values lose the batch and are channels-last here, so an operator is read for
//! what it does to an image `(C, H, W)`, or to a row of numbers.

mod forms;
mod functions;
mod layers;
mod norms;
mod parts;
mod pointwise;
mod shapes;
mod values;
mod windows;

use std::collections::{BTreeMap, HashMap, HashSet};

use self::forms::Form;
use self::windows::Border;
use super::constant::{Constant, Constants};
use super::fold::fold;
use super::graph::{Graph, title};
use super::network::{Layer, Step, Steps};
use super::proto::Node;
use crate::Result;
use crate::nn::{Builder, Param};
use crate::ops::curve::Curve;

/// Numbers of one image at most, in any value: far above what fits in memory for a batch.
const LARGEST: usize = 1 << 26;

/// A network made of a graph.
pub struct Lowered {
    pub steps: Steps,
    /// The logits of an image.
    pub classes: usize,
    /// Whether its first layers standardise the images.
    pub normalizes: bool,
    /// The operator at its end that was left out, so that logits come out.
    pub softmax: Option<String>,
    /// Whether it has batch norms that are layers of their own.
    pub norms: bool,
}

/// A value on the tape.
#[derive(Clone, Copy, Debug)]
struct Signal {
    slot: usize,
    form: Form,
}

#[derive(Clone)]
enum Value {
    Signal(Signal),
    /// Scaled and shifted by channel, not yet a layer: further scales join it.
    Scaled(Signal, Vec<[f64; 2]>),
    /// A map with zeros around it, which a convolution takes as its own.
    Padded(Signal, Border),
    /// To be taken every so many rows (axis 2) or columns (axis 3).
    Strided(Signal, usize, usize),
    /// A function of a signal that is an activation where the signal is multiplied by it.
    Gate(Signal, Curve),
    Constant(Constant),
    /// What an operator that was refused would give.
    Unknown,
}

/// Why an operator becomes no layer.
enum Refusal {
    Why(String),
    /// Only because an earlier one was refused.
    Follows,
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Why(why)
    }
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Self {
        Self::Why(why.to_owned())
    }
}

impl From<crate::Error> for Refusal {
    fn from(error: crate::Error) -> Self {
        Self::Why(error.to_string())
    }
}

type Lower<T> = std::result::Result<T, Refusal>;

struct Lowering<'a> {
    graph: &'a Graph,
    b: &'a Builder,
    dropout: Option<f64>,
    uses: HashMap<&'a str, usize>,
    values: HashMap<&'a str, Value>,
    /// None: became a part of a later one.
    steps: Vec<Option<Step>>,
    /// By slot, the name of the value that it holds.
    slots: Vec<&'a str>,
    /// Parameters and buffers by name, with what they were asked for as.
    tensors: HashMap<String, (Param, bool, bool)>,
    activations: HashSet<&'a str>,
    normalizes: bool,
    softmax: Option<String>,
    norms: bool,
}

/// Makes layers of the graph for images of shape (channels, height, width). Tensors have the names of the file and start
/// with its numbers. `dropout`: the rate in place of the file's own.
///
/// # Errors
/// All operators that are not computed here, each once for all nodes of which the same is to be said; images of another
/// shape.
pub fn lower(
    graph: &Graph,
    b: &Builder,
    image: [usize; 3],
    dropout: Option<f64>,
) -> Result<Lowered> {
    let mut lowering = Lowering {
        graph,
        b,
        dropout,
        uses: graph.uses(),
        values: HashMap::new(),
        steps: Vec::new(),
        slots: vec![&graph.input],
        tensors: HashMap::new(),
        activations: HashSet::new(),
        normalizes: false,
        softmax: None,
        norms: false,
    };
    lowering.input(image).map_err(|why| graph.fault(&why))?;
    let mut faults: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for node in &graph.nodes {
        let value = lowering.node(node).unwrap_or_else(|refusal| {
            if let Refusal::Why(why) = refusal {
                let what = format!("{}: {why}", node.op_type);
                let position = order.iter().position(|known| *known == what);
                let position = position.unwrap_or_else(|| {
                    order.push(what.clone());
                    order.len() - 1
                });
                faults.entry((position, why)).or_default().push(title(node));
            }
            for further in node.output.iter().skip(1) {
                lowering.values.insert(further, Value::Unknown);
            }
            Value::Unknown
        });
        if let Some(output) = node.output.first() {
            lowering.values.insert(output, value);
        }
    }
    if !faults.is_empty() {
        return Err(graph.fault(&in_words(faults)));
    }
    lowering.finish().map_err(|refusal| match refusal {
        Refusal::Why(why) => graph.fault(&why),
        Refusal::Follows => graph.fault("its output is not computed"),
    })
}

/// The faults in the order of the graph, with the first node of each and how many more there are.
fn in_words(faults: BTreeMap<(usize, String), Vec<String>>) -> String {
    let all: Vec<String> = faults
        .into_iter()
        .map(|((_, why), nodes)| match nodes.as_slice() {
            [only] => format!("{only}: {why}"),
            [first, more @ ..] => format!("{first} and {} more: {why}", more.len()),
            [] => why,
        })
        .collect();
    format!(
        "{} operators of this network are not computed here: {}",
        all.len(),
        all.join("; ")
    )
}

impl<'a> Lowering<'a> {
    /// The images, which the file may take as rows.
    fn input(&mut self, image: [usize; 3]) -> std::result::Result<(), String> {
        let expected = &self.graph.image;
        let fits = |(side, expected): (&usize, &Option<usize>)| expected.is_none_or(|e| e == *side);
        let [channels, height, width] = image;
        let mut signal = Signal {
            slot: 0,
            form: Form::Map(image),
        };
        let fitting = match expected.as_slice() {
            [numbers] => {
                let count = image.iter().product();
                signal = Signal {
                    slot: self.push(Layer::Flatten, vec![0]),
                    form: Form::Flat(count),
                };
                fits((&count, numbers))
            }
            sides => image.iter().zip(sides).all(fits),
        };
        if !fitting {
            let sides = expected
                .iter()
                .map(|side| side.map_or("any".into(), |s| s.to_string()));
            return Err(format!(
                "takes images of shape ({}), the data has ({channels}, {height}, {width})",
                sides.collect::<Vec<_>>().join(", ")
            ));
        }
        self.values.insert(&self.graph.input, Value::Signal(signal));
        Ok(())
    }

    fn finish(mut self) -> Lower<Lowered> {
        let output = &self.graph.output;
        let mut signal = self.named(output)?;
        if let Form::Map([channels, 1, 1]) = signal.form {
            signal = self.signal(Layer::Flatten, &[signal], Form::Flat(channels))?;
        }
        let Form::Flat(classes) = signal.form else {
            return Err(format!(
                "its output \"{output}\" is expected to be logits of shape (N, classes), and is a map of features"
            )
            .into());
        };
        let steps = self.steps.into_iter().flatten().collect();
        Ok(Lowered {
            steps: Steps::new(steps, self.slots.len(), signal.slot),
            classes,
            normalizes: self.normalizes,
            softmax: self.softmax,
            norms: self.norms,
        })
    }

    fn node(&mut self, node: &'a Node) -> Lower<Value> {
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return Err(format!("is an operator of {}", node.domain).into());
        }
        let constants = self.constants(node);
        let all = node
            .input
            .iter()
            .zip(&constants)
            .all(|(name, c)| name.is_empty() || c.is_some());
        let constants: Vec<Option<&Constant>> = constants.iter().map(Option::as_ref).collect();
        let constants = Constants(&constants);
        if all && let Some(folded) = fold(node, constants) {
            return Ok(Value::Constant(folded?));
        }
        match node.op_type.as_str() {
            "Conv" => self.conv(node),
            "BatchNormalization" => self.norm(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "LayerNormalization" => self.layer_norm(node),
            "InstanceNormalization" | "GroupNormalization" => self.group_norm(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "Neg" => self.negative(node),
            "PRelu" => self.prelu(node),
            "Relu" | "Clip" | "LeakyRelu" | "Elu" | "HardSwish" | "Mish" | "Gelu" | "Sigmoid"
            | "HardSigmoid" | "Tanh" | "Softplus" | "Erf" | "Exp" | "Log" | "Abs" | "Sqrt"
            | "Reciprocal" | "Pow" => self.function(node, constants),
            "Concat" => self.concat(node),
            "Split" => self.split(node, constants),
            "Slice" => self.slice(node, constants),
            "Gather" => self.gather(node, constants),
            "Pad" => self.pad(node, constants),
            "MaxPool" => self.max_pool(node),
            "AveragePool" => self.average_pool(node),
            "GlobalAveragePool" => self.global_average(node, true),
            "GlobalMaxPool" => self.global_maximum(node),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceL2" => self.reduce(node, constants),
            "Flatten" => self.flatten(node),
            "Reshape" => self.reshape(node, constants),
            "Squeeze" => self.squeeze(node, constants),
            "Unsqueeze" => self.unsqueeze(node, constants),
            "Transpose" => self.transpose(node),
            "Expand" => self.expand(node, constants),
            "Resize" => self.resize(node, constants),
            "Shape" => self.shape(node),
            "Dropout" => self.drop(node, constants),
            "Identity" => self.value(node, 0),
            "Cast" => match node.int("to", 0) {
                1 | 10 | 11 | 16 => self.value(node, 0),
                _ => Err("to whole numbers".into()),
            },
            "Softmax" | "LogSoftmax" if node.output.first() == Some(&self.graph.output) => {
                self.softmax = Some(node.op_type.clone());
                self.value(node, 0)
            }
            "Softmax" => self.softmax(node),
            "LogSoftmax" => Err("is computed at the end of a network alone".into()),
            _ => Err("is not among the operators that are".into()),
        }
    }
}
