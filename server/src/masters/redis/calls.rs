//! Which asks of a batch share a call of a script: the frequent ones of a kind, because what they
//! share then costs a master more than what they do not (docs/adr/0011).
//!
//! What comes of them is what would have come of each alone, one after the other: asks about one
//! bucket, and so about one resource, stay in order, and none passes one about a master's state.

use holdfast_engine::{Ask, Request, Resource, RunId, Window};
use std::collections::HashSet;

/// Asks in one call at most: a master does nothing else meanwhile, and a script's stack is finite.
const TOGETHER: usize = 64;

/// What can share a call.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Acquire,
    Extend,
    Release,
}

/// The kind of a request. `None`: it has a call for itself.
pub(super) fn kind(request: &Request) -> Option<Kind> {
    match request {
        Request::Acquire { .. } => Some(Kind::Acquire),
        Request::Extend { .. } => Some(Kind::Extend),
        Request::Release { .. } => Some(Kind::Release),
        _ => None,
    }
}

/// The places of the asks that share a call, for each call, in the order in which they are made.
pub(super) fn calls(asks: &[Ask]) -> Vec<Vec<usize>> {
    let mut calls: Vec<Vec<usize>> = Vec::new();
    let mut open = Open::default();
    for (place, ask) in asks.iter().enumerate() {
        if !open.admits(ask) {
            open = Open::default();
        }
        open.add(ask);
        let slot = kind(&ask.request).map(|kind| &mut open.calls[kind as usize]);
        match slot {
            Some(Some(call)) if calls[*call].len() < TOGETHER => calls[*call].push(place),
            slot => {
                if let Some(slot) = slot {
                    *slot = Some(calls.len());
                }
                calls.push(vec![place]);
            }
        }
    }
    calls
}

/// When all of these may be executed.
pub(super) fn window(asks: &[&Ask]) -> Window {
    asks.iter()
        .map(|ask| ask.window)
        .reduce(|a, b| Window { lo: a.lo.max(b.lo), hi: a.hi.min(b.hi) })
        .expect("a call has asks")
}

/// The calls that an ask may still join.
#[derive(Default)]
struct Open<'a> {
    calls: [Option<usize>; 3],
    /// What they, and those made alone since, are about.
    buckets: HashSet<u16>,
    run: Option<&'a RunId>,
}

impl<'a> Open<'a> {
    /// May it come before what was made since those calls?
    fn admits(&self, ask: &Ask) -> bool {
        let known = |bucket| self.buckets.contains(&bucket);
        let bucket = ask.request.resource().map(Resource::bucket);
        let apart = bucket.is_some_and(|bucket| !known(bucket));
        apart && self.run.is_none_or(|run| *run == ask.run)
    }

    fn add(&mut self, ask: &'a Ask) {
        self.buckets.extend(ask.request.resource().map(Resource::bucket));
        self.run = Some(&ask.run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::{Ballot, Change, Incident, LeaseHash, MasterId, Notice};

    const ANY: Window = Window::ANY;

    fn ask(run: &str, window: Window, request: Request) -> Ask {
        Ask { master: MasterId(0), id: 0, run: RunId(run.into()), window, request }
    }

    fn release(name: &str) -> Request {
        let notice = Notice { origin: 1, change: Change::Released, lease: None };
        Request::Release {
            resource: Resource::new(name),
            lease: LeaseHash::of("A"),
            token: Ballot(1),
            ballot: Ballot::ZERO,
            notice,
            listens: false,
        }
    }

    fn read(name: &str) -> Request {
        Request::Read { resource: Resource::new(name) }
    }

    fn of(requests: Vec<Request>) -> Vec<Vec<usize>> {
        let asks: Vec<Ask> = requests.into_iter().map(|it| ask("run", ANY, it)).collect();
        calls(&asks)
    }

    #[test]
    fn those_of_a_kind_share_a_call_and_others_do_not() {
        let requests = vec![release("a"), read("b"), release("c"), read("d"), release("e")];
        assert_eq!(of(requests), [vec![0, 2, 4], vec![1], vec![3]]);
    }

    #[test]
    fn what_concerns_one_resource_stays_in_order() {
        let requests = vec![release("a"), release("b"), release("a"), release("c")];
        assert_eq!(of(requests), [vec![0, 1], vec![2, 3]]);
        let requests = vec![release("a"), read("b"), release("b"), release("c")];
        assert_eq!(of(requests), [vec![0], vec![1], vec![2, 3]]);
    }

    #[test]
    fn nothing_passes_what_concerns_a_master() {
        let observe = || Request::Observe { incident: Incident(1) };
        let requests = vec![release("a"), observe(), release("b")];
        assert_eq!(of(requests), [vec![0], vec![1], vec![2]]);
    }

    #[test]
    fn a_call_is_for_one_process_and_not_too_long() {
        let asks = [ask("one", ANY, release("a")), ask("two", ANY, release("b"))];
        assert_eq!(calls(&asks), [vec![0], vec![1]]);
        let many = (0..=TOGETHER).map(|number| release(&format!("r{number}")));
        assert_eq!(of(many.collect()).len(), 2);
    }

    #[test]
    fn all_of_a_call_are_within_their_windows() {
        let window = |lo, hi| ask("run", Window { lo, hi }, read("a"));
        let asks = [window(10, 30), window(20, 40)];
        assert_eq!(super::window(&[&asks[0], &asks[1]]), Window { lo: 20, hi: 30 });
    }
}
