//! acquire: a vote for a lease, or a refusal.

use super::script::{Script, whole_millis};
use holdfast_engine::{Ballot, Body, Claim, Lock, Mutant, Nonce, Occupant};
use std::time::Duration;

impl Script<'_> {
    pub(super) fn acquire(&mut self, claim: &Claim, nonce: Nonce, ballot: Ballot) -> Body {
        if let Some(refusal) = self.refusal(ballot) {
            return refusal;
        }
        let resource = &claim.resource;
        let Some(occupant) = self.occupant(resource) else {
            if ballot <= self.master.floor(resource) {
                return Body::Stale;
            }
            return self.create(claim, nonce, ballot);
        };
        match occupant {
            // A lease that was revoked is held until it expires, against itself too.
            Occupant { lock: Some(lock), remaining }
                if lock.lease == claim.lease && lock.first != Ballot::REVOKED =>
            {
                self.accept_again(claim, nonce, ballot, (lock, remaining))
            }
            other => Body::Held(other),
        }
    }

    fn create(&mut self, claim: &Claim, nonce: Nonce, ballot: Ballot) -> Body {
        let lock = Lock {
            lease: claim.lease,
            nonce,
            first: ballot,
            ballot,
            token: ballot,
            info_ballot: ballot,
            ttl: whole_millis(claim.ttl),
            info: claim.info.clone(),
        };
        self.master.raise(&claim.resource, ballot);
        self.master.set(&claim.resource, lock, self.time);
        Body::Ok { info_ballot: ballot, listeners: self.master.listeners(&claim.resource) }
    }

    fn accept_again(
        &mut self,
        claim: &Claim,
        nonce: Nonce,
        ballot: Ballot,
        (mut lock, remaining): (Lock, Option<Duration>),
    ) -> Body {
        let resource = &claim.resource;
        if ballot < lock.ballot {
            if !self.has(Mutant::RegressingReaccept) {
                return Body::Stale;
            }
            self.master.regress(resource, ballot);
        }
        if lock.nonce != nonce && !self.has(Mutant::NonceNotShared) {
            lock.nonce = Nonce::SHARED;
        }
        lock.ballot = ballot;
        lock.token = ballot;
        lock.ttl = self.longest(lock.ttl, remaining, claim.ttl);
        if ballot > lock.info_ballot {
            lock.info = claim.info.clone();
            lock.info_ballot = ballot;
        }
        let info_ballot = lock.info_ballot;
        self.master.raise(resource, ballot);
        self.master.set(resource, lock, self.time);
        Body::Ok { info_ballot, listeners: self.master.listeners(resource) }
    }
}
