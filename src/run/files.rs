//! The names of the files that a run leaves, in one place for those who write and those who read them.

/// Version of everything written into a run folder. A reader refuses what is newer than itself.
pub const FORMAT_VERSION: u32 = 1;

/// The resolved spec, written before the first step.
pub const SPEC: &str = "spec.toml";
/// State and provenance of a run.
pub const RUN: &str = "run.json";
/// Key and last metrics of a finished stage, written last.
pub const STAGE: &str = "stage.json";
/// One row per evaluation point.
pub const METRICS: &str = "metrics.csv";
/// Distances and losses of a simulation.
pub const SIMULATION: &str = "simulation.csv";
/// One row an attacked example.
pub const EXAMPLES: &str = "examples.csv";
/// Accuracy of each model on images made on each.
pub const TRANSFER: &str = "transfer.csv";
/// One row an image, the model that it was made on, and the model that judges it.
pub const TRANSFER_EXAMPLES: &str = "transfer_examples.csv";
/// The files of the models of a transfer, with their hashes.
pub const TRANSFER_MODELS: &str = "transfer_models.csv";
/// How well images of each choice of linear activations carry over.
pub const LAYER_SEARCH: &str = "layer_search.csv";
/// Adversarial images as floats: `images` and `originals` f32 (N,C,H,W) in \[0,1\], `labels` u32 (N).
pub const ADVERSARIAL: &str = "adversarial.safetensors";
/// Adversarial images as `<class>/<name>.png`.
pub const ADVERSARIAL_IMAGES: &str = "adversarial";
/// In [`ADVERSARIAL_IMAGES`], in the folder of its class: the image of this name in the data set. Nothing is cut off
/// that looks like a file's ending, so that two names never give one file.
pub fn image_file(name: &str) -> String {
    format!("{name}.png")
}

/// `logits` f32 (N,classes), `labels` u32 (N).
pub const LOGITS: &str = "logits.safetensors";
/// Folder of the checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// In [`CHECKPOINTS`]: the weights of a finished training, under torch's names.
pub const FINAL_WEIGHTS: &str = "final.safetensors";
/// In [`CHECKPOINTS`]: the average of a finished training's weights, of this kind.
pub fn average_weights(kind: &str) -> String {
    format!("{kind}.safetensors")
}

/// Folder of the work of a stage without checkpoints that is not finished.
pub const PROGRESS: &str = "progress";
/// Folder of the figures.
pub const FIGURES: &str = "figures";
/// In the folder of all results: hashes of the contents of weights and data, remembered.
pub const CONTENTS: &str = ".contents";
/// In the folder of all results: decoded images, which all runs share.
pub const DECODED: &str = ".decoded";
/// The tracing log, one JSON object a line.
pub const LOG: &str = "log.jsonl";
/// Held by the process that owns the folder.
pub const LOCK: &str = ".lock";
/// In the folder of a name: the stages that its runs share.
pub const SHARED_STAGES: &str = "stages";
/// In the folder of a name: a page with all of it.
pub const REPORT: &str = "report.html";
/// In the folder of a name: one row per run.
pub const SUMMARY: &str = "summary.csv";
/// In the folder of a name: one row per measurement.
pub const RESULTS: &str = "results.csv";
