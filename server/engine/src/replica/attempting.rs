//! The attempts of the head of a queue, and what each outcome means for the others in it.

use super::acquiring::{COURTESY, held};
use super::call::{Answer, CallId, GiveBack, Granted, MasterAnswer};
use super::{Operation, Replica};
use crate::acquire::{Acquire, Contention, Failure, Grant, Verdict};
use crate::ids::{LeaseHash, MasterId, Resource};
use crate::master::Purpose;
use crate::params::{GIVE_UP, POLL};
use crate::queue::{Note, Stage};
use crate::script::{Body, Change, Claim, Lock, Occupant, Request};
use crate::step::Cause;
use crate::time::Now;
use std::sync::Arc;
use std::time::Duration;

/// An attempt of one entry of a queue.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) acquire: Acquire,
    ticket: u64,
    cause: Cause,
}

impl Replica {
    pub(super) fn clean_up(&mut self, attempt: &mut Attempt, now: Now) {
        let (masters, mut request) = attempt.acquire.cleanup();
        if let Request::Cleanup { ballot, .. } = &mut request {
            *ballot = self.as_barrier(*ballot, now);
        }
        let until = now.boot + attempt.acquire.claim().ttl;
        self.errand_to_all(attempt.cause, &request, masters, until, now);
    }

    pub(super) fn attempt(&mut self, resource: &Resource, ticket: u64, now: Now) {
        let Some(entry) = self.queues.get(resource).and_then(|queue| queue.get(ticket)) else {
            return;
        };
        if self.draining || matches!(entry.stage, Stage::Asking(_)) {
            return;
        }
        let (claim, cause) = (Arc::clone(&entry.claim), Cause::Call(CallId(entry.call)));
        if !self.clock_fits(now) {
            let answers = self.explain_unfit(now);
            self.failed_attempt(resource, ticket, Failure::NoQuorum, answers, now);
            return;
        }
        let nonce = self.draw_nonce();
        let ballot = self.draw(now);
        let acquire = Acquire::new(claim, nonce, ballot, &self.params, now.boot);
        let operation = self.number();
        let (round, request) = (acquire.round(), acquire.request());
        if let Some(entry) = self.queues.get_mut(resource).and_then(|queue| queue.get_mut(ticket)) {
            entry.stage = Stage::Asking(operation);
        }
        if let Some(queue) = self.queues.get_mut(resource) {
            queue.woken = false;
        }
        let attempt = Box::new(Attempt { acquire, ticket, cause });
        self.operations.insert(operation, Operation::Attempt(attempt));
        self.fan_out(cause, (operation, round), &request, now);
    }

    pub(super) fn attempt_reply(
        &mut self,
        operation: u64,
        mut attempt: Box<Attempt>,
        (master, purpose, body): (MasterId, Purpose, Body),
        now: Now,
    ) -> Option<Operation> {
        let Purpose::Round { round, .. } = purpose else { return None };
        let params = Arc::clone(&self.params);
        match attempt.acquire.handle_reply(master, round, body, &params, now.boot) {
            Verdict::Pending => return Some(Operation::Attempt(attempt)),
            Verdict::Again => {
                let ballot = self.draw(now);
                if ballot <= attempt.acquire.ballot() {
                    // The wall clock was set right meanwhile, and what was drawn before it is forgotten.
                    self.attempt_anew(attempt, now);
                    return None;
                }
                attempt.acquire.next_round(ballot, &params, now.boot);
                let (round, request) = (attempt.acquire.round(), attempt.acquire.request());
                self.fan_out(attempt.cause, (operation, round), &request, now);
                return Some(Operation::Attempt(attempt));
            }
            Verdict::Granted(grant) => self.granted(*attempt, grant, now),
            Verdict::Failed(failure) => {
                self.clean_up(&mut attempt, now);
                let answers = self.explain(attempt.acquire.tally());
                let resource = attempt.acquire.claim().resource.clone();
                self.failed_attempt(&resource, attempt.ticket, failure, answers, now);
            }
        }
        None
    }

    fn granted(&mut self, attempt: Attempt, grant: Grant, now: Now) {
        let Attempt { mut acquire, ticket, .. } = attempt;
        let voters = acquire.tally().masters(|body| matches!(body, Some(Body::Ok { .. })));
        let claim = Arc::clone(acquire.claim());
        let resource = claim.resource.clone();
        self.tokens.note(&resource, grant.token);
        let (masters, _) = acquire.cleanup();
        let lease = claim.lease;
        let give_back = GiveBack {
            resource: resource.clone(),
            lease,
            nonce: acquire.nonce(),
            ballot: grant.token,
            masters,
            until: now.boot + claim.ttl,
        };
        self.leases.note(&resource, lease, grant.valid_until, now.boot);
        if self.others_listen(&resource, acquire.tally()) {
            self.publish(&resource, Change::Elected, Some(lease), now);
        } else {
            let notice = self.notice(Change::Elected, Some(lease));
            self.say_here(&resource, &notice, now);
        }

        let jitter = self.jitter(Duration::ZERO, COURTESY.1);
        let retry_at = now.boot + (claim.ttl + jitter).min(self.poll());
        let Some(queue) = self.queues.get_mut(&resource) else { return };
        let Some(entry) = queue.remove(ticket) else { return };
        queue.note = Some(Note::new(occupant(&claim, &acquire, &grant), now.boot));
        queue.next_try = retry_at;
        self.answer(CallId(entry.call), Answer::Granted(Granted { grant, voters, give_back }));
        self.answer_impatient(&resource, now);
        if self.queues.get(&resource).is_some_and(|queue| !queue.is_empty()) {
            self.sleep(&resource, retry_at, now);
        }
        self.serve(&resource, now);
    }

