//! The vocabulary of a Hold: a session that queues for a lock, keeps it for as long as its client is
//! there, and says so in time when it cannot.
//!
//! Its rules are in `replica/holding`; this is what goes in and comes out.

use crate::acquire::Grant;
use crate::ballot::Ballot;
use crate::extend::Loss;
use crate::params::Params;
use crate::release::Outcome;
use crate::replica::{Answer, Held};
use crate::script::Claim;
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// What opens a Hold.
#[derive(Debug, Clone)]
pub struct Hold {
    /// What is asked for.
    pub claim: Arc<Claim>,
    /// How long to queue; zero: try once.
    pub wait: Duration,
    /// Zero: acquire. Otherwise prove by an extend that the lease of this token is still held.
    pub token: Ballot,
    /// How long the lease outlives the end of the stream.
    pub grace: Duration,
    /// What keeps the lease alive.
    pub liveness: Liveness,
    /// When the replica received it.
    pub received: Instant,
}

/// What keeps the lease of a Hold alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// A renewal round for each heartbeat, and none without.
    Heartbeat,
    /// A renewal round every third of the ttl while the stream is open.
    Connection,
}

/// What the client of a Hold is told. The last four end it.
#[derive(Debug, Clone)]
pub enum HoldEvent {
    /// It waits.
    Queued {
        /// Its place on this replica; 1 is next.
        position: usize,
        /// Who holds the resource, if that is known.
        held: Option<Held>,
    },
    /// It has the lock.
    Granted(Tenure),
    /// It has it still.
    Renewed(Tenure),
    /// It has it still, and may lose it soon.
    AtRisk {
        /// Why.
        risk: Risk,
        /// The validity as it is.
        valid_until: Instant,
        /// Votes of the last renewal.
        votes: usize,
    },
    /// The lease is over, or will be before anything can be done about it.
    Lost(LostBy),
    /// The client gave it back.
    Released(Outcome),
    /// It was not granted: tried once, or waited in vain.
    Contended(Held),
    /// It was not granted, for a reason that is an error.
    Refused(Answer),
}

impl HoldEvent {
    /// Is it the last one?
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Released(_) | Self::Contended(_) | Self::Refused(_))
    }
}

/// A grant or renewal of a Hold.
#[derive(Debug, Clone)]
pub struct Tenure {
    /// Token, ttl, validity and votes.
    pub grant: Grant,
    /// The heartbeat that it answers; zero: none, or the opening message.
    pub sequence: u64,
    /// When that was received; `None` if nothing was asked.
    pub received: Option<Instant>,
}

/// How the stream of a Hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// Its client cannot know that it has the lock.
    Unread,
    /// Its client went away.
    Gone,
    /// Its client broke the rules of the stream, and may still rely on the lease.
    Fault,
}

/// Why a held lease is in danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// A renewal is a third of the ttl late.
    RenewalLate,
    /// The last renewal got no vote to spare.
    BareQuorum,
    /// The last round got no quorum.
    NoQuorum,
    /// This replica is going away.
    Draining,
}

/// Why the lease of a Hold is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostBy {
    /// The masters said so, or `max_hold` does.
    Told(Loss),
    /// Its validity is about to end, or this replica's clock cannot be trusted any more.
    Expired,
    /// No quorum voted for a renewal in time.
    NoQuorum,
    /// No heartbeat came in time.
    ClientSilent,
}

/// When `lost` must be said: so long before the validity ends that the message arrives in time.
pub fn lost_at(valid_until: Instant, ttl: Duration) -> Instant {
    valid_until.minus(LOST_AHEAD.max(ttl / 20))
}

/// `lost` is said at least so long before the validity ends.
const LOST_AHEAD: Duration = Duration::from_millis(20);

/// The pace of renewals and heartbeats.
pub fn renewal_interval(ttl: Duration) -> Duration {
    ttl / 3
}

impl Params {
    /// What is left of `ttl` under `max_hold` for a lease with this token: a token is the moment its
    /// lease was granted. `None`: it has been held for too long.
    pub fn limit_hold(&self, ttl: Duration, token: Ballot, wall_micros: u64) -> Option<Duration> {
        let Some(max_hold) = self.max_hold else { return Some(ttl) };
        let age = Duration::from_micros(wall_micros.saturating_sub(token.0));
        let left = max_hold.saturating_sub(age);
        (left >= self.min_ttl).then(|| ttl.min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lease_is_extended_beyond_max_hold() {
        let params = Params { max_hold: Some(Duration::from_secs(60)), ..Params::for_tests(3) };
        let now = 1_800_000_000_000_000;
        let limited = |age_seconds: u64| {
            let token = Ballot(now - age_seconds * 1_000_000);
            params.limit_hold(Duration::from_secs(10), token, now)
        };
        assert_eq!(limited(0), Some(Duration::from_secs(10)));
        assert_eq!(limited(55), Some(Duration::from_secs(5)));
        assert_eq!(limited(60), None, "over");
        assert_eq!(limited(3_600), None);
    }
}
