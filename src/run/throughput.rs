//! How fast work goes, in words: rates, times left, durations.

use std::time::{Duration, Instant};

/// The shortest interval that a rate is told of: in shorter ones the clock and the scheduler decide.
const MEASURABLE: Duration = Duration::from_millis(1);

/// The seconds that some work takes, over all processes that do a part of it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    earlier: f64,
    since: Instant,
}

impl Stopwatch {
    /// Goes on from `earlier` seconds.
    pub fn start(earlier: f64) -> Self {
        Self {
            earlier,
            since: Instant::now(),
        }
    }

    /// The seconds so far.
    pub fn seconds(&self) -> f64 {
        self.earlier + self.since.elapsed().as_secs_f64()
    }
}

/// Examples a second; nothing where the time is too short to measure.
pub fn per_second(examples: u64, seconds: f64) -> Option<f64> {
    (seconds >= MEASURABLE.as_secs_f64()).then(|| examples as f64 / seconds)
}

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
    fn no_rate_is_told_of_a_moment() {
        assert_eq!(per_second(40, 7.2e-7), None);
        assert_eq!(per_second(40, 0.0), None);
        assert_eq!(per_second(40, 2.0), Some(20.0));
    }

    #[test]
    fn a_stopwatch_goes_on() {
        let seconds = Stopwatch::start(5.0).seconds();
        assert!((5.0..6.0).contains(&seconds), "{seconds}");
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
