//! Acquire: the queue of each resource. Who comes, who leaves, and when the head may ask.
//!
//! What the head's attempts lead to is in [`super::attempting`].

use super::call::{Answer, CallId, Held};
use super::{Operation, Output, Place, Replica, Timer};
use crate::ids::{LeaseHash, Resource};
use crate::mutants::Mutant;
use crate::params::GIVE_UP;
use crate::queue::{Entry, Note, Queue, Stage};
use crate::script::{Claim, Occupant};
use crate::time::{Instant, Now};
use std::sync::Arc;
use std::time::Duration;

/// How long a releasing replica lets the waiters of others go first.
pub(super) const COURTESY: (Duration, Duration) =
    (Duration::from_millis(2), Duration::from_millis(10));

/// Places in a queue are told so much after they changed, plus so much for each waiter.
const TELL_PLACES: Duration = Duration::from_millis(50);
const TELL_PLACE: Duration = Duration::from_micros(100);

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
        let curious = self.sessions.contains(id);
        if !curious {
            self.supersede_lease(&resource, claim.lease, now);
        }
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
            armed: None,
            curious,
            told: None,
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
        let holder_retries = queue.note.as_ref().is_some_and(|note| note.holder() == Some(lease));
        if !patient && !holder_retries && queue.head_is_asleep() {
            let held = held(queue, now.boot);
            self.answer(id, held);
            return;
        }
        if patient && queue.waiters() >= limit {
            self.answer(id, Answer::QueueFull);
            return;
        }
        let asleep = queue.head_is_asleep();
        let ticket = self.enqueue(&resource, entry);
        if holder_retries {
            self.attempt(&resource, ticket, now);
        }
        self.serve(&resource, now);
        if asleep {
            self.tell_position(&resource, ticket, now);
        } else if curious {
            self.places_moved(&resource, now);
        }
    }

    /// A Hold learns its place at once when it begins to wait.
    pub(super) fn tell_position(&mut self, resource: &Resource, ticket: u64, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let place = queue.place_of(ticket);
        let Some(entry) = queue.get_mut(ticket) else { return };
        if entry.curious && entry.patient && !matches!(entry.stage, Stage::Asking(_)) {
            entry.told = Some(place);
            let call = CallId(entry.call);
            self.session_queued(call, place, now);
        }
    }

    /// Holds learn their new places a little later, and the later the more of them there are: a long
    /// queue must not do more telling than serving.
    pub(super) fn places_moved(&mut self, resource: &Resource, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        if !std::mem::replace(&mut queue.telling, true) {
            let waiters = u32::try_from(queue.waiters()).unwrap_or(u32::MAX);
            let at = now.boot + TELL_PLACES + TELL_PLACE * waiters;
            self.set_timer(at, Timer::Places(resource.clone()));
        }
    }

    pub(super) fn tell_places(&mut self, resource: &Resource, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        queue.telling = false;
        for (call, place) in queue.places_to_tell() {
            self.session_queued(CallId(call), place, now);
        }
    }

    fn enqueue(&mut self, resource: &Resource, entry: Entry) -> u64 {
        let mut ticket = self.number();
        if self.params.mutants.has(Mutant::LastComeFirst) {
            ticket = u64::MAX - ticket;
        }
        self.place(resource, ticket, entry);
        ticket
    }

    fn place(&mut self, resource: &Resource, ticket: u64, entry: Entry) {
        self.calls.insert(CallId(entry.call), Place::Queue(resource.clone(), ticket));
        let now = entry.since;
        if let Some(queue) = self.queues.get_mut(resource) {
            queue.push(ticket, entry);
        }
        self.arm_waiter(resource, ticket, now);
    }

    pub(super) fn arm_waiter(&mut self, resource: &Resource, ticket: u64, now: Instant) {
        let entry = self.queues.get_mut(resource).and_then(|queue| queue.get_mut(ticket));
        let Some(entry) = entry else { return };
        let next = entry.next(now);
        if entry.armed.is_none_or(|armed| next < armed) {
            entry.armed = Some(next);
            self.set_timer(next, Timer::Waiter(resource.clone(), ticket));
        }
    }

    /// A later call with the same lease takes the place of an earlier one.
    fn supersede(&mut self, resource: &Resource, ticket: u64, entry: Entry, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let Some(older) = queue.remove(ticket) else { return };
        self.answer(CallId(older.call), Answer::Superseded);
        self.abort(older.stage, now);
        let Some(queue) = self.queues.get(resource) else { return };
        let others =
            queue.note.as_ref().is_some_and(|note| note.holder() != Some(entry.claim.lease));
        if !entry.patient && others && queue.head_is_asleep() {
            let held = held(queue, now.boot);
            self.answer(CallId(entry.call), held);
            self.serve(resource, now);
            return;
        }
        let asks_now = !entry.patient || older.stage != Stage::Waiting;
        self.place(resource, ticket, entry);
        if asks_now {
            self.attempt(resource, ticket, now);
        }
        self.serve(resource, now);
        self.tell_position(resource, ticket, now);
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

    pub(super) fn abort(&mut self, stage: Stage, now: Now) {
        let Stage::Asking(operation) = stage else { return };
        if let Some(Operation::Attempt(mut attempt)) = self.operations.remove(&operation) {
            self.clean_up(&mut attempt, now);
        }
    }

    /// Lets the head ask if its time has come; drops a queue that is empty.
    pub(super) fn serve(&mut self, resource: &Resource, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        let Some(head) = queue.head() else {
            let subscribed = queue.subscribed;
            self.queues.remove(resource);
            if subscribed && !self.listens(resource) {
                self.stop_listening(resource);
            }
            return;
        };
        let next_try = queue.next_try;
        let shifted = std::mem::take(&mut queue.shifted);
        match queue.get(head).map(|entry| entry.stage) {
            Some(Stage::Waiting) if next_try <= now.boot => self.attempt(resource, head, now),
            Some(Stage::Pausing(until)) if until <= now.boot => self.attempt(resource, head, now),
            _ => {}
        }
        if shifted {
            self.places_moved(resource, now);
        }
    }

    /// Something was released: the head asks now, or a little later if others were promised a turn.
    pub(super) fn wake(&mut self, resource: &Resource, released: Option<LeaseHash>, now: Now) {
        let Some(queue) = self.queues.get(resource) else { return };
        let holder = queue.note.as_ref().and_then(Note::lease);
        if released.is_some() && holder.is_some() && holder != released {
            return;
        }
        let courtesy = if queue.crowded_until > now.boot {
            self.jitter(COURTESY.0, COURTESY.1)
        } else {
            Duration::ZERO
        };
        self.wake_after(resource, courtesy, now);
    }

    pub(super) fn wake_after(&mut self, resource: &Resource, delay: Duration, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        queue.woken = true;
        queue.next_try = queue.next_try.min(now.boot + delay);
        if delay.is_zero() {
            self.serve(resource, now);
        } else {
            self.set_timer(now.boot + delay, Timer::Queue(resource.clone()));
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

    pub(super) fn sleep(&mut self, resource: &Resource, next_try: Instant, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        if queue.is_empty() {
            self.serve(resource, now);
            return;
        }
        if !std::mem::replace(&mut queue.subscribed, true) && !self.watches.contains_key(resource) {
            self.outputs.push_back(Output::Subscribe(resource.clone()));
        }
        self.set_timer(next_try, Timer::Queue(resource.clone()));
        self.say_we_wait(resource, now);
    }

    pub(super) fn answer_impatient(&mut self, resource: &Resource, now: Now) {
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

    pub(super) fn waiter_timeout(&mut self, resource: &Resource, ticket: u64, now: Now) {
        let entry = self.queues.get_mut(resource).and_then(|queue| queue.get_mut(ticket));
        let Some(entry) = entry else { return };
        if entry.armed.is_some_and(|armed| armed <= now.boot) {
            entry.armed = None;
        }
        self.waiter_due(resource, ticket, now);
        self.arm_waiter(resource, ticket, now.boot);
    }

    fn waiter_due(&mut self, resource: &Resource, ticket: u64, now: Now) {
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
                    (None, None) if hard_over => Answer::OutOfTime,
                    (None, None) => Answer::NoQuorum(Vec::new()),
                };
                self.abort(stage, now);
                self.answer(CallId(entry.call), answer);
                self.serve(resource, now);
            }
            _ => {}
        }
    }
}

pub(super) fn held(queue: &Queue, now: Instant) -> Answer {
    let nobody = Occupant { lock: None, remaining: None };
    let occupant = queue.note.as_ref().map_or(nobody, |note| note.occupant(now));
    Answer::Held(Held { occupant, waiters: queue.waiters() })
}

impl Replica {
    /// Who holds a resource, as far as its queue knows.
    pub(super) fn known_holder(&self, resource: &Resource, now: Instant) -> Option<Held> {
        let queue = self.queues.get(resource)?;
        let occupant = queue.note.as_ref()?.occupant(now);
        Some(Held { occupant, waiters: queue.waiters() })
    }
}
