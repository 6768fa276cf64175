//! What the driver tells about rounds: whose calls begin and end, what it writes, what comes back. One branch
//! each if there are no spans; what is for nobody, or for a call that is not sampled, is forgotten at once.

use super::call::Parent;
use super::export::Traces;
use super::under_way::UnderWay;
use crate::telemetry::answer::{Answer, Silence};
use holdfast_engine::{Ask, Body, CallId, Instant, LeaseHash, MasterId, Resource, Step};

/// The rounds of one replica.
#[derive(Debug)]
pub struct Rounds(Option<Box<UnderWay>>);

impl Rounds {
    /// Of masters with these names, `quorum` of which decide.
    pub fn new<'a>(
        traces: Option<&Traces>,
        masters: impl IntoIterator<Item = &'a str>,
        quorum: usize,
    ) -> Self {
        Self(traces.map(|traces| Box::new(UnderWay::new(traces, masters, quorum))))
    }

    /// A call, or Hold, begins; with a parent if it is sampled.
    pub fn called(&mut self, id: CallId, parent: Option<Parent>) {
        if let (Some(under_way), Some(parent)) = (&mut self.0, parent) {
            under_way.called(id, parent);
        }
    }

    /// Are there spans at all?
    pub fn are_seen(&self) -> bool {
        self.0.is_some()
    }

    /// It is ready to wait for a lock.
    pub fn waits(&mut self, id: CallId, of: (&Resource, LeaseHash), now: Instant) {
        if let Some(under_way) = &mut self.0 {
            under_way.waits(id, of, now);
        }
    }

    /// It has the lock, until then.
    pub fn granted(
        &mut self,
        id: CallId,
        of: (&Resource, LeaseHash),
        (until, now): (Instant, Instant),
    ) {
        if let Some(under_way) = &mut self.0 {
            under_way.granted(id, of, (until, now));
        }
    }

    /// The lock is held until then.
    pub fn renewed(&mut self, (resource, lease): (&Resource, LeaseHash), until: Instant) {
        if let Some(under_way) = &mut self.0 {
            under_way.holders.renew(resource, lease, until);
        }
    }

    /// The lock is not held by this lease any more.
    pub fn given_back(&mut self, (resource, lease): (&Resource, LeaseHash)) {
        if let Some(under_way) = &mut self.0 {
            under_way.holders.end(resource, lease);
        }
    }

    /// It has its answer, or has gone. What follows at once is still its own.
    pub fn ended(&mut self, id: CallId) {
        if let Some(under_way) = &mut self.0 {
            under_way.ended(id);
        }
    }

    /// A watch begins; with a parent if it is sampled.
    pub fn watched(&mut self, resource: &Resource, parent: Option<&Parent>) {
        if let (Some(under_way), Some(parent)) = (&mut self.0, parent) {
            under_way.watched(resource, parent);
        }
    }

    /// Nobody watches it any more.
    pub fn unwatched(&mut self, resource: &Resource) {
        if let Some(under_way) = &mut self.0 {
            under_way.unwatched(resource);
        }
    }

    /// An ask goes out with this write.
    pub fn asked(&mut self, ask: &Ask, step: Step) {
        if let Some(under_way) = &mut self.0 {
            under_way.asked(ask, step);
        }
    }

    /// Everything of this write was told.
    pub fn written(&mut self) {
        if let Some(under_way) = &mut self.0 {
            under_way.written();
        }
    }

    /// A master answered the ask with this id.
    pub fn answered(&mut self, id: u64, body: &Body) {
        if let Some(under_way) = &mut self.0 {
            under_way.ends(id, || Answer::of(body));
        }
    }

    /// It did not in time.
    pub fn overdue(&mut self, id: u64) {
        if let Some(under_way) = &mut self.0 {
            under_way.ends(id, || Answer::Unknown(Silence::Timeout));
        }
    }

    /// Its connection is gone, and with it every answer.
    pub fn lost(&mut self, master: MasterId) {
        if let Some(under_way) = &mut self.0 {
            under_way.lost(master);
        }
    }
}
