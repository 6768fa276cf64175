//! The language between the engine and a master: one request a script, and what it answers.
//!
//! Owns the vocabulary. How a request reaches a master, and what the scripts do there, is the
//! business of the masters (one Lua file and one memory function each, the same suite for both).

use crate::ballot::Ballot;
use crate::ids::{Incident, Info, LeaseHash, MasterId, Nonce, Resource, RunId};
use std::sync::Arc;
use std::time::Duration;

/// What an Acquire asks for, whatever the round and the attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// What to lock.
    pub resource: Resource,
    /// For whom.
    pub lease: LeaseHash,
    /// For how long.
    pub ttl: Duration,
    /// What others see of it.
    pub info: Info,
}

/// What an Extend asks for, whatever the round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// What is locked.
    pub resource: Resource,
    /// The lease to renew.
    pub lease: LeaseHash,
    /// The fencing token it was granted with.
    pub token: Ballot,
    /// For how long from now.
    pub ttl: Duration,
    /// The session that renews, or [`Nonce::SHARED`] for a unary Extend.
    pub nonce: Nonce,
    /// New metadata; `None` leaves what is there.
    pub metadata: Option<Arc<[u8]>>,
}

/// One script call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Vote for a lease, or refuse.
    Acquire {
        /// What is asked for.
        claim: Arc<Claim>,
        /// The attempt.
        nonce: Nonce,
        /// The round's ballot.
        ballot: Ballot,
    },
    /// Vote for a lease that is there already, or refuse.
    Extend {
        /// What is asked for.
        renewal: Arc<Renewal>,
        /// The round's fresh ballot, above the token.
        ballot: Ballot,
    },
    /// Bring a proven lease to a master that did not vote for it.
    Repair {
        /// The lease.
        renewal: Arc<Renewal>,
        /// The ballot a quorum voted for.
        ballot: Ballot,
        /// Holder and metadata, read from a voter.
        info: Info,
        /// The ballot that wrote them.
        info_ballot: Ballot,
    },
    /// Take a failed attempt back.
    Cleanup {
        /// What it tried to lock.
        resource: Resource,
        /// For whom.
        lease: LeaseHash,
        /// The attempt.
        nonce: Nonce,
        /// Its highest ballot; zero leaves the floor alone.
        ballot: Ballot,
    },
    /// Give a lease back. A master that deletes it tells whoever listens.
    Release {
        /// What is locked.
        resource: Resource,
        /// By whom.
        lease: LeaseHash,
        /// The highest token the client has.
        token: Ballot,
        /// A fresh ballot; zero leaves the floor alone.
        ballot: Ballot,
        /// What they are told.
        notice: Notice,
        /// The asker listens there itself: alone, it need not be told.
        listens: bool,
    },
    /// What is there?
    Read {
        /// What is asked about.
        resource: Resource,
    },
    /// Let the lease end where it is: it cannot be extended or acquired anew, and expires.
    Revoke {
        /// What is locked.
        resource: Resource,
        /// By whom.
        lease: LeaseHash,
        /// The highest token that is meant; a later grant of the same lease is left alone.
        token: Ballot,
        /// A fresh ballot; zero leaves the floor alone.
        ballot: Ballot,
    },
    /// Which resources have a lock?
    Scan {
        /// Only those that begin with this.
        prefix: Arc<str>,
        /// Where to go on; zero begins.
        cursor: u64,
        /// How many keys to look at, about.
        count: usize,
    },
    /// Tell every replica that waits for or watches the resource.
    Publish {
        /// Of what.
        resource: Resource,
        /// What happened.
        notice: Notice,
    },
    /// May this process vote? If nobody asked since it started: not, and this is the incident.
    Observe {
        /// Written only by the first observer.
        incident: Incident,
    },
    /// The quarantine of this incident is over.
    Adopt {
        /// The incident it was measured for.
        incident: Incident,
        /// p_base: above every ballot that may have been forgotten.
        base: Ballot,
    },
    /// The clock of this master stepped: back into quarantine.
    Suspect {
        /// Written unless there is one.
        incident: Incident,
    },
}

impl Request {
    /// What it is about. `None`: the master itself.
    pub fn resource(&self) -> Option<&Resource> {
        match self {
            Self::Acquire { claim, .. } => Some(&claim.resource),
            Self::Extend { renewal, .. } | Self::Repair { renewal, .. } => Some(&renewal.resource),
            Self::Cleanup { resource, .. }
            | Self::Release { resource, .. }
            | Self::Read { resource }
            | Self::Revoke { resource, .. }
            | Self::Publish { resource, .. } => Some(resource),
            Self::Scan { .. }
            | Self::Observe { .. }
            | Self::Adopt { .. }
            | Self::Suspect { .. } => None,
        }
    }

    /// What a master that answered this has told so many who listen to the resource.
    pub fn published(
        &self,
        answer: &Body,
        listeners: impl Fn(&Resource) -> u32,
    ) -> Option<(&Resource, Notice)> {
        match self {
            Self::Publish { resource, notice } => Some((resource, *notice)),
            Self::Release { resource, notice, listens, .. } => {
                let deleted = *answer == Body::Released(Deletion::Deleted);
                let others = listeners(resource) > u32::from(*listens);
                (deleted && others).then_some((resource, *notice))
            }
            _ => None,
        }
    }
}

/// What replicas tell each other about a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Who says so: a replica ignores its own notices.
    pub origin: u64,
    /// What happened.
    pub change: Change,
    /// To this lease.
    pub lease: Option<LeaseHash>,
}

