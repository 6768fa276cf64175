//! Acquire: the queue of each resource, and the attempts of whoever is its head.

use super::call::{Answer, CallId, GiveBack, Granted, Held};
use super::{Operation, Output, Place, Replica, Timer};
use crate::acquire::{Acquire, Contention, Failure, Grant, Verdict};
use crate::ids::{LeaseHash, MasterId, MasterSet, Resource};
use crate::master::Purpose;
use crate::params::{GIVE_UP, POLL};
use crate::queue::{Entry, Note, Queue, Stage};
use crate::script::{Body, Claim, Lock, Occupant};
use crate::time::{Instant, Now};
use std::sync::Arc;
use std::time::Duration;

/// How long a releasing replica lets the waiters of others go first.
const COURTESY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(10));

/// An attempt of one entry of a queue.
#[derive(Debug)]
pub(super) struct Attempt {
    acquire: Acquire,
    ticket: u64,
}

impl Replica {
    pub(super) fn begin_acquire(
        &mut self,
        id: CallId,
        claim: Arc<Claim>,
        wait: Duration,
        hard: Option<Instant>,
        now: Now,
    ) {
        let resource = claim.resource.clone();
        let patient = wait > Duration::ZERO;
        let patience = if patient { wait } else { GIVE_UP };
        let soft = hard.map_or(now.boot + patience, |hard| hard.min(now.boot + patience));
        let entry = Entry {
            call: id.0,
            claim,
            since: now.boot,
            patient,
            soft,
            hard,
            stage: Stage::Waiting,
            trouble: None,
        };

        let limit = self.params.max_waiters;
        let lease = entry.claim.lease;
        let fresh = || Queue::new(now.boot);
        let queue = self.queues.entry(resource.clone()).or_insert_with(fresh);
        if let Some(ticket) = queue.ticket_of(lease) {
            self.supersede(&resource, ticket, entry, now);
            return;
        }
        let holder_retries = queue.note.as_ref().is_some_and(|note| note.lease() == Some(lease));
        if !patient && !holder_retries && queue.head_is_asleep() {
            let held = held(queue, now.boot);
            self.answer(id, held);
            return;
        }
        if patient && queue.waiters() >= limit {
            self.answer(id, Answer::QueueFull);
            return;
        }
        let ticket = self.enqueue(&resource, entry);
        if holder_retries {
            self.attempt(&resource, ticket, now);
        }
        self.serve(&resource, now);
    }

    fn enqueue(&mut self, resource: &Resource, entry: Entry) -> u64 {
        let ticket = self.number();
        self.place(resource, ticket, entry);
        ticket
    }

    fn place(&mut self, resource: &Resource, ticket: u64, entry: Entry) {
        self.calls.insert(CallId(entry.call), Place::Queue(resource.clone(), ticket));
        self.set_timer(entry.soft, Timer::Waiter(resource.clone(), ticket));
        if let Some(hard) = entry.hard.filter(|hard| *hard > entry.soft) {
            self.set_timer(hard, Timer::Waiter(resource.clone(), ticket));
        }
        if let Some(queue) = self.queues.get_mut(resource) {
            queue.push(ticket, entry);
        }
    }

    /// A later call with the same lease takes the place of an earlier one.
    fn supersede(&mut self, resource: &Resource, ticket: u64, entry: Entry, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let Some(older) = queue.remove(ticket) else { return };
        self.answer(CallId(older.call), Answer::Superseded);
        self.abort(older.stage, now);
        let was_asking = older.stage != Stage::Waiting;
        self.place(resource, ticket, entry);
        if was_asking {
            self.attempt(resource, ticket, now);
        }
        self.serve(resource, now);
    }

    /// The entry is gone: its attempt is taken back and the next one is served.
    pub(super) fn leave(&mut self, resource: &Resource, ticket: u64, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        if let Some(entry) = queue.remove(ticket) {
            self.calls.remove(&CallId(entry.call));
            self.abort(entry.stage, now);
        }
        self.serve(resource, now);
    }

    fn abort(&mut self, stage: Stage, now: Now) {
        let Stage::Asking(operation) = stage else { return };
        if let Some(Operation::Attempt(mut attempt)) = self.operations.remove(&operation) {
            self.clean_up(&mut attempt.acquire, now);
        }
    }

    fn clean_up(&mut self, acquire: &mut Acquire, now: Now) {
        let (masters, request) = acquire.cleanup();
        let until = now.boot + acquire.claim().ttl;
        self.errand_to_all(&request, masters, until, now);
    }

