//! What this replica knows of one master's clock: an estimate, the window a command may be
//! executed in, and the proof that the clock stepped.
//!
//! Source: docs/protocol.md, "Clocks". A reply that was long under way proves nothing, so only
//! samples with a bounded round trip count.

use crate::params::CLOCK_WINDOW;
use crate::script::Window;
use crate::time::{Instant, Now};
use std::time::Duration;

/// The longest round trip whose TIME says something.
const ROUND_TRIP_BOUND: Duration = Duration::from_millis(500);
/// Samples outside the window, one after another, that prove a step.
const PROOF: u8 = 2;

/// One master's clock against this replica's boot clock.
#[derive(Debug, Default)]
pub struct MasterClock {
    /// TIME minus boot clock, in microseconds.
    offset: Option<i64>,
    outside: u8,
    round_trip: Option<Duration>,
}

/// What a sample showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Where it was expected, or too slow to say.
    Fits,
    /// Not where it was expected: measure again.
    Doubtful,
    /// It stepped. The estimate stays, so that nothing is voted there, until it is forgotten.
    Stepped,
}

impl MasterClock {
    /// A reply that carried `time_micros`, sent and received at these moments.
    pub fn sample(&mut self, sent: Instant, received: Instant, time_micros: u64) -> Sample {
        let round_trip = received.since(sent);
        if round_trip > ROUND_TRIP_BOUND {
            return Sample::Fits;
        }
        self.round_trip = Some(round_trip);
        let middle = (sent + round_trip / 2).as_micros();
        let offset = micros(time_micros).saturating_sub(micros(middle));
        let Some(expected) = self.offset else {
            self.offset = Some(offset);
            return Sample::Fits;
        };
        let tolerance = (CLOCK_WINDOW + round_trip / 2).as_micros() as u64;
        if offset.abs_diff(expected) <= tolerance {
            self.offset = Some(offset);
            self.outside = 0;
            return Sample::Fits;
        }
        self.outside += 1;
        if self.outside < PROOF {
            return Sample::Doubtful;
        }
        self.outside = 0;
        Sample::Stepped
    }

    /// Was it last seen where it was not expected?
    pub fn in_doubt(&self) -> bool {
        self.outside > 0
    }

    /// Forgets the estimate: the next sample makes a new one. Right only while the master may not
    /// vote, or is another process.
    pub fn forget(&mut self) {
        self.offset = None;
        self.outside = 0;
    }

    /// When a command sent now may be executed; `None` without an estimate.
    pub fn window(&self, now: Instant) -> Option<Window> {
        let time = micros(now.as_micros()).saturating_add(self.offset?);
        let span = CLOCK_WINDOW.as_micros() as i64;
        let (lo, hi) = (time.saturating_sub(span), time.saturating_add(span));
        Some(Window { lo: lo.max(0) as u64, hi: hi.max(0) as u64 })
    }

    /// How far the master is ahead of this replica's wall clock, in microseconds.
    pub fn ahead_of(&self, now: Now) -> Option<i64> {
        let time = micros(now.boot.as_micros()).saturating_add(self.offset?);
        Some(time.saturating_sub(micros(now.wall_micros)))
    }

    /// The last bounded round trip.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

/// A master may say any TIME; one beyond the range is as far away as can be.
fn micros(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: u64 = 1_700_000_000_000_000;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn time(millis: u64) -> u64 {
        WALL + millis * 1_000
    }

    #[test]
    fn drift_is_followed_and_a_step_needs_two_samples() {
        let mut clock = MasterClock::default();
        assert_eq!(clock.sample(at(0), at(2), time(1)), Sample::Fits);
        assert_eq!(clock.window(at(1)), Some(Window { lo: time(1) - 1_000_000, hi: time(1_001) }));
        assert_eq!(clock.sample(at(10_000), at(10_002), time(10_701)), Sample::Fits);
        assert_eq!(clock.sample(at(20_000), at(20_002), time(21_401)), Sample::Fits, "drift");

        assert_eq!(clock.sample(at(30_000), at(30_002), time(90_000)), Sample::Doubtful);
        assert_eq!(clock.sample(at(30_010), at(30_012), time(90_011)), Sample::Stepped);
        let stale = clock.window(at(30_020)).map(|window| window.hi < time(90_000));
        assert_eq!(stale, Some(true), "until the incident is on record, commands must be LATE");
        clock.forget();
        assert_eq!(clock.sample(at(30_020), at(30_022), time(90_021)), Sample::Fits);
    }

    #[test]
    fn a_slow_reply_proves_nothing() {
        let mut clock = MasterClock::default();
        clock.sample(at(0), at(2), time(1));
        for _ in 0..5 {
            assert_eq!(clock.sample(at(10_000), at(18_000), time(17_999)), Sample::Fits);
        }
        let before = clock.window(at(1));
        assert_eq!(before, Some(Window { lo: time(1) - 1_000_000, hi: time(1_001) }));
    }

    #[test]
    fn one_odd_sample_is_forgotten() {
        let mut clock = MasterClock::default();
        clock.sample(at(0), at(2), time(1));
        assert_eq!(clock.sample(at(10), at(12), time(5_000)), Sample::Doubtful);
        assert_eq!(clock.sample(at(20), at(22), time(21)), Sample::Fits);
        assert_eq!(clock.sample(at(30), at(32), time(5_000)), Sample::Doubtful);
    }

    #[test]
    fn a_time_that_is_none_is_far_away() {
        let now = |millis| Now { boot: at(millis), wall_micros: time(millis) };
        for odd in [0, 1 << 63, u64::MAX] {
            let mut clock = MasterClock::default();
            assert_eq!(clock.sample(at(0), at(2), odd), Sample::Fits, "the first is all there is");
            assert!(clock.ahead_of(now(2)).is_some_and(|micros| micros.abs() > 1 << 50), "{odd}");
            assert!(clock.window(at(2)).is_some_and(|window| window.lo <= window.hi));
            assert_eq!(clock.sample(at(10), at(12), time(11)), Sample::Doubtful, "{odd}");

            let mut clock = MasterClock::default();
            clock.sample(at(0), at(2), time(1));
            assert_eq!(clock.sample(at(10), at(12), odd), Sample::Doubtful, "{odd}");
        }
    }
}
