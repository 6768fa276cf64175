//! Hold: a lease that lives as long as its client's stream. How a session opens, what becomes of it, and
//! what it gives back when it ends. Queues by the same calls as everybody; `keeping` renews.
//!
//! Source: docs/protocol.md, "Hold". What a session may take back when it ends follows from its
//! nonce (docs/adr/0002) and from who ended it (docs/adr/0007).

use super::call::{Answer, CallId, GiveBack};
use super::session::{News, Session, Stage, Tenancy};
use super::{Operation, Output, Place, Replica, Timer};
use crate::ballot::Ballot;
use crate::hold::{Hangup, Hold, HoldEvent, LostBy, Risk};
use crate::ids::{LeaseHash, Nonce, Resource};
use crate::mutants::Mutant;
use crate::release::Outcome;
use crate::script::Change;
use crate::time::{Instant, Now};
use rand::Rng;
use std::sync::Arc;

impl Replica {
    /// A client opens a Hold.
    pub fn handle_hold(&mut self, id: CallId, hold: Hold, now: Now) {
        if self.draining {
            self.tell_holder(id, HoldEvent::Refused(Answer::Draining));
            return;
        }
        let (claim, token, wait) = (Arc::clone(&hold.claim), hold.token, hold.wait);
        let key = (claim.resource.clone(), claim.lease);
        if let Some(older) = self.sessions.by_lease.get(&key).copied() {
            let queues = matches!(self.calls.get(&older), Some(Place::Queue(..)));
            // One that queues hands its place over.
            if token != Ballot::ZERO || !queues {
                self.supersede_session(older, now);
            }
        }
        let reattaches = token != Ballot::ZERO;
        let stage = match reattaches {
            true => Stage::Proving(Nonce::reattached(self.rng.random())),
            false => Stage::Acquiring { queued: None },
        };
        let heard = (0, hold.received);
        let session = Session { hold, stage, heard, ballot: Ballot::ZERO, armed: None };
        self.sessions.by_id.insert(id, session);
        self.sessions.by_lease.insert(key, id);
        if reattaches {
            self.prove(id, now);
        } else {
            self.begin_acquire(id, claim, wait, None, now);
        }
        self.settle(now);
    }

    /// The client is alive, and asks for a renewal.
    pub fn handle_heartbeat(&mut self, id: CallId, sequence: u64, received: Instant, now: Now) {
        self.check_clock(now);
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        session.heard = (sequence, received);
        if let Stage::Held(tenancy) = &mut session.stage {
            match tenancy.round {
                Some(_) => tenancy.again = true,
                None => self.renew(id, Some(received), now),
            }
        }
        self.settle(now);
    }

    /// The client gives the lock back, or leaves the queue.
    pub fn handle_hold_release(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let claim = Arc::clone(&session.hold.claim);
        let token = match &session.stage {
            Stage::Acquiring { .. } => {
                self.cancel_call(id, now);
                self.sessions.remove(id);
                self.tell_holder(id, HoldEvent::Released(Outcome::NotHeld));
                self.settle(now);
                return;
            }
            Stage::Proving(_) => session.hold.token,
            Stage::Held(tenancy) | Stage::Detached(tenancy, _) => tenancy.grant.token,
            Stage::Releasing => return,
        };
        session.stage = Stage::Releasing;
        self.cancel_call(id, now);
        let (resource, lease) = (claim.resource.clone(), claim.lease);
        self.begin_release(id, (resource, lease, token), Change::Released, None, now);
        self.settle(now);
    }

    /// The client's stream has ended.
    pub fn handle_hangup(&mut self, id: CallId, how: Hangup, now: Now) {
        self.cancel_call(id, now);
        let Some(mut session) = self.sessions.remove(id) else { return };
        if let Stage::Held(tenancy) = session.stage
            && how != Hangup::Fault
        {
            let reattached = tenancy.nonce.is_reattached();
            let told = how == Hangup::Gone;
            let until = (now.boot + session.hold.grace).min(tenancy.grant.valid_until);
            if told && until > now.boot {
                let key = (session.hold.claim.resource.clone(), session.hold.claim.lease);
                session.stage = Stage::Detached(tenancy, until);
                session.armed = Some(until);
                self.sessions.by_id.insert(id, session);
                self.sessions.by_lease.insert(key, id);
                self.set_timer(until, Timer::Session(id));
            } else if told || !reattached || self.params.mutants.has(Mutant::UnreadTakesBack) {
                self.take_back(&session.hold, &tenancy, session.ballot, now);
            }
            // Otherwise the client may still rely on the session it had before: left to its ttl.
        }
        self.settle(now);
    }

    /// Drain is over: who is still here goes to another replica, with its lease.
    pub fn handle_close(&mut self) {
        let ids: Vec<CallId> = self.sessions.by_id.keys().copied().collect();
        for id in ids {
            self.dismiss(id, Answer::Draining);
        }
    }

    /// Drain begins: nobody new, nobody unfinished; holders are warned.
    pub(super) fn drain_sessions(&mut self) {
        let ids: Vec<CallId> = self.sessions.by_id.keys().copied().collect();
        for id in ids {
            match self.sessions.by_id.get(&id).map(|session| &session.stage) {
                Some(Stage::Held(_)) => self.warn_holder(id, Risk::Draining),
                Some(Stage::Proving(_)) => self.dismiss(id, Answer::Draining),
                _ => {}
            }
        }
    }

