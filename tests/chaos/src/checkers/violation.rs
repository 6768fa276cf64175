//! What a checker says.

use crate::history::{Grant, Nanos, Session};

/// How many violations of one promise are kept; the rest is counted.
const KEPT: usize = 5;

/// What became of one promise.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// The promise.
    pub(crate) checker: &'static str,
    /// How many things were compared: a checker that had nothing to look at says nothing.
    pub(crate) looked_at: u64,
    pub(crate) violations: Vec<Violation>,
    /// How many there were in all.
    pub(crate) count: u64,
}

/// A promise that was broken.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) what: String,
    /// What happened, in order.
    pub(crate) events: Vec<(Nanos, String)>,
}

impl Verdict {
    pub(crate) fn new(checker: &'static str) -> Verdict {
        Verdict { checker, looked_at: 0, violations: Vec::new(), count: 0 }
    }

    pub(crate) fn object(&mut self, what: String, mut events: Vec<(Nanos, String)>) {
        self.count += 1;
        if self.violations.len() < KEPT {
            events.sort();
            self.violations.push(Violation { what, events });
        }
    }

    pub(crate) fn holds(&self) -> bool {
        self.count == 0
    }
}

/// A session in the words of its history.
pub(crate) fn told(session: &Session) -> Vec<(Nanos, String)> {
    let Session { name, way, resource, .. } = session;
    let mut events = vec![(session.asked, format!("{name} asks for {resource} ({way:?})"))];
    let mut tell = |at: Option<Nanos>, what: String| {
        events.extend(at.map(|at| (at, format!("{name} {what}"))));
    };
    tell(session.queued, "is told that it waits".to_owned());
    if let Some(Grant { at, token }) = session.granted {
        tell(Some(at), format!("is told that it holds, token {token}"));
        tell(Some(session.deadline), "would have to stop at its deadline".to_owned());
    }
    tell(session.releasing, "begins to release".to_owned());
    if let Some((at, outcome)) = &session.released {
        tell(Some(*at), format!("is told of its release: {outcome}"));
    }
    if let Some((at, reason)) = &session.lost {
        tell(Some(*at), format!("is told that it has lost: {reason}"));
    }
    if let Some((at, why)) = &session.refused {
        tell(Some(*at), format!("is refused: {why}"));
    }
    tell(session.severed.filter(|_| session.granted.is_some()), "may be cut off".to_owned());
    events
}
