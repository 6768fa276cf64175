//! Watches: what one watch shows never goes back, it shows nobody who never asked, nobody under a term
//! that is another's, and in quiet times whoever leads.
//!
//! A candidate that got its votes and never its answer may be shown.

use std::collections::BTreeMap;

use crate::checkers::violation::{Verdict, told};
use crate::history::{Grant, History, Nanos, Seen, Session, View};

pub(super) fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::new("watches");
    let mut terms: BTreeMap<(&str, u64), &Session> = BTreeMap::new();
    for session in history.sessions.values() {
        if let Some(Grant { token, .. }) = session.granted {
            terms.insert((&session.resource, token), session);
        }
    }
    for (watch, view) in &history.views {
        never_back(watch, view, &mut verdict);
        for (at, seen) in &view.shown {
            if let Seen::Led { holder, term } = seen {
                let shown = Shown { watch, resource: &view.resource, at: *at, holder, term: *term };
                known(history, &terms, shown, &mut verdict);
            }
        }
    }
    verdict
}

fn never_back(watch: &str, view: &View, verdict: &mut Verdict) {
    let mut newest: Option<(Nanos, u64)> = None;
    for (at, seen) in &view.shown {
        verdict.looked_at += 1;
        // Nobody leads: the term it names is the newest that the replica knows, which may be none.
        let (term, goes_back) = match seen {
            Seen::Led { term, .. } => (*term, newest.is_some_and(|(_, newest)| *term < newest)),
            Seen::Vacant { last_term } => (*last_term, false),
            Seen::Unknown { .. } => continue,
        };
        if let Some((then, newest)) = newest.filter(|_| goes_back) {
            let what = format!("{}: {watch} shows term {term} after {newest}", view.resource);
            let events = vec![
                (then, format!("{watch} shows {newest}")),
                (*at, format!("{watch} shows {seen:?}")),
            ];
            verdict.object(what, events);
        }
        if newest.is_none_or(|(_, newest)| term > newest) {
            newest = Some((*at, term));
        }
    }
}

struct Shown<'a> {
    watch: &'a str,
    resource: &'a str,
    at: Nanos,
    holder: &'a str,
    term: u64,
}

fn known(
    history: &History,
    terms: &BTreeMap<(&str, u64), &Session>,
    shown: Shown<'_>,
    verdict: &mut Verdict,
) {
    let Shown { watch, resource, at, holder, term } = shown;
    let event = (at, format!("{watch} shows {holder}, term {term}"));
    let asked = history.sessions.get(holder);
    let asked = asked.filter(|session| session.resource == resource && session.asked <= at);
    let Some(session) = asked else {
        let what = format!("{resource}: {watch} shows {holder}, who never asked for it");
        verdict.object(what, vec![event]);
        return;
    };
    if let Some(other) = terms.get(&(resource, term)).filter(|other| other.name != holder) {
        let what = format!("{resource}: {watch} shows {holder} under the term of {}", other.name);
        verdict.object(what, [told(session), told(other), vec![event]].concat());
    }
}

