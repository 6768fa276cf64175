//! What replicas tell each other: who gives a resource back, takes it or republishes its value says so
//! on the masters, and who waits for it or watches it hears it.

use super::Replica;
use crate::ballot::Ballot;
use crate::ids::{MasterId, Resource};
use crate::master::Purpose;
use crate::script::{Change, Notice, Request, Window};
use crate::time::Now;
use std::time::Duration;

impl Replica {
    /// Another replica (or this one) says what happened to a resource.
    pub fn handle_notice(&mut self, resource: &Resource, notice: Notice, now: Now) {
        if notice.origin == self.origin {
            return;
        }
        self.watch_hears(resource, &notice, now);
        if matches!(notice.change, Change::Released | Change::Forced) {
            let jitter = self.jitter(Duration::ZERO, Duration::from_millis(3));
            self.wake_after(resource, jitter, now);
        }
        self.settle(now);
    }

    /// Notices about this resource arrive from now on: what was missed before is asked for.
    pub fn handle_subscribed(&mut self, resource: &Resource, now: Now) {
        self.wake_after(resource, Duration::ZERO, now);
        self.look(resource, now);
        self.settle(now);
    }

    /// Everybody who waits for or watches the resource is told, here and elsewhere.
    pub(super) fn publish(&mut self, resource: &Resource, change: Change, token: Ballot, now: Now) {
        let notice = Notice { origin: self.origin, change, token };
        let request = Request::Publish { resource: resource.clone(), notice };
        let counts = change == Change::Released && self.queues.contains_key(resource);
        for index in 0..self.masters.len() {
            if let Some(run) = self.masters[index].run() {
                let purpose = match counts {
                    true => Purpose::Notice(resource.clone()),
                    false => Purpose::Errand,
                };
                let to = MasterId(index as u8);
                self.ask(to, purpose, request.clone(), (run, Window::ANY), now);
            }
        }
        self.watch_hears(resource, &notice, now);
    }

    /// A notice was heard by so many: waiters or watchers of other replicas are among them or not.
    pub(super) fn count_listeners(&mut self, resource: &Resource, listeners: u32) {
        let own = u32::from(self.listens(resource));
        if let Some(queue) = self.queues.get_mut(resource) {
            queue.crowded = listeners > own;
        }
    }
}
