//! Watching: one upstream watch a resource, however many watch it here. A notice, a timer from what
//! the leader has left, or the poll leads to a reading; a reading leads to a view.
//!
//! Source: docs/protocol.md, "Watching".

use super::{Operation, Output, Replica, Timer};
use crate::ids::{MasterId, Resource};
use crate::params::{BACKOFF, POLL};
use crate::reading::{Doubt, Leadership, Reading};
use crate::script::{Body, Notice, Request};
use crate::step::Cause;
use crate::time::{Instant, Now};
use crate::view::{History, Seen, View};
use std::sync::Arc;
use std::time::Duration;

/// Expiry on the masters has a grain of a millisecond: a reading just before it would say nothing.
const PAST_EXPIRY: Duration = Duration::from_millis(3);

/// The upstream watch of one resource.
#[derive(Debug, Default)]
pub(super) struct Watch {
    history: History,
    /// The reading under way.
    reading: Option<u64>,
    /// Something was heard since it began.
    stale: bool,
    /// When the next one is due.
    next: Instant,
    /// When its timer will go off.
    armed: Option<Instant>,
    /// Readings in a row that showed nothing certain.
    doubts: u32,
    /// Until when a notice is waited for that should have come before a reading.
    overtaken: Option<Instant>,
}

/// Masters that change hands show different things for a moment: that is no news.
const FLEETING: u32 = 3;

/// A notice and what it is about go different ways: one that is overtaken comes within this time.
const OVERTAKEN: Duration = Duration::from_millis(100);

/// A reading for a watch.
#[derive(Debug)]
pub(super) struct Look {
    resource: Resource,
    reading: Reading,
    began: Instant,
}

impl Replica {
    /// Somebody watches this resource, and nobody did before.
    pub fn handle_watch(&mut self, resource: &Resource, now: Now) {
        if !self.listens(resource) {
            self.outputs.push_back(Output::Subscribe(resource.clone()));
        }
        self.watches.entry(resource.clone()).or_default();
        self.look(resource, now);
        self.settle(now);
    }

    /// Somebody knows more about this watched resource than was read last.
    pub fn handle_look(&mut self, resource: &Resource, now: Now) {
        self.look(resource, now);
        self.settle(now);
    }

    /// Nobody watches it any more.
    pub fn handle_unwatch(&mut self, resource: &Resource) {
        let Some(watch) = self.watches.remove(resource) else { return };
        if let Some(reading) = watch.reading {
            self.operations.remove(&reading);
        }
        if !self.listens(resource) {
            self.stop_listening(resource);
        }
    }

    /// Are notices about this resource asked for, by a watch or by waiters?
    pub(super) fn listens(&self, resource: &Resource) -> bool {
        let waits = self.queues.get(resource).is_some_and(|queue| queue.subscribed);
        waits || self.watches.contains_key(resource)
    }

    /// What is said about a watched resource is looked at.
    pub(super) fn watch_hears(&mut self, resource: &Resource, notice: &Notice, now: Now) {
        if let Some(watch) = self.watches.get_mut(resource) {
            watch.history.hear(notice);
            self.look(resource, now);
        }
    }

    /// Begins a reading; another one follows if one is under way.
    pub(super) fn look(&mut self, resource: &Resource, now: Now) {
        let operation = self.number();
        let Some(watch) = self.watches.get_mut(resource) else { return };
        if watch.reading.is_some() {
            watch.stale = true;
            return;
        }
        watch.reading = Some(operation);
        watch.stale = false;
        let reading = Reading::new(&self.params);
        let look = Look { resource: resource.clone(), reading, began: now.boot };
        self.operations.insert(operation, Operation::Look(look));
        let request = Request::Read { resource: resource.clone() };
        self.fan_out(Cause::Watches, (operation, 1), &request, now);
    }

    pub(super) fn look_reply(
        &mut self,
        mut look: Look,
        (master, body): (MasterId, Body),
        now: Now,
    ) -> Option<Operation> {
        look.reading.tally.record(master, body);
        let leadership = look.reading.leadership(&self.params);
        if matches!(leadership, Leadership::Unknown(_)) && !look.reading.is_complete() {
            return Some(Operation::Look(look));
        }
        self.looked(&look, leadership, now);
        None
    }

    fn looked(&mut self, look: &Look, leadership: Leadership, now: Now) {
        let Look { resource, began, .. } = look;
        if let Leadership::Led(leader) = &leadership {
            self.tokens.note(resource, leader.token);
        }
        let pause = self.jitter(BACKOFF.0, BACKOFF.1);
        let newest = self.tokens.newest(resource);
        let poll = self.params.watch_poll;
        let Some(watch) = self.watches.get_mut(resource) else { return };
        watch.reading = None;
        let state = watch.history.see(leadership, *began);
        watch.doubts = match state {
            Seen::Unknown(Doubt::NoQuorum | Doubt::Disagreement) => watch.doubts + 1,
            _ => 0,
        };
        watch.next = match &state {
            Seen::Led(leader) => *began + (leader.remaining + PAST_EXPIRY).min(poll),
            Seen::Vacant(_) | Seen::Unknown(Doubt::ForeignHolder) => now.boot + poll,
            // Usually it passes within moments; if it does not, there is no hurry.
            Seen::Unknown(_) => now.boot + (pause * 2_u32.pow(watch.doubts.min(8))).min(POLL),
        };
        let disagree = matches!(state, Seen::Unknown(Doubt::Disagreement));
        let mut waits = false;
        if watch.history.awaits_a_notice(&state, now.boot) {
            let until = *watch.overtaken.get_or_insert(now.boot + OVERTAKEN);
            waits = now.boot < until;
            if waits {
                watch.next = until;
            }
        } else {
            watch.overtaken = None;
        }
        let (doubts, stale) = (watch.doubts, watch.stale);
        if !waits && (!disagree || doubts >= FLEETING) {
            let view = View { state, as_of: *began, newest };
            self.outputs.push_back(Output::View(resource.clone(), Arc::new(view)));
        }
        match stale {
            true => self.look(resource, now),
            false => self.arm_watch(resource),
        }
    }

    pub(super) fn watch_timeout(&mut self, resource: &Resource, now: Now) {
        let Some(watch) = self.watches.get_mut(resource) else { return };
        if watch.armed.is_some_and(|armed| armed <= now.boot) {
            watch.armed = None;
        }
        if watch.reading.is_some() {
            return;
        }
        match watch.next <= now.boot {
            true => self.look(resource, now),
            false => self.arm_watch(resource),
        }
    }

    fn arm_watch(&mut self, resource: &Resource) {
        let Some(watch) = self.watches.get_mut(resource) else { return };
        let next = watch.next;
        if watch.armed.is_none_or(|armed| next < armed) {
            watch.armed = Some(next);
            self.set_timer(next, Timer::Watch(resource.clone()));
        }
    }
}
