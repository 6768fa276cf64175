//! The Holds of a replica: what is known of each. What happens to them is in `holding` and `keeping`.

use super::call::{Answer, CallId};
use crate::acquire::Grant;
use crate::ballot::Ballot;
use crate::hold::{Hold, Liveness, Risk, lost_at, renewal_interval};
use crate::ids::{LeaseHash, MasterSet, Nonce, Resource};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// All Holds of this replica. A session's calls carry its own id; it has one at a time.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    pub(super) by_id: BTreeMap<CallId, Session>,
    pub(super) by_lease: BTreeMap<(Resource, LeaseHash), CallId>,
}

/// One Hold.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) hold: Hold,
    pub(super) stage: Stage,
    /// The last message of the client: its number, and when it was received.
    pub(super) heard: (u64, Instant),
    /// The highest ballot drawn for it: what its end is told to the masters with.
    pub(super) ballot: Ballot,
    /// When its timer will go off.
    pub(super) armed: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// In the queue, or asking. Since when the client has known that it waits.
    Acquiring { queued: Option<Instant> },
    /// Re-attaching: an extend must prove that the lease was held without a break.
    Proving(Nonce),
    /// It has the lease.
    Held(Tenancy),
    /// The client's stream is gone, the lease is not yet.
    Detached(Tenancy, Instant),
    /// The client gives it back.
    Releasing,
}

/// What happened to a call of a session.
#[derive(Debug)]
pub(super) enum News {
    Answer(Answer),
    /// A round of its renewal got no quorum; another one follows.
    RoundFailed,
    /// Everybody answered its renewal, or was given up: these voted.
    Settled(MasterSet),
}

/// A lease in a session's hands.
#[derive(Debug)]
pub(super) struct Tenancy {
    pub(super) nonce: Nonce,
    pub(super) grant: Grant,
    /// The ttl the client asked for, and knows the pace of its heartbeats by; `max_hold` shortens that
    /// of the grant.
    pub(super) asked: Duration,
    pub(super) renewed: Instant,
    /// Who voted in the last round, as far as it is known.
    pub(super) voters: MasterSet,
    /// The heartbeat that the round under way answers.
    pub(super) round: Option<(u64, Option<Instant>)>,
    /// A heartbeat came during the round under way.
    pub(super) again: bool,
    /// What the client was warned of since the last renewal.
    pub(super) warned: Vec<Risk>,
}

impl Sessions {
    pub(super) fn contains(&self, id: CallId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn remove(&mut self, id: CallId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        let key = (session.hold.claim.resource.clone(), session.hold.claim.lease);
        if self.by_lease.get(&key) == Some(&id) {
            self.by_lease.remove(&key);
        }
        Some(session)
    }

    /// Does it rely on a lease, so that its rounds go on?
    pub(super) fn renews(&self, id: CallId) -> bool {
        let stage = self.by_id.get(&id).map(|session| &session.stage);
        matches!(stage, Some(Stage::Held(_) | Stage::Proving(_)))
    }

    /// A ballot was drawn for it.
    pub(super) fn note_ballot(&mut self, id: CallId, ballot: Ballot) {
        if let Some(session) = self.by_id.get_mut(&id) {
            session.ballot = session.ballot.max(ballot);
        }
    }
}

impl Tenancy {
    /// When it should be renewed.
    pub(super) fn due(&self) -> Instant {
        self.renewed + renewal_interval(self.grant.ttl)
    }

    /// When that is a third of the ttl late.
    pub(super) fn late(&self) -> Instant {
        self.renewed + 2 * renewal_interval(self.asked)
    }

    /// When `lost` must be said.
    pub(super) fn lost_at(&self) -> Instant {
        lost_at(self.grant.valid_until, self.grant.ttl)
    }

    /// The next moment at which something must be done without being asked.
    pub(super) fn next(&self, liveness: Liveness, now: Instant) -> Instant {
        let end = self.lost_at();
        let by_itself = liveness == Liveness::Connection && self.round.is_none();
        let due = Some(self.due()).filter(|_| by_itself);
        let late = Some(self.late()).filter(|late| *late > now);
        due.into_iter().chain(late).chain([end]).min().unwrap_or(end)
    }
}
