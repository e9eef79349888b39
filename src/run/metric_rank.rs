//! Which metrics matter most.

/// Orders the names of metrics: what tells runs apart comes first, accuracies on images that were not trained on, robust ones
/// before clean ones and those of 8-bit images last; losses where there is nothing else.
pub fn metric_rank(name: &str) -> impl Ord + use<> {
    (
        name.ends_with("loss"),
        name.contains("mean_broken"),
        name.contains("train_"),
        name.contains("_8bit"),
        name.ends_with("test_accuracy"),
        // One metric of all stages before the next: a line may be cut.
        name.rsplit('.').next().unwrap_or(name).to_owned(),
    )
}

/// Whether a table of several runs has a column for a metric where it has any: neither what the training images say nor the
/// 8-bit twin of another, no distance and no loss.
pub fn is_main_metric(name: &str) -> bool {
    let minor = ["mean_broken", "train_", "_8bit"];
    !name.ends_with("loss") && !minor.iter().any(|part| name.contains(part))
}
