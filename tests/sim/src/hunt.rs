//! Many seeds, one after the other.

use crate::run::{Outcome, run};
use holdfast_engine::Mutants;
use std::ops::Range;

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Hunt {
    /// How many were run.
    pub seeds: u64,
    /// Grants that clients learned of.
    pub grants: usize,
    /// Requests that masters executed.
    pub executed: u64,
    /// The first seed that violates an invariant.
    pub found: Option<(u64, Outcome)>,
}

/// Runs these seeds until one violates an invariant; `progress` hears of each.
pub fn hunt(seeds: Range<u64>, mutants: Mutants, mut progress: impl FnMut(&Hunt)) -> Hunt {
    let mut hunt = Hunt::default();
    for seed in seeds {
        let outcome = run(seed, mutants, false);
        hunt.seeds += 1;
        hunt.grants += outcome.grants;
        hunt.executed += outcome.executed;
        if outcome.violation.is_some() {
            hunt.found = Some((seed, outcome));
            return hunt;
        }
        progress(&hunt);
    }
    hunt
}
