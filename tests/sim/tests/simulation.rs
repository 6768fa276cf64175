//! The simulation itself: some seeds without a violation, the same run twice, and rules whose absence some
//! seed must show. `make sim` runs as many seeds as wanted.

use holdfast_engine::{Mutant, Mutants};
use holdfast_sim::{find, hunt, run};

#[test]
fn no_seed_violates_an_invariant() {
    let hunt = hunt(0..300, Mutants::default(), |_| {});
    let found = hunt.found.map(|(seed, outcome)| (seed, outcome.scenario, outcome.violation));
    assert!(found.is_none(), "{found:#?}");
    assert!(hunt.grants > 5_000, "clients got locks: {}", hunt.grants);
}

#[test]
fn one_seed_is_one_run() {
    for seed in [1, 215, 815] {
        let [one, other] = [(); 2].map(|()| run(seed, Mutants::default(), true));
        assert!(one.log.len() > 100_000, "{}", one.log.len());
        assert!(one.log == other.log, "seed {seed} was two runs");
    }
}

/// What the invariants see of masters and replicas, they do see; `invariants/tests.rs` has what they see of
/// clients.
#[test]
fn rules_that_are_taken_away_are_missed() {
    for (mutant, invariant) in [
        (Mutant::MinorityDecides, "TimedMutualExclusion"),
        (Mutant::SilenceIsAVote, "TimedMutualExclusion"),
        (Mutant::VoteLate, "TimedMutualExclusion"),
        (Mutant::ExtendByLease, "SupersededLeaseStaysLost"),
        (Mutant::ExtendRevoked, "SupersededLeaseStaysLost"),
        (Mutant::ExtendWithoutBallot, "MinorityFaultsAreInvisible"),
        (Mutant::RegressingReaccept, "FloorsNeverGoDown"),
        (Mutant::CleanupWithoutBarrier, "NoZombie"),
        (Mutant::VoteInQuarantine, "AdoptionNeverEarly"),
        (Mutant::ObserverOverwrites, "EverythingHealsAndNothingIsLeft"),
        (Mutant::LastComeFirst, "WaitersAreServedInOrder"),
    ] {
        let found = find(mutant, 1_000);
        assert_eq!(found.invariant, Some(invariant), "{mutant:?} after {} seeds", found.seeds);
    }
}
