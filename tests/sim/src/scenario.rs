//! What a seed means: the size of the deployment, which faults may happen in it, and how its clients
//! behave. Every kind of fault is off in some scenarios, so that each is seen without the others.

use holdfast_engine::{MIN_TTL, Mutants, Params, RestartPolicy};
use rand::Rng;
use rand::rngs::SmallRng;
use std::fmt;
use std::time::Duration;

/// How long things are done to the deployment.
pub(crate) const UNREST: Duration = Duration::from_secs(25);
/// Two clocks drift apart by so much at most.
pub(crate) const DRIFT_PPM: u32 = 10_000;

/// One deployment, its clients and its troubles.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Masters: 1, 3 or 5.
    pub masters: usize,
    /// Replicas: 1 to 3.
    pub replicas: usize,
    /// Resources that clients want.
    pub resources: usize,
    /// Clients that lock by unary calls.
    pub lockers: usize,
    /// Clients that lock by a Hold.
    pub holders: usize,
    /// Clients that watch.
    pub watchers: usize,
    /// The longest ttl.
    pub max_ttl: Duration,
    /// Bound on the difference between two clocks.
    pub clock_skew: Duration,
    /// What may go wrong.
    pub faults: Faults,
    /// The slowest message of a healthy network.
    pub latency: Duration,
}

/// What may go wrong: how often, on average, in a hundred seconds; zero: never.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A master answers nothing for a while.
    pub freeze_master: u32,
    /// A master's process ends and starts again with everything, with nothing, or with what it had before.
    pub restart_master: u32,
    /// A master forgets everything and goes on.
    pub flush_master: u32,
    /// A master's clock steps, by minutes at times.
    pub step_master: u32,
    /// A connection between replica and master ends.
    pub reset_link: u32,
    /// A way between replica and master is cut, in one or both directions.
    pub cut_link: u32,
    /// A replica's process ends and another one starts.
    pub crash_replica: u32,
    /// A replica stands still.
    pub stall_replica: u32,
    /// A replica's wall clock steps.
    pub step_replica: u32,
    /// A replica is asked to go away.
    pub drain_replica: u32,
    /// A client stands still.
    pub pause_client: u32,
    /// An operator takes a lock back.
    pub force_release: u32,
    /// Out of a thousand messages to masters so many are lost.
    pub lost: u32,
    /// Out of a thousand messages to masters so many arrive twice.
    pub twice: u32,
    /// Out of a thousand messages to masters so many are late, by up to seconds.
    pub late: u32,
    /// Messages overtake each other.
    pub unordered: bool,
    /// Out of a thousand notices so many are lost.
    pub deaf: u32,
    /// Only masters of a minority are touched, and nothing else but the clients: nobody may notice.
    pub minority_only: bool,
}

impl Scenario {
    /// What this seed means.
    pub(crate) fn draw(rng: &mut SmallRng) -> Self {
        let masters = [1, 3, 3, 3, 3, 5][rng.random_range(0..6)];
        let replicas = rng.random_range(1..=3);
        let max_ttl = Duration::from_millis([1_000, 2_000, 4_000][rng.random_range(0..3)]);
        let mut faults = Faults::draw(rng);
        if masters > 1 && rng.random_range(0..6) == 0 {
            faults = faults.of_a_minority();
        }
        Self {
            masters,
            replicas,
            resources: rng.random_range(1..=2),
            lockers: rng.random_range(1..=4),
            holders: rng.random_range(0..=3),
            watchers: rng.random_range(0..=2),
            max_ttl,
            clock_skew: Duration::from_millis([2_000, 3_000][rng.random_range(0..2)]),
            faults,
            latency: Duration::from_micros([300, 2_000, 15_000][rng.random_range(0..3)]),
        }
    }

    /// The configuration of its replicas.
    pub(crate) fn params(&self, mutants: Mutants) -> Params {
        Params {
            masters: self.masters,
            drift_ppm: DRIFT_PPM,
            max_ttl: self.max_ttl,
            clock_skew: self.clock_skew,
            restart_policy: RestartPolicy::Quarantine,
            command_timeouts: vec![Duration::from_millis(100); self.masters],
            connect_timeouts: vec![Duration::from_secs(1); self.masters],
            max_lags: vec![None; self.masters],
            max_waiters: 1_000,
            min_ttl: MIN_TTL,
            max_hold: None,
            watch_poll: Duration::from_secs(2),
            mutants,
        }
    }
}

impl Faults {
    fn draw(rng: &mut SmallRng) -> Self {
        let mut often = |most: u32| {
            if rng.random_range(0..5) < 3 { 0 } else { rng.random_range(1..=most) }
        };
        Self {
            freeze_master: often(40),
            restart_master: often(40),
            flush_master: often(20),
            step_master: often(20),
            reset_link: often(60),
            cut_link: often(60),
            crash_replica: often(30),
            stall_replica: often(40),
            step_replica: often(15),
            drain_replica: often(15),
            pause_client: often(60),
            force_release: often(20),
            lost: often(60),
            twice: often(100),
            late: often(60),
            deaf: often(500),
            unordered: rng.random_range(0..3) == 0,
            minority_only: false,
        }
    }

    fn of_a_minority(self) -> Self {
        Self {
            freeze_master: self.freeze_master.max(20),
            restart_master: self.restart_master.max(20),
            reset_link: self.reset_link,
            cut_link: self.cut_link,
            minority_only: true,
            ..Self::default()
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { masters, replicas, resources, lockers, holders, watchers, .. } = self;
        writeln!(
            f,
            "{masters} masters, {replicas} replicas, {resources} resources; {lockers} lockers, \
             {holders} holders, {watchers} watchers"
        )?;
        let Self { max_ttl, clock_skew, latency, faults, .. } = self;
        writeln!(f, "max_ttl {max_ttl:?}, clock_skew {clock_skew:?}, messages up to {latency:?}")?;
        let drawn = format!("{faults:?}");
        let none = |part: &&str| !part.ends_with(": 0") && !part.ends_with(": false");
        let drawn = drawn.trim_start_matches("Faults { ").trim_end_matches(" }");
        let drawn: Vec<&str> = drawn.split(", ").filter(none).collect();
        write!(f, "{}", if drawn.is_empty() { "no faults".into() } else { drawn.join(", ") })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rand::SeedableRng;

    /// The configuration of some deployment.
    pub(crate) fn params() -> Params {
        Scenario::draw(&mut SmallRng::seed_from_u64(1)).params(Mutants::default())
    }
}
