//! cleanup, release and revoke: what takes a lock away again, now or when it expires. The first two
//! raise the floor, so that nothing late of the same attempt creates a lock; a revoked lock stays,
//! so that nothing can. All work in quarantine.

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

    pub(super) fn revoke(&mut self, resource: &Resource, lease: LeaseHash, token: Ballot) -> Body {
        if self.is_for_another() {
            return Body::Dropped;
        }
        let Some(Occupant { lock, remaining }) = self.occupant(resource) else {
            return Body::Released(Deletion::Nothing);
        };
        match lock {
            Some(lock) if lock.lease != lease => Body::Released(Deletion::Other),
            Some(lock) if lock.token > token => Body::Released(Deletion::Newer),
            Some(_) => {
                self.master.revoke(resource);
                Body::Revoked { remaining: remaining.unwrap_or_default() }
            }
            None => Body::Released(Deletion::Other),
        }
    }

    /// Nothing of this attempt lives here. A quarantine is no reason: giving back is always safe.
    fn is_for_another(&self) -> bool {
        matches!(self.standing(), Standing::Quarantined(None) | Standing::Misfit(_))
    }
}
