//! ForceRelease: reads who holds the resource, and takes that lease back if it is the one that is meant.
//!
//! Immediately: by a release of exactly the lease that was read. Otherwise by a revocation: it cannot be
//! extended any more, and expires.

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
    tally: Tally,
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
        (master, round, body): (MasterId, u8, Body),
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
                revoking.tally.record(master, body);
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
        op.phase = Phase::Revoking(Revoking { lease, tally: Tally::new(self.params.masters) });
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
        let Phase::Revoking(Revoking { tally, .. }) = &op.phase else { return None };
        let found = |deletion| tally.count(|body| *body == Body::Released(deletion));
        let (newer, other) = (found(Deletion::Newer), found(Deletion::Other));
        let masters = tally.count(is_revoked);
        let (quorum, lost_at) = (self.params.quorum(), self.params.masters - self.params.quorum());
        if newer + other >= quorum {
            return Some(Forced::Mismatch(Ballot::ZERO));
        }
        // Without the votes of these no extend has a quorum.
        if masters + other + found(Deletion::Nothing) <= lost_at {
            return None;
        }
        let remaining = tally.iter().filter_map(|(_, body)| match body {
            Body::Revoked { remaining } => Some(*remaining),
            _ => None,
        });
        Some(match remaining.max() {
            Some(remaining) => Forced::Revoked { masters, remaining },
            None => Forced::NotHeld,
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
                Phase::Revoking(Revoking { tally, .. }) => {
                    let masters = tally.count(is_revoked);
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
                Phase::Revoking(_) => {
                    let silent = op.silent();
                    op.forget_silent(self.params.masters);
                    self.revoke(operation, &mut op, silent, now);
                }
            }
        }
        Some(Operation::Force(op))
    }
}

impl Forcing {
    fn request(&self) -> Option<Request> {
        let Phase::Revoking(Revoking { lease, .. }) = &self.phase else { return None };
        let resource = self.resource.clone();
        Some(Request::Revoke { resource, lease: *lease, token: self.token })
    }

    /// Masters that did not say what they did.
    fn silent(&self) -> MasterSet {
        let Phase::Revoking(revoking) = &self.phase else { return MasterSet::default() };
        revoking
            .tally
            .masters(|body| !matches!(body, Some(Body::Revoked { .. } | Body::Released(_))))
    }

    /// Their answers are expected anew.
    fn forget_silent(&mut self, masters: usize) {
        let silent = self.silent();
        if let Phase::Revoking(revoking) = &mut self.phase {
            let old = std::mem::replace(&mut revoking.tally, Tally::new(masters));
            for (master, body) in old.iter().filter(|(master, _)| !silent.contains(*master)) {
                revoking.tally.record(master, body.clone());
            }
        }
    }
}

fn is_revoked(body: &Body) -> bool {
    matches!(body, Body::Revoked { .. })
}
