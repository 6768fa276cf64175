//! repair: brings a lease that a quorum proved to a master that did not vote for it, unless
//! something newer is there. Not a vote.

use super::script::{Script, whole_millis};
use holdfast_engine::{Ballot, Body, Info, Lock, Mutant, Occupant, Renewal};
use std::time::Duration;

impl Script<'_> {
    pub(super) fn repair(
        &mut self,
        renewal: &Renewal,
        ballot: Ballot,
        info: &Info,
        info_ballot: Ballot,
    ) -> Body {
        match self.refusal(ballot) {
            Some(Body::NotVoting(_)) if self.has(Mutant::RepairInQuarantine) => {}
            Some(refusal) => return refusal,
            None => {}
        }
        let resource = &renewal.resource;
        let outrun = match self.occupant(resource) {
            Some(Occupant { lock: Some(lock), remaining }) if lock.lease == renewal.lease => {
                return self.repair_own(renewal, ballot, (info, info_ballot), (lock, remaining));
            }
            Some(Occupant { lock: Some(contender), .. }) => {
                contender.ballot >= ballot || self.has(Mutant::RepairNeverOverwrites)
            }
            Some(Occupant { lock: None, .. }) => true,
            None => false,
        };
        let floor = self.master.floor(resource);
        if outrun || floor >= ballot && !self.has(Mutant::RepairIgnoresFloor) {
            return Body::Refused;
        }
        self.bring_back(renewal, ballot, info, info_ballot)
    }

    /// A lock as it would be if this master had voted for it all the time.
    pub(super) fn bring_back(
        &mut self,
        renewal: &Renewal,
        ballot: Ballot,
        info: &Info,
        info_ballot: Ballot,
    ) -> Body {
        let resource = &renewal.resource;
        let lock = Lock {
            lease: renewal.lease,
            nonce: renewal.nonce,
            first: renewal.token,
            ballot,
            token: renewal.token,
            info_ballot,
            ttl: whole_millis(renewal.ttl),
            info: info.clone(),
        };
        self.master.raise(resource, ballot);
        self.master.set(resource, lock, self.time);
        Body::Repaired
    }

    fn repair_own(
        &mut self,
        renewal: &Renewal,
        ballot: Ballot,
        (info, info_ballot): (&Info, Ballot),
        (mut lock, remaining): (Lock, Option<Duration>),
    ) -> Body {
        if lock.first > renewal.token {
            return Body::Refused;
        }
        if info_ballot > lock.info_ballot {
            lock.info = info.clone();
            lock.info_ballot = info_ballot;
        }
        self.proceed(&renewal.resource, &mut lock, ballot);
        self.touch(renewal, lock, remaining);
        Body::Repaired
    }
}
