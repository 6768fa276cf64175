//! What callers ask of a replica, and what they are told.

use crate::acquire::Grant;
use crate::ballot::Ballot;
use crate::extend::Loss;
use crate::ids::{Info, LeaseHash, MasterId, MasterSet, Nonce, Resource};
use crate::master::{MasterState, Session};
use crate::reading::{Reading, TokenStanding};
use crate::release::Outcome;
use crate::script::{Body, Claim, Occupant, Renewal, Request, Standing};
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// A caller's name for its call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallId(pub u64);

/// What a caller wants. A `deadline` is the last moment at which an answer is still of use.
#[derive(Debug, Clone)]
pub enum Call {
    /// Take a lock, waiting in the queue for so long.
    Acquire {
        /// What is asked for.
        claim: Arc<Claim>,
        /// Zero: try once.
        wait: Duration,
        /// The caller's own.
        deadline: Option<Instant>,
    },
    /// Renew a lease.
    Extend {
        /// What is asked for.
        renewal: Arc<Renewal>,
        /// The caller's own.
        deadline: Option<Instant>,
    },
    /// Give a lease back.
    Release {
        /// What is locked.
        resource: Resource,
        /// By whom.
        lease: LeaseHash,
        /// The highest token the client has; zero if it never learned one.
        token: Ballot,
        /// The caller's own.
        deadline: Option<Instant>,
    },
    /// Take a lease back from its holder.
    ForceRelease {
        /// What is locked.
        resource: Resource,
        /// The token that is meant.
        token: Ballot,
        /// Delete it now; otherwise it cannot be extended any more and expires.
        immediate: bool,
        /// The caller's own.
        deadline: Option<Instant>,
    },
    /// Ask one master which resources have a lock there.
    Scan {
        /// Which one.
        master: MasterId,
        /// Only those that begin with this.
        prefix: Arc<str>,
        /// Where to go on; zero begins.
        cursor: u64,
        /// How many keys to look at, about.
        count: usize,
    },
    /// Look at a resource.
    Read {
        /// Which.
        resource: Resource,
        /// How does this token stand? `None`: show what is there.
        token: Option<Ballot>,
        /// The caller's own.
        deadline: Option<Instant>,
    },
}

/// What a caller is told.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Acquire: it has the lock.
    Granted(Granted),
    /// Acquire: somebody else has it, or may have.
    Held(Held),
    /// Acquire: a later call with the same lease took its place.
    Superseded,
    /// Acquire: too many are waiting.
    QueueFull,
    /// Extend: it has it still.
    Renewed(Grant),
    /// Extend: it has not.
    Lost(Loss),
    /// Release: what happened.
    Released(Outcome),
    /// ForceRelease: what happened.
    Forced(Forced),
    /// Scan: some of them.
    Scanned {
        /// Where to go on; zero: these were the last.
        cursor: u64,
        /// In no order; one may appear twice.
        resources: Vec<Resource>,
    },
    /// Read: what each master shows.
    Shown {
        /// The answers.
        reading: Reading,
        /// How many wait on this replica.
        waiters: usize,
        /// The first of them, in order.
        queue: Vec<Waiter>,
        /// The highest token of the resource that this replica has seen; zero if none.
        newest: Ballot,
    },
    /// Read, with a token: how it stands.
    Standing {
        /// The answer.
        standing: TokenStanding,
        /// The highest token of the resource that this replica has seen; zero if none.
        newest: Ballot,
    },
    /// Too few masters answered, for as long as it was tried.
    NoQuorum(Vec<MasterAnswer>),
    /// The caller's deadline came first.
    OutOfTime,
    /// This replica takes no more calls.
    Draining,
}

/// What a ForceRelease came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forced {
    /// So many masters let it end where it is; expired at the latest after `remaining`.
    Revoked {
        /// How many.
        masters: usize,
        /// Until the last one lets it go.
        remaining: Duration,
    },
    /// So many masters deleted it.
    Deleted {
        /// How many.
        masters: usize,
    },
    /// A lease with this token holds the resource instead.
    Mismatch(Ballot),
    /// Nobody holds it.
    NotHeld,
    /// Another Redlock library holds it.
    Foreign,
    /// Too few masters confirmed it; so many did it.
    Unconfirmed {
        /// How many.
        masters: usize,
    },
}

/// A grant on its way to its caller.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Token and validity.
    pub grant: Grant,
    /// Who had voted when it was decided.
    pub voters: MasterSet,
    /// What takes it back if it cannot be delivered.
    pub give_back: GiveBack,
}

