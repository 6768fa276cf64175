//! Which asks of a batch share a call of a script: the frequent ones of a kind, because what they
//! share then costs a master more than what they do not (docs/adr/0011).
//!
//! Asks about one resource stay in order, and none passes one about a master's state. Others may:
//! they could have come by different connections.

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
        let resource = ask.request.resource();
        if resource.is_none_or(|resource| open.resources.contains(resource)) || !open.fits(ask) {
            open = Open::default();
        }
        open.run = Some(&ask.run);
        open.resources.extend(resource);
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
    asks.iter().map(|ask| ask.window)
        .reduce(|a, b| Window { lo: a.lo.max(b.lo), hi: a.hi.min(b.hi) })
        .expect("a call has asks")
}

/// The calls that an ask may still join.
#[derive(Default)]
struct Open<'a> {
    calls: [Option<usize>; 3],
    /// What they, and those made alone since, are about.
    resources: HashSet<&'a Resource>,
    run: Option<&'a RunId>,
}

impl Open<'_> {
    /// Is it meant for the same process?
    fn fits(&self, ask: &Ask) -> bool {
        self.run.is_none_or(|run| *run == ask.run)
    }
}