/// After the last fault, every watch that lives shows every session that holds for all of a long time.
pub(super) fn check_settled(history: &History) -> Verdict {
    let mut verdict = Verdict::new("settled leaders are shown");
    let calm = history.calm.unwrap_or(Nanos::MAX);
    let settled = history.sessions.values().filter(|session| session.asked >= calm);
    for session in settled.filter(|session| session.name.starts_with("probe")) {
        let (Some(claim), Some(_)) = (session.claim(), session.releasing) else { continue };
        for (watch, view) in &history.views {
            let lives = view.process_ended.is_none_or(|ended| ended > claim.until);
            if view.resource != session.resource || view.opened > claim.from || !lives {
                continue;
            }
            verdict.looked_at += 1;
            let shown = view.shown.iter().any(|(at, seen)| {
                *at < claim.until
                    && matches!(seen, Seen::Led { holder, term }
                        if *holder == session.name && *term == claim.token)
            });
            if !shown {
                let what = format!(
                    "{}: {watch} does not show {} in {:.1} s",
                    view.resource,
                    session.name,
                    crate::history::seconds(claim.until - claim.from),
                );
                let last =
                    view.shown.last().map(|(at, seen)| (*at, format!("{watch} shows {seen:?}")));
                verdict.object(what, [told(session), last.into_iter().collect()].concat());
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

    fn watched() -> Story {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 30).holds("b#1", 40, 21, 60).watches("w#1", 1);
        story
    }

    #[test]
    fn rising_terms_are_fine() {
        let mut story = watched();
        story.sees_leader("w#1", 11, "a#1", 20).sees("w#1", 32, Seen::Vacant { last_term: 20 });
        story.sees("w#1", 33, Seen::Unknown { why: "no quorum".to_owned() });
        story.sees_leader("w#1", 41, "b#1", 21).sees_leader("w#1", 45, "b#1", 21);
        story.sees("w#1", 70, Seen::Vacant { last_term: 0 });
        // Another watch begins anew.
        story.watches("w#2", 1).sees_leader("w#2", 11, "a#1", 20);
        let verdict = check(&story.history());
        assert_eq!((verdict.count, verdict.looked_at), (0, 7));
    }

    #[test]
    fn a_leader_may_be_shown_before_it_knows_and_not_before_it_asks() {
        let mut story = Story::default();
        story.asks("a#1", 10).granted("a#1", 20, 7, 100).watches("w#1", 1);
        story.sees_leader("w#1", 11, "a#1", 7);
        assert_eq!(violations(&story), 0);
        story.watches("w#2", 1).sees_leader("w#2", 9, "a#1", 7);
        assert_eq!(violations(&story), 1);
    }

    #[test]
    fn a_term_that_goes_down_is_not() {
        let mut story = watched();
        story.sees_leader("w#1", 41, "b#1", 21).sees_leader("w#1", 42, "a#1", 20);
        assert_eq!(violations(&story), 1);
        let mut story = watched();
        story.sees("w#1", 41, Seen::Vacant { last_term: 21 }).sees_leader("w#1", 42, "a#1", 20);
        assert_eq!(violations(&story), 1);
    }

    #[test]
    fn a_leader_who_never_asked_is_not() {
        let mut story = watched();
        story.sees_leader("w#1", 41, "x#1", 21);
        assert_eq!(violations(&story), 1);
        // For another resource it did.
        let mut story = watched();
        story.of("other").asks("c#1", 2).sees_leader("w#1", 41, "c#1", 19);
        assert_eq!(violations(&story), 1);
    }

    #[test]
    fn a_leader_under_the_term_of_another_is_not() {
        let mut story = watched();
        story.sees_leader("w#1", 41, "a#1", 21);
        assert_eq!(violations(&story), 1);
    }

    #[test]
    fn a_candidate_that_never_had_its_answer_may_be_shown() {
        let mut story = watched();
        story.asks("c#1", 50).sees_leader("w#1", 70, "c#1", 22);
        assert_eq!(violations(&story), 0);
    }

    #[test]
    fn a_settled_leader_must_be_shown() {
        let mut story = Story::default();
        story.calm(5).watches("w#1", 1).watches("w#2", 1).killed("w", 200);
        story.holds("probe#1", 10, 20, 90).releases("probe#1", 80);
        story.sees_leader("w#1", 11, "probe#1", 20);
        let verdict = check_settled(&story.history());
        assert_eq!((verdict.looked_at, verdict.count), (2, 1));
        story.sees_leader("w#2", 79, "probe#1", 20);
        assert_eq!(check_settled(&story.history()).count, 0);
    }

    #[test]
    fn a_watch_that_is_gone_shows_nothing() {
        let mut story = Story::default();
        story.calm(5).watches("w#1", 1).killed("w", 20);
        story.holds("probe#1", 10, 20, 90).releases("probe#1", 80);
        assert_eq!(check_settled(&story.history()).looked_at, 0);
    }
}
