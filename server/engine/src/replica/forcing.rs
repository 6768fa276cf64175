//! ForceRelease: reads who holds the resource, and takes that lease back if it is the one that is meant.
//!
//! Immediately: by a release of exactly the lease that was read. Otherwise by a revocation: it cannot be
//! extended any more, and expires. What was under way for it must not bring it back, so an answer counts
//! only where no ballot above the revocation's own was seen (docs/protocol.md, "Taking a lease back").

use super::call::{Answer, CallId, Forced};
use super::{Operation, Replica, Timer};
use crate::ballot::Ballot;
use crate::ids::{LeaseHash, MasterId, MasterSet, Resource};
use crate::master::Purpose;
use crate::reading::{Doubt, Leadership, Reading};
use crate::script::{Body, Change, Deletion, Request};
use crate::step::Cause;
use crate::tally::Tally;
use crate::time::{Instant, Now};
use std::time::Duration;

/// A ForceRelease in progress.
#[derive(Debug)]
pub(super) struct Forcing {
    call: CallId,
    resource: Resource,
    /// The token that is meant.
    token: Ballot,
    immediate: bool,
    phase: Phase,
    round: u8,
    pausing: bool,
    /// The last reading could tell that no lease with this token leads, and no more.
    disagreed: bool,
    soft: Instant,
}

#[derive(Debug)]
enum Phase {
    Reading(Reading),
    Revoking(Revoking),
}

#[derive(Debug)]
struct Revoking {
    lease: LeaseHash,
    /// All that count saw no higher one; zero proves nothing.
    ballot: Ballot,
    /// What was answered to this ballot.
    tally: Tally,
    /// Masters that had seen a higher one.
    outrun: MasterSet,
    /// Masters that revoked it, whatever the ballot.
    revoked: MasterSet,
    /// The longest that it lives on one of them.
    remaining: Duration,
}

impl Replica {
    pub(super) fn begin_force(
        &mut self,
        id: CallId,
        (resource, token, immediate): (Resource, Ballot, bool),
        deadline: Option<Instant>,
        now: Now,
    ) {
        let (operation, soft) = self.begin_operation(id, deadline, now);
        let request = Request::Read { resource: resource.clone() };
        let phase = Phase::Reading(Reading::new(&self.params));
        let (round, pausing) = (1, false);
        let disagreed = false;
        let forcing = Forcing {
            call: id,
            resource,
            token,
            immediate,
            phase,
            round,
            pausing,
            disagreed,
            soft,
        };
        self.operations.insert(operation, Operation::Force(forcing));
        self.fan_out(Cause::Call(id), (operation, 1), &request, now);
    }

    pub(super) fn force_reply(
        &mut self,
        operation: u64,
        mut op: Forcing,
        (master, round): (MasterId, u8),
        (seen, body): (Ballot, Body),
        now: Now,
    ) -> Option<Operation> {
        if round != op.round {
            return Some(Operation::Force(op));
        }
        match &mut op.phase {
            Phase::Reading(reading) => {
                reading.tally.record(master, body);
                match reading.is_complete() {
                    true => self.force_read(operation, op, now),
                    false => Some(Operation::Force(op)),
                }
            }
            Phase::Revoking(revoking) => {
                revoking.record(master, seen, body);
                match revoking.tally.pending() {
                    0 => self.revoked(operation, op, now),
                    _ => Some(Operation::Force(op)),
                }
            }
        }
    }

    fn force_read(&mut self, operation: u64, mut op: Forcing, now: Now) -> Option<Operation> {
        let Phase::Reading(reading) = &op.phase else { return None };
        let lease = match reading.leadership(&self.params) {
            Leadership::Led(leader) if leader.token == op.token => leader.lease,
            Leadership::Led(leader) => {
                self.answer(op.call, Answer::Forced(Forced::Mismatch(leader.token)));
                return None;
            }
            Leadership::Vacant => {
                self.answer(op.call, Answer::Forced(Forced::NotHeld));
                return None;
            }
            Leadership::Unknown(Doubt::ForeignHolder) => {
                self.answer(op.call, Answer::Forced(Forced::Foreign));
                return None;
            }
            Leadership::Unknown(doubt) => match (doubt, reading.lease_of(op.token)) {
                (Doubt::Disagreement, Some(meant)) => meant,
                _ => {
                    op.disagreed = doubt == Doubt::Disagreement;
                    return self.force_later(operation, op, now);
                }
            },
        };
        if op.immediate {
            self.calls.remove(&op.call);
            let what = (op.resource, lease, op.token);
            self.begin_release(op.call, what, Change::Forced, Some(op.soft), now);
            return None;
        }
        let revoking = Revoking::new(lease, self.barrier(now), self.params.masters);
        op.phase = Phase::Revoking(revoking);
        let everyone = self.everyone();
        self.revoke(operation, &mut op, everyone, now);
        Some(Operation::Force(op))
    }

    fn revoke(&mut self, operation: u64, op: &mut Forcing, to: MasterSet, now: Now) {
        op.round += 1;
        let Some(request) = op.request() else { return };
        let purpose = Purpose::Round { operation, round: op.round };
        self.fan_out_to_connected(Cause::Call(op.call), to, purpose, &request, now);
    }

    fn revoked(&mut self, operation: u64, op: Forcing, now: Now) -> Option<Operation> {
        match self.came_to(&op) {
            Some(forced) => {
                self.conclude(&op, forced, now);
                None
            }
            None => self.force_later(operation, op, now),
        }
    }