    /// Lets the head ask if its time has come; drops a queue that is empty.
    pub(super) fn serve(&mut self, resource: &Resource, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let Some(head) = queue.head() else {
            if queue.subscribed {
                self.outputs.push_back(Output::Unsubscribe(resource.clone()));
            }
            self.queues.remove(resource);
            return;
        };
        let next_try = queue.next_try;
        match queue.get(head).map(|entry| entry.stage) {
            Some(Stage::Waiting) if next_try <= now.boot => self.attempt(resource, head, now),
            Some(Stage::Pausing(until)) if until <= now.boot => self.attempt(resource, head, now),
            _ => {}
        }
    }

    /// Something was released: the head asks now, or a little later if others were promised a turn.
    pub(super) fn wake(&mut self, resource: &Resource, released: Option<LeaseHash>, now: Now) {
        let Some(queue) = self.queues.get(resource) else { return };
        let holder = queue.note.as_ref().and_then(Note::lease);
        if released.is_some() && holder.is_some() && holder != released {
            return;
        }
        let courtesy =
            if queue.crowded { self.jitter(COURTESY.0, COURTESY.1) } else { Duration::ZERO };
        self.wake_after(resource, courtesy, now);
    }

    pub(super) fn wake_after(&mut self, resource: &Resource, delay: Duration, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        queue.next_try = now.boot + delay;
        if delay.is_zero() {
            self.serve(resource, now);
        } else {
            self.set_timer(now.boot + delay, Timer::Queue(resource.clone()));
        }
    }

    /// A notice was heard by so many: waiters of other replicas are among them or not.
    pub(super) fn count_listeners(&mut self, resource: &Resource, listeners: u32) {
        if let Some(queue) = self.queues.get_mut(resource) {
            queue.crowded = listeners > u32::from(queue.subscribed);
        }
    }

