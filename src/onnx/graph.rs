//! A file's graph, checked as far as it can be without knowing what its operators do.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::constant::{Constant, Source};
use super::external::Folder;
use super::patterns::recognise;
use super::proto;
use super::shared::take_apart;
use crate::{Error, Result};

/// The oldest version of the standard operators that is read.
const OLDEST: i64 = 9;

/// The network of a file: operators in order, from one batch of images to one value.
pub struct Graph {
    path: PathBuf,
    /// In an order in which they can be computed; without those that the output does not depend on.
    pub nodes: Vec<proto::Node>,
    pub initializers: HashMap<String, Constant>,
    /// The name of the images.
    pub input: String,
    /// Their shape behind the batch, none where a side is free.
    pub image: Vec<Option<usize>>,
    /// The number of images that the file is written for, where it is.
    pub batch: Option<usize>,
    pub output: String,
}

/// The message in the file at `path`.
fn decode(path: &Path) -> Result<proto::Model> {
    let about = std::fs::metadata(path).map_err(Error::io("open the network", path))?;
    // A pipe would keep its reader waiting.
    if !about.is_file() {
        let why = "is no plain file, an ONNX file was expected";
        return Err(Error::failed(format!("{}: {why}", path.display())));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    proto::Model::decode(Bytes::from(bytes)).map_err(|error| {
        Error::failed(format!(
            "{}: is no ONNX file, or a damaged one ({error}); export it again",
            path.display()
        ))
    })
}

/// The file at `path` and the files in its folder in which its tensors are said to be.
///
/// # Errors
/// A file that cannot be read or is damaged, and tensors that lie outside its folder.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let folder = Folder::of(path);
    let graph = decode(path)?.graph.unwrap_or_default();
    let mut files = vec![path.to_path_buf()];
    for tensor in graph.initializer {
        if tensor.data_location != 0 {
            let file = folder
                .file(&tensor.external_data)
                .map_err(|why| fault(path, &format!("tensor {}: {why}", tensor.name)))?;
            files.push(file);
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// An error of the file, in one line whatever the names in it are.
fn fault(path: &Path, why: &str) -> Error {
    let mut line = format!("{}: ", path.display());
    for c in why.chars() {
        match c.is_control() {
            true => line.extend(c.escape_debug()),
            false => line.push(c),
        }
    }
    Error::failed(line)
}

impl Graph {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or whose graph is none: values that are used before they are computed or
    /// computed twice, more than one input or output, tensors outside its folder.
    pub fn read(path: &Path) -> Result<Self> {
        let model = decode(path)?;
        Self::check(path, model).map_err(|why| fault(path, &why))
    }

    fn check(path: &Path, model: proto::Model) -> Result<Self, String> {
        let standard = |set: &&proto::OperatorSet| matches!(set.domain.as_str(), "" | "ai.onnx");
        match model.opset_import.iter().find(standard) {
            Some(set) if set.version >= OLDEST => {}
            Some(set) => {
                let (version, least) = (set.version, OLDEST);
                return Err(format!(
                    "its operators are those of version {version}, at least {least} is read; export it again with \
                     opset_version=17"
                ));
            }
            None => return Err("it names no set of operators: is it an ONNX file?".into()),
        }
        let graph = model.graph.ok_or("it holds no graph")?;
        if !graph.sparse_initializer.is_empty() {
            return Err("sparse tensors are not read; store them densely".into());
        }
        check_names(&graph)?;
        let folder = Folder::of(path);
        let source = Source { external: &folder };
        let mut initializers = HashMap::new();
        for tensor in &graph.initializer {
            let name = &tensor.name;
            let constant = Constant::read(name, tensor, &source)
                .map_err(|why| format!("tensor {name}: {why}"))?;
            if name.is_empty() || initializers.insert(name.clone(), constant).is_some() {
                return Err(format!("tensor \"{name}\" is there twice, or has no name"));
            }
        }
        let mut inputs = graph.input.iter();
        let mut images = inputs
            .by_ref()
            .filter(|i| !initializers.contains_key(&i.name));
        let (Some(input), None) = (images.next(), images.next()) else {
            return Err("expected one input, the images, and it has none or several".into());
        };
        let [output] = graph.output.as_slice() else {
            return Err(format!(
                "expected one output, the logits, found {}: {}",
                graph.output.len(),
                names(graph.output.iter().map(|output| output.name.as_str()))
            ));
        };
        let (batch, image) = shape(input)?;
        let mut this = Self {
            path: path.to_path_buf(),
            nodes: graph.node,
            input: input.name.clone(),
            image,
            batch,
            output: output.name.clone(),
            initializers,
        };
        this.check_order()?;
        this.drop_unused();
        for node in &this.nodes {
            if node.op_type == "Constant" {
                let constant = Constant::of_node(node, &source)
                    .map_err(|why| format!("{}: {why}", title(node)))?;
                let name = node.output.first().cloned().unwrap_or_default();
                this.initializers.insert(name, constant);
            }
        }
        this.nodes.retain(|node| node.op_type != "Constant");
        recognise(&mut this.nodes, &this.initializers);
        take_apart(&mut this.nodes, &mut this.initializers, &this.output);
        this.drop_unused();
        Ok(this)
    }

    /// That every value is there before it is used, and once.
    fn check_order(&self) -> Result<(), String> {
        let mut known: HashSet<&str> = self.initializers.keys().map(String::as_str).collect();
        known.insert(&self.input);
        for node in &self.nodes {
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                if !known.contains(name.as_str()) {
                    return Err(format!(
                        "{} uses \"{name}\" before anything computes it: the graph is cut off or goes in a circle",
                        title(node)
                    ));
                }
            }
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                if !known.insert(name) {
                    return Err(format!("\"{name}\" is computed twice, by {}", title(node)));
                }
            }
        }
        match known.contains(self.output.as_str()) {
            true => Ok(()),
            false => Err(format!("nothing computes its output \"{}\"", self.output)),
        }
    }

    fn drop_unused(&mut self) {
        let mut needed = HashSet::from([self.output.clone()]);
        let mut kept = Vec::new();
        for node in std::mem::take(&mut self.nodes).into_iter().rev() {
            if node.output.iter().any(|name| needed.contains(name)) {
                needed.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
    }

    /// How often each value is used, as the output of the graph too.
    pub fn uses(&self) -> HashMap<&str, usize> {
        let mut uses = HashMap::from([(self.output.as_str(), 1)]);
        for name in self.nodes.iter().flat_map(|node| &node.input) {
            *uses.entry(name).or_default() += 1;
        }
        uses
    }

    /// An error of this file.
    pub fn fault(&self, why: &str) -> Error {
        fault(&self.path, why)
    }
}

/// That names can be shown and written as they are.
fn check_names(graph: &proto::Graph) -> Result<(), String> {
    let nodes = graph.node.iter();
    let named = nodes.flat_map(|node| node.output.iter().chain([&node.name, &node.op_type]));
    let mut named = named.chain(graph.initializer.iter().map(|tensor| &tensor.name));
    match named.find(|name| name.chars().any(char::is_control)) {
        Some(name) => Err(format!("the name {name:?} has characters that no name has")),
        None => Ok(()),
    }
}

/// The batch and the shape of an image.
fn shape(input: &proto::ValueInfo) -> Result<(Option<usize>, Vec<Option<usize>>), String> {
    let wrong = || {
        format!(
            "its input \"{}\" is expected to be images of shape (N, C, H, W) or (N, numbers)",
            input.name
        )
    };
    let r#type = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let shape = r#type.and_then(|t| t.shape.as_ref()).ok_or_else(wrong)?;
    let sides: Vec<Option<usize>> = shape
        .dim
        .iter()
        .map(|dim| {
            dim.dim_value
                .and_then(|d| usize::try_from(d).ok())
                .filter(|&d| d > 0)
        })
        .collect();
    match sides.as_slice() {
        [batch, image @ ..] if matches!(image.len(), 1 | 3) => Ok((*batch, image.to_vec())),
        _ => Err(wrong()),
    }
}

/// A node by its operator and its name, or that of its first output.
pub fn title(node: &proto::Node) -> String {
    format!("{} \"{}\"", node.op_type, name(node))
}

/// A node's name, or that of its first output where it has none.
pub fn name(node: &proto::Node) -> &str {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
