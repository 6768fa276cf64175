//! The leases of a session: what its end gives back, and when.

use crate::driver::Calls;
use holdfast_engine::{GiveBack, Grant, Instant, LeaseHash, Nonce, Resource};
use std::collections::HashMap;
use std::time::Duration;

/// With so many, those that are over are forgotten.
const FEW: usize = 1_024;

/// The leases that were acquired over one stream.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: HashMap<(Resource, LeaseHash), Lease>,
    prune_at: usize,
}

#[derive(Debug)]
struct Lease {
    give_back: GiveBack,
    grace: Duration,
    valid_until: Instant,
}

impl Leases {
    pub(super) fn granted(
        &mut self,
        key: (Resource, LeaseHash),
        (give_back, grant): (GiveBack, &Grant),
        grace: Duration,
        now: Instant,
    ) {
        if self.held.len() >= self.prune_at.max(FEW) {
            self.held.retain(|_, lease| lease.valid_until > now);
            self.prune_at = 2 * self.held.len();
        }
        self.held.insert(key, Lease { give_back, grace, valid_until: grant.valid_until });
    }

    /// What an extend of this lease carries.
    pub(super) fn nonce(&self, key: &(Resource, LeaseHash)) -> Nonce {
        self.held.get(key).map_or(Nonce::SHARED, |lease| lease.give_back.nonce())
    }

    pub(super) fn renewed(&mut self, key: &(Resource, LeaseHash), grant: &Grant) {
        if let Some(lease) = self.held.get_mut(key) {
            lease.valid_until = lease.valid_until.max(grant.valid_until);
        }
    }

    /// Released, or lost.
    pub(super) fn forget(&mut self, key: &(Resource, LeaseHash)) {
        self.held.remove(key);
    }

    /// They are another session's, or left to their ttl.
    pub(super) fn leave_all(&mut self) {
        self.held.clear();
    }

    /// Their client has gone.
    pub(super) fn give_back(&mut self, calls: &Calls, now: Instant) {
        let held = self.held.drain().map(|(_, lease)| lease);
        // What has run out by then needs no giving back.
        let (later, at_once): (Vec<Lease>, Vec<Lease>) = held
            .filter(|lease| now + lease.grace < lease.valid_until)
            .partition(|lease| !lease.grace.is_zero());
        calls.abandon(at_once.into_iter().map(|lease| lease.give_back).collect());
        let mut graces: HashMap<Duration, Vec<GiveBack>> = HashMap::new();
        for lease in later {
            graces.entry(lease.grace).or_default().push(lease.give_back);
        }
        for (grace, leases) in graces {
            calls.abandon_after(grace, leases);
        }
    }
}
