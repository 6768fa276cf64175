//! How watchers are served: section `[watch]`.

use super::problem::Problems;
use super::raw::RawWatch;
use super::span::Span;
use holdfast_engine::WATCH_POLL;
use std::ops::RangeInclusive;
use std::time::Duration;

/// More often, and watchers alone would keep the masters busy; less often is as good as never.
const POLL_INTERVAL_BOUNDS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60 * 60);

/// How watchers are served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watch {
    /// A watched resource is read at least this often, whatever notices and timers say: a safety
    /// net for a notice that was lost.
    pub poll_interval: Duration,
}

impl Watch {
    pub(super) fn parse(raw: &RawWatch, problems: &mut Problems) -> Self {
        let key = "watch.poll_interval";
        let bounds = POLL_INTERVAL_BOUNDS;
        Self { poll_interval: Span::within(raw.poll_interval, WATCH_POLL, bounds, key, problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::read;

    fn parse(toml: &str) -> Result<Duration, String> {
        let mut problems = Problems::default();
        let watch = Watch::parse(&read(toml)?, &mut problems);
        problems.or(watch.poll_interval).map_err(|errors| errors.to_string())
    }

    #[test]
    fn polls_are_neither_rare_nor_all_there_is() {
        assert_eq!(parse("").unwrap(), Duration::from_secs(5));
        assert_eq!(parse("poll_interval = '100ms'").unwrap(), Duration::from_millis(100));
        assert_eq!(parse("poll_interval = '1h'").unwrap(), Duration::from_secs(3_600));
        for (toml, is) in [("99ms", "99ms"), ("0s", "0s"), ("61m", "3660s")] {
            let expected = format!("watch.poll_interval: is {is}; it must be from 100ms to 1h");
            assert_eq!(parse(&format!("poll_interval = '{toml}'")).unwrap_err(), expected);
        }
    }
}
