//! Time as the engine sees it: two readings that the caller takes together.
//!
//! Owns the arithmetic. Does not read any clock: [`Now`] is an argument of every `handle_*`.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A moment on a clock that never steps and counts suspend (CLOCK_BOOTTIME), in nanoseconds since
/// an arbitrary origin. Virtual in tests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// A moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Whole microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// How long ago `earlier` was; zero if it is in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved back by `span`, not before the origin.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.0 as f64 / 1e9)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// One reading of both clocks of this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What durations, deadlines and validity are measured on.
    pub boot: Instant,
    /// The wall clock, in microseconds since the Unix epoch: what ballots are drawn from.
    pub wall_micros: u64,
}

impl Now {
    /// How far the wall clock is ahead of the boot clock, in microseconds: a step of either shows here.
    pub fn wall_ahead(self) -> i64 {
        self.wall_micros as i64 - self.boot.as_micros() as i64
    }
}
