//! What a memory master holds, and what may happen to it without being asked: restarts, flushes,
//! locks of other libraries.
//!
//! Owns the keys and their expiry, in the units of Redis: whole milliseconds, a key lives through
//! the millisecond it expires in. Reads no clock, and decides nothing about votes.

use holdfast_engine::{Ballot, Incident, Lock, Mutants, Occupant, Resource, RunId, Standing};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One master. A clone is a snapshot of it.
#[derive(Clone, Debug)]
pub struct MemoryMaster {
    pub(super) cfg: Arc<str>,
    pub(super) skew: Duration,
    pub(super) mutants: Mutants,
    process: RunId,
    pub(super) state: Option<State>,
    keys: BTreeMap<Resource, Key>,
    listeners: BTreeMap<Resource, u32>,
}

/// The key `st`: who may vote, and what it must not forget without forgetting that.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) run: RunId,
    pub(super) cfg: Arc<str>,
    /// p_base.
    pub(super) base: Ballot,
    /// Its presence is the quarantine.
    pub(super) incident: Option<Incident>,
    floors: BTreeMap<u16, Ballot>,
}

#[derive(Clone, Debug)]
struct Key {
    /// `None`: another library's.
    lock: Option<Lock>,
    /// In wall milliseconds; `None`: never.
    expires: Option<u64>,
}

impl MemoryMaster {
    /// An empty process that nobody has observed yet, so it may not vote. `cfg` is the fingerprint
    /// of the configuration that asks through [`execute`](Self::execute).
    pub fn new(process: RunId, cfg: impl Into<Arc<str>>, skew: Duration, mutants: Mutants) -> Self {
        Self {
            cfg: cfg.into(),
            skew,
            mutants,
            process,
            state: None,
            keys: BTreeMap::new(),
            listeners: BTreeMap::new(),
        }
    }

    /// Lets the process `run` vote at once, above `base`. Right only where nothing can have been
    /// forgotten.
    pub fn bootstrap(&mut self, run: RunId, base: Ballot) {
        let cfg = Arc::clone(&self.cfg);
        self.process = run.clone();
        self.state = Some(State { run, cfg, base, incident: None, floors: BTreeMap::new() });
    }

    /// The process that runs: what a connection finds out.
    pub fn process(&self) -> &RunId {
        &self.process
    }

    /// The process ends and another one starts, with everything or with nothing.
    pub fn restart(&mut self, process: RunId, keep: bool) {
        assert!(process != self.process, "no two processes have the same identity");
        self.process = process;
        self.listeners.clear();
        if !keep {
            self.flush();
        }
    }

    /// Everything is deleted while the process lives on.
    pub fn flush(&mut self) {
        self.state = None;
        self.keys.clear();
    }

    /// Another Redlock library takes the key of `resource`, whoever has it.
    pub fn plant_foreign(&mut self, resource: &Resource, ttl: Option<Duration>, wall_micros: u64) {
        let expires = ttl.map(|ttl| wall_micros / 1_000 + ttl.as_millis() as u64);
        self.keys.insert(resource.clone(), Key { lock: None, expires });
    }

    /// The lock expires before its time.
    pub fn expire(&mut self, resource: &Resource) {
        self.keys.remove(resource);
    }

    /// Changes our own lock at `resource` behind the scripts' back, if there is one: how tests
    /// play a master that follows other rules.
    pub fn tamper(&mut self, resource: &Resource, change: impl FnOnce(&mut Lock)) {
        if let Some(lock) = self.keys.get_mut(resource).and_then(|key| key.lock.as_mut()) {
            change(lock);
        }
    }

    /// One more connection listens for notices about `resource`.
    pub fn listen(&mut self, resource: &Resource) {
        *self.listeners.entry(resource.clone()).or_default() += 1;
    }

    /// One connection less.
    pub fn unlisten(&mut self, resource: &Resource) {
        if let Some(listeners) = self.listeners.get_mut(resource) {
            *listeners = listeners.saturating_sub(1);
        }
    }

    /// How many connections do.
    pub fn listeners(&self, resource: &Resource) -> u32 {
        self.listeners.get(resource).copied().unwrap_or(0)
    }

    /// May `run` vote here, for a deployment with this fingerprint?
    pub(super) fn standing(&self, run: &RunId, cfg: &str) -> Standing {
        match &self.state {
            Some(state) if state.run != *run => Standing::Quarantined(None),
            Some(state) if &*state.cfg != cfg => Standing::Misfit(Arc::clone(&state.cfg)),
            Some(State { incident: Some(x), .. }) => Standing::Quarantined(Some(*x)),
            Some(State { incident: None, .. }) => Standing::Voting,
            None => Standing::Quarantined(None),
        }
    }

    /// p_base.
    pub(super) fn base(&self) -> Ballot {
        self.state.as_ref().map(|state| state.base).unwrap_or_default()
    }

