//! The terms that this replica has seen of the resources it watches, and since when and until when: what a
//! dashboard shows of the past. Bounded, in memory alone, and fed by the watch of a resource, whoever keeps it.
//!
//! Deliberately absent: any say in what a lock is. A term that came and went between two readings, or while
//! nobody watched, is not here.

use holdfast_engine::{Ballot, Ending, Instant, Resource, Seen, View};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Terms of one resource; of more the latest.
const MAX_TERMS: usize = 50;
/// Resources with a past; of more those about which there was news last.
const MAX_RESOURCES: usize = 1_000;

/// One term, as far as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The fencing token.
    pub token: Ballot,
    /// The identity that its holder gave itself.
    pub holder: Arc<str>,
    /// When it was seen first.
    pub since: Instant,
    /// Its beginning was seen: before it, the same watch saw another term or none.
    pub from_start: bool,
    /// When it was seen to be over, and why; `None`: it goes on.
    pub until: Option<(Instant, End)>,
}

/// How a term came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nobody held the resource then.
    Vacant(Ending),
    /// Another term had followed.
    Succeeded,
    /// It is not known: nobody watched any more.
    Unwatched,
}

/// What was seen. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<Pasts>>);

#[derive(Debug, Default)]
struct Pasts {
    of: HashMap<Resource, Past>,
    /// Counts the news, to tell the oldest.
    news: u64,
}

#[derive(Debug, Default)]
struct Past {
    terms: VecDeque<Term>,
    touched: u64,
}

