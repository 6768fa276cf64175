//! The leases this replica granted or renewed last: how many it serves, for operators.

use crate::ids::{LeaseHash, Resource};
use crate::time::Instant;
use std::collections::BTreeMap;

/// Until when each of them may be relied on.
#[derive(Debug, Default)]
pub(super) struct Leases {
    valid_until: BTreeMap<(Resource, LeaseHash), Instant>,
    /// With so many entries, those that are over are forgotten.
    prune_at: usize,
}

impl Leases {
    /// Fewer than this are not worth a look at all of them.
    const FEW: usize = 1_024;

    pub(super) fn note(
        &mut self,
        resource: &Resource,
        lease: LeaseHash,
        until: Instant,
        now: Instant,
    ) {
        if self.valid_until.len() >= self.prune_at.max(Self::FEW) {
            self.valid_until.retain(|_, until| *until > now);
            self.prune_at = 2 * self.valid_until.len();
        }
        self.valid_until.insert((resource.clone(), lease), until);
    }

    pub(super) fn forget(&mut self, resource: &Resource, lease: LeaseHash) {
        self.valid_until.remove(&(resource.clone(), lease));
    }

    pub(super) fn count(&self, now: Instant) -> usize {
        self.valid_until.values().filter(|until| **until > now).count()
    }
}
