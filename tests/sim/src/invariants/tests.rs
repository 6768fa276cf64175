//! Histories by hand: each invariant lets a good one pass and stops a bad one. Those that only look at what
//! masters execute are seen to stop bad ones in `tests/simulation.rs`.

use super::Invariant;
use crate::clients::LONG_WAIT;
use crate::history::{Record, Shown, Tenure};
use crate::oracle::Oracle;
use crate::world::Nanos;
use holdfast_engine::TokenStanding;

/// What an invariant says of records that happen one after the other, a second each.
fn judge(mut invariant: impl Invariant, records: Vec<Record>) -> Result<(), String> {
    let mut oracle = Oracle::default();
    for (second, record) in records.into_iter().enumerate() {
        let at = second as Nanos * 1_000_000_000;
        invariant.see(at, &record, &oracle)?;
        oracle.learn(at, &record);
    }
    Ok(())
}

fn tenure(lease: &str, token: u64, from_second: u64, until_second: u64) -> Tenure {
    let [from, until] = [from_second, until_second].map(|second| second * 1_000_000_000);
    Tenure { resource: 0, lease: lease.into(), token, from, until }
}

fn granted(lease: &str, token: u64, from: u64, until: u64) -> Record {
    Record::Granted { tenure: tenure(lease, token, from, until) }
}

fn renewed(lease: &str, token: u64, from: u64, until: u64) -> Record {
    Record::Renewed { tenure: tenure(lease, token, from, until) }
}

fn gave_up(lease: &str) -> Record {
    Record::GaveUp { resource: 0, lease: lease.into() }
}

#[test]
fn two_may_not_rely_on_one_lock() {
    let good = vec![granted("a", 1, 0, 9), gave_up("a"), granted("b", 2, 1, 9)];
    assert_eq!(judge(super::exclusion::Exclusion, good), Ok(()));
    let bad = vec![granted("a", 1, 0, 9), granted("b", 2, 1, 9)];
    assert!(judge(super::exclusion::Exclusion, bad).is_err());
    let revived =
        vec![granted("a", 1, 0, 1), gave_up("a"), granted("b", 2, 1, 9), renewed("a", 1, 2, 9)];
    assert!(judge(super::exclusion::Exclusion, revived).is_err());
}

#[test]
fn tokens_increase_and_are_unique() {
    let good = vec![granted("a", 1, 0, 1), granted("b", 2, 1, 9)];
    assert_eq!(judge(super::fencing::Fencing, good), Ok(()));
    for token in [1, 2] {
        let bad = vec![granted("a", 2, 0, 1), granted("b", token, 1, 9)];
        assert!(judge(super::fencing::Fencing, bad).is_err(), "{token}");
    }
}

#[test]
fn what_was_superseded_or_taken_back_is_not_extended() {
    let good = vec![granted("a", 1, 0, 9), renewed("a", 1, 0, 9), granted("b", 2, 1, 9)];
    assert_eq!(judge(super::superseded::Superseded, good), Ok(()));
    let bad = vec![granted("a", 1, 0, 1), granted("b", 2, 1, 2), renewed("a", 1, 2, 9)];
    assert!(judge(super::superseded::Superseded, bad).is_err());
    let revoked = Record::Revoked { lease: "a".into(), token: 1 };
    let bad = vec![granted("a", 1, 0, 9), revoked, renewed("a", 1, 2, 9)];
    assert!(judge(super::superseded::Superseded, bad).is_err());
}

#[test]
fn tokens_stand_as_they_do() {
    let judged =
        |token, standing| Record::Judged { resource: 0, token, standing, from: 2_500_000_000 };
    let held = || vec![granted("a", 1, 0, 1), granted("b", 2, 1, 9), Record::Settled];
    let check = |last| {
        let params = crate::scenario::tests::params();
        judge(super::standing::Standing::new(&params), [held(), vec![last]].concat())
    };
    assert_eq!(check(judged(2, TokenStanding::Current)), Ok(()));
    assert_eq!(check(judged(1, TokenStanding::Superseded)), Ok(()));
    assert!(check(judged(1, TokenStanding::Current)).is_err());
    assert!(check(judged(2, TokenStanding::Superseded)).is_err());
    assert!(check(judged(2, TokenStanding::NotHeld)).is_err());
}

#[test]
fn terms_do_not_go_down() {
    let shown = |shown| Record::Shown { watch: 1, watcher: 0, resource: 0, shown };
    let terms = super::terms::Terms::default;
    let good = [Shown::Led(1), Shown::Unknown, Shown::Vacant(1), Shown::Led(2)].map(shown);
    assert_eq!(judge(terms(), good.to_vec()), Ok(()));
    assert!(judge(terms(), [Shown::Led(2), Shown::Led(1)].map(shown).to_vec()).is_err());
    assert!(judge(terms(), [Shown::Led(2), Shown::Vacant(1)].map(shown).to_vec()).is_err());
}

#[test]
fn a_loss_is_announced() {
    let promised = |until| Record::Promised { session: 1, replica: 0, until };
    let over = Record::SessionOver { session: 1 };
    let stalled = Record::Stalled { replica: 0, stalled: true };
    for said in [over, stalled, promised(9_000_000_000)] {
        let good = vec![promised(1_500_000_000), said, Record::Settled];
        assert_eq!(judge(super::warning::Warning::default(), good), Ok(()));
    }
    let bad = vec![promised(1_500_000_000), Record::Settled, Record::Settled];
    assert!(judge(super::warning::Warning::default(), bad).is_err());
}

#[test]
fn in_peace_everybody_gets_on() {
    let asked = Record::Asked { op: 1, client: 0, what: String::new(), extends: None };
    let answered =
        |no_quorum| Record::Answered { op: 1, what: String::new(), no_quorum, unheard: false };
    let progress = super::progress::Progress::default;
    let before = vec![asked.clone(), Record::Settled, answered(true)];
    assert_eq!(judge(progress(), before), Ok(()), "it was asked before");
    let good = vec![Record::Settled, asked.clone(), answered(false)];
    assert_eq!(judge(progress(), good), Ok(()));
    assert!(judge(progress(), vec![Record::Settled, asked, answered(true)]).is_err());

    let arrived =
        Record::Arrived { op: 1, replica: 0, resource: 0, lease: "a".into(), wait: LONG_WAIT };
    let served = |granted| Record::Served { op: 1, granted };
    let good = vec![Record::Settled, arrived.clone(), served(true)];
    assert_eq!(judge(progress(), good), Ok(()));
    assert!(judge(progress(), vec![Record::Settled, arrived.clone(), served(false)]).is_err());
    assert!(
        judge(progress(), vec![Record::Settled, arrived.clone(), Record::Left { op: 1 }]).is_err()
    );
    assert!(judge(progress(), vec![Record::Settled, arrived, Record::Ended]).is_err());
}
