//! Release: told to every master, again to the silent ones, and owed to those that stay silent.

use super::call::{Answer, CallId, Forced};
use super::{Operation, Replica, Timer};
use crate::ballot::Ballot;
use crate::ids::{LeaseHash, MasterId, MasterSet, Resource};
use crate::master::Purpose;
use crate::release::{Outcome, Release};
use crate::script::{Body, Change, Deletion, Notice, Request};
use crate::step::Cause;
use crate::time::{Instant, Now};

/// A Release in progress.
#[derive(Debug)]
pub(super) struct Releasing {
    /// Who waits for the outcome.
    call: Option<CallId>,
    /// The same, also when it knows.
    cause: Cause,
    /// Given back by its holder, or taken back by an operator.
    notice: Notice,
    machine: Release,
    resource: Resource,
    lease: LeaseHash,
    /// What the asks carry; the same for every repetition of one fan-out.
    token: Ballot,
    ballot: Ballot,
    /// The client never learned its token: the ballot speaks for it.
    tokenless: bool,
    /// Masters that deleted the lease before the fan-out was begun anew.
    deleted: MasterSet,
    round: u8,
    waiting: MasterSet,
    soft: Instant,
}

impl Replica {
    pub(super) fn begin_release(
        &mut self,
        id: CallId,
        (resource, lease, token): (Resource, LeaseHash, Ballot),
        change: Change,
        deadline: Option<Instant>,
        now: Now,
    ) {
        let tokenless = token == Ballot::ZERO;
        if tokenless && !self.clock_fits(now) {
            self.answer(id, Answer::Released(Outcome::Unconfirmed));
            return;
        }
        let ballot = self.barrier(now);
        let notice = self.notice(change, Some(lease));
        let (operation, soft) = self.begin_operation(id, deadline, now);
        let mut releasing = Box::new(Releasing {
            call: Some(id),
            cause: Cause::Call(id),
            notice,
            machine: Release::new(&self.params),
            resource: resource.clone(),
            lease,
            token: if tokenless { ballot } else { token },
            ballot,
            tokenless,
            deleted: MasterSet::default(),
            round: 0,
            waiting: MasterSet::default(),
            soft,
        });
        let all = self.everyone();
        self.ask_release(operation, &mut releasing, all, now);
        // Behind it: what a watch reads now is what the release left.
        self.say_here(&resource, &notice, now);
        self.leases.forget(&resource, lease);
        self.operations.insert(operation, Operation::Release(releasing));
        // In the same write as the release, and behind it on every connection: a handover costs
        // one round trip.
        self.wake(&resource, Some(lease), now);
    }

    fn ask_release(&mut self, operation: u64, op: &mut Releasing, to: MasterSet, now: Now) {
        let request = op.request();
        op.round += 1;
        op.waiting = to;
        let purpose = Purpose::Round { operation, round: op.round };
        self.fan_out_to_connected(op.cause, to, purpose, &request, now);
    }

    pub(super) fn release_reply(
        &mut self,
        operation: u64,
        mut op: Box<Releasing>,
        (master, round, body): (MasterId, u8, Body),
        now: Now,
    ) -> Option<Operation> {
        if round != op.round {
            // It was asked before the fan-out was begun anew, and will find nothing the second time.
            if body == Body::Released(Deletion::Deleted) {
                op.deleted.insert(master);
            }
            return Some(Operation::Release(op));
        }
        op.waiting.remove(master);
        let body = match body {
            Body::Released(Deletion::Nothing) if op.deleted.contains(master) => {
                Body::Released(Deletion::Deleted)
            }
            body => body,
        };
        if body == Body::Released(Deletion::Newer) && op.tokenless && op.round == 1 {
            self.release_anew(operation, &mut op, now);
            return Some(Operation::Release(op));
        }
        op.machine.handle_reply(master, &body);
        // An operator wants to know of every master.
        let all = op.waiting.is_empty() || op.notice.change != Change::Forced;
        if let Some(outcome) = op.machine.outcome(&self.params).filter(|_| all)
            && let Some(call) = op.call.take()
        {
            self.answer(call, op.answer(outcome));
        }
        if !op.waiting.is_empty() {
            return Some(Operation::Release(op));
        }
        // What the notice beside the release led to may have been read before its end.
        self.look(&op.resource, now);
        let silent = op.machine.silent();
        if silent.is_empty() {
            return None;
        }
        // Who is not connected is told when it is, and nobody waits for that.
        let connected = silent.iter().any(|master| self.masters[master.index()].run().is_some());
        if !connected && op.call.is_none() {
            self.owe_release(&op, now);
            return None;
        }
        let until = self.backoff(now);
        self.set_timer(until, Timer::Operation(operation));
        Some(Operation::Release(op))
    }

    pub(super) fn release_timeout(
        &mut self,
        operation: u64,
        mut op: Box<Releasing>,
        now: Now,
    ) -> Option<Operation> {
        if now.boot >= op.soft {
            self.owe_release(&op, now);
            if let Some(call) = op.call {
                let outcome = op.machine.outcome(&self.params).unwrap_or(Outcome::Unconfirmed);
                self.answer(call, op.answer(outcome));
            }
            return None;
        }
        if op.waiting.is_empty() {
            let silent = op.machine.silent();
            self.ask_release(operation, &mut op, silent, now);
        }
        Some(Operation::Release(op))
    }

    /// A ballot below the lock's token only shows that another replica's clock is ahead; the reply
    /// has taught this one. Everybody is asked again, with one ballot above: the lease_id may be
    /// used again only when a quorum has seen the highest ballot sent (docs/adr/0003).
    fn release_anew(&mut self, operation: u64, op: &mut Releasing, now: Now) {
        op.deleted = op.machine.deleted();
        op.machine = Release::new(&self.params);
        op.ballot = self.draw(now);
        op.token = op.ballot;
        let all = self.everyone();
        self.ask_release(operation, op, all, now);
    }

    fn owe_release(&mut self, op: &Releasing, now: Now) {
        let until = now.boot + self.params.max_ttl;
        for master in op.machine.silent().iter() {
            self.masters[master.index()].owe(op.request(), until);
        }
    }
}

impl Releasing {
    /// Nobody waits for the outcome any more.
    pub(super) fn disown(&mut self) {
        self.call = None;
    }

    fn answer(&self, outcome: Outcome) -> Answer {
        if self.notice.change != Change::Forced {
            return Answer::Released(outcome);
        }
        let masters = self.deleted.len().max(self.machine.deleted().len());
        Answer::Forced(match outcome {
            Outcome::Released => Forced::Deleted { masters },
            Outcome::NotHeld => Forced::NotHeld,
            Outcome::HeldByAnother => Forced::Mismatch(Ballot::ZERO),
            Outcome::Unconfirmed => Forced::Unconfirmed { masters },
        })
    }

    fn request(&self) -> Request {
        Request::Release {
            resource: self.resource.clone(),
            lease: self.lease,
            token: self.token,
            ballot: self.ballot,
            notice: self.notice,
            listens: false,
        }
    }
}