    /// What the answers so far amount to; `None`: the lease may still be extended.
    fn came_to(&self, op: &Forcing) -> Option<Forced> {
        let Phase::Revoking(revoking) = &op.phase else { return None };
        let found = |deletion| revoking.tally.count(|body| *body == Body::Released(deletion));
        let (quorum, lost_at) = (self.params.quorum(), self.params.masters - self.params.quorum());
        if found(Deletion::Newer) + found(Deletion::Other) >= quorum {
            return Some(Forced::Mismatch(Ballot::ZERO));
        }
        if revoking.lost_votes() <= lost_at {
            return None;
        }
        Some(match revoking.revoked.len() {
            0 => Forced::NotHeld,
            masters => Forced::Revoked { masters, remaining: revoking.remaining },
        })
    }

    fn conclude(&mut self, op: &Forcing, forced: Forced, now: Now) {
        // Those that were silent must not let it be extended there for ever.
        if let Some(request) = op.request() {
            let (cause, until) = (Cause::Call(op.call), now.boot + self.params.max_ttl);
            self.errand_to_all(cause, &request, op.silent(), until, now);
        }
        if let Forced::Revoked { .. } = forced
            && let Phase::Revoking(Revoking { lease, .. }) = op.phase
        {
            self.publish(&op.resource, Change::Forced, Some(lease), now);
        }
        self.answer(op.call, Answer::Forced(forced));
    }

    fn force_later(&mut self, operation: u64, mut op: Forcing, now: Now) -> Option<Operation> {
        op.pausing = true;
        let until = self.backoff(now);
        self.set_timer(until, Timer::Operation(operation));
        Some(Operation::Force(op))
    }

    pub(super) fn force_timeout(
        &mut self,
        operation: u64,
        mut op: Forcing,
        now: Now,
    ) -> Option<Operation> {
        if now.boot >= op.soft {
            let forced = match &op.phase {
                Phase::Reading(_) if op.disagreed => Forced::Mismatch(Ballot::ZERO),
                Phase::Reading(_) => Forced::Unconfirmed { masters: 0 },
                Phase::Revoking(revoking) => {
                    let masters = revoking.revoked.len();
                    self.came_to(&op).unwrap_or(Forced::Unconfirmed { masters })
                }
            };
            self.conclude(&op, forced, now);
            return None;
        }
        if std::mem::take(&mut op.pausing) {
            match &mut op.phase {
                Phase::Reading(reading) => {
                    *reading = Reading::new(&self.params);
                    op.round += 1;
                    let request = Request::Read { resource: op.resource.clone() };
                    self.fan_out(Cause::Call(op.call), (operation, op.round), &request, now);
                }
                Phase::Revoking(revoking) => {
                    let again = if revoking.is_outrun() {
                        revoking.ballot = self.barrier(now);
                        self.everyone()
                    } else {
                        revoking.undecided()
                    };
                    revoking.forget(again, self.params.masters);
                    self.revoke(operation, &mut op, again, now);
                }
            }
        }
        Some(Operation::Force(op))
    }
}

impl Forcing {
    fn request(&self) -> Option<Request> {
        let Phase::Revoking(Revoking { lease, ballot, .. }) = self.phase else { return None };
        let resource = self.resource.clone();
        Some(Request::Revoke { resource, lease, token: self.token, ballot })
    }

    /// Masters that did not say what they did.
    fn silent(&self) -> MasterSet {
        let Phase::Revoking(revoking) = &self.phase else { return MasterSet::default() };
        let said = |body: &Body| {
            matches!(body, Body::Revoked { .. } | Body::Released(_) | Body::NotVoting(_))
        };
        revoking.tally.masters(|body| !body.is_some_and(said))
    }
}

impl Revoking {
    fn new(lease: LeaseHash, ballot: Ballot, masters: usize) -> Self {
        Self {
            lease,
            ballot,
            tally: Tally::new(masters),
            outrun: MasterSet::default(),
            revoked: MasterSet::default(),
            remaining: Duration::ZERO,
        }
    }

    fn record(&mut self, master: MasterId, seen: Ballot, body: Body) {
        if let Body::Revoked { remaining } = body {
            self.revoked.insert(master);
            self.remaining = self.remaining.max(remaining);
        }
        if seen > self.ballot {
            self.outrun.insert(master);
        }
        self.tally.record(master, body);
    }

    /// Masters that no extend gets a vote from any more: what a quorum voted for until now has no ballot
    /// above the floor there, so it does not come back.
    fn lost_votes(&self) -> usize {
        let lost =
            |(master, body): &(MasterId, &Body)| !self.outrun.contains(*master) && is_lost(body);
        if self.ballot == Ballot::ZERO { 0 } else { self.tally.iter().filter(lost).count() }
    }

    /// Nothing more comes of this ballot.
    fn is_outrun(&self) -> bool {
        self.ballot == Ballot::ZERO || !self.outrun.is_empty()
    }

    /// Masters that may answer the same ballot better the next time.
    fn undecided(&self) -> MasterSet {
        let decided = |body: &Body| matches!(body, Body::Revoked { .. } | Body::Released(_));
        self.tally.masters(|body| !body.is_some_and(decided))
    }

    /// The answers of these are expected anew.
    fn forget(&mut self, again: MasterSet, masters: usize) {
        let old = std::mem::replace(&mut self.tally, Tally::new(masters));
        for (master, body) in old.iter().filter(|(master, _)| !again.contains(*master)) {
            self.tally.record(master, body.clone());
        }
        self.outrun = MasterSet::default();
    }
}

/// No extend gets a vote there, unless what was under way brings the lease back.
fn is_lost(body: &Body) -> bool {
    matches!(body, Body::Revoked { .. } | Body::Released(Deletion::Other | Deletion::Nothing))
}
