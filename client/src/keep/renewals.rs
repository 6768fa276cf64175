//! When the leases of a client that are renewed by calls are due, and who renews them: one timer for all of
//! them, and a task for each renewal. A lock that is given back before its first one costs neither.
//!
//! Deliberately absent: what a renewal is (`calls`).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::client::Client;
use crate::clock::Moment;
use crate::guard::Tenure;
use crate::keep::calls::renew;
use crate::lease::margin;

/// All of one client.
#[derive(Debug)]
pub(crate) struct Renewals {
    pub(super) runtime: Handle,
    plan: Mutex<Plan>,
    /// Something is due before the timer goes off.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Plan {
    last: u64,
    kept: HashMap<u64, Kept>,
    due: BTreeSet<(Moment, u64)>,
    /// When the timer goes off; `None` if there is no timer.
    timer: Option<Moment>,
}

#[derive(Debug)]
struct Kept {
    client: Client,
    tenure: Arc<Tenure>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Due(Moment),
    /// A renewal is under way, or was the last one.
    Renewing(AbortHandle),
}

impl Renewals {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime, plan: Mutex::default(), sooner: Notify::new() }
    }

    /// Renews it every third of its ttl, until the loss or [`stop`](Self::stop).
    pub(super) fn start(self: &Arc<Self>, client: Client, tenure: Arc<Tenure>) -> u64 {
        let at = tenure.renews_at();
        let mut plan = self.plan();
        plan.last += 1;
        let id = plan.last;
        plan.kept.insert(id, Kept { client, tenure, next: Next::Due(at) });
        self.set_timer(&mut plan, at, id);
        id
    }

    /// A renewal that is under way is taken back.
    pub(super) fn stop(&self, id: u64) {
        let mut plan = self.plan();
        let kept = plan.kept.remove(&id);
        match &kept {
            Some(Kept { next: Next::Due(at), .. }) => drop(plan.due.remove(&(*at, id))),
            Some(Kept { next: Next::Renewing(task), .. }) => task.abort(),
            None => {}
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_timer(self: &Arc<Self>, plan: &mut Plan, at: Moment, id: u64) {
        plan.due.insert((at, id));
        match plan.timer {
            Some(timer) if timer <= at => {}
            Some(_) => {
                plan.timer = Some(at);
                self.sooner.notify_one();
            }
            None => {
                plan.timer = Some(at);
                self.runtime.spawn(Arc::clone(self).run_timer());
            }
        }
    }

    async fn run_timer(self: Arc<Self>) {
        while let Some((at, look)) = self.next_due() {
            tokio::select! {
                () = at.reached(look) => self.renew_what_is_due(),
                () = self.sooner.notified() => {}
            }
        }
    }

    /// When the timer goes off next, and how often it looks at the clock. If nothing is due, it ends.
    fn next_due(&self) -> Option<(Moment, Duration)> {
        let mut plan = self.plan();
        let first = plan.due.first().copied();
        plan.timer = first.map(|(at, _)| at);
        let (at, id) = first?;
        let ttl = plan.kept.get(&id).map_or(Duration::ZERO, |kept| kept.tenure.ttl);
        Some((at, margin(ttl)))
    }

    fn renew_what_is_due(self: &Arc<Self>) {
        let plan = &mut *self.plan();
        while let Some((at, id)) = plan.due.pop_first() {
            if !at.has_passed() {
                plan.due.insert((at, id));
                return;
            }
            let Some(kept) = plan.kept.get_mut(&id) else { continue };
            let (client, tenure) = (kept.client.clone(), Arc::clone(&kept.tenure));
            let renewing = self.runtime.spawn(Arc::clone(self).renew_one(client, tenure, id));
            kept.next = Next::Renewing(renewing.abort_handle());
        }
    }

    async fn renew_one(self: Arc<Self>, client: Client, tenure: Arc<Tenure>, id: u64) {
        tokio::select! {
            biased;
            // By its deadline, too, whatever the call is doing.
            _ = tenure.lost() => {}
            () = renew(&client, &tenure) => self.renewed(&tenure, id),
        }
    }

    fn renewed(self: &Arc<Self>, tenure: &Tenure, id: u64) {
        let mut plan = self.plan();
        // Not if it was lost, or stopped meanwhile.
        if let Some(kept) = plan.kept.get_mut(&id).filter(|_| !tenure.is_lost()) {
            let at = tenure.renews_at();
            kept.next = Next::Due(at);
            self.set_timer(&mut plan, at, id);
        }
    }
}
