//! A script on a memory master: who is asked, what is refused before the key is looked at, and how
//! a reply is put together. The scripts themselves are the files beside this one.
//!
//! Every voting script first asks whether the process may vote for this deployment, then whether
//! time and ballot are plausible, then what is at the key. Reads no clock.

use super::MemoryMaster;
use holdfast_engine::{
    Ask, Ballot, Body, Mutant, Occupant, Reply, Request, Resource, RunId, Standing, Window,
};
use std::sync::Arc;
use std::time::Duration;

impl MemoryMaster {
    /// Executes one script at a moment of this master's clock, for the configuration the master
    /// was made with.
    pub fn execute(&mut self, ask: &Ask, wall_micros: u64) -> Reply {
        let cfg = Arc::clone(&self.cfg);
        self.execute_as(&cfg, ask, wall_micros)
    }

    /// The same, asked by a deployment with the fingerprint `cfg`.
    pub fn execute_as(&mut self, cfg: &Arc<str>, ask: &Ask, wall_micros: u64) -> Reply {
        let (run, window) = (&ask.run, ask.window);
        Script { master: self, cfg, run, window, time: wall_micros }.execute(&ask.request)
    }
}

/// One script under execution.
pub(super) struct Script<'a> {
    pub(super) master: &'a mut MemoryMaster,
    pub(super) cfg: &'a Arc<str>,
    pub(super) run: &'a RunId,
    window: Window,
    /// TIME, in wall microseconds.
    pub(super) time: u64,
}

impl Script<'_> {
    fn execute(mut self, request: &Request) -> Reply {
        match request {
            Request::Acquire { claim, nonce, ballot } => {
                let body = self.acquire(claim, *nonce, *ballot);
                self.timed(&claim.resource, body)
            }
            Request::Extend { renewal, ballot } => {
                let body = self.extend(renewal, *ballot);
                self.timed(&renewal.resource, body)
            }
            Request::Repair { renewal, ballot, info, info_ballot } => {
                let body = self.repair(renewal, *ballot, info, *info_ballot);
                self.timed(&renewal.resource, body)
            }
            Request::Cleanup { resource, lease, nonce, ballot } => {
                let body = self.cleanup(resource, *lease, *nonce, *ballot);
                self.untimed(resource, body)
            }
            Request::Release { resource, lease, token, ballot, .. } => {
                let body = self.release(resource, *lease, *token, *ballot);
                self.untimed(resource, body)
            }
            Request::Read { resource } => {
                let occupant = self.occupant(resource);
                let body = Body::Read { standing: self.standing(), occupant };
                self.timed(resource, body)
            }
            Request::Revoke { resource, lease, token, ballot } => {
                let body = self.revoke(resource, *lease, *token, *ballot);
                self.untimed(resource, body)
            }
            Request::Scan { prefix, cursor, count } => {
                let (cursor, resources) = self.master.scan(prefix, (*cursor, *count), self.time);
                bare(Body::Scanned { cursor, resources })
            }
            Request::Publish { resource, .. } => {
                bare(Body::Published(self.master.listeners(resource)))
            }
            Request::Observe { incident } => {
                let body = self.observe(*incident);
                self.about_itself(body)
            }
            Request::Adopt { incident, base } => {
                let body = self.adopt(*incident, *base);
                self.about_itself(body)
            }
            Request::Suspect { incident } => {
                let body = self.suspect(*incident);
                self.about_itself(body)
            }
        }
    }

    /// Why a voting script, or a repair, does not look at the key at all.
    pub(super) fn refusal(&self, ballot: Ballot) -> Option<Body> {
        match self.standing() {
            Standing::Voting => {}
            Standing::Quarantined(Some(_)) if self.has(Mutant::VoteInQuarantine) => {}
            Standing::Quarantined(incident) => return Some(Body::NotVoting(incident)),
            Standing::Misfit(_) => return Some(Body::Misfit),
        }
        let late = self.time < self.window.lo || self.time > self.window.hi;
        if late && !self.has(Mutant::VoteLate) {
            return Some(Body::Late);
        }
        self.is_ahead(ballot).then_some(Body::Ahead)
    }

    pub(super) fn is_ahead(&self, ballot: Ballot) -> bool {
        ballot.0 > self.time + self.master.skew.as_micros() as u64
    }

    pub(super) fn standing(&self) -> Standing {
        self.master.standing(self.run, self.cfg)
    }

    pub(super) fn occupant(&mut self, resource: &Resource) -> Option<Occupant> {
        self.master.occupant(resource, self.time)
    }

    /// Expiry never comes closer. A ttl at least as long as the one before needs no look at what
    /// is left of that.
    pub(super) fn longest(
        &self,
        before: Duration,
        remaining: Option<Duration>,
        ttl: Duration,
    ) -> Duration {
        let ttl = whole_millis(ttl);
        if ttl >= before || self.has(Mutant::TtlShrinks) {
            return ttl;
        }
        ttl.max(remaining.unwrap_or_default())
    }

    pub(super) fn has(&self, mutant: Mutant) -> bool {
        self.master.mutants.has(mutant)
    }

    fn timed(&mut self, resource: &Resource, body: Body) -> Reply {
        let time_micros = Some(self.time);
        Reply { time_micros, ..self.untimed(resource, body) }
    }

    fn untimed(&mut self, resource: &Resource, body: Body) -> Reply {
        let seen = match body {
            Body::Dropped => Ballot::ZERO,
            Body::NotVoting(_) | Body::Misfit | Body::Late | Body::Ahead => {
                self.master.floor(resource)
            }
            _ => {
                let lock = self.occupant(resource).and_then(|occupant| occupant.lock);
                let ballot = lock.map(|lock| lock.ballot).unwrap_or_default();
                self.master.floor(resource).max(ballot)
            }
        };
        Reply { time_micros: None, seen, body }
    }

    fn about_itself(&self, body: Body) -> Reply {
        Reply { time_micros: Some(self.time), seen: self.master.base(), body }
    }
}

/// What is no script on Redis: no TIME, no ballot.
fn bare(body: Body) -> Reply {
    Reply { time_micros: None, seen: Ballot::ZERO, body }
}

/// What reaches a master of a span.
pub(super) fn whole_millis(span: Duration) -> Duration {
    Duration::from_millis(span.as_millis() as u64)
}
