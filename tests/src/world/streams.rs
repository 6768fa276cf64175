//! Holds and watches in the world: opened, fed and cut off; what they were told, and when.

use super::World;
use holdfast_engine::{
    Ballot, CallId, Claim, Hangup, Hold, HoldEvent, Info, LeaseHash, Liveness, Resource, Seen,
    Tenure, View,
};
use std::sync::Arc;
use std::time::Duration;

/// A Hold as most tests open it: ttl 10 s, heartbeats, no grace, waits for an hour.
pub fn hold(resource: &str, lease: &str) -> Hold {
    let info = Info { holder: lease.into(), ..Info::default() };
    let ttl = Duration::from_secs(10);
    let claim = Claim { resource: Resource::new(resource), lease: LeaseHash::of(lease), ttl, info };
    Hold {
        claim: Arc::new(claim),
        wait: Duration::from_secs(3_600),
        token: Ballot::ZERO,
        grace: Duration::ZERO,
        liveness: Liveness::Heartbeat,
        received: holdfast_engine::Instant::default(),
    }
}

/// The same with another ttl.
pub fn with_ttl(hold: Hold, ttl: Duration) -> Hold {
    Hold { claim: Arc::new(Claim { ttl, ..(*hold.claim).clone() }), ..hold }
}

impl World {
    /// A client opens a Hold.
    pub fn hold(&mut self, replica: usize, hold: Hold) -> CallId {
        self.next += 1;
        let id = CallId(self.next);
        let now = self.clocks_of(replica);
        let hold = Hold { received: now.boot, ..hold };
        self.replicas[replica].handle_hold(id, hold, now);
        self.pump();
        id
    }

    /// It sends a heartbeat.
    pub fn heartbeat(&mut self, replica: usize, id: CallId, sequence: u64) {
        let now = self.clocks_of(replica);
        self.replicas[replica].handle_heartbeat(id, sequence, now.boot, now);
        self.pump();
    }

    /// It gives the lock back.
    pub fn release_hold(&mut self, replica: usize, id: CallId) {
        let now = self.clocks_of(replica);
        self.replicas[replica].handle_hold_release(id, now);
        self.pump();
    }

    /// Its stream ends; it has read what it was told.
    pub fn hang_up(&mut self, replica: usize, id: CallId) {
        self.cut(replica, id, Hangup::Gone);
    }

    /// Its stream ends in this way.
    pub fn cut(&mut self, replica: usize, id: CallId, how: Hangup) {
        let now = self.clocks_of(replica);
        self.replicas[replica].handle_hangup(id, how, now);
        self.pump();
    }

    /// What it was told.
    pub fn told(&self, id: CallId) -> Vec<&HoldEvent> {
        self.events_of(id).map(|(_, event)| event).collect()
    }

    /// What it was told, and when.
    pub fn events_of(&self, id: CallId) -> impl Iterator<Item = &(Duration, HoldEvent)> {
        self.told.get(&id).into_iter().flatten()
    }

    /// Runs until it is told something of this kind, and returns that and when.
    pub fn until(
        &mut self,
        id: CallId,
        kind: impl Fn(&HoldEvent) -> bool,
    ) -> (Duration, HoldEvent) {
        let end = self.now + Duration::from_secs(120);
        loop {
            if let Some((at, event)) = self.events_of(id).find(|(_, event)| kind(event)) {
                return (*at, event.clone());
            }
            assert!(self.now < end, "{id:?} was told {:?}", self.told(id));
            self.step(end);
        }
    }

    /// Runs until it has the lock.
    pub fn granted(&mut self, id: CallId) -> Tenure {
        match self.until(id, |event| matches!(event, HoldEvent::Granted(_)) || event.is_last()).1 {
            HoldEvent::Granted(tenure) => tenure,
            other => panic!("not granted: {other:?}"),
        }
    }

    /// Runs until its last event.
    pub fn ended(&mut self, id: CallId) -> (Duration, HoldEvent) {
        self.until(id, HoldEvent::is_last)
    }

    /// Somebody watches.
    pub fn watch(&mut self, replica: usize, resource: &str) {
        let now = self.clocks_of(replica);
        self.replicas[replica].handle_watch(&Resource::new(resource), now);
        self.pump();
    }

    /// What watchers of this replica were shown, without what they would see no difference in.
    pub fn views(&self, replica: usize, resource: &str) -> Vec<&Arc<View>> {
        let key = (replica, Resource::new(resource));
        self.shown.get(&key).into_iter().flatten().map(|(_, view)| view).collect()
    }

    /// Runs until the latest view is of this kind, and returns when that was shown.
    pub fn until_view(
        &mut self,
        replica: usize,
        resource: &str,
        kind: impl Fn(&Seen) -> bool,
    ) -> Duration {
        let key = (replica, Resource::new(resource));
        let end = self.now + Duration::from_secs(120);
        loop {
            let latest = self.shown.get(&key).and_then(|views| views.last());
            if let Some((at, _)) = latest.filter(|(_, view)| kind(&view.state)) {
                return *at;
            }
            assert!(self.now < end, "{:?}", self.views(replica, resource));
            self.step(end);
        }
    }
}
