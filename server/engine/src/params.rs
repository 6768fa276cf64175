//! The numbers of the protocol: what is configured, and what follows from it.

use crate::ids::MasterId;
use crate::mutants::{Mutant, Mutants};
use crate::time::Instant;
use std::time::Duration;

/// Acquire rounds of one attempt before it cleans up and backs off.
pub const ROUNDS: u8 = 3;
/// What is taken off every validity beside the drift: the granularity of Redis expiry.
pub const EPSILON: Duration = Duration::from_millis(2);
/// A call that gets no quorum goes on trying for so long.
pub const GIVE_UP: Duration = Duration::from_millis(800);
/// Shortest and longest pause between attempts; drawn at random so that contenders part ways.
pub const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));
/// How far a master's TIME may be from its estimate: more is a step, or a command that lay around.
pub const CLOCK_WINDOW: Duration = Duration::from_secs(1);
/// A master that is up and silent is asked this often.
pub const PROBE: Duration = Duration::from_secs(1);
/// The head of a queue asks at least this often, whatever notices and timers say.
pub const POLL: Duration = Duration::from_secs(1);
/// The same for a watched resource, unless configured otherwise: what a notice that was lost costs.
pub const WATCH_POLL: Duration = Duration::from_secs(5);
/// The shortest TTL, unless configured otherwise.
pub const MIN_TTL: Duration = Duration::from_millis(100);
/// Waiters of one resource on one replica, unless configured otherwise.
pub const MAX_WAITERS: usize = 10_000;

/// What happens when a master lost (or may have lost) its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RestartPolicy {
    /// It may not vote until everything it may have forgotten has expired.
    #[default]
    Quarantine,
    /// It votes at once. Neither exclusion nor token order across a restart.
    Trust,
}

/// What the engine must know of the configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// How many masters there are.
    pub masters: usize,
    /// Bound on the drift between two clocks, in parts per million.
    pub drift_ppm: u32,
    /// The longest TTL a lease may have.
    pub max_ttl: Duration,
    /// SKEW: bound on the difference between any two clocks of replicas and masters.
    pub clock_skew: Duration,
    /// What a master does after a restart.
    pub restart_policy: RestartPolicy,
    /// A command without an answer after so long is unknown; one a master.
    pub command_timeouts: Vec<Duration>,
    /// A stalled master's connection is given up after so long; one a master.
    pub connect_timeouts: Vec<Duration>,
    /// Of a master that may fail over to a replica of its own: how long that one may be silent. One a
    /// master.
    pub max_lags: Vec<Option<Duration>>,
    /// Waiters of one resource.
    pub max_waiters: usize,
    /// The shortest TTL a lease may have.
    pub min_ttl: Duration,
    /// No lease is extended beyond this age.
    pub max_hold: Option<Duration>,
    /// A watched resource is read at least this often, whatever notices and timers say.
    pub watch_poll: Duration,
    /// Seeded bugs; none outside tests.
    pub mutants: Mutants,
}

impl Params {
    /// Votes that decide: a majority.
    pub fn quorum(&self) -> usize {
        let majority = self.masters / 2 + 1;
        if self.mutants.has(Mutant::MinorityDecides) { majority.max(2) - 1 } else { majority }
    }

    /// How long a grant that began at `started` may be relied on: ttl less drift and [`EPSILON`].
    pub fn valid_until(&self, started: Instant, ttl: Duration) -> Instant {
        if self.mutants.has(Mutant::ValidityWithoutDrift) {
            return started + ttl;
        }
        (started + ttl.saturating_sub(self.drift_of(ttl))).minus(EPSILON)
    }

    /// QUAR of one master. Of a unit that fails over it is `2 × max_lag + 2 s` longer: so long may its
    /// old primary go on voting after the loss of its replica.
    pub fn quarantine_of(&self, master: MasterId) -> Duration {
        match (self.restart_policy, self.max_lags[master.index()]) {
            (RestartPolicy::Quarantine, Some(max_lag)) => {
                self.quarantine() + 2 * max_lag + Duration::from_secs(2)
            }
            _ => self.quarantine(),
        }
    }

    /// QUAR of independent masters: `max(max_ttl × (1 + drift), 2 × skew) + 1 s`, none under
    /// [`RestartPolicy::Trust`].
    pub fn quarantine(&self) -> Duration {
        match self.restart_policy {
            RestartPolicy::Quarantine if self.mutants.has(Mutant::NoQuarantine) => Duration::ZERO,
            RestartPolicy::Quarantine => {
                let forgotten = self.max_ttl + self.drift_of(self.max_ttl);
                forgotten.max(2 * self.clock_skew) + Duration::from_secs(1)
            }
            RestartPolicy::Trust => Duration::ZERO,
        }
    }

    fn drift_of(&self, span: Duration) -> Duration {
        Duration::from_nanos((span.as_nanos() * u128::from(self.drift_ppm) / 1_000_000) as u64)
    }
}

#[cfg(test)]
impl Params {
    /// The defaults of the configuration.
    pub(crate) fn for_tests(masters: usize) -> Self {
        Self {
            masters,
            drift_ppm: 10_000,
            max_ttl: Duration::from_secs(60),
            clock_skew: Duration::from_secs(10),
            restart_policy: RestartPolicy::Quarantine,
            command_timeouts: vec![Duration::from_millis(100); masters],
            connect_timeouts: vec![Duration::from_secs(1); masters],
            max_lags: vec![None; masters],
            max_waiters: MAX_WAITERS,
            min_ttl: MIN_TTL,
            max_hold: None,
            watch_poll: WATCH_POLL,
            mutants: Mutants::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(max_ttl: u64, skew: u64) -> Params {
        Params {
            max_ttl: Duration::from_secs(max_ttl),
            clock_skew: Duration::from_secs(skew),
            ..Params::for_tests(5)
        }
    }

    #[test]
    fn the_quarantine_covers_the_longest_lease_and_twice_the_skew() {
        assert_eq!(params(60, 10).quarantine(), Duration::from_millis(61_600));
        assert_eq!(params(2, 10).quarantine(), Duration::from_secs(21));
    }

    #[test]
    fn that_of_a_unit_covers_what_its_old_primary_may_still_do() {
        let max_lags = vec![None, Some(Duration::from_secs(10))];
        let params = Params { max_lags, ..params(60, 10) };
        assert_eq!(params.quarantine_of(MasterId(0)), Duration::from_millis(61_600));
        assert_eq!(params.quarantine_of(MasterId(1)), Duration::from_millis(83_600));
        let trusting = Params { restart_policy: RestartPolicy::Trust, ..params };
        assert_eq!(trusting.quarantine_of(MasterId(1)), Duration::ZERO);
    }

    #[test]
    fn validity_is_ttl_less_drift_and_epsilon() {
        let until = params(60, 10).valid_until(Instant::default(), Duration::from_secs(10));
        assert_eq!(until.since(Instant::default()), Duration::from_millis(9_898));
    }

    #[test]
    fn a_quorum_is_a_majority() {
        for (masters, quorum) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
            assert_eq!(Params { masters, ..params(60, 10) }.quorum(), quorum);
        }
    }
}