    /// The attempt counts for nothing: it is taken back, and another one follows.
    pub(super) fn attempt_anew(&mut self, mut attempt: Box<Attempt>, now: Now) {
        self.clean_up(&mut attempt, now);
        let resource = attempt.acquire.claim().resource.clone();
        self.failed_attempt(&resource, attempt.ticket, Failure::Outrun, Vec::new(), now);
    }

    fn failed_attempt(
        &mut self,
        resource: &Resource,
        ticket: u64,
        failure: Failure,
        answers: Vec<MasterAnswer>,
        now: Now,
    ) {
        let pause = self.backoff(now);
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let Some(entry) = queue.get_mut(ticket) else { return };
        entry.stage = Stage::Pausing(pause);
        let out_of_time = now.boot >= entry.soft;
        match failure {
            Failure::Held(contention) => {
                self.lost_the_race(resource, ticket, contention, now);
                return;
            }
            Failure::Split(contention) => {
                entry.trouble = None;
                if out_of_time {
                    self.lost_the_race(resource, ticket, contention, now);
                    return;
                }
            }
            Failure::Outrun => entry.trouble = None,
            Failure::NoQuorum => {
                let since = entry.trouble.as_ref().map_or(now.boot, |(since, _)| *since);
                entry.trouble = Some((since, answers.clone()));
                if out_of_time || now.boot >= since + GIVE_UP {
                    self.give_up(resource, &answers, now);
                    return;
                }
            }
        }
        if out_of_time {
            if let Some(entry) = queue.remove(ticket) {
                let answer = match &queue.note {
                    Some(_) => held(queue, now.boot),
                    None => Answer::NoQuorum(answers),
                };
                self.answer(CallId(entry.call), answer);
            }
            self.serve(resource, now);
            return;
        }
        self.arm_waiter(resource, ticket, now.boot);
    }

    /// The masters showed somebody else: who cannot wait is told, the head sleeps until there is
    /// reason to ask again.
    fn lost_the_race(&mut self, resource: &Resource, ticket: u64, seen: Contention, now: Now) {
        let poll = self.poll();
        let jitter = self.jitter(Duration::ZERO, COURTESY.1);
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let holder = seen.occupant.holder();
        let free_in = seen.free_in.map_or(poll, |free_in| (free_in + jitter).min(poll));
        queue.note = Some(Note::new(seen.occupant, now.boot));
        // Released while these answers were under way: they may be from before.
        queue.next_try = if queue.woken { now.boot } else { now.boot + free_in };
        let next_try = queue.next_try;
        let mut waits = None;
        if let Some(entry) = queue.get_mut(ticket) {
            entry.stage = Stage::Waiting;
            entry.trouble = None;
            waits = Some(ticket).filter(|_| entry.told.is_none());
            if now.boot >= entry.soft
                && let Some(entry) = queue.remove(ticket)
            {
                let answer = held(queue, now.boot);
                self.answer(CallId(entry.call), answer);
            }
        }
        if let Some(ticket) = waits {
            self.tell_position(resource, ticket, now);
        }
        // First: who asks for its own lock once is not to be told that it is taken.
        self.let_holder_retry(resource, holder, now);
        self.answer_impatient(resource, now);
        self.sleep(resource, next_try, now);
    }

    /// A waiter with the holder's own lease is a retry: it does not queue.
    fn let_holder_retry(&mut self, resource: &Resource, holder: Option<LeaseHash>, now: Now) {
        let Some(queue) = self.queues.get(resource) else { return };
        let retry = holder.and_then(|lease| queue.ticket_of(lease));
        if let Some(ticket) = retry.filter(|ticket| Some(*ticket) != queue.head()) {
            self.attempt(resource, ticket, now);
        }
    }

    /// No quorum for too long: everybody in the queue is told.
    fn give_up(&mut self, resource: &Resource, answers: &[MasterAnswer], now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let mut gone = Vec::new();
        for ticket in queue.tickets() {
            gone.extend(queue.remove(ticket));
        }
        for entry in gone {
            self.abort(entry.stage, now);
            self.answer(CallId(entry.call), Answer::NoQuorum(answers.to_vec()));
        }
        self.serve(resource, now);
    }

    /// Until the head asks at the latest; not all replicas at the same moment.
    fn poll(&mut self) -> Duration {
        self.jitter(POLL.mul_f64(0.8), POLL.mul_f64(1.2))
    }
}

/// The lock as the masters that voted for it show it.
fn occupant(claim: &Claim, acquire: &Acquire, grant: &Grant) -> Occupant {
    let lock = Lock {
        lease: claim.lease,
        nonce: acquire.nonce(),
        first: grant.token,
        ballot: grant.token,
        token: grant.token,
        info_ballot: grant.token,
        ttl: claim.ttl,
        info: claim.info.clone(),
    };
    Occupant { lock: Some(lock), remaining: Some(claim.ttl) }
}