/// How to take back a grant that nobody learned of.
#[derive(Debug, Clone)]
pub struct GiveBack {
    pub(crate) resource: Resource,
    pub(crate) lease: LeaseHash,
    pub(crate) nonce: Nonce,
    /// The highest that was drawn for it.
    pub(crate) ballot: Ballot,
    pub(crate) masters: MasterSet,
    pub(crate) until: Instant,
}

impl GiveBack {
    /// The session whose it is.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// Which lease it is, of what.
    pub fn lease(&self) -> (&Resource, LeaseHash) {
        (&self.resource, self.lease)
    }

    pub(crate) fn request(&self) -> Request {
        Request::Cleanup {
            resource: self.resource.clone(),
            lease: self.lease,
            nonce: self.nonce,
            ballot: self.ballot,
        }
    }
}

/// Contention.
#[derive(Debug, Clone)]
pub struct Held {
    /// The lease most masters show.
    pub occupant: Occupant,
    /// Waiters on this replica.
    pub waiters: usize,
}

/// Someone who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// What its caller says of itself.
    pub info: Info,
    /// Since when.
    pub since: Instant,
    /// Until when.
    pub until: Instant,
}

/// How one master answered, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterAnswer {
    /// Which one.
    pub master: MasterId,
    /// For people.
    pub answer: String,
}

/// One master, for operators.
#[derive(Debug, Clone)]
pub struct MasterView {
    /// Does it vote, and if not, why?
    pub state: MasterState,
    /// The process behind the connection.
    pub session: Option<Session>,
    /// How far its clock is ahead of this replica's, in microseconds.
    pub clock_offset_micros: Option<i64>,
    /// The last round trip.
    pub round_trip: Option<Duration>,
    /// What an operator should know of it although it may vote.
    pub remark: Option<Arc<str>>,
}

/// The replica, for operators.
#[derive(Debug, Clone)]
pub struct Status {
    /// In the order of the configuration.
    pub masters: Vec<MasterView>,
    /// Does a quorum of them vote?
    pub has_quorum: bool,
    /// Is this replica's clock not known to be wrong?
    pub clock_fits: bool,
    /// This replica's own clock stood still: for so long it proposes nothing.
    pub resting: Option<Duration>,
    /// Acquires that wait for their turn.
    pub waiters: usize,
    /// So many of them wait for the same resource, and for none more.
    pub longest_queue: usize,
    /// Leases granted or renewed here last whose validity has not ended.
    pub leases: usize,
    /// What is alive in it.
    pub live: Live,
}

/// How much of each kind is alive in a replica: nothing when nobody uses it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// Rounds, reads and what follows them.
    pub operations: usize,
    /// Timers that have not gone off.
    pub timers: usize,
    /// Resources that somebody waits for.
    pub queues: usize,
    /// Holds, those in their grace included.
    pub holds: usize,
    /// Resources that somebody watches.
    pub watches: usize,
}

pub(super) fn describe(answer: Option<&Body>) -> String {
    match answer {
        None => "asked; decided before it answered".into(),
        Some(Body::Unknown(why) | Body::NotAsked(why)) => why.to_string(),
        Some(Body::Ok { .. }) => "voted for it".into(),
        Some(Body::Held(_)) => "held by another lease".into(),
        Some(Body::Stale) => "has seen a higher ballot".into(),
        Some(Body::Lost { .. }) => "holds another lease".into(),
        Some(Body::Absent) => "does not hold it".into(),
        Some(Body::NotVoting(_)) => "in quarantine".into(),
        Some(Body::Misfit) => "belongs to a deployment configured differently".into(),
        Some(Body::Late) => "clock not where it was expected, or command delayed".into(),
        Some(Body::Ahead) => "this replica's ballot is ahead of its clock".into(),
        Some(Body::Read { standing, occupant }) => match (standing, occupant) {
            (Standing::Quarantined(_), _) => "in quarantine".into(),
            (Standing::Misfit(_), _) => "belongs to a deployment configured differently".into(),
            (Standing::Voting, None) => "shows nothing".into(),
            (Standing::Voting, Some(Occupant { lock: None, .. })) => {
                "shows the lock of another library".into()
            }
            (Standing::Voting, Some(Occupant { lock: Some(_), .. })) => {
                "shows a lease to which the token does not belong, or not certainly".into()
            }
        },
        Some(
            Body::Repaired
            | Body::Refused
            | Body::Cleaned
            | Body::Released(_)
            | Body::Revoked { .. }
            | Body::Dropped
            | Body::Scanned { .. }
            | Body::Published(_)
            | Body::Observed(_),
        ) => "answered".into(),
    }
}
