//! The stages of an experiment as a graph: an edge leads from a stage to one that uses its result.

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::aligned::aligned;
use crate::data::ImagesRef;
use crate::experiment::{ExperimentSpec, Plan, StageSpec, Task};
use crate::models::{LinbpUse, Moment, WeightsRef};
use crate::spec::{StageRef, TaskKind};

/// The ways to write a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line per stage, with what it uses.
    Text,
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// The values of a swept key that a title shows.
const VALUES_SHOWN: usize = 10;

/// The stages of an experiment, by their place in the spec, and what each uses of which.
#[derive(Debug)]
pub struct Graph {
    /// Node: id and what the stage does. Edge: the key that refers.
    graph: DiGraph<Node, &'static str>,
}

#[derive(Debug)]
struct Node {
    id: String,
    about: String,
}

impl Graph {
    /// The graph of a checked spec: its references lead somewhere and run in no circle.
    pub fn new(spec: &ExperimentSpec) -> Self {
        let mut graph = DiGraph::new();
        for stage in &spec.stages {
            graph.add_node(Node {
                id: stage.id.clone(),
                about: about(stage),
            });
        }
        for (position, stage) in spec.stages.iter().enumerate() {
            for (key, target) in references(stage) {
                if let Some(source) = spec.stages.iter().position(|other| other.id == target) {
                    graph.add_edge(NodeIndex::new(source), NodeIndex::new(position), key);
                }
            }
        }
        Self { graph }
    }

    /// The number of stages.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether there are no stages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stages that a stage uses, in the order of the spec, each once.
    pub fn inputs(&self, stage: usize) -> Vec<usize> {
        let sources = self
            .graph
            .neighbors_directed(NodeIndex::new(stage), Direction::Incoming);
        let mut sources: Vec<usize> = sources.map(NodeIndex::index).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// The stages so that each comes after those that it uses, otherwise in the order of the spec.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::with_capacity(self.len());
        while order.len() < self.len() {
            let ready = |stage: &usize| {
                !order.contains(stage)
                    && self
                        .inputs(*stage)
                        .iter()
                        .all(|input| order.contains(input))
            };
            match (0..self.len()).find(ready) {
                Some(next) => order.push(next),
                // A circle, which the check of the spec has refused.
                None => break,
            }
        }
        order
    }

    /// Writes the graph, under a title where there is one.
    pub fn render(&self, format: Format, title: Option<&str>) -> String {
        match format {
            Format::Text => {
                let title = title.map(|title| format!("{title}\n"));
                title.unwrap_or_default() + &self.text()
            }
            Format::Mermaid => {
                let title = title.map(|title| format!("---\ntitle: {title:?}\n---\n"));
                title.unwrap_or_default() + &self.mermaid()
            }
            Format::Dot => self.dot(title),
        }
    }

    fn edges(&self) -> Vec<(usize, usize, &'static str)> {
        let edges = self.graph.edge_references();
        let mut edges: Vec<_> = edges
            .map(|edge| (edge.source().index(), edge.target().index(), *edge.weight()))
            .collect();
        edges.sort_unstable();
        edges
    }

    fn node(&self, stage: usize) -> &Node {
        &self.graph[NodeIndex::new(stage)]
    }

    fn text(&self) -> String {
        aligned(self.order().into_iter().map(|stage| {
            let node = self.node(stage);
            let uses: Vec<String> = self
                .edges()
                .into_iter()
                .filter(|(_, target, _)| *target == stage)
                .map(|(source, _, key)| format!("{key} of {}", self.node(source).id))
                .collect();
            let uses = if uses.is_empty() {
                String::new()
            } else {
                format!("  <- {}", uses.join(", "))
            };
            [node.id.clone(), format!("{}{uses}", node.about)]
        }))
    }

    fn mermaid(&self) -> String {
        let mut text = String::from("graph LR\n");
        for stage in 0..self.len() {
            let node = self.node(stage);
            text.push_str(&format!("    s{stage}[\"{}: {}\"]\n", node.id, node.about));
        }
        for (source, target, key) in self.edges() {
            text.push_str(&format!("    s{source} -->|{key}| s{target}\n"));
        }
        text
    }

    fn dot(&self, title: Option<&str>) -> String {
        let mut text = String::from("digraph stages {\n    rankdir=LR;\n    node [shape=box];\n");
        if let Some(title) = title {
            text.push_str(&format!("    label={title:?};\n    labelloc=t;\n"));
        }
        for stage in 0..self.len() {
            let node = self.node(stage);
            text.push_str(&format!(
                "    \"{}\" [label=\"{}\\n{}\"];\n",
                node.id, node.id, node.about
            ));
        }
        for (source, target, key) in self.edges() {
            let (source, target) = (&self.node(source).id, &self.node(target).id);
            text.push_str(&format!(
                "    \"{source}\" -> \"{target}\" [label=\"{key}\"];\n"
            ));
        }
        text.push_str("}\n");
        text
    }
}