    /// What a fresh ballot must exceed.
    pub(super) fn floor(&self, resource: &Resource) -> Ballot {
        let floors = self.state.as_ref().map(|state| &state.floors);
        let floor = floors.and_then(|floors| floors.get(&resource.bucket()));
        self.base().max(floor.copied().unwrap_or_default())
    }

    pub(super) fn raise(&mut self, resource: &Resource, ballot: Ballot) {
        if let Some(state) = &mut self.state {
            let floor = state.floors.entry(resource.bucket()).or_default();
            *floor = ballot.max(*floor);
        }
    }

    /// The floor goes to `ballot`, up or down: what the mutant of row u1 does.
    pub(super) fn regress(&mut self, resource: &Resource, ballot: Ballot) {
        if let Some(state) = &mut self.state {
            state.floors.insert(resource.bucket(), ballot);
        }
    }

    /// What is at `resource`; what has expired is deleted on the way.
    pub(super) fn occupant(&mut self, resource: &Resource, wall_micros: u64) -> Option<Occupant> {
        let millis = wall_micros / 1_000;
        let key = self.keys.get(resource)?;
        if key.is_over(millis) {
            self.keys.remove(resource);
            return None;
        }
        let remaining = key.expires.map(|expires| Duration::from_millis(expires - millis));
        Some(Occupant { lock: key.lock.clone(), remaining })
    }

    /// Writes our own lock; it expires when its ttl is over.
    pub(super) fn set(&mut self, resource: &Resource, lock: Lock, wall_micros: u64) {
        let expires = wall_micros / 1_000 + lock.ttl.as_millis() as u64;
        self.keys.insert(resource.clone(), Key { lock: Some(lock), expires: Some(expires) });
    }

    /// The lock at `resource` can neither be extended nor acquired again; it expires when it did.
    pub(super) fn revoke(&mut self, resource: &Resource) {
        self.tamper(resource, |lock| lock.first = Ballot::REVOKED);
    }

    /// About a page of the resources that begin with `prefix` and have a lock of anybody's, and the
    /// cursor that goes on from there, or zero.
    ///
    /// A cursor is a bucket, so that it stays right whatever is locked or given back in between: as
    /// with Redis, what is there throughout is found.
    pub(super) fn scan(
        &self,
        prefix: &str,
        (cursor, count): (u64, usize),
        wall_micros: u64,
    ) -> (u64, Vec<Resource>) {
        let millis = wall_micros / 1_000;
        let ahead = |resource: &Resource| {
            u64::from(resource.bucket()) >= cursor && resource.name().starts_with(prefix)
        };
        let keys =
            self.keys.iter().filter(|(resource, key)| ahead(resource) && !key.is_over(millis));
        let mut found: Vec<Resource> = keys.map(|(resource, _)| resource.clone()).collect();
        found.sort_by_key(Resource::bucket);
        let Some(last) = found.get(count.max(1) - 1).map(Resource::bucket) else {
            return (0, found);
        };
        // A bucket is never divided.
        let page = found.partition_point(|resource| resource.bucket() <= last);
        let next = if page < found.len() { u64::from(last) + 1 } else { 0 };
        found.truncate(page);
        (next, found)
    }

    pub(super) fn delete(&mut self, resource: &Resource) {
        self.keys.remove(resource);
    }
}

impl Key {
    fn is_over(&self, millis: u64) -> bool {
        self.expires.is_some_and(|expires| millis > expires)
    }
}

impl State {
    /// What the first observer of a process writes; floors and p_base stay.
    pub(super) fn observed(before: Option<Self>, run: RunId, cfg: Arc<str>, x: Incident) -> Self {
        let (base, floors) = before.map(|state| (state.base, state.floors)).unwrap_or_default();
        Self { run, cfg, base, incident: Some(x), floors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;

    #[test]
    fn a_page_ends_with_a_bucket_and_the_next_one_begins_with_the_next_bucket() {
        let skew = Duration::ZERO;
        let mut master = MemoryMaster::new(RunId("run".into()), "cfg", skew, Mutants::default());
        let name = |number: u32| Resource::new(&number.to_string());
        let mut locked: Vec<Resource> = (0..PAGE as u32).map(name).collect();
        locked.sort_by_key(Resource::bucket);
        let last = locked[PAGE - 1].bucket();
        let mut elsewhere = (PAGE as u32..).map(name);
        let mut in_bucket = |bucket| elsewhere.find(|resource| resource.bucket() == bucket);
        let same = in_bucket(last).expect("there are names without end");
        let next = in_bucket(last + 1).expect("there are names without end");
        locked.push(same);
        locked.sort();
        locked.sort_by_key(Resource::bucket);
        for resource in &locked {
            master.plant_foreign(resource, None, 0);
        }
        assert_eq!(master.scan("", (0, PAGE), 0), (0, locked.clone()), "all of them");
        master.plant_foreign(&next, None, 0);
        let cursor = u64::from(last) + 1;
        assert_eq!(master.scan("", (0, PAGE), 0), (cursor, locked));
        assert_eq!(master.scan("", (cursor, PAGE), 0), (0, vec![next]));
    }
}
