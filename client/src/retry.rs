//! How often and how long a call is tried.
//!
//! Every call of this client may be repeated: an acquire has a `lease_id` of the client's own, so that the
//! second try is the same acquire, and all others are idempotent by contract.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// What to do when no replica answers, or too few masters vote.
///
/// It has no number of tries and no pause between tries for a lock that somebody else holds: whoever
/// [waits](crate::Lock::wait) is in the queue of a replica and has the lock as soon as it is free, so that
/// there is nothing to poll.
///
/// | there | here |
/// |---|---|
/// | RedLock.net: `waitTime`, `retryTime` | [`Lock::wait`](crate::Lock::wait) of `waitTime` |
/// | RedLock.net: `RedLockRetryConfiguration(retryCount, retryDelayMs)`; node-redlock: `retryCount`, `retryDelay`; redsync: `WithTries`, `WithRetryDelay` | [`Lock::wait`](crate::Lock::wait) of the tries times the delay |
/// | one try, and no more in an outage either | [`RetryPolicy::none`], and no `wait` |
///
/// Where the number of tries itself matters, count them:
///
/// ```no_run
/// # use std::time::Duration;
/// # use holdfast_client::{Client, Error, Guard};
/// /// `client` has [`RetryPolicy::none`](holdfast_client::RetryPolicy::none).
/// async fn try_thrice(client: &Client) -> Result<Guard, Error> {
///     let lock = client.lock("r");
///     for _ in 1..3 {
///         match lock.clone().acquire().await {
///             Err(error) if error.is_transient() || matches!(error, Error::Busy(_)) => {}
///             settled => return settled,
///         }
///         tokio::time::sleep(Duration::from_millis(200)).await;
///     }
///     lock.acquire().await
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// A call that fails for longer than this is given up. One that [waits](crate::Lock::wait) for a lock
    /// is given up at the end of its wait, be that sooner or later.
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
        Pauses { pauses: pauses.build(), longest: self.longest_pause, none_before: 0 }
    }
}

/// The pauses between the tries of one call.
#[derive(Debug)]
pub(crate) struct Pauses {
    pauses: backon::ExponentialBackoff,
    longest: Duration,
    /// How many tries have no pause before them.
    none_before: usize,
}

impl Pauses {
    /// None before a replica is asked for the first time, of whom nothing bad is known: not even a short
    /// wait is spent on a replica that is dead.
    pub(crate) fn but_not_first(self, others: usize) -> Self {
        Self { none_before: others, ..self }
    }

    pub(crate) fn next(&mut self) -> Duration {
        if let Some(rest) = self.none_before.checked_sub(1) {
            self.none_before = rest;
            return Duration::ZERO;
        }
        self.pauses.next().unwrap_or(self.longest)
    }
}
