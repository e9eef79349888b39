//! How fast work goes, in words: rates, times left, durations.

use std::time::Duration;

/// The time left if the share done went from `base` to `share` in `elapsed`.
pub(super) fn time_left(base: f64, share: f64, elapsed: Duration) -> Option<Duration> {
    let gained = share - base;
    if gained <= 0.0 {
        return None;
    }
    let seconds = elapsed.as_secs_f64() * (1.0 - share).max(0.0) / gained;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Examples a second, in words.
pub(super) fn rate(examples_per_second: f64) -> String {
    match examples_per_second {
        slow if slow < 10.0 => format!("{slow:.1} examples/s"),
        fast => format!("{fast:.0} examples/s"),
    }
}

/// A duration in the two units that matter: `45s`, `3m 05s`, `2h 07m`, `4d 03h`.
pub(super) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_counts_from_where_this_process_began() {
        let ten = Duration::from_secs(10);
        assert_eq!(time_left(0.5, 0.75, ten), Some(ten));
        assert_eq!(time_left(0.5, 0.5, ten), None);
        assert_eq!(time_left(0.0, 1.0, ten), Some(Duration::ZERO));
    }

    #[test]
    fn durations_read_well() {
        for (seconds, text) in [
            (45, "45s"),
            (185, "3m 05s"),
            (7620, "2h 07m"),
            (356_400, "4d 03h"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), text);
        }
    }
}
