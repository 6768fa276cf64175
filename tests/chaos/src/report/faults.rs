//! Which faults fired, and what was under way meanwhile.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checkers::longest_outages;
use crate::history::{Fault, History, Nanos, Session, seconds};

/// One kind of fault.
#[derive(Debug, Default, Serialize)]
pub(super) struct FaultRow {
    pub(super) kind: String,
    /// How often it was seen to happen.
    pub(super) fired: u64,
    pub(super) fizzled: u64,
    /// How many operations were under way at some moment of it.
    pub(super) crossed: u64,
    pub(super) seconds: f64,
    /// From its undoing to the next grant of anything.
    pub(super) longest_outage_ms: Option<f64>,
    /// How the last one was seen.
    pub(super) evidence: String,
}

pub(super) fn rows(history: &History) -> Vec<FaultRow> {
    let crossing = Crossing::new(history);
    let outages = longest_outages(history);
    let mut rows: BTreeMap<&str, FaultRow> = BTreeMap::new();
    for fault in history.faults.values() {
        let row = rows.entry(&fault.kind).or_default();
        fault.kind.clone_into(&mut row.kind);
        match &fault.evidence {
            None => row.fizzled += 1,
            Some(evidence) => {
                row.fired += 1;
                evidence.clone_into(&mut row.evidence);
                row.crossed += crossing.of(fault);
            }
        }
        row.seconds += seconds(fault.until.unwrap_or(fault.from) - fault.from);
        row.longest_outage_ms = outages.get(fault.kind.as_str()).map(|span| *span as f64 / 1e6);
    }
    rows.into_values().collect()
}

/// Counts the operations that overlap a span: those that began before its end, less those that ended
/// before its beginning.
struct Crossing {
    begins: Vec<Nanos>,
    ends: Vec<Nanos>,
}

impl Crossing {
    fn new(history: &History) -> Crossing {
        let (mut begins, mut ends): (Vec<_>, Vec<_>) =
            history.sessions.values().flat_map(operations).unzip();
        begins.sort_unstable();
        ends.sort_unstable();
        Crossing { begins, ends }
    }

    fn of(&self, fault: &Fault) -> u64 {
        let until = fault.until.unwrap_or(Nanos::MAX);
        let begun = self.begins.partition_point(|at| *at <= until);
        let ended = self.ends.partition_point(|at| *at < fault.from);
        (begun - ended) as u64
    }
}

/// Getting it, keeping it, giving it back: from when until when.
fn operations(session: &Session) -> Vec<(Nanos, Nanos)> {
    let gone = session.process_ended.unwrap_or(Nanos::MAX);
    let refused = session.refused.as_ref().map(|(at, _)| *at);
    let granted = session.granted.map(|grant| grant.at);
    let answered = granted.or(refused).unwrap_or(gone);
    let mut operations = vec![(session.asked, answered)];
    if let Some(claim) = session.claim() {
        operations.push((claim.from, claim.until));
    }
    if let Some(releasing) = session.releasing {
        let released = session.released.as_ref().map_or(gone, |(at, _)| *at);
        operations.push((releasing, released.max(releasing)));
    }
    operations
}

#[cfg(test)]
mod tests {
    use crate::checkers::Story;
    use crate::history::Event;

    use super::*;

    #[test]
    fn operations_that_overlap_a_fault_have_crossed_it() {
        let mut story = Story::default();
        // Gets it before, keeps it across the beginning, gives it back after the end.
        story.asks("a#1", 10).granted("a#1", 15, 1, 90).releases("a#1", 35);
        // All before, and all after.
        story.asks("b#1", 1).granted("b#1", 2, 1, 8).asks("c#1", 60);
        let (kind, what) = ("k".to_owned(), "w".to_owned());
        story.event(20, Event::Injecting { fault: 1, kind, what });
        story.event(21, Event::Fired { fault: 1, evidence: "seen".to_owned() });
        story.event(30, Event::Healed { fault: 1 });
        let rows = rows(&story.history());
        assert_eq!((rows[0].fired, rows[0].crossed), (1, 1));
    }
}
