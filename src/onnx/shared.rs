//! Tensors that exporters store once because their numbers are equal, given back to each that uses them.
//!
//! The scales and shifts of norms that nobody trained are all ones and zeros, and torch's exporters keep one of each: for the
//! running statistics too. Only tensors of one repeated number are taken apart: others that are equal were tied on purpose.

use std::collections::HashMap;

use super::constant::{Constant, Floats};
use super::graph::name;
use super::proto::Node;

/// Where torch's newer exporter writes the modules that a node lies in.
const SCOPES: &str = "pkg.torch.onnx.name_scopes";

/// Gives each parameter and buffer a tensor of its own, with the name that it has in torch where the file tells.
pub fn take_apart(nodes: &mut Vec<Node>, tensors: &mut HashMap<String, Constant>, output: &str) {
    nodes.retain(|node| !renames(node, tensors, output));
    let mut users: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        for (place, input) in node.input.iter().enumerate() {
            users.entry(input).or_default().push((at, place));
        }
    }
    let mut found = Vec::new();
    for (stored, users) in users {
        let several = users.len() > 1 && stored.contains('.') && uniform(tensors, stored).is_some();
        if several && stands_for_several(nodes, &users) {
            found.push((users[0], stored.to_owned(), users));
        }
    }
    found.sort_unstable();
    for (_, stored, users) in found {
        let mut made: HashMap<String, String> = HashMap::new();
        for (at, place) in users {
            let Some(floats) = uniform(tensors, &stored) else {
                continue;
            };
            let mut floats = floats.clone();
            let part = part(&nodes[at], place, &stored);
            let wanted = format!("{}.{part}", module(&nodes[at]));
            let norm = nodes[at].op_type.ends_with("Normalization");
            // A module that is used several times has one tensor.
            let again = made.get(&wanted).filter(|_| norm).cloned();
            let own = again.unwrap_or_else(|| match wanted == stored {
                true => wanted.clone(),
                false => free(&wanted, &format!("{}.{part}", name(&nodes[at])), tensors),
            });
            floats.name.clone_from(&own);
            nodes[at].input[place].clone_from(&own);
            made.insert(wanted, own.clone());
            tensors.insert(own, Constant::Floats(floats));
        }
    }
}

/// Whether a node only says that a stored tensor has another name too, under which it is entered.
fn renames(node: &Node, tensors: &mut HashMap<String, Constant>, output: &str) -> bool {
    let ("Identity", [input], [own]) = (
        node.op_type.as_str(),
        node.input.as_slice(),
        node.output.as_slice(),
    ) else {
        return false;
    };
    let standard = matches!(node.domain.as_str(), "" | "ai.onnx");
    let floats = uniform(tensors, input);
    let Some(floats) = floats.filter(|_| standard && own != output && !own.is_empty()) else {
        return false;
    };
    let mut floats = floats.clone();
    floats.name.clone_from(own);
    tensors.insert(own.clone(), Constant::Floats(floats));
    true
}

/// The tensor of that name, where it is parameters that are all the same number.
fn uniform<'a>(tensors: &'a HashMap<String, Constant>, name: &str) -> Option<&'a Floats> {
    match tensors.get(name) {
        Some(Constant::Floats(floats)) if !floats.fixed && floats.uniform() => Some(floats),
        _ => None,
    }
}

/// Whether the users of a tensor lie in different modules, or one of them is a batch norm that has it in another place.
fn stands_for_several(nodes: &[Node], users: &[(usize, usize)]) -> bool {
    let role = |&(at, place): &(usize, usize)| (nodes[at].op_type.as_str(), place);
    let differ = users.iter().any(|user| role(user) != role(&users[0]));
    let norm = |user: &(usize, usize)| role(user).0 == "BatchNormalization";
    let scope = |&(at, _): &(usize, usize)| scope(&nodes[at]);
    let apart = users.iter().any(|user| scope(user) != scope(&users[0]));
    (differ && users.iter().any(norm)) || apart
}

/// What a node calls the input at this place, as torch's modules do.
fn part<'a>(node: &Node, place: usize, stored: &'a str) -> &'a str {
    match (node.op_type.as_str(), place) {
        ("BatchNormalization", 3) => "running_mean",
        ("BatchNormalization", 4) => "running_var",
        ("Conv" | "Gemm", 1) => "weight",
        ("Conv" | "Gemm", 2) => "bias",
        (op, 1) if op.ends_with("Normalization") => "weight",
        (op, 2) if op.ends_with("Normalization") => "bias",
        _ => stored.rsplit('.').next().unwrap_or(stored),
    }
}

/// The module that a node says it lies in.
fn scope(node: &Node) -> Option<&str> {
    let entry = node.metadata.iter().find(|entry| entry.key == SCOPES)?;
    // ['', 'block', 'block.bn1', 'the operator']
    let scope = entry.value.split('\'').rev().nth(3)?;
    let sound = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
    (!scope.is_empty() && scope.chars().all(sound)).then_some(scope)
}

/// The path of a node's module: what it says, or what follows from a name like `/block/block.0/bn1/BatchNormalization`.
fn module(node: &Node) -> String {
    if let Some(scope) = scope(node) {
        return scope.to_owned();
    }
    let mut parts: Vec<&str> = name(node).trim_start_matches('/').split('/').collect();
    if parts.len() > 1 {
        parts.pop();
    }
    // The entries of a list have its name before theirs.
    let mut path = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let next = parts.get(at + 1).and_then(|next| next.strip_prefix(part));
        if !next.is_some_and(|rest| rest.starts_with('.')) {
            path.push(*part);
        }
    }
    path.join(".")
}

/// The first of these names that nothing has, with a number where something has both.
fn free(wanted: &str, other: &str, tensors: &HashMap<String, Constant>) -> String {
    let numbered = (2usize..).map(|number| format!("{other}_{number}"));
    let mut names = [wanted.to_owned(), other.to_owned()]
        .into_iter()
        .chain(numbered);
    let found = names.find(|name| !tensors.contains_key(name));
    found.unwrap_or_default()
}
