//! What replicas tell each other: who gives a resource back, takes it or republishes its value says so
//! on the masters, and who waits for it or watches it hears it.

use super::{Output, Replica};
use crate::ids::{LeaseHash, MasterId, MasterSet, Resource, RunId};
use crate::master::Purpose;
use crate::params::POLL;
use crate::script::{Body, Change, Notice, Request, Window};
use crate::step::Cause;
use crate::tally::Tally;
use crate::time::Now;
use std::time::Duration;

impl Replica {
    /// Another replica (or this one) says what happened to a resource.
    pub fn handle_notice(&mut self, resource: &Resource, notice: Notice, now: Now) {
        if notice.origin == self.origin {
            return;
        }
        match notice.change {
            Change::Awaited => self.others_wait(resource, now),
            Change::Released | Change::Forced => {
                let jitter = self.jitter(Duration::ZERO, Duration::from_millis(3));
                self.wake_after(resource, jitter, now);
                self.watch_hears(resource, &notice, now);
            }
            Change::Elected | Change::Updated => self.watch_hears(resource, &notice, now),
        }
        self.settle(now);
    }

    /// Notices about this resource arrive from this master from now on: what was missed before is asked for.
    pub fn handle_subscribed(&mut self, master: MasterId, resource: &Resource, now: Now) {
        if self.listens(resource) {
            self.ears.entry(resource.clone()).or_default().insert(master);
        }
        self.wake_after(resource, Duration::ZERO, now);
        self.look(resource, now);
        self.settle(now);
    }

    /// Does anybody else listen, as the votes of this round say?
    pub(super) fn others_listen(&self, resource: &Resource, round: &Tally) -> bool {
        round.iter().any(|(master, body)| match body {
            Body::Ok { listeners, .. } => *listeners > u32::from(self.hears(master, resource)),
            _ => false,
        })
    }

    /// Does this replica listen to notices about the resource at this master?
    pub(super) fn hears(&self, master: MasterId, resource: &Resource) -> bool {
        self.ears.get(resource).is_some_and(|ears| ears.contains(master))
    }

    /// Nobody here wants to hear of it any more.
    pub(super) fn stop_listening(&mut self, resource: &Resource) {
        self.ears.remove(resource);
        self.outputs.push_back(Output::Unsubscribe(resource.clone()));
    }

    /// Everybody who waits for or watches the resource is told, here and elsewhere.
    pub(super) fn publish(
        &mut self,
        resource: &Resource,
        change: Change,
        lease: Option<LeaseHash>,
        now: Now,
    ) {
        let notice = self.notice(change, lease);
        let request = Request::Publish { resource: resource.clone(), notice };
        let step = self.next_step(Cause::Upkeep, self.everyone());
        for index in 0..self.masters.len() {
            if let Some(run) = self.masters[index].run() {
                let to = MasterId(index as u8);
                let why = (Purpose::Errand, step);
                self.ask(to, why, request.clone(), (run, Window::ANY), now);
            }
        }
        self.say_here(resource, &notice, now);
    }

    /// Whoever watches it here is told.
    pub(super) fn say_here(&mut self, resource: &Resource, notice: &Notice, now: Now) {
        if notice.change != Change::Awaited {
            self.watch_hears(resource, notice, now);
        }
    }

    /// What those elsewhere are told.
    pub(super) fn notice(&self, change: Change, lease: Option<LeaseHash>) -> Notice {
        Notice { origin: self.origin, change, lease }
    }

    /// A master was told late that a lease is given back: who waits for the resource asks again, and who
    /// watches it looks.
    pub(super) fn say_it_was_freed(
        &mut self,
        master: MasterId,
        run: &RunId,
        resource: &Resource,
        now: Now,
    ) {
        let notice = Notice { origin: self.origin, change: Change::Released, lease: None };
        let request = Request::Publish { resource: resource.clone(), notice };
        let step = self.next_step(Cause::Upkeep, MasterSet::from_iter([master]));
        self.ask(master, (Purpose::Errand, step), request, (run.clone(), Window::ANY), now);
        self.watch_hears(resource, &notice, now);
        self.wake_after(resource, Duration::ZERO, now);
    }

    /// Waiters of other replicas are to have their turn after a release here; said again for as long as
    /// somebody waits.
    pub(super) fn say_we_wait(&mut self, resource: &Resource, now: Now) {
        let Some(queue) = self.queues.get_mut(resource) else { return };
        if queue.waiters() > 0 && queue.say_again <= now.boot {
            queue.say_again = now.boot + POLL;
            self.publish(resource, Change::Awaited, None, now);
        }
    }

    fn others_wait(&mut self, resource: &Resource, now: Now) {
        if let Some(queue) = self.queues.get_mut(resource) {
            queue.crowded_until = now.boot + 3 * POLL;
        }
    }
}
