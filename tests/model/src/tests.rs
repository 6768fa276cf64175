//! Holds the cheap rows to their expectations, and the table to its own rules.

use crate::property::Property;
use crate::report::found;
use crate::rows::{self, Cost, Expect, Row};
use holdfast_engine::Mutant;

#[test]
fn quick_rows_meet_their_expectations() {
    let mut unmet = Vec::new();
    for row in rows::all().into_iter().filter(|row| row.cost == Cost::Quick) {
        let outcome = row.run(&|_, _| ());
        if !row.is_met(&outcome) {
            unmet.push(format!("{}: {}\n{}", row.name, found(&row, &outcome), outcome.trace));
        }
    }
    assert!(unmet.is_empty(), "{}", unmet.join("\n"));
}

#[test]
fn row_names_are_unique() {
    let mut names: Vec<_> = rows::all().iter().map(|row| row.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// A claim that no broken variant loses may be one that is never judged.
#[test]
fn every_property_has_a_negative_control() {
    let rows = rows::all();
    let controlled = |property| rows.iter().any(|row| row.expect == Expect::Breaks(property));
    let without: Vec<_> = Property::ALL.into_iter().filter(|p| !controlled(*p)).collect();
    assert_eq!(without, []);
}

#[test]
fn every_rule_of_a_model_that_the_engine_can_lose_has_a_row() {
    let rows = rows::all();
    let of = |mutant| move |row: &&Row| row.mutant == Some(mutant);
    for mutant in [
        Mutant::MixedRounds,
        Mutant::RegressingReaccept,
        Mutant::ExtendByLease,
        Mutant::ExtendRaisesNothing,
        Mutant::ExtendWithoutBallot,
        Mutant::RepairIgnoresFloor,
        Mutant::RepairNeverOverwrites,
        Mutant::RepairInQuarantine,
        Mutant::NoRepair,
        Mutant::CleanupByLease,
        Mutant::NonceNotShared,
        Mutant::ReleaseByFirst,
        Mutant::TtlShrinks,
        Mutant::NoBallotBase,
        Mutant::AdoptAnyIncident,
        Mutant::ObserverOverwrites,
        Mutant::NoQuarantine,
        Mutant::VoteLate,
        Mutant::TermOutsideInterval,
        Mutant::UnreadTakesBack,
        Mutant::RevokeRaisesNothing,
    ] {
        let row = rows.iter().find(of(mutant));
        let broken = row.is_some_and(|row| row.expect != Expect::Holds);
        assert!(broken, "{mutant:?} has no negative control");
    }
}

/// A row that is renamed takes its mention along.
#[test]
fn decision_records_name_rows_that_exist() {
    let rows = rows::all();
    let records = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/adr");
    let mut named = 0;
    for record in std::fs::read_dir(records).unwrap() {
        let path = record.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for name in text.split('`').skip(1).step_by(2).filter(|name| looks_like_a_row(name)) {
            let exists = |row: &Row| row.name == name || row.name.starts_with(&format!("{name}-"));
            assert!(rows.iter().any(exists), "{}: there is no row {name}", path.display());
            named += 1;
        }
    }
    assert!(named > 30, "only {named} rows are named: were the records moved?");
}

/// A letter, a number, and perhaps words.
fn looks_like_a_row(name: &str) -> bool {
    let number = name.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let letters = name.len() - number.len();
    (1..=2).contains(&letters)
        && number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}
