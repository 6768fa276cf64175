//! The protocol's rules, each taken away: how many seeds it takes until an invariant is violated.

use crate::hunt::hunt;
use holdfast_engine::{Mutant, Mutants};

/// What became of one mutant.
#[derive(Debug)]
pub struct Found {
    /// The rule that was taken away.
    pub mutant: Mutant,
    /// Seeds that were run.
    pub seeds: u64,
    /// The invariant that the last of them violated.
    pub invariant: Option<&'static str>,
}

/// Rules whose absence shows too rarely at random. Rows of the model show it.
pub fn is_left_to_the_model(mutant: Mutant) -> bool {
    matches!(
        mutant,
        Mutant::MixedRounds
            | Mutant::ExtendRaisesNothing
            | Mutant::RepairIgnoresFloor
            | Mutant::RepairNeverOverwrites
            | Mutant::RepairInQuarantine
            | Mutant::NoBallotBase
            | Mutant::TermOutsideInterval
            | Mutant::UnreadTakesBack
            | Mutant::RevokeRaisesNothing
    )
}

/// Runs at most `seeds` seeds without this rule.
pub fn find(mutant: Mutant, seeds: u64) -> Found {
    let hunt = hunt(0..seeds, Mutants::only(mutant), |_| {});
    let violation = hunt.found.and_then(|(_, outcome)| outcome.violation);
    Found { mutant, seeds: hunt.seeds, invariant: violation.map(|violation| violation.invariant) }
}
