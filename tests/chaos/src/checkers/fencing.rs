//! Fencing tokens: a session that began to ask after another one had its grant has the larger token; no
//! two sessions share one; and the store, which refuses old tokens, never refuses a holder that relies on
//! its lease.

use std::collections::BTreeMap;

use crate::checkers::violation::{Verdict, told};
use crate::history::{Grant, History, Session, Write};

pub(super) fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::new("fencing");
    let mut granted: BTreeMap<&str, Vec<(Grant, &Session)>> = BTreeMap::new();
    for session in history.sessions.values() {
        if let Some(grant) = session.granted {
            granted.entry(&session.resource).or_default().push((grant, session));
        }
    }
    for (resource, mut granted) in granted {
        unique(resource, &granted, &mut verdict);
        granted.sort_by_key(|(grant, _)| grant.at);
        rising(resource, &granted, &mut verdict);
    }
    for write in &history.writes {
        guarded(history, write, &mut verdict);
    }
    verdict
}

fn unique(resource: &str, granted: &[(Grant, &Session)], verdict: &mut Verdict) {
    let mut holders: BTreeMap<u64, &Session> = BTreeMap::new();
    for (Grant { token, .. }, session) in granted {
        if let Some(other) = holders.insert(*token, session) {
            let what =
                format!("{resource}: {} and {} have token {token}", other.name, session.name);
            verdict.object(what, [told(other), told(session)].concat());
        }
    }
}

/// `granted` in the order in which the grants were known.
fn rising(resource: &str, granted: &[(Grant, &Session)], verdict: &mut Verdict) {
    // Up to each grant, the one with the largest token.
    let mut largest: Vec<(Grant, &Session)> = Vec::with_capacity(granted.len());
    for grant in granted {
        let best = largest.last().filter(|best| best.0.token > grant.0.token);
        largest.push(*best.unwrap_or(grant));
    }
    for (Grant { token, .. }, session) in granted {
        verdict.looked_at += 1;
        let known = granted.partition_point(|(earlier, _)| earlier.at < session.asked);
        let Some((before, holder)) = known.checked_sub(1).map(|index| largest[index]) else {
            continue;
        };
        if *token <= before.token {
            let what = format!(
                "{resource}: {} has token {token}, after {} had {}",
                session.name, holder.name, before.token,
            );
            verdict.object(what, [told(holder), told(session)].concat());
        }
    }
}

fn guarded(history: &History, write: &Write, verdict: &mut Verdict) {
    verdict.looked_at += 1;
    let Write { at, session, resource, token, accepted, highest } = write;
    let Some(session) = history.sessions.get(session) else {
        verdict.object(format!("{resource}: {session} writes and never asked"), Vec::new());
        return;
    };
    let Some(claim) = session.claim().filter(|claim| claim.token == *token) else {
        let what = format!("{resource}: {} writes with a token it was not granted", session.name);
        verdict.object(what, told(session));
        return;
    };
    if !accepted && (claim.from..claim.until).contains(at) {
        let what = format!(
            "{resource}: {} is refused by the store while it relies on its lease: {highest} was there",
            session.name,
        );
        let refused = (*at, format!("the store refuses {}'s token {token}", session.name));
        verdict.object(what, [told(session), vec![refused]].concat());
    }
}

#[cfg(test)]
mod tests {
    use crate::checkers::made_up::Story;

    use super::*;

    fn violations(story: &Story) -> u64 {
        check(&story.history()).count
    }

    #[test]
    fn rising_tokens_are_fine() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100).writes("a#1", 15, 20, true).releases("a#1", 30);
        story.holds("b#1", 31, 21, 200).writes("b#1", 35, 21, true).writes("a#1", 36, 20, false);
        assert_eq!(violations(&story), 0);
    }

    #[test]
    fn a_smaller_token_later_is_not() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 15).holds("b#1", 30, 25, 35).holds("c#1", 50, 22, 55);
        assert_eq!(violations(&story), 1);
    }

    #[test]
    fn an_equal_token_is_not_even_at_the_same_time() {
        let mut story = Story::default();
        story.asks("a#1", 10).asks("b#1", 10);
        story.granted("a#1", 20, 7, 100).granted("b#1", 21, 7, 100);
        assert_eq!(violations(&story), 1);
    }

    #[test]
    fn tokens_of_those_who_asked_at_the_same_time_may_come_in_any_order() {
        let mut story = Story::default();
        story.asks("a#1", 10).asks("b#1", 10);
        story.granted("a#1", 20, 8, 30).granted("b#1", 40, 7, 50);
        assert_eq!(violations(&story), 0);
    }

    #[test]
    fn a_holder_that_the_store_refuses_within_its_validity_is_a_violation() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100).writes("a#1", 99, 20, false);
        assert_eq!(violations(&story), 1);
    }

    #[test]
    fn a_write_with_a_token_that_nobody_granted_is_a_violation() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100).writes("a#1", 15, 21, true).writes("x#1", 16, 22, true);
        assert_eq!(violations(&story), 2);
    }

    #[test]
    fn tokens_mean_nothing_outside_their_resource() {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 15);
        story.of("other").holds("b#1", 30, 20, 35).holds("c#1", 50, 21, 55);
        assert_eq!(violations(&story), 0);
    }
}
