//! The study: three experiments that between them have all kinds of stages and most of what a checkpoint holds.

/// Two optimizers, each with its own state; dropout, augmentation, an average of the weights.
const TRAINING: &str = r#"
name = "training"
task = "train"
seed = 1
[data]
kind = "digits"
batch_size = 25
train_limit = 300
test_limit = 100
augment = ["random-crop", { kind = "mixup", probability = 0.5 }]
[model]
layers = ["conv 4 3x3 stride=2 pad=1", "batch-norm", "relu", "flatten", "dropout 0.3", "linear 10"]
[optimizer]
lr = 0.01
[train]
epochs = 4
average = { kind = "ema", decay = 0.9 }
[checkpoint]
every = "5 steps"
[sweep]
"optimizer.kind" = ["adam", "sgd"]
only = [{ where = { "optimizer.kind" = "sgd" }, "optimizer.momentum" = [0.0, 0.9] }]
"#;

/// Trainings that stages attack, by several attacks in a row, and judge by one another's images.
const CHAIN: &str = r#"
name = "chain"
seed = 2
data = { kind = "digits", batch_size = 25, train_limit = 200, test_limit = 60, eval_batch_size = 20 }
attack = { epsilon = 0.05, step_size = 0.02, k = 3 }
[[stage]]
id = "robust"
task = "adversarial-train"
model = { arch = "lenet5" }
optimizer = { lr = 0.02, momentum = 0.9 }
train = { epochs = 2, awp = { gamma = 0.005 } }
attack = { kind = "pgd" }
evaluate = { attacks = ["none", "pgd"] }
[[stage]]
id = "plain"
task = "train"
model = { arch = "mlp", widths = [16] }
optimizer = { lr = 0.1 }
train = { epochs = 2 }
[[stage]]
id = "attack"
task = "attack"
model = { weights = "@plain" }
attack = { kind = "auto-attack", attacks = [{ kind = "apgd", k = 5 }, { kind = "fab-t", k = 5 }, { kind = "square", n_queries = 50 }] }
[[stage]]
id = "measure"
task = "evaluate"
model = { weights = "@robust" }
evaluate = { attacks = ["none", { kind = "pgd", step_size = 0.02, k = 3, restarts = 2 }, { kind = "apgd-t", k = 5 }] }
[[stage]]
id = "judge"
task = "transfer"
[stage.transfer]
attacks = ["pgd"]
linbp = [false]
models = { a = { arch = "lenet5", weights = "@robust" }, b = { arch = "mlp", widths = [16], weights = "@plain" } }
"#;

const SIMULATION: &str = r#"
name = "simulation"
task = "simulate"
seed = 3
[simulate]
kind = "two-layer-attack"
repeats = 60
steps = 100
step_rule = "l2"
step_size = 0.05
epsilon = 0.25
"#;

/// The experiments by the names of their files.
pub const EXPERIMENTS: [(&str, &str); 3] = [
    ("training.toml", TRAINING),
    ("chain.toml", CHAIN),
    ("simulation.toml", SIMULATION),
];