    /// Every lease this process serves ends: its clocks do not agree about how much time has passed.
    pub(super) fn end_sessions(&mut self) {
        let ids: Vec<CallId> = self.sessions.by_id.keys().copied().collect();
        for id in ids {
            match self.sessions.by_id.get(&id).map(|session| &session.stage) {
                Some(Stage::Held(_) | Stage::Proving(_)) => self.lose(id, LostBy::Expired),
                Some(Stage::Detached(..)) => {
                    self.sessions.remove(id);
                }
                _ => {}
            }
        }
    }

    /// A later call with the same lease takes over, and takes the lease with it.
    pub(super) fn supersede_lease(&mut self, resource: &Resource, lease: LeaseHash, now: Now) {
        let key = (resource.clone(), lease);
        if let Some(older) = self.sessions.by_lease.get(&key).copied()
            && !matches!(self.calls.get(&older), Some(Place::Queue(..)))
        {
            self.supersede_session(older, now);
        }
    }

    fn supersede_session(&mut self, id: CallId, now: Now) {
        self.cancel_call(id, now);
        self.dismiss(id, Answer::Superseded);
    }

    /// The session ends with an error, and leaves its lease as it is.
    fn dismiss(&mut self, id: CallId, why: Answer) {
        self.drop_round(id);
        let session = self.sessions.remove(id);
        if session.is_some_and(|session| !matches!(session.stage, Stage::Detached(..))) {
            self.tell_holder(id, HoldEvent::Refused(why));
        }
    }

    pub(super) fn session_hears(&mut self, id: CallId, news: News, now: Now) {
        match news {
            News::Answer(answer) => self.session_answer(id, answer, now),
            News::RoundFailed => self.warn_holder(id, Risk::NoQuorum),
            News::Settled(voters) => self.session_settled(id, voters),
        }
    }

    /// An answer to the call of a session.
    fn session_answer(&mut self, id: CallId, answer: Answer, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        match (&mut session.stage, answer) {
            (Stage::Acquiring { .. }, Answer::Granted(granted)) => {
                self.begin_hold(id, granted, now)
            }
            (Stage::Acquiring { .. }, Answer::Held(held)) => {
                self.sessions.remove(id);
                self.tell_holder(id, HoldEvent::Contended(held));
            }
            (Stage::Proving(_) | Stage::Held(_), Answer::Renewed(grant)) => {
                self.renewed(id, grant, now);
            }
            (Stage::Proving(_) | Stage::Held(_), Answer::Lost(loss)) => {
                self.lose(id, LostBy::Told(loss));
            }
            (Stage::Held(_), Answer::NoQuorum(_)) => self.expire_session(id, now),
            (Stage::Releasing, Answer::Released(outcome)) => {
                self.sessions.remove(id);
                self.tell_holder(id, HoldEvent::Released(outcome));
            }
            (_, other) => {
                self.sessions.remove(id);
                self.tell_holder(id, HoldEvent::Refused(other));
            }
        }
    }

    /// What this session alone has on the masters is taken back; whoever waits may go on.
    pub(super) fn take_back(&mut self, hold: &Hold, tenancy: &Tenancy, ballot: Ballot, now: Now) {
        let Hold { claim, .. } = hold;
        let give_back = GiveBack {
            resource: claim.resource.clone(),
            lease: claim.lease,
            nonce: tenancy.nonce,
            ballot,
            masters: self.everyone(),
            until: now.boot + claim.ttl,
        };
        self.give_back(&give_back, now);
    }

    /// It waits, at this place.
    pub(super) fn session_queued(&mut self, id: CallId, position: usize, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let Stage::Acquiring { queued } = &mut session.stage else { return };
        queued.get_or_insert(now.boot);
        let resource = session.hold.claim.resource.clone();
        let held = self.known_holder(&resource, now.boot);
        self.tell_holder(id, HoldEvent::Queued { position, held });
        self.arm_session(id, now);
    }

    pub(super) fn tell_holder(&mut self, id: CallId, event: HoldEvent) {
        self.outputs.push_back(Output::Event(id, event));
    }

    /// The call under way for this session is nobody's any more. A renewal leaves votes that its own
    /// nonce takes back; an attempt is taken back here.
    pub(super) fn cancel_call(&mut self, id: CallId, now: Now) {
        match self.calls.get(&id) {
            Some(Place::Queue(resource, ticket)) => {
                let (resource, ticket) = (resource.clone(), *ticket);
                self.leave(&resource, ticket, now);
            }
            Some(Place::Operation(_)) => self.drop_round(id),
            None => {}
        }
    }

    pub(super) fn drop_round(&mut self, id: CallId) {
        if let Some(Place::Operation(operation)) = self.calls.get(&id).cloned() {
            self.calls.remove(&id);
            match self.operations.get_mut(&operation) {
                Some(Operation::Release(releasing)) => releasing.disown(),
                _ => {
                    self.operations.remove(&operation);
                }
            }
        }
    }
}
