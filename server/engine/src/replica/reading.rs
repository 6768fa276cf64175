//! Reading: what the masters show of a resource, until it answers the question.

use super::call::{Answer, CallId};
use super::{Operation, Replica, Timer};
use crate::ballot::Ballot;
use crate::ids::{MasterId, Resource};
use crate::queue::Queue;
use crate::reading::{Leadership, Reading};
use crate::script::{Body, Request};
use crate::step::Cause;
use crate::time::{Instant, Now};
use std::collections::BTreeMap;

/// More waiters than this are counted and not listed.
const WAITERS_SHOWN: usize = 100;

/// A fan-out of reads in progress.
#[derive(Debug)]
pub(super) struct ReadingOp {
    call: CallId,
    resource: Resource,
    token: Option<Ballot>,
    reading: Reading,
    round: u8,
    pausing: bool,
    soft: Instant,
}

impl Replica {
    pub(super) fn begin_read(
        &mut self,
        id: CallId,
        resource: Resource,
        token: Option<Ballot>,
        deadline: Option<Instant>,
        now: Now,
    ) {
        let (operation, soft) = self.begin_operation(id, deadline, now);
        let request = Request::Read { resource: resource.clone() };
        let reading = Reading::new(&self.params);
        let op = ReadingOp { call: id, resource, token, reading, round: 1, pausing: false, soft };
        self.operations.insert(operation, Operation::Read(op));
        self.fan_out(Cause::Call(id), (operation, 1), &request, now);
    }

    pub(super) fn read_reply(
        &mut self,
        operation: u64,
        mut op: ReadingOp,
        (master, round, body): (MasterId, u8, Body),
        now: Now,
    ) -> Option<Operation> {
        if round != op.round {
            return Some(Operation::Read(op));
        }
        op.reading.tally.record(master, body);
        if let Leadership::Led(leader) = op.reading.leadership(&self.params) {
            self.tokens.note(&op.resource, leader.token);
        }
        let standing = op.token.and_then(|token| op.reading.standing_of(token, &self.params));
        if let Some(standing) = standing {
            let newest = self.tokens.newest(&op.resource);
            self.answer(op.call, Answer::Standing { standing, newest });
            return None;
        }
        if !op.reading.is_complete() {
            return Some(Operation::Read(op));
        }
        if op.token.is_none() {
            let queue = self.queues.get(&op.resource);
            let shown = Answer::Shown {
                reading: op.reading,
                waiters: queue.map_or(0, Queue::waiters),
                queue: queue.map_or_else(Vec::new, |queue| queue.first_waiters(WAITERS_SHOWN)),
                newest: self.tokens.newest(&op.resource),
            };
            self.answer(op.call, shown);
            return None;
        }
        op.pausing = true;
        let until = self.backoff(now);
        self.set_timer(until, Timer::Operation(operation));
        Some(Operation::Read(op))
    }

    pub(super) fn read_timeout(
        &mut self,
        operation: u64,
        mut op: ReadingOp,
        now: Now,
    ) -> Option<Operation> {
        if now.boot >= op.soft {
            let answers = self.explain(&op.reading.tally);
            self.answer(op.call, Answer::NoQuorum(answers));
            return None;
        }
        if op.pausing {
            op.pausing = false;
            op.round += 1;
            op.reading = Reading::new(&self.params);
            let request = Request::Read { resource: op.resource.clone() };
            self.fan_out(Cause::Call(op.call), (operation, op.round), &request, now);
        }
        Some(Operation::Read(op))
    }

    /// Nobody waits for the answer any more. What was begun goes on where it must.
    pub(super) fn disown(&mut self, operation: u64) {
        if let Some(Operation::Read(_) | Operation::Scan(_)) = self.operations.get(&operation) {
            self.operations.remove(&operation);
        }
    }
}

/// The highest token of each resource this replica has seen granted, for the resources it saw
/// last: two generations, of which the older one is dropped when the younger one is full.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    young: BTreeMap<Resource, Ballot>,
    old: BTreeMap<Resource, Ballot>,
}

impl Tokens {
    /// Resources in a generation.
    const CAPACITY: usize = 32_768;

    pub(super) fn note(&mut self, resource: &Resource, token: Ballot) {
        let newest = self.newest(resource).max(token);
        if self.young.len() >= Self::CAPACITY && !self.young.contains_key(resource) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(resource.clone(), newest);
    }

    pub(super) fn newest(&self, resource: &Resource) -> Ballot {
        let young = self.young.get(resource).copied().unwrap_or_default();
        let old = self.old.get(resource).copied().unwrap_or_default();
        young.max(old)
    }
}
