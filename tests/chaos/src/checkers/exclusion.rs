//! Mutual exclusion, as far as a lease promises it: no two sessions rely on one resource at one moment.
//!
//! A session relies on its lease from the moment it has the answer until the first of: its deadline, by
//! the client's own rule; its release, when it begins to send it; a loss that it was told of; the end of
//! its process. One whose lease ends with the connection (a Hold without grace) relies on it at most until
//! the nemesis cuts the clients' connections: which side notices first is not promised.

use std::collections::BTreeMap;

use crate::checkers::violation::{Verdict, told};
use crate::history::{Claim, History, Session};

pub(super) fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::new("mutual exclusion");
    let mut claims: BTreeMap<&str, Vec<(Claim, &Session)>> = BTreeMap::new();
    for session in history.sessions.values() {
        // An answer that came too late, to a process that was frozen, is nothing to rely on.
        if let Some(claim) = session.claim().filter(|claim| claim.from < claim.until) {
            claims.entry(&session.resource).or_default().push((claim, session));
        }
    }
    for (resource, mut claims) in claims {
        claims.sort_by_key(|(claim, _)| claim.from);
        let mut last: Option<(Claim, &Session)> = None;
        for (claim, session) in claims {
            verdict.looked_at += 1;
            if let Some((before, holder)) = last
                && claim.from < before.until
            {
                let both_for = before.until.min(claim.until).saturating_sub(claim.from);
                let what = format!(
                    "{resource}: {} and {} both rely on it for {:.3} ms",
                    holder.name,
                    session.name,
                    both_for as f64 / 1e6,
                );
                verdict.object(what, [told(holder), told(session)].concat());
            }
            if last.is_none_or(|(before, _)| claim.until > before.until) {
                last = Some((claim, session));
            }
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use crate::checkers::made_up::Story;

    use super::*;

    fn violations(story: &Story) -> u64 {
        check(&story.history()).count
    }

    #[test]
    fn one_after_the_other_is_fine() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100).releases("a#1", 30);
        story.holds("b#1", 31, 21, 200).releases("b#1", 50);
        assert_eq!(violations(&story), 0);
        assert_eq!(check(&story.history()).looked_at, 2);
    }

    #[test]
    fn two_holders_at_once_are_not() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100).releases("a#1", 60);
        story.holds("b#1", 59, 21, 200);
        assert_eq!(violations(&story), 1);
    }

    #[test]
    fn a_holder_inside_a_longer_one_is_seen_past_others() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100);
        story.holds("b#1", 101, 21, 1_000);
        story.holds("c#1", 150, 22, 160);
        story.holds("d#1", 900, 23, 950);
        assert_eq!(violations(&story), 2);
    }

    #[test]
    fn a_lease_excludes_until_its_deadline_and_no_longer() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100);
        story.holds("b#1", 100, 21, 200);
        assert_eq!(violations(&story), 0);
        story.renewed("a#1", 90, 101);
        assert_eq!(violations(&story), 1);
    }

    #[test]
    fn who_was_told_of_the_loss_or_is_dead_relies_on_nothing() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100).lost("a#1", 50);
        story.holds("b#1", 51, 21, 100).killed("b", 60);
        story.holds("c#1", 61, 22, 100);
        assert_eq!(violations(&story), 0);
    }

    #[test]
    fn a_grant_that_is_read_after_its_deadline_excludes_nobody() {
        let mut story = Story::default();
        story.asks("a#1", 10).holds("b#1", 50, 21, 100).granted("a#1", 60, 20, 40);
        assert_eq!(violations(&story), 0);
    }

    #[test]
    fn an_acquire_without_an_answer_excludes_nobody() {
        let mut story = Story::default();
        story.asks("a#1", 10);
        story.holds("b#1", 20, 21, 100);
        assert_eq!(violations(&story), 0);
    }

    #[test]
    fn a_cut_connection_ends_only_what_does_not_outlive_it() {
        for (outlives, expected) in [(false, 0), (true, 1)] {
            let mut story = Story::default();
            story.outliving(outlives).holds("a#1", 10, 20, 100);
            story.outliving(true).severed(50).holds("b#1", 60, 21, 200);
            assert_eq!(violations(&story), expected);
        }
    }

    #[test]
    fn other_resources_are_others() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100);
        story.of("other").holds("b#1", 20, 21, 100);
        assert_eq!(violations(&story), 0);
    }
}
