//! Keeping the masters voting: probes, quarantines and their adoption, clocks, and what they are
//! still owed.

use super::Replica;
use super::call::{Live, MasterView, Status};
use crate::ids::{Incident, MasterId, MasterSet};
use crate::master::{Master, Purpose};
use crate::params::{PROBE, RestartPolicy};
use crate::script::{Request, Window};
use crate::step::Cause;
use crate::time::Now;
use rand::Rng;

impl Replica {
    /// The replica's view of its masters and itself.
    pub fn status(&self, now: Now) -> Status {
        let view = |master: &Master| MasterView {
            state: master.state(&self.params, now),
            session: master.session().cloned(),
            clock_offset_micros: master.clock_offset_micros(now),
            round_trip: master.round_trip(),
            remark: master.remark.clone(),
        };
        Status {
            masters: self.masters.iter().map(view).collect(),
            has_quorum: self.voting(now) >= self.params.quorum() && self.clock_fits(now),
            clock_fits: !self.clock_is_off(now) && !self.is_resting(now),
            resting: self.is_resting(now).then(|| self.resting_until.since(now.boot)),
            waiters: self.queues.values().map(|queue| queue.waiters()).sum(),
            longest_queue: self.queues.values().map(|queue| queue.waiters()).max().unwrap_or(0),
            leases: self.leases.count(now.boot),
            live: Live {
                operations: self.operations.len(),
                timers: self.timers.len(),
                queues: self.queues.len(),
                holds: self.sessions.len(),
                watches: self.watches.len(),
            },
        }
    }

    /// A replica proposes nothing unless its clock is known to be within half the skew of a quorum's.
    pub fn clock_fits(&self, now: Now) -> bool {
        let within = self.clocks(now, |offset, bound| offset <= bound);
        within >= self.params.quorum() && !self.is_resting(now)
    }

    pub(super) fn is_resting(&self, now: Now) -> bool {
        now.boot < self.resting_until
    }

    /// Is its clock known to be further from a quorum's?
    pub(super) fn clock_is_off(&self, now: Now) -> bool {
        self.clocks(now, |offset, bound| offset > bound) >= self.params.quorum()
    }

    fn clocks(&self, now: Now, compare: impl Fn(u64, u64) -> bool) -> usize {
        let bound = self.params.clock_skew.as_micros() as u64 / 2;
        let offsets = self.masters.iter().filter_map(|master| master.clock_offset_micros(now));
        offsets.filter(|offset| compare(offset.unsigned_abs(), bound)).count()
    }

    fn voting(&self, now: Now) -> usize {
        self.masters.iter().filter(|master| master.votes(&self.params, now)).count()
    }

    /// Sends what is due to this master: an adoption, a probe, what it is owed.
    pub(super) fn tend(&mut self, id: MasterId, now: Now) {
        let master = &mut self.masters[id.index()];
        let Some(run) = master.run() else { return };
        let due = master.probe_due <= now.boot;
        let debts = master.settle_debts(now.boot);
        let adoption = master.adoption_due(&self.params, now.boot).filter(|_| due);
        if due {
            master.probe_due = now.boot + PROBE;
        }
        master.plan_adoption(&self.params, now.boot);
        let mut requests = Vec::new();
        if let Some(incident) = adoption.filter(|_| self.clock_fits(now)) {
            let base = self.draw(now);
            requests.push(Request::Adopt { incident, base });
        } else if due {
            let incident = Incident(self.rng.random_range(1..=u64::MAX));
            requests.push(Request::Observe { incident });
        }
        requests.extend(debts);
        for request in requests {
            let freed = match &request {
                Request::Cleanup { resource, .. } | Request::Release { resource, .. } => {
                    Some(resource.clone())
                }
                _ => None,
            };
            let purpose = match request {
                Request::Observe { .. } | Request::Adopt { .. } => Purpose::Probe,
                _ => Purpose::Errand,
            };
            let step = self.next_step(Cause::Upkeep, MasterSet::from_iter([id]));
            self.ask(id, (purpose, step), request, (run.clone(), Window::ANY), now);
            if let Some(resource) = freed {
                self.say_it_was_freed(id, &run, &resource, now);
            }
        }
    }

    /// A master's clock is not where it was. If a quorum's is not, it is more likely this replica's own
    /// that stood still (a machine paused and resumed): it starts afresh, and counts votes only when
    /// every lease of before is over (docs/adr/0006).
    pub(super) fn stepped(&mut self, id: MasterId, now: Now) {
        let alike = |master: &&Master| master.id == id || master.clock.in_doubt();
        let alike = self.masters.iter().filter(alike).count();
        if self.params.quorum() == 1 || alike < self.params.quorum() {
            self.suspect(id, now);
            return;
        }
        self.masters.iter_mut().for_each(|master| master.clock.forget());
        self.resting_until = now.boot + self.params.max_ttl;
        self.end_sessions();
    }

    /// The clock of a voting master stepped: all replicas stop counting it for a quarantine. The
    /// new time is believed when the answer shows that the incident is on record. Every suspect
    /// carries an incident of its own: one sent twice could be adopted by an old stopwatch.
    pub(super) fn suspect(&mut self, id: MasterId, now: Now) {
        let Some(run) = self.masters[id.index()].run() else { return };
        if self.params.restart_policy == RestartPolicy::Trust {
            self.masters[id.index()].clock.forget();
            return;
        }
        let incident = Incident(self.rng.random_range(1..=u64::MAX));
        let step = self.next_step(Cause::Upkeep, MasterSet::from_iter([id]));
        let request = Request::Suspect { incident };
        self.ask(id, (Purpose::Probe, step), request, (run, Window::ANY), now);
    }
}
