//! Calls and messages in a second. Whoever was silent may send a second's worth at once.

use super::Scope;
use crate::grpc::origin::Party;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// After so many calls those are forgotten who have been silent for long enough.
const TIDY_EVERY: u32 = 10_000;

#[derive(Debug)]
pub(super) struct Rates {
    all: Option<DefaultDirectRateLimiter>,
    own: Option<RateLimiter<Party, DashMapStateStore<Party>, DefaultClock>>,
    clock: DefaultClock,
    calls: AtomicU32,
}

impl Rates {
    pub(super) fn new(all: Option<NonZeroU32>, own: Option<NonZeroU32>) -> Self {
        Self {
            all: all.map(|rate| RateLimiter::direct(Quota::per_second(rate))),
            own: own.map(|rate| RateLimiter::dashmap(Quota::per_second(rate))),
            clock: DefaultClock::default(),
            calls: AtomicU32::new(0),
        }
    }

    /// One more; else when to come again. The caller's own bound comes first: what it has too much of
    /// is not taken from the others.
    pub(super) fn admit(&self, party: &Party) -> Result<(), (Scope, Duration)> {
        if let Some(own) = &self.own {
            if self.calls.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
                own.retain_recent();
            }
            own.check_key(party).map_err(|not| (Scope::Identity, self.until(&not)))?;
        }
        if let Some(all) = &self.all {
            all.check().map_err(|not| (Scope::Replica, self.until(&not)))?;
        }
        Ok(())
    }

    fn until(&self, not: &NotUntil<<DefaultClock as Clock>::Instant>) -> Duration {
        // Whole milliseconds, upwards: a retry that comes too early is refused again.
        let wait = not.wait_time_from(self.clock.now());
        Duration::from_millis(wait.as_nanos().div_ceil(1_000_000) as u64)
    }
}
