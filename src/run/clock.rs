//! The time of day as `run.json` writes it.

use std::time::{Duration, SystemTime};

use humantime::{format_rfc3339_seconds, parse_rfc3339_weak};

/// Now, in UTC, as RFC 3339 with whole seconds: `2025-01-31T12:00:00Z`.
pub fn now() -> String {
    format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// From one time to a later one; nothing where either is no time.
pub fn between(from: &str, to: &str) -> Option<Duration> {
    let [from, to] = [from, to].map(parse_rfc3339_weak);
    to.ok()?.duration_since(from.ok()?).ok()
}

/// Seconds since 1970; nothing where it is no time.
pub fn seconds(time: &str) -> Option<f64> {
    let time = parse_rfc3339_weak(time).ok()?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since.as_secs_f64())
}

/// How long ago that was; nothing where it is no time, or one to come.
pub fn since(time: &str) -> Option<Duration> {
    let time = parse_rfc3339_weak(time).ok()?;
    SystemTime::now().duration_since(time).ok()
}

/// A time in its largest unit: `45 s`, `3 min`, `5 h`, `2 d`.
pub fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=5_399 => format!("{} min", (seconds + 30) / 60),
        5_400..=129_599 => format!("{} h", (seconds + 1_800) / 3_600),
        _ => format!("{} d", (seconds + 43_200) / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let now = now();
        assert!(now.ends_with('Z') && now.len() == 20, "{now}");
        assert!(since(&now).unwrap() < Duration::from_secs(60));
        assert!(since("2000-02-29T00:00:00Z").unwrap() > Duration::from_secs(800_000_000));
        assert_eq!(since("yesterday"), None);
        let day = between("2024-02-29T00:00:00Z", "2024-03-01T00:00:05Z");
        assert_eq!(day, Some(Duration::from_secs(86_405)));
        assert_eq!(
            between("2024-03-01T00:00:00Z", "2024-02-29T00:00:00Z"),
            None
        );
        assert_eq!(since("9999-01-01T00:00:00Z"), None);
    }

    #[test]
    fn units_are_the_largest_that_say_enough() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        let found = [89, 90, 5_399, 5_400, 129_599, 129_600].map(words);
        assert_eq!(found, ["89 s", "2 min", "90 min", "2 h", "36 h", "2 d"]);
    }
}
