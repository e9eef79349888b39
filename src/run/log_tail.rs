//! The last lines of a run's log, as people read them.

use std::path::Path;

use serde_json::Value;

use super::{files, table};

/// Bytes at the end of a log that are read.
const END: u64 = 1 << 16;

/// The last lines, `most` of them, of the log in a run's folder, each with its time of day (UTC) and, but for plain notes, its
/// level. What is no line of a log is left out.
pub fn log_tail(folder: &Path, most: usize) -> Vec<String> {
    let end = table::last_lines(&folder.join(files::LOG), END);
    let mut lines: Vec<String> = end.lines().rev().filter_map(line).take(most).collect();
    lines.reverse();
    lines
}

fn line(text: &str) -> Option<String> {
    let event: Value = serde_json::from_str(text).ok()?;
    let message = event["fields"]["message"].as_str()?;
    let time = event["timestamp"]
        .as_str()
        .and_then(|time| time.get(11..19));
    let level = event["level"].as_str().filter(|level| *level != "INFO");
    let words = [time, level, Some(message)].into_iter().flatten();
    Some(words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_and_strange_lines_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert!(log_tail(folder.path(), 9).is_empty());
        let event = |level: &str, words: &str| {
            format!(
                "{{\"timestamp\":\"2025-01-31T12:00:05.1Z\",\"level\":\"{level}\",\"fields\":{{\"message\":\"{words}\"}}}}\n"
            )
        };
        let text = [
            event("INFO", &"long ".repeat(20_000)),
            event("INFO", "epoch 1"),
            "[]\nno line\n{\"timestamp\":\"short\",\"fields\":{\"message\":\"odd\"}}\n".to_owned(),
            event("WARN", "slow"),
            "{\"timestamp\":\"2025".to_owned(),
        ];
        std::fs::write(folder.path().join(files::LOG), text.concat()).unwrap();
        assert_eq!(
            log_tail(folder.path(), 9),
            ["12:00:05 epoch 1", "odd", "12:00:05 WARN slow"]
        );
        assert_eq!(log_tail(folder.path(), 1), ["12:00:05 WARN slow"]);
    }
}
