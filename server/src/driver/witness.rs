//! What the driver tells telemetry: of calls and Holds, of what goes to masters and comes back. Each fact is
//! told once, here, and becomes a span, a metric, or both.
//!
//! Deliberately absent: what any of it means for the protocol.

use crate::telemetry::{Begun, Parent, Rounds, Tenures, Traces, Votes};
use holdfast_engine::{
    Answer, Ask, Body, Call, CallId, Claim, GiveBack, Hold, HoldEvent, LeaseHash, MasterId, Now,
    Renewal, Resource, Step,
};
use std::sync::Arc;
use std::time::Duration;

/// Sees what a replica does.
#[derive(Debug)]
pub(super) struct Witness {
    rounds: Rounds,
    votes: Votes,
    tenures: Tenures,
}

/// What is remembered of a call, or of a Hold, until its end.
#[derive(Debug)]
pub(super) struct Seen {
    begun: Begun,
    about: About,
}

/// The lease it is about, for spans; nothing if there are none.
#[derive(Debug)]
enum About {
    Claim(Arc<Claim>),
    Renewal(Arc<Renewal>),
    Nothing,
}

impl About {
    fn lease(&self) -> Option<(&Resource, LeaseHash)> {
        match self {
            Self::Claim(claim) => Some((&claim.resource, claim.lease)),
            Self::Renewal(renewal) => Some((&renewal.resource, renewal.lease)),
            Self::Nothing => None,
        }
    }
}

impl Witness {
    /// Of a replica with these masters, `quorum` of which decide.
    pub(super) fn new(traces: Option<&Traces>, masters: &[&str], quorum: usize) -> Self {
        Self {
            rounds: Rounds::new(traces, masters.iter().copied(), quorum),
            votes: Votes::new(masters.iter().copied()),
            tenures: Tenures::new(),
        }
    }

    /// A call begins; with a parent if it is sampled.
    pub(super) fn called(
        &mut self,
        id: CallId,
        call: &Call,
        parent: Option<Parent>,
        now: Now,
    ) -> Seen {
        self.rounds.called(id, parent);
        let begun = Begun::call(call, now);
        let about = match call {
            _ if !self.rounds.are_seen() => About::Nothing,
            Call::Acquire { claim, .. } => About::Claim(Arc::clone(claim)),
            Call::Extend { renewal, .. } => About::Renewal(Arc::clone(renewal)),
            Call::Release { resource, lease, .. } => {
                self.rounds.given_back((resource, *lease));
                About::Nothing
            }
            Call::ForceRelease { .. } | Call::Scan { .. } | Call::Read { .. } => About::Nothing,
        };
        self.waits(id, Seen { begun, about }, now)
    }

    /// A Hold begins.
    pub(super) fn opened(
        &mut self,
        id: CallId,
        hold: &Hold,
        parent: Option<Parent>,
        now: Now,
    ) -> Seen {
        self.rounds.called(id, parent);
        let about = match self.rounds.are_seen() {
            true => About::Claim(Arc::clone(&hold.claim)),
            false => About::Nothing,
        };
        self.waits(id, Seen { begun: Begun::hold(hold, now), about }, now)
    }

    fn waits(&mut self, id: CallId, seen: Seen, now: Now) -> Seen {
        if let (Begun::Acquiring { patient: true, .. }, Some(lease)) =
            (seen.begun, seen.about.lease())
        {
            self.rounds.waits(id, lease, now.boot);
        }
        seen
    }

    /// A call has its answer.
    pub(super) fn answered(&mut self, id: CallId, seen: Option<&Seen>, answer: &Answer, now: Now) {
        if let Some(Seen { begun, about }) = seen {
            self.tenures.answered(*begun, answer, now);
            match (about.lease(), answer) {
                (Some(lease), Answer::Granted(granted)) => {
                    self.rounds.granted(id, lease, (granted.grant.valid_until, now.boot));
                }
                (Some(lease), Answer::Renewed(grant)) => {
                    self.rounds.renewed(lease, grant.valid_until);
                }
                (Some(lease), Answer::Lost(_)) => self.rounds.given_back(lease),
                _ => {}
            }
        }
        self.rounds.ended(id);
    }

    /// Its caller has gone.
    pub(super) fn cancelled(&mut self, id: CallId, seen: Option<&Seen>, now: Now) {
        if let Some(seen) = seen {
            self.tenures.cancelled(seen.begun, now);
        }
        self.rounds.ended(id);
    }

    /// A Hold is told something.
    pub(super) fn told(
        &mut self,
        id: CallId,
        seen: Option<&mut Seen>,
        event: &HoldEvent,
        now: Now,
    ) {
        if let Some(Seen { begun, about }) = seen {
            self.tenures.told(begun, event, now);
            match (about.lease(), event) {
                (Some(lease), HoldEvent::Granted(tenure)) => {
                    self.rounds.granted(id, lease, (tenure.grant.valid_until, now.boot));
                }
                (Some(lease), HoldEvent::Renewed(tenure)) => {
                    self.rounds.renewed(lease, tenure.grant.valid_until);
                }
                (Some(lease), HoldEvent::Lost(_) | HoldEvent::Released(_)) => {
                    self.rounds.given_back(lease);
                }
                _ => {}
            }
        }
        if event.is_last() {
            self.rounds.ended(id);
        }
    }

    /// The stream of a Hold has ended.
    pub(super) fn hung_up(&mut self, id: CallId, seen: Option<&Seen>, now: Now) {
        if let Some(Seen { begun, about }) = seen {
            self.tenures.hung_up(*begun, now);
            if let (Begun::Of(_), Some(lease)) = (begun, about.lease()) {
                self.rounds.given_back(lease);
            }
        }
        self.rounds.ended(id);
    }

    /// Leases are taken back that nobody relies on.
    pub(super) fn given_back(&mut self, lease: &GiveBack) {
        self.rounds.given_back(lease.lease());
    }

    /// A watch begins; with a parent if it is sampled.
    pub(super) fn watched(&mut self, resource: &Resource, parent: Option<&Parent>) {
        self.rounds.watched(resource, parent);
    }

    /// Nobody watches it any more.
    pub(super) fn unwatched(&mut self, resource: &Resource) {
        self.rounds.unwatched(resource);
    }

    /// A lease was renewed for `ttl` with so much of its validity left.
    pub(super) fn renewed(&self, left: Duration, ttl: Duration) {
        self.tenures.renewed(left, ttl);
    }

    /// An ask goes out with this write.
    pub(super) fn asked(&mut self, ask: &Ask, step: Step) {
        self.votes.asked(ask, step);
        self.rounds.asked(ask, step);
    }

    /// Everything of this write was told.
    pub(super) fn written(&mut self) {
        self.rounds.written();
    }

    /// A write to this master was answered after so long.
    pub(super) fn took(&self, master: MasterId, latency: Duration) {
        self.votes.took(master, latency);
    }

    /// A master answered the ask with this id.
    pub(super) fn replied(&mut self, id: u64, body: &Body) {
        self.votes.answered(id, body);
        self.rounds.answered(id, body);
    }

    /// It did not in time.
    pub(super) fn overdue(&mut self, id: u64) {
        self.votes.overdue(id);
        self.rounds.overdue(id);
    }

    /// There is a connection to it.
    pub(super) fn connected(&self, master: MasterId) {
        self.votes.connected(master);
    }

    /// Its connection is gone, and with it every answer.
    pub(super) fn lost(&mut self, master: MasterId) {
        self.votes.lost(master);
        self.rounds.lost(master);
    }
}
