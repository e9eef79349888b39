//! References between stages: every fault of them, before anything runs.

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use crate::choice::nearest;
use crate::spec::location::Location;
use crate::spec::outcome::Outcome;
use crate::spec::task::TaskKind;

/// What a reference needs of the stage that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Trained weights.
    Weights,
    /// Adversarial images.
    Images,
}

impl Wants {
    fn is_left_by(self, task: TaskKind) -> bool {
        match self {
            Self::Weights => task.is_training(),
            Self::Images => task == TaskKind::Attack,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Weights => "weights (task \"train\" or \"adversarial-train\")",
            Self::Images => "adversarial images (task \"attack\")",
        }
    }
}

/// A value `"@id"`: an edge of the graph.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The stage that refers.
    pub from: String,
    pub location: Location,
    pub key: String,
    /// The stage that is referred to.
    pub target: String,
    pub wants: Wants,
}

/// Notes every unknown, self-referring, circular and mistaken reference among stages, given as (id, task).
pub(crate) fn check(
    stages: &[(String, Option<TaskKind>)],
    links: &[Link],
    staged: bool,
    outcome: &mut Outcome,
) {
    let mut graph = DiGraphMap::<usize, usize>::new();
    let index = |id: &str| stages.iter().position(|(known, _)| known == id);
    for (number, link) in links.iter().enumerate() {
        let target = &link.target;
        let message = match (index(&link.from), index(target)) {
            _ if !staged => {
                format!("refers to the stage \"{target}\", and this spec lists no [[stage]]")
            }
            (_, None) => match nearest(target, stages.iter().map(|(id, _)| id.as_str())) {
                Some(near) => {
                    format!("refers to \"@{target}\", which is no stage; did you mean \"@{near}\"?")
                }
                None => {
                    let known: Vec<&str> = stages.iter().map(|(id, _)| id.as_str()).collect();
                    format!(
                        "refers to \"@{target}\", which is no stage; the stages are {}",
                        known.join(", ")
                    )
                }
            },
            (from, to) if from == to => format!("refers to its own stage \"{target}\""),
            (Some(from), Some(to)) => {
                graph.add_edge(to, from, number);
                match stages[to].1 {
                    Some(task) if !link.wants.is_left_by(task) => format!(
                        "expected a stage that leaves {}, found \"@{target}\", which has the task \"{task}\"",
                        link.wants.words()
                    ),
                    _ => continue,
                }
            }
            (None, Some(_)) => continue,
        };
        outcome.fault(&link.location, &link.key, &message);
    }
    for mut circle in tarjan_scc(&graph)
        .into_iter()
        .filter(|circle| circle.len() > 1)
    {
        circle.sort_unstable();
        let edges = graph
            .all_edges()
            .filter(|(a, b, _)| circle.contains(a) && circle.contains(b));
        let Some(first) = edges.map(|(_, _, &number)| number).min() else {
            continue;
        };
        let names: Vec<&str> = circle
            .iter()
            .map(|&stage| stages[stage].0.as_str())
            .collect();
        let link = &links[first];
        let message = format!(
            "the stages {} wait for each other in a circle",
            names.join(", ")
        );
        outcome.fault(&link.location, &link.key, &message);
    }
}
