//! After the last fault every resource is held again, and by how much each fault kept everybody waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::checkers::violation::Verdict;
use crate::history::{History, Nanos};

/// How long after the last fault every resource must be granted again: the quarantine of masters that
/// forgot everything with the last fault, then the longest lease of a holder that died with it, then as
/// much again for a machine that is busy. Generous on purpose: it tells slow from stuck.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

pub(super) fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::new("progress after the last fault");
    let Some(calm) = history.calm else {
        verdict.object("the faults never ended".to_owned(), Vec::new());
        return verdict;
    };
    let resources: BTreeSet<_> = history.sessions.values().map(|it| it.resource.as_str()).collect();
    for resource in resources {
        verdict.looked_at += 1;
        let sessions = history.sessions.values().filter(|session| session.resource == resource);
        let asked_after = sessions.filter(|session| session.asked >= calm);
        let granted = asked_after.filter_map(|session| session.granted).map(|grant| grant.at).min();
        if granted.is_none_or(|at| at > calm + BOUND.as_nanos() as Nanos) {
            let what = format!("{resource}: not granted within {BOUND:?}");
            verdict.object(what, vec![(calm, "the last fault is undone".to_owned())]);
        }
    }
    verdict
}

/// For each kind of fault, the longest time from its undoing to the next grant of any resource to somebody
/// who waited or asked.
pub(crate) fn longest_outages(history: &History) -> BTreeMap<&str, Nanos> {
    let grants = history.sessions.values().filter_map(|session| session.granted);
    let mut grants: Vec<Nanos> = grants.map(|grant| grant.at).collect();
    grants.sort_unstable();
    let mut longest = BTreeMap::new();
    for fault in history.faults.values() {
        let Some(until) = fault.until else { continue };
        let next = grants.partition_point(|at| *at < until);
        if let Some(granted) = grants.get(next) {
            let outage: &mut Nanos = longest.entry(fault.kind.as_str()).or_default();
            *outage = (*outage).max(granted - until);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use crate::checkers::made_up::Story;

    use super::*;

    #[test]
    fn a_resource_that_is_granted_again_is_fine() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 30).calm(40).holds("b#1", 50, 21, 60);
        assert_eq!(check(&story.history()).count, 0);
    }

    #[test]
    fn one_that_is_not_or_too_late_is_not() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 30).calm(40);
        assert_eq!(check(&story.history()).count, 1);
        let late = 41 + BOUND.as_nanos() as Nanos;
        story.holds("b#1", late, 21, late + 10);
        assert_eq!(check(&story.history()).count, 1);
    }

    #[test]
    fn faults_that_never_end_are_not() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 30);
        assert_eq!(check(&story.history()).count, 1);
    }
}
