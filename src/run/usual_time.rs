//! How long runs take, by those of the same name that are finished.

use std::path::Path;
use std::time::Duration;

use super::clock;
use super::list::runs;
use super::record::RunState;

/// The median time of the finished runs of `name` that went through in one start, and how many they are; `None` where there is
/// none.
pub fn usual_time(results: &Path, name: &str) -> Option<(Duration, usize)> {
    let all = runs(results, Some(name)).ok()?;
    let records = all.into_iter().filter_map(|run| run.record.ok());
    let whole = records.filter(|run| run.state == RunState::Finished && run.attempts == 1);
    let mut times: Vec<Duration> = whole
        .filter_map(|run| clock::between(&run.started, run.ended.as_deref()?))
        .collect();
    times.sort();
    Some((*times.get(times.len() / 2)?, times.len()))
}