    /// This replica renewed the holder's lease.
    pub(super) fn note_renewal(
        &mut self,
        resource: &Resource,
        lease: LeaseHash,
        ttl: Duration,
        now: Now,
    ) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        if let Some(note) = queue.note.as_mut().filter(|note| note.lease() == Some(lease)) {
            note.renewed(ttl, now.boot);
        }
    }

    fn attempt(&mut self, resource: &Resource, ticket: u64, now: Now) {
        let Some(entry) = self.queues.get(resource).and_then(|queue| queue.get(ticket)) else {
            return;
        };
        if matches!(entry.stage, Stage::Asking(_)) {
            return;
        }
        let claim = Arc::clone(&entry.claim);
        if !self.clock_fits(now) {
            let answers = self.explain_clock();
            self.failed_attempt(resource, ticket, Failure::NoQuorum, answers, now);
            return;
        }
        let nonce = self.draw_nonce();
        let ballot = self.ballots.draw(now.wall_micros);
        let acquire = Acquire::new(claim, nonce, ballot, &self.params, now.boot);
        let operation = self.number();
        let (round, request) = (acquire.round(), acquire.request());
        if let Some(entry) = self.queues.get_mut(resource).and_then(|queue| queue.get_mut(ticket)) {
            entry.stage = Stage::Asking(operation);
        }
        self.operations.insert(operation, Operation::Attempt(Attempt { acquire, ticket }));
        self.fan_out(operation, round, &request, now);
    }

    pub(super) fn attempt_reply(
        &mut self,
        operation: u64,
        mut attempt: Attempt,
        (master, purpose, body): (MasterId, Purpose, Body),
        now: Now,
    ) -> Option<Operation> {
        let Purpose::Round { round, .. } = purpose else { return None };
        let params = Arc::clone(&self.params);
        match attempt.acquire.handle_reply(master, round, body, &params, now.boot) {
            Verdict::Pending => return Some(Operation::Attempt(attempt)),
            Verdict::Again => {
                let ballot = self.ballots.draw(now.wall_micros);
                attempt.acquire.next_round(ballot, &params, now.boot);
                let (round, request) = (attempt.acquire.round(), attempt.acquire.request());
                self.fan_out(operation, round, &request, now);
                return Some(Operation::Attempt(attempt));
            }
            Verdict::Granted(grant) => self.granted(attempt, grant, now),
            Verdict::Failed(failure) => {
                self.clean_up(&mut attempt.acquire, now);
                let answers = self.explain(attempt.acquire.tally());
                let resource = attempt.acquire.claim().resource.clone();
                self.failed_attempt(&resource, attempt.ticket, failure, answers, now);
            }
        }
        None
    }

    fn granted(&mut self, attempt: Attempt, grant: Grant, now: Now) {
        let Attempt { mut acquire, ticket } = attempt;
        let claim = Arc::clone(acquire.claim());
        let resource = claim.resource.clone();
        self.tokens.note(&resource, grant.token);
        let all: MasterSet = (0..self.masters.len()).map(|index| MasterId(index as u8)).collect();
        let (_, request) = acquire.cleanup();
        let give_back = GiveBack {
            resource: resource.clone(),
            request,
            masters: all,
            until: now.boot + claim.ttl,
        };

        let retry_at = now.boot + claim.ttl + self.jitter(Duration::ZERO, COURTESY.1);
        let Some(queue) = self.queues.get_mut(&resource) else { return };
        let Some(entry) = queue.remove(ticket) else { return };
        queue.note = Some(Note::new(occupant(&claim, &acquire, &grant), now.boot));
        queue.next_try = retry_at;
        self.answer(CallId(entry.call), Answer::Granted(Granted { grant, give_back }));
        self.answer_impatient(&resource, now);
        if self.queues.get(&resource).is_some_and(|queue| !queue.is_empty()) {
            self.sleep(&resource, retry_at, now);
        }
        self.serve(&resource, now);
    }

    fn failed_attempt(
        &mut self,
        resource: &Resource,
        ticket: u64,
        failure: Failure,
        answers: Vec<super::MasterAnswer>,
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
                let held = held(queue, now.boot);
                self.answer(CallId(entry.call), held);
            }
            self.serve(resource, now);
            return;
        }
        self.set_timer(pause, Timer::Waiter(resource.clone(), ticket));
    }

    /// The masters showed somebody else: who cannot wait is told, the head sleeps until there is
    /// reason to ask again.
    fn lost_the_race(&mut self, resource: &Resource, ticket: u64, seen: Contention, now: Now) {
        let poll = POLL.mul_f64(self.jitter_factor());
        let jitter = self.jitter(Duration::ZERO, COURTESY.1);
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let holder = seen.occupant.lease();
        let free_in = seen.free_in.map_or(poll, |free_in| (free_in + jitter).min(poll));
        queue.note = Some(Note::new(seen.occupant, now.boot));
        queue.next_try = now.boot + free_in;
        let next_try = queue.next_try;
        if let Some(entry) = queue.get_mut(ticket) {
            entry.stage = Stage::Waiting;
            entry.trouble = None;
            if now.boot >= entry.soft
                && let Some(entry) = queue.remove(ticket)
            {
                let answer = held(queue, now.boot);
                self.answer(CallId(entry.call), answer);
            }
        }
        self.answer_impatient(resource, now);
        self.let_holder_retry(resource, holder, now);
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

    fn sleep(&mut self, resource: &Resource, next_try: Instant, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        if queue.is_empty() {
            self.serve(resource, now);
            return;
        }
        if !queue.subscribed {
            queue.subscribed = true;
            self.outputs.push_back(Output::Subscribe(resource.clone()));
        }
        self.set_timer(next_try, Timer::Queue(resource.clone()));
    }

    fn answer_impatient(&mut self, resource: &Resource, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let mut answers = Vec::new();
        for ticket in queue.impatient() {
            let busy = queue.get(ticket).is_some_and(|e| matches!(e.stage, Stage::Asking(_)));
            if !busy && let Some(entry) = queue.remove(ticket) {
                answers.push((CallId(entry.call), held(queue, now.boot)));
            }
        }
        for (id, answer) in answers {
            self.answer(id, answer);
        }
    }

    /// No quorum for too long: everybody in the queue is told.
    fn give_up(&mut self, resource: &Resource, answers: &[super::MasterAnswer], now: Now) {
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

    pub(super) fn waiter_timeout(&mut self, resource: &Resource, ticket: u64, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let Some(entry) = queue.get(ticket) else { return };
        let hard_over = entry.hard.is_some_and(|hard| now.boot >= hard);
        let soft_over = now.boot >= entry.soft;
        match entry.stage {
            Stage::Pausing(until) if until <= now.boot && !soft_over => {
                self.attempt(resource, ticket, now);
            }
            // The attempt under way may still bring it: a round at most.
            Stage::Asking(_) if !hard_over => {}
            stage if soft_over || hard_over => {
                let Some(entry) = queue.remove(ticket) else { return };
                let answer = match (&queue.note, entry.trouble) {
                    (_, Some((_, answers))) => Answer::NoQuorum(answers),
                    (Some(_), None) => held(queue, now.boot),
                    (None, None) => Answer::OutOfTime,
                };
                self.abort(stage, now);
                self.answer(CallId(entry.call), answer);
                self.serve(resource, now);
            }
            _ => {}
        }
    }

    fn jitter_factor(&mut self) -> f64 {
        use rand::Rng;
        self.rng.random_range(0.8..1.2)
    }
}

fn held(queue: &Queue, now: Instant) -> Answer {
    let nobody = Occupant { lock: None, remaining: None };
    let occupant = queue.note.as_ref().map_or(nobody, |note| note.occupant(now));
    Answer::Held(Held { occupant, waiters: queue.waiters() })
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
