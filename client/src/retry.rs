//! How often and how long a call is tried.
//!
//! Every call of this client may be repeated: an acquire has a `lease_id` of the client's own, so that the
//! second try is the same acquire, and all others are idempotent by contract.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// What to do when no replica answers, or too few masters vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// A call that fails for longer than this is given up. An acquire that waits has its `wait` on top.
    pub give_up_after: Duration,
    /// How long one try may take before another replica is asked. Longer than the 800 ms in which a
    /// replica looks for a quorum. A renewal has at most a quarter of the ttl.
    pub attempt_timeout: Duration,
    /// The pause after the first failure; each later one is twice as long. Jitter adds up to as much.
    pub first_pause: Duration,
    /// The longest pause, before jitter.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    /// Gives up after 10 s; tries of 2 s; pauses from 25 ms to 1 s.
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(2),
            first_pause: Duration::from_millis(25),
            longest_pause: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    /// Tries once; a call that waits for a lock goes on for its wait.
    pub fn none() -> Self {
        Self { give_up_after: Duration::ZERO, ..Self::default() }
    }

    pub(crate) fn pauses(&self) -> Pauses {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_jitter()
            .without_max_times();
        Pauses { pauses: pauses.build(), longest: self.longest_pause }
    }
}

/// The pauses between the tries of one call.
#[derive(Debug)]
pub(crate) struct Pauses {
    pauses: backon::ExponentialBackoff,
    longest: Duration,
}

impl Pauses {
    pub(crate) fn next(&mut self) -> Duration {
        self.pauses.next().unwrap_or(self.longest)
    }
}