/// The points of a plan's sweep in a line: how many, over which keys, and their values; nothing where nothing is swept.
pub fn points(plan: &Plan) -> Option<String> {
    if plan.swept.is_empty() {
        return None;
    }
    let keys = plan.swept.iter().map(|key| {
        let mut values: Vec<&str> = Vec::new();
        for run in &plan.runs {
            let here = run.values.iter().filter(|(name, _)| name == key);
            for (_, value) in here {
                if !values.contains(&value.as_str()) {
                    values.push(value);
                }
            }
        }
        let more = values.len().saturating_sub(VALUES_SHOWN);
        values.truncate(VALUES_SHOWN);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{key} = {}{more}", values.join(", "))
    });
    let plural = if plan.runs.len() == 1 { "" } else { "s" };
    Some(format!(
        "{} run{plural} over {}; each:",
        plan.runs.len(),
        keys.collect::<Vec<_>>().join("; ")
    ))
}

/// The stages that a stage refers to, and what it uses of each.
fn references(stage: &StageSpec) -> Vec<(&'static str, &str)> {
    let mut references = Vec::new();
    for (_, model) in stage.task.models() {
        if let Some(WeightsRef::Stage(id, moment)) = &model.weights {
            let what = match moment {
                Moment::Final => "weights",
                Moment::Best => "best weights",
                Moment::Last => "last weights",
                Moment::Ema => "average (ema)",
                Moment::Swa => "average (swa)",
            };
            references.push((what, id.as_str()));
        }
    }
    for images in stage.task.adversarial() {
        if let ImagesRef::Stage(StageRef(id)) = images {
            references.push(("images", id.as_str()));
        }
    }
    references
}

/// What a stage does, in a few words that need no escaping in any format.
fn about(stage: &StageSpec) -> String {
    let task = &stage.task;
    let mut words = vec![task.kind().to_string()];
    match task {
        Task::Simulate(task) => words.push(task.simulate.kind.to_string()),
        Task::Transfer(task) => {
            let names: Vec<&str> = task.transfer.models.keys().map(String::as_str).collect();
            words.push(format!("between {}", names.join(", ")));
        }
        task => words.extend(
            task.models()
                .into_iter()
                .map(|(_, model)| match model.activation {
                    Some(activation) => format!("{} with {activation}", model.arch),
                    None => model.arch.clone(),
                }),
        ),
    }
    if let Some(data) = task.data() {
        words.push(format!("on {}", data.kind));
    }
    let names: Vec<String> = task
        .own_attacks()
        .into_iter()
        .map(|attack| attack.name)
        .collect();
    if !names.is_empty() {
        words.push(format!("by {}", names.join(", ")));
    }
    // Whether a transfer's attacks use LinBP differs from one to the next.
    let linbp = task.linbp().filter(|_| task.kind() != TaskKind::Transfer);
    if let Some(linbp) = linbp {
        let [train, attack] = [LinbpUse::Train, LinbpUse::Attack].map(|r#use| linbp.words(r#use));
        let uses = match (linbp.train, linbp.attack) {
            (false, false) => String::new(),
            (true, false) => format!("({train} in training)"),
            (false, true) => format!("({attack} in attack)"),
            (true, true) if train == attack => format!("({train} in training and attack)"),
            (true, true) => format!("({train} in training; {attack} in attack)"),
        };
        words.extend(Some(uses).filter(|uses| !uses.is_empty()));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan;
    use crate::spec::Request;

    fn graph() -> Graph {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        let text = r#"
            data = { kind = "digits" }
            attack = { kind = "fgsm", epsilon = 0.1 }
            [[stage]]
            id = "judge"
            task = "evaluate"
            model = { weights = "@train" }
            data = { adversarial = "@craft" }
            [[stage]]
            id = "craft"
            task = "attack"
            model = { weights = "@train" }
            linbp = { attack = true }
            [[stage]]
            id = "train"
            task = "train"
            model = { arch = "lenet5" }
            optimizer = { lr = 0.1 }
            train = { epochs = 1 }
        "#;
        std::fs::write(&file, text).unwrap();
        let request = Request {
            spec: file,
            ..Request::default()
        };
        Graph::new(&plan(&request).unwrap().runs[0].spec)
    }

    #[test]
    fn stages_come_after_what_they_use() {
        let graph = graph();
        assert_eq!(graph.order(), [2, 1, 0]);
        assert_eq!(graph.inputs(0), [1, 2]);
        assert_eq!(graph.inputs(2), [0usize; 0]);
    }

    #[test]
    fn every_format_shows_stages_and_edges() {
        let graph = graph();
        assert_eq!(
            graph.render(Format::Text, None),
            "train  train lenet5 on digits\n\
             craft  attack lenet5 on digits by fgsm (LinBP in attack)  <- weights of train\n\
             judge  evaluate lenet5 on digits  <- images of craft, weights of train\n"
        );
        assert_eq!(
            graph.render(Format::Mermaid, None),
            "graph LR\n    \
             s0[\"judge: evaluate lenet5 on digits\"]\n    \
             s1[\"craft: attack lenet5 on digits by fgsm (LinBP in attack)\"]\n    \
             s2[\"train: train lenet5 on digits\"]\n    \
             s1 -->|images| s0\n    \
             s2 -->|weights| s0\n    \
             s2 -->|weights| s1\n"
        );
        let dot = graph.render(Format::Dot, None);
        assert!(
            dot.starts_with("digraph stages {\n") && dot.ends_with("}\n"),
            "{dot}"
        );
        assert!(
            dot.contains("    \"train\" -> \"craft\" [label=\"weights\"];\n"),
            "{dot}"
        );
    }
}
