//! The leases this replica granted or renewed last: how many it serves, for operators.

use crate::ids::{LeaseHash, Resource};
use crate::time::Instant;
use std::collections::BTreeMap;

/// Until when each of them may be relied on.
#[derive(Debug, Default)]
pub(super) struct Leases {
    valid_until: BTreeMap<(Resource, LeaseHash), Instant>,
    /// How many run out in each tenth of a second. A look at each of a million would keep everybody
    /// waiting.
    running_out: BTreeMap<u128, usize>,
    /// With so many entries, those that are over are forgotten.
    prune_at: usize,
}

impl Leases {
    /// Fewer than this are not worth a look at all of them.
    const FEW: usize = 1_024;

    /// It may be relied on until then; returns until when it could before, if that is known.
    pub(super) fn note(
        &mut self,
        resource: &Resource,
        lease: LeaseHash,
        until: Instant,
        now: Instant,
    ) -> Option<Instant> {
        if self.valid_until.len() >= self.prune_at.max(Self::FEW) {
            self.valid_until.retain(|_, until| tenth(*until) >= tenth(now));
            self.running_out = self.running_out.split_off(&tenth(now));
            self.prune_at = 2 * self.valid_until.len();
        }
        let before = self.valid_until.insert((resource.clone(), lease), until);
        self.left(before);
        *self.running_out.entry(tenth(until)).or_default() += 1;
        before
    }

    pub(super) fn forget(&mut self, resource: &Resource, lease: LeaseHash) {
        let before = self.valid_until.remove(&(resource.clone(), lease));
        self.left(before);
    }

    /// Those that are valid, to a tenth of a second.
    pub(super) fn count(&self, now: Instant) -> usize {
        self.running_out.range(tenth(now)..).map(|(_, leases)| leases).sum()
    }

    /// One that would have run out then does not.
    fn left(&mut self, until: Option<Instant>) {
        let Some(until) = until else { return };
        if let Some(leases) = self.running_out.get_mut(&tenth(until)) {
            *leases -= 1;
            if *leases == 0 {
                self.running_out.remove(&tenth(until));
            }
        }
    }
}

fn tenth(at: Instant) -> u128 {
    at.since(Instant::default()).as_millis() / 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::default() + Duration::from_millis(millis)
    }

    #[test]
    fn those_that_are_valid_are_counted_and_no_others() {
        let mut leases = Leases::default();
        let lease = LeaseHash::of("a");
        let name = |number: u64| Resource::new(&number.to_string());
        for number in 0..3_000 {
            leases.note(&name(number), lease, at(1_000 + number), at(0));
        }
        assert_eq!(leases.count(at(0)), 3_000);
        assert_eq!(leases.count(at(2_000)), 2_000);
        // Renewed, given back, and given back when it was over and forgotten.
        assert_eq!(leases.note(&name(0), lease, at(9_000), at(2_500)), Some(at(1_000)));
        leases.forget(&name(2_999), lease);
        leases.forget(&name(1), lease);
        assert_eq!(leases.count(at(2_500)), 1_500);
        assert_eq!(leases.count(at(8_000)), 1);
        assert_eq!(leases.count(at(9_100)), 0);
        for number in 0..3_000 {
            leases.note(&name(number), lease, at(20_000), at(10_000));
        }
        assert_eq!((leases.count(at(10_000)), leases.running_out.len()), (3_000, 1));
    }
}
