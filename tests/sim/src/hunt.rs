//! Many seeds, one after the other.

use crate::history::Violation;
use crate::run::{Outcome, run};
use holdfast_engine::Mutants;
use std::ops::Range;
use std::panic::catch_unwind;

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

/// Runs a seed; whatever panics in it is a violation too.
pub fn run_safely(seed: u64, mutants: Mutants, keep_log: bool) -> Outcome {
    catch_unwind(|| run(seed, mutants, keep_log)).unwrap_or_else(|panic| {
        let how = match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (None, Some(text)) => (*text).to_owned(),
            (None, None) => "for no reason".to_owned(),
        };
        let violation = Violation { invariant: "NothingPanics", at: 0, how };
        Outcome { violation: Some(violation), ..Outcome::default() }
    })
}

/// Runs these seeds until one violates an invariant; `progress` hears of each.
pub fn hunt(seeds: Range<u64>, mutants: Mutants, mut progress: impl FnMut(&Hunt)) -> Hunt {
    let mut hunt = Hunt::default();
    for seed in seeds {
        let outcome = run_safely(seed, mutants, false);
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
