//! cleanup, release and revoke: what takes a lock away again, now or when it expires. All of them raise
//! the floor, so that nothing late of the same attempt creates a lock, and all work in quarantine.

use super::script::Script;
use holdfast_engine::{
    Ballot, Body, Deletion, LeaseHash, Mutant, Nonce, Occupant, Resource, Standing,
};

impl Script<'_> {
    pub(super) fn cleanup(
        &mut self,
        resource: &Resource,
        lease: LeaseHash,
        nonce: Nonce,
        ballot: Ballot,
    ) -> Body {
        if self.is_for_another() {
            return Body::Dropped;
        }
        let lock = self.occupant(resource).and_then(|occupant| occupant.lock);
        let ours = lock.is_some_and(|lock| {
            let same_attempt = lock.nonce == nonce && nonce != Nonce::SHARED;
            lock.lease == lease && (same_attempt || self.has(Mutant::CleanupByLease))
        });
        if ours {
            self.master.delete(resource);
        }
        if !self.has(Mutant::CleanupWithoutBarrier) {
            self.master.raise(resource, ballot);
        }
        Body::Cleaned
    }

    pub(super) fn release(
        &mut self,
        resource: &Resource,
        lease: LeaseHash,
        token: Ballot,
        ballot: Ballot,
    ) -> Body {
        if self.is_for_another() {
            return Body::Dropped;
        }
        let deletion = match self.occupant(resource) {
            None => Deletion::Nothing,
            Some(Occupant { lock: Some(lock), .. }) if lock.lease == lease => {
                let by_first = self.has(Mutant::ReleaseByFirst);
                let newest = if by_first { lock.first } else { lock.token };
                if newest <= token { Deletion::Deleted } else { Deletion::Newer }
            }
            Some(_) => Deletion::Other,
        };
        if deletion == Deletion::Deleted {
            self.master.delete(resource);
        }
        self.master.raise(resource, ballot);
        Body::Released(deletion)
    }

    pub(super) fn revoke(
        &mut self,
        resource: &Resource,
        lease: LeaseHash,
        token: Ballot,
        ballot: Ballot,
    ) -> Body {
        if self.is_for_another() {
            return Body::Dropped;
        }
        if !self.has(Mutant::RevokeRaisesNothing) {
            self.master.raise(resource, ballot);
        }
        let found = match self.occupant(resource) {
            None => Deletion::Nothing,
            Some(Occupant { lock: Some(lock), .. })
                if lock.lease == lease && lock.token > token =>
            {
                Deletion::Newer
            }
            Some(Occupant { lock: Some(lock), remaining }) if lock.lease == lease => {
                self.master.revoke(resource);
                return Body::Revoked { remaining: remaining.unwrap_or_default() };
            }
            Some(_) => Deletion::Other,
        };
        // What it had may be forgotten: that it is not here says nothing.
        match self.standing() {
            Standing::Quarantined(incident) => Body::NotVoting(incident),
            _ => Body::Released(found),
        }
    }

    /// Nothing of this attempt lives here. A quarantine is no reason: giving back is always safe.
    fn is_for_another(&self) -> bool {
        matches!(self.standing(), Standing::Quarantined(None) | Standing::Misfit(_))
    }
}
