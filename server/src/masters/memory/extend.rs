//! extend: a vote for a lease that is there already, or a refusal. Never brings one back.

use super::script::Script;
use holdfast_engine::{Ballot, Body, Info, Lock, Mutant, Occupant, Renewal, Resource};
use std::sync::Arc;
use std::time::Duration;

impl Script<'_> {
    pub(super) fn extend(&mut self, renewal: &Renewal, ballot: Ballot) -> Body {
        if let Some(refusal) = self.refusal(ballot) {
            return refusal;
        }
        let resource = &renewal.resource;
        let Some(Occupant { lock, remaining }) = self.occupant(resource) else {
            if self.has(Mutant::ExtendResurrects) {
                self.bring_back(renewal, ballot, &Info::default(), ballot);
                return Body::Ok { info_ballot: ballot, listeners: 0 };
            }
            return Body::Absent;
        };
        let Some(mut lock) = lock.filter(|lock| lock.lease == renewal.lease) else {
            return Body::Lost { first: None };
        };
        let revoked = lock.first == Ballot::REVOKED && self.has(Mutant::ExtendRevoked);
        if lock.first > renewal.token && !revoked && !self.has(Mutant::ExtendByLease) {
            return Body::Lost { first: Some(lock.first) };
        }
        if let Some(metadata) = &renewal.metadata
            && ballot > lock.info_ballot
        {
            lock.info.metadata = Arc::clone(metadata);
            lock.info_ballot = ballot;
        }
        let info_ballot = lock.info_ballot;
        if !self.has(Mutant::ExtendRaisesNothing) {
            self.proceed(resource, &mut lock, ballot);
        }
        self.touch(renewal, lock, remaining);
        Body::Ok { info_ballot, listeners: 0 }
    }

    /// A ballot above that of the occupancy is on record from here on.
    pub(super) fn proceed(&mut self, resource: &Resource, lock: &mut Lock, ballot: Ballot) {
        if ballot > lock.ballot {
            lock.ballot = ballot;
            self.master.raise(resource, ballot);
        }
    }

    /// What an extend and a repair do alike to the lock they recognise.
    pub(super) fn touch(&mut self, renewal: &Renewal, mut lock: Lock, remaining: Option<Duration>) {
        lock.nonce = lock.nonce.touched_by(renewal.nonce);
        lock.token = renewal.token.max(lock.token);
        lock.ttl = self.longest(lock.ttl, remaining, renewal.ttl);
        self.master.set(&renewal.resource, lock, self.time);
    }
}