impl History {
    /// What was seen of a resource, the latest term first.
    pub fn of(&self, resource: &Resource) -> Vec<Term> {
        let pasts = self.pasts();
        let past = pasts.of.get(resource);
        past.map(|past| past.terms.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// A reading that differs from the one before it; `is_first`: there was none before.
    pub(super) fn show(&self, resource: &Resource, view: &View, is_first: bool) {
        match &view.state {
            Seen::Led(leader) => {
                let term = Term {
                    token: leader.token,
                    holder: Arc::clone(&leader.info.holder),
                    since: view.as_of,
                    from_start: !is_first,
                    until: None,
                };
                self.pasts().touch(resource).led(term);
            }
            Seen::Vacant(ending) => self.end(resource, view.as_of, End::Vacant(*ending)),
            // The term may go on.
            Seen::Unknown(_) => {}
        }
    }

    /// Nobody watches it any more; `last` is when it was read last.
    pub(super) fn unwatch(&self, resource: &Resource, last: Instant) {
        self.end(resource, last, End::Unwatched);
    }

    fn end(&self, resource: &Resource, at: Instant, end: End) {
        if let Some(past) = self.pasts().of.get_mut(resource) {
            past.end(at, end);
        }
    }

    fn pasts(&self) -> MutexGuard<'_, Pasts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pasts {
    fn touch(&mut self, resource: &Resource) -> &mut Past {
        self.news += 1;
        if self.of.len() >= MAX_RESOURCES && !self.of.contains_key(resource) {
            let oldest = self.of.iter().min_by_key(|(_, past)| past.touched);
            if let Some(oldest) = oldest.map(|(resource, _)| resource.clone()) {
                self.of.remove(&oldest);
            }
        }
        let past = self.of.entry(resource.clone()).or_default();
        past.touched = self.news;
        past
    }
}

impl Past {
    fn led(&mut self, term: Term) {
        if self.terms.back().is_some_and(|last| last.token > term.token) {
            // A reading of masters that have not heard of the latest term.
            return;
        }
        if let Some(last) = self.terms.back_mut().filter(|last| last.token == term.token) {
            // Renamed, read anew, or watched again after a while.
            last.holder = term.holder;
            last.until = None;
            return;
        }
        self.end(term.since, End::Succeeded);
        if self.terms.len() >= MAX_TERMS {
            self.terms.pop_front();
        }
        self.terms.push_back(term);
    }

    fn end(&mut self, at: Instant, end: End) {
        if let Some(last) = self.terms.back_mut() {
            last.until.get_or_insert((at, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::{Doubt, Info, Leader, LeaseHash};
    use std::time::Duration;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn view(seconds: u64, state: Seen) -> View {
        View { state, as_of: at(seconds), newest: Ballot(9) }
    }

    fn led(seconds: u64, token: u64, holder: &str) -> View {
        let leader = Leader {
            lease: LeaseHash::of(holder),
            token: Ballot(token),
            info: Info { holder: holder.into(), ..Info::default() },
            info_ballot: Ballot(token),
            remaining: Duration::from_secs(9),
        };
        view(seconds, Seen::Led(leader))
    }

    fn term(
        (token, holder): (u64, &str),
        since: u64,
        from_start: bool,
        until: Option<(u64, End)>,
    ) -> Term {
        let until = until.map(|(seconds, end)| (at(seconds), end));
        Term { token: Ballot(token), holder: holder.into(), since: at(since), from_start, until }
    }

    #[test]
    fn terms_follow_each_other_and_say_how_they_ended() {
        let (history, r) = (History::default(), Resource::new("r"));
        history.show(&r, &led(1, 5, "a"), true);
        history.show(&r, &view(2, Seen::Unknown(Doubt::NoQuorum)), false);
        history.show(&r, &led(3, 5, "a, renamed"), false);
        history.show(&r, &led(4, 7, "b"), false);
        history.show(&r, &view(6, Seen::Vacant(Ending::Released)), false);
        history.show(&r, &view(7, Seen::Vacant(Ending::Expired)), false);
        history.show(&r, &led(8, 9, "c"), false);
        assert_eq!(
            history.of(&r),
            [
                term((9, "c"), 8, true, None),
                term((7, "b"), 4, true, Some((6, End::Vacant(Ending::Released)))),
                term((5, "a, renamed"), 1, false, Some((4, End::Succeeded))),
            ]
        );
        assert_eq!(history.of(&Resource::new("other")), []);
    }

    #[test]
    fn a_term_that_is_seen_again_goes_on_and_another_one_does_not_hide_the_gap() {
        let (history, r) = (History::default(), Resource::new("r"));
        history.show(&r, &led(1, 5, "a"), false);
        history.unwatch(&r, at(2));
        let gap = Some((2, End::Unwatched));
        assert_eq!(history.of(&r), [term((5, "a"), 1, true, gap)]);
        history.show(&r, &led(3, 5, "a"), true);
        assert_eq!(history.of(&r), [term((5, "a"), 1, true, None)]);
        history.unwatch(&r, at(4));
        history.show(&r, &led(9, 7, "b"), true);
        let gap = Some((4, End::Unwatched));
        let (b, a) = (term((7, "b"), 9, false, None), term((5, "a"), 1, true, gap));
        assert_eq!(history.of(&r), [b, a]);
    }

    #[test]
    fn nothing_grows_without_bound() {
        let (history, r) = (History::default(), Resource::new("r"));
        for token in 0..MAX_TERMS as u64 + 3 {
            history.show(&r, &led(token, token, "a"), false);
        }
        let terms = history.of(&r);
        assert_eq!((terms.len(), terms[0].token), (MAX_TERMS, Ballot(MAX_TERMS as u64 + 2)));

        let name = |number: usize| Resource::new(&number.to_string());
        for number in 1..MAX_RESOURCES {
            history.show(&name(number), &led(1, 1, "a"), true);
        }
        history.show(&r, &led(99, 99, "a"), false);
        history.show(&name(0), &led(1, 1, "a"), true);
        assert_eq!(history.pasts().of.len(), MAX_RESOURCES);
        assert!(history.of(&name(1)).is_empty(), "about it there was no news for longest");
        assert!(!history.of(&r).is_empty() && !history.of(&name(0)).is_empty());
    }
}
