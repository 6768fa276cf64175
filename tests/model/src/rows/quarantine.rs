//! Who opens, measures and ends the quarantine of one master: two replicas, their stopwatches and
//! their estimates of its clock. QUAR = 3 ticks; T = last tick. Decision record 0005.

use super::table::Table;
use crate::property::Property::{AdoptionNeverEarly, AdoptionNeverStarved};
use crate::quarantine::{Clocks, Quarantine, Rule};
use holdfast_engine::Mutant;

const ONE_STEP: Clocks = Clocks { steps: 1, ..Clocks::STEADY };
const TWO_STEPS: Clocks = Clocks { steps: 2, ..Clocks::STEADY };

/// Two losses, steady clocks.
fn losing(rule: Rule, jumps: u8) -> Quarantine {
    Quarantine { rule, last: 10, quar: 3, losses: 2, jumps, clocks: Clocks::STEADY }
}

fn stepping(last: u8, losses: u8, clocks: Clocks) -> Quarantine {
    Quarantine { last, losses, clocks, ..losing(Rule::Incident, 0) }
}

pub(super) fn rows(t: &mut Table) {
    t.quarantine(
        "a2-incident",
        "incident id, 2 losses (restart/FLUSHALL), replica crashes, T=10",
        losing(Rule::Incident, 0),
    )
    .slow();
    t.quarantine("a3-master-ttl", "PX key on the master, no clock step", {
        losing(Rule::MasterTtl, 0)
    })
    .slow();
    t.quarantine("a0-run", "adopt: if marker.run != run", losing(Rule::Run, 0))
        .breaks(AdoptionNeverEarly)
        .mutant(Mutant::AdoptAnyIncident);
    t.quarantine("a1-run-reset", "the same, stopwatch reset when votes are seen", {
        losing(Rule::RunReset, 0)
    })
    .breaks(AdoptionNeverEarly);
    t.quarantine("a4-master-ttl-clock-step", "PX key on the master, clock step", {
        losing(Rule::MasterTtl, 1)
    })
    .breaks(AdoptionNeverEarly);
    t.quarantine("a5-last-writer", "every observer overwrites the incident id", {
        losing(Rule::LastSeen, 0)
    })
    .breaks(AdoptionNeverStarved)
    .mutant(Mutant::ObserverOverwrites);
    clock_steps(t);
}

fn clock_steps(t: &mut Table) {
    t.quarantine("a6-suspect", "2 clock steps, 1 loss, T=8", stepping(8, 1, TWO_STEPS)).slow();
    t.quarantine("a7-false-suspects", "1 clock step, 2 suspects for nothing, T=8", {
        stepping(8, 0, Clocks { alarms: 2, ..ONE_STEP })
    })
    .slow();
    t.quarantine(
        "a13-fresh-waits",
        "a replica that restarts waits QUAR after its estimate, T=8",
        stepping(8, 0, Clocks { fresh: Some(3), ..ONE_STEP }),
    )
    .slow();
    t.quarantine("a8-early-estimate", "the new estimate is used before suspect is answered", {
        stepping(10, 0, Clocks { early: true, ..ONE_STEP })
    })
    .breaks(AdoptionNeverEarly);
    t.quarantine("a9-suspect-twice", "a suspect is executed twice, with the same x", {
        stepping(6, 0, Clocks { twice: true, ..TWO_STEPS })
    })
    .slow()
    .breaks(AdoptionNeverEarly);
    t.quarantine("a10-suspect-overwrites", "suspect overwrites an open incident", {
        stepping(10, 0, Clocks { overwrite: true, ..ONE_STEP })
    })
    .breaks(AdoptionNeverStarved);
    t.quarantine("a11-old-estimate", "the old estimate is kept after the answer", {
        stepping(9, 0, Clocks { stale: true, ..ONE_STEP })
    })
    .slow()
    .breaks(AdoptionNeverStarved);
    t.quarantine("a12-fresh-replica", "a replica that restarts uses its first estimate at once", {
        stepping(10, 0, Clocks { fresh: Some(0), ..ONE_STEP })
    })
    .breaks(AdoptionNeverEarly);
}
