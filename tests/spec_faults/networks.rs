//! Faults of networks that the spec writes down, as far as the images do not matter.

use crate::harness::{TRAIN, faults};

fn with(model: &str) -> String {
    TRAIN.replace("arch = \"lenet5\"", model)
}

fn of(model: &str) -> Vec<String> {
    faults(&with(model), &[], &[])
}

#[test]
fn layers_are_a_network_of_their_own() {
    let layers = "layers = [\"flatten\", \"linear 10\"]";
    assert_eq!(of(layers), [""; 0]);
    assert_eq!(of(&format!("arch = \"sequential\"\n{layers}")), [""; 0]);
    let found = of("arch = \"sequential\"");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("a.toml:4: model.layers: missing; sequential is made of them: "),
        "{found:?}"
    );
    assert_eq!(
        of("layers = []"),
        ["a.toml:5: model.layers: expected at least one layer, found []"]
    );
    assert_eq!(
        of("layers = \"linear 10\""),
        ["a.toml:5: model.layers: expected a list of layers, found \"linear 10\""]
    );
}

#[test]
fn all_texts_are_looked_at() {
    let text = "layers = [\"conv 8\", \"relu\", 3, { residual = [\"relu 1\"], shortcut = \"x\" }, { residual = [] }, \
                { shortcut = [], body = [] }, { residual = [{ residual = [\"linear\"] }], depth = 2 }]";
    let found = of(text);
    for (fault, expected) in found.iter().zip([
        "a.toml:5: model.layers[0]: expected \"conv OUT KxK [stride=S] [pad=P] [groups=G] [bias=false]\", found \"conv 8\"; \
         the kernel KxK is missing",
        "a.toml:5: model.layers[2]: expected a layer (conv, batch-norm, relu, relu6, silu, max-pool, avg-pool, \
         global-avg-pool, dropout, flatten, linear) or { residual = [...] }, found 3",
        "a.toml:5: model.layers[3].residual[0]: expected \"relu\", found \"relu 1\"; \"1\" is too much",
        "a.toml:5: model.layers[3].shortcut: expected a list of layers, found \"x\"",
        "a.toml:5: model.layers[4]: expected { residual = [...] } with at least one layer in the branch, found a table",
        "a.toml:5: model.layers[5].body: expected no other key than residual and shortcut, found []",
        "a.toml:5: model.layers[5]: expected { residual = [...] } with at least one layer in the branch, found a table",
        "a.toml:5: model.layers[6].depth: expected no other key than residual and shortcut, found 2",
        "a.toml:5: model.layers[6].residual[0].residual[0]: expected \"linear OUT [bias=false]\", found \"linear\"; OUT is \
         missing",
    ]) {
        assert_eq!(fault, expected);
    }
    assert_eq!(found.len(), 9, "{found:#?}");
}

#[test]
fn weights_of_another_stage_are_those_of_its_layers() {
    let stages = |own: &str| {
        format!(
            "data.kind = \"digits\"\n[[stage]]\nid = \"a\"\ntask = \"train\"\noptimizer.lr = 0.1\ntrain.epochs = 1\n\
             model.layers = [\"flatten\", \"dropout 0.1\", \"linear 10\"]\n[[stage]]\nid = \"b\"\ntask = \"evaluate\"\n\
             model = {{ weights = \"@a\"{own} }}\n"
        )
    };
    assert_eq!(faults(&stages(""), &[], &[]), [""; 0]);
    let same = ", layers = [\"flatten\", \"dropout 0.2\", \"linear 10\"]";
    assert_eq!(faults(&stages(same), &[], &[]), [""; 0]);
    let other = ", layers = [\"flatten\", \"relu\", \"linear 10\"]";
    let found = faults(&stages(other), &[], &[]);
    assert_eq!(
        found,
        [
            "a.toml:11: stage.b.model.weights: the weights of \"@a\" are those of sequential with layers [\"flatten\", \
             \"dropout 0.1\", \"linear 10\"], and the model here is sequential with layers [\"flatten\", \"relu\", \"linear \
             10\"]"
        ]
    );
}
