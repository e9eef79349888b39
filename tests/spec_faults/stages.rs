//! References between stages.

use crate::harness::faults;

#[test]
fn references_between_stages() {
    let text = "\
[data]
kind = \"digits\"
[model]
arch = \"lenet5\"
[attack]
kind = \"fgsm\"
epsilon = 0.1
[optimizer]
lr = 0.1
[train]
epochs = 1
[[stage]]
id = \"a\"
task = \"train\"
model = { weights = \"@b\" }
[[stage]]
id = \"b\"
task = \"train\"
model = { weights = \"@a\" }
[[stage]]
id = \"craft\"
task = \"attack\"
model = { weights = \"@aa\" }
[[stage]]
id = \"self\"
task = \"train\"
model = { weights = \"@self\" }
[[stage]]
id = \"judge\"
task = \"evaluate\"
model = { weights = \"@craft\" }
data = { adversarial = \"@a\" }
[[stage]]
id = \"other\"
task = \"attack\"
model = { weights = \"@a\", arch = \"mlp\" }
attack = { epsilon = -1 }
";
    assert_eq!(
        faults(text, &[], &[]),
        [
            "a.toml:15: stage.a.model.weights: the stages a, b wait for each other in a circle",
            "a.toml:23: stage.craft.model.weights: refers to \"@aa\", which is no stage; did you mean \"@a\"?",
            "a.toml:27: stage.self.model.weights: refers to its own stage \"self\"",
            "a.toml:31: stage.judge.model.weights: expected a stage that leaves weights (task \"train\" or \
             \"adversarial-train\"), found \"@craft\", which has the task \"attack\"",
            "a.toml:32: stage.judge.data.adversarial: expected a stage that leaves adversarial images (task \"attack\"), \
             found \"@a\", which has the task \"train\"",
            "a.toml:37: stage.other.attack.epsilon: expected a number in [0, 1], found -1",
        ]
    );
    let sound = text.replace("epsilon = -1 ", "epsilon = 0.1 ");
    let sound = sound
        .replace("@b", "w")
        .replace("@aa", "@a")
        .replace("@self", "w")
        .replace("@craft", "@b");
    let sound = sound.replace("adversarial = \"@a\"", "adversarial = \"@craft\"");
    assert_eq!(
        faults(&sound, &[], &[]),
        [
            "a.toml:36: stage.other.model.weights: the weights of \"@a\" are those of lenet5, and the model here is mlp \
             with widths [400, 200, 100]"
        ]
    );
    assert_eq!(
        faults(
            &sound,
            &["stage.kraft.seed=1", "stage.other.model.arch=lenet5"],
            &[]
        ),
        [
            "command line: stage.kraft: unknown stage; the stages are a, b, craft, self, judge, other"
        ]
    );
}

#[test]
fn a_stage_is_reached_by_its_id() {
    let text = "[data]\nkind = \"digits\"\n[[stage]]\nid = \"train\"\ntask = \"train\"\nmodel = { arch = \"lenet5\" }\n\
                optimizer = { lr = 0.1 }\ntrain = { epochs = 1 }\n[[stage]]\nid = \"judge\"\ntask = \"evaluate\"\n\
                model = { weights = \"@train\" }\n";
    assert_eq!(faults(text, &[], &[]), [""; 0]);
    for (given, expected) in [
        (
            "judge.seed=1",
            "command line: judge: unknown key; did you mean \"stage.judge.seed\"?",
        ),
        (
            "train.optimizer.lr=0.2",
            "command line: train.optimizer: unknown key; did you mean \"stage.train.optimizer\"?",
        ),
        (
            "stage.judge.model.weights=@train.bst",
            "command line: stage.judge.model.weights: expected a file or another stage, written \"@id\", or \"@id.best\" or \
             \"@id.last\" for its checkpoints, \"@id.ema\" or \"@id.swa\" for its average, found \"@train.bst\"",
        ),
        (
            "stage.judge.model.weights=@trian.best",
            "command line: stage.judge.model.weights: refers to \"@trian\", which is no stage; did you mean \"@train\"?",
        ),
    ] {
        let found = faults(text, &[given], &[]);
        assert!(
            found.iter().any(|line| line == expected),
            "{given}: {found:?}"
        );
    }
    // Such an id is one fault, and no reason to look for a task elsewhere.
    assert_eq!(
        faults(&text.replace("\"judge\"", "\"Judge!\""), &[], &[]),
        ["a.toml:10: stage 2: id: expected up to 64 lower-case letters, digits, - and _"]
    );
    let only = "[[stage]]\nid = \"A\"\ntask = \"train\"\n";
    assert_eq!(
        faults(only, &[], &[]),
        ["a.toml:2: stage 1: id: expected up to 64 lower-case letters, digits, - and _"]
    );
}