/// What happened to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Somebody took it.
    Elected,
    /// Its holder replaced the metadata.
    Updated,
    /// Its holder gave it back.
    Released,
    /// An operator took it back.
    Forced,
    /// Nothing: somebody waits for it there.
    Awaited,
}

/// A request on its way to one master.
#[derive(Clone, Debug)]
pub struct Ask {
    /// To whom.
    pub master: MasterId,
    /// Which one: replies name it.
    pub id: u64,
    /// The process it is meant for; another one does not execute it.
    pub run: RunId,
    /// TIME on the master must be in here, in wall microseconds; else it answers [`Body::Late`].
    pub window: Window,
    /// What is asked.
    pub request: Request,
}

/// Bounds on a master's TIME, both inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Not before.
    pub lo: u64,
    /// Not after.
    pub hi: u64,
}

impl Window {
    /// Any time will do.
    pub const ANY: Self = Self { lo: 0, hi: (1 << 53) - 1 };
}

/// What a master answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Its TIME when it answered, in wall microseconds; not every script reads it.
    pub time_micros: Option<u64>,
    /// The highest ballot it knows for the bucket and the lock.
    pub seen: Ballot,
    /// The answer.
    pub body: Body,
}

impl Reply {
    /// No answer: timed out, connection lost, or an error that leaves open what was executed.
    pub fn unknown(why: impl Into<Arc<str>>) -> Self {
        Self { time_micros: None, seen: Ballot::ZERO, body: Body::Unknown(why.into()) }
    }
}

/// The answers of the scripts. A vote is [`Body::Ok`] and nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Acquire, Extend: a vote. Carries the ballot that wrote the info.
    Ok {
        /// `info_p`.
        info_ballot: Ballot,
        /// Acquire: how many connections listen for notices about the resource; 0 if there is none but
        /// the asker's that listens to anything. Otherwise 0.
        listeners: u32,
    },
    /// Acquire: somebody else's.
    Held(Occupant),
    /// Acquire: the ballot is not above `seen`.
    Stale,
    /// Extend: somebody else's, or begun after the token.
    Lost {
        /// `first` of the lock if the lease is the same, so that a revocation shows.
        first: Option<Ballot>,
    },
    /// Extend: nothing there.
    Absent,
    /// This process may not vote: the incident, or `None` if nobody observed it yet. Revoke: nor was
    /// the lease there.
    NotVoting(Option<Incident>),
    /// The master belongs to a deployment that is configured differently.
    Misfit,
    /// TIME is outside the window. Nothing was written.
    Late,
    /// The ballot is ahead of TIME by more than the skew. Nothing was written.
    Ahead,
    /// Repair: written.
    Repaired,
    /// Repair: something newer is there.
    Refused,
    /// Cleanup: executed.
    Cleaned,
    /// Release: executed. Revoke: the lease was not there.
    Released(Deletion),
    /// Revoke: it cannot be extended here any more.
    Revoked {
        /// Until it expires.
        remaining: Duration,
    },
    /// Cleanup, Release, Revoke: meant for another process. Nothing was done.
    Dropped,
    /// Scan: some of the resources.
    Scanned {
        /// Where to go on; zero: these were the last.
        cursor: u64,
        /// In no order; one may appear twice.
        resources: Vec<Resource>,
    },
    /// Read: the state of the master, and what is there.
    Read {
        /// May it vote?
        standing: Standing,
        /// What is there.
        occupant: Option<Occupant>,
    },
    /// Publish: so many listeners.
    Published(u32),
    /// Observe, Adopt, Suspect: the state of the master after it.
    Observed(Standing),
    /// No answer; what was executed is unknown.
    Unknown(Arc<str>),
    /// Made by the replica: the master could not be asked, so nothing was executed.
    NotAsked(Arc<str>),
}

/// May a master vote?
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Yes.
    Voting,
    /// Not before the quarantine of this incident is over; `None`: not observed yet.
    Quarantined(Option<Incident>),
    /// Not in this deployment: its configuration, as far as the script told it.
    Misfit(Arc<str>),
}

/// What Release, or Revoke, found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// The lease; it is gone.
    Deleted,
    /// The lease with a newer token; left alone.
    Newer,
    /// Another lease, or a lock of another library.
    Other,
    /// Nothing.
    Nothing,
}

/// A lock as a master shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Occupant {
    /// The lock, or `None` for the lock of another Redlock library.
    pub lock: Option<Lock>,
    /// Until it expires there; `None` if it never does (another library's).
    pub remaining: Option<Duration>,
}

impl Occupant {
    /// Whose it is; `None` for another library's.
    pub fn lease(&self) -> Option<LeaseHash> {
        self.lock.as_ref().map(|lock| lock.lease)
    }

    /// Whose it is, if that one may acquire it anew.
    pub(crate) fn holder(&self) -> Option<LeaseHash> {
        let lock = self.lock.as_ref().filter(|lock| lock.first != Ballot::REVOKED);
        lock.map(|lock| lock.lease)
    }
}

/// One of our own locks on one master.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lock {
    /// Whose.
    pub lease: LeaseHash,
    /// The attempt that may clean it up.
    pub nonce: Nonce,
    /// The ballot at which the lease began its unbroken occupancy of this master.
    pub first: Ballot,
    /// The highest ballot of that occupancy.
    pub ballot: Ballot,
    /// The highest token.
    pub token: Ballot,
    /// The ballot that wrote `info`.
    pub info_ballot: Ballot,
    /// The longest TTL that expiry was set to.
    pub ttl: Duration,
    /// Holder and metadata.
    pub info: Info,
}
