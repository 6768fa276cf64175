//! A unit that fails over: old primary and promoted replica behind one vote. g0 to g6 say what a unit
//! must guarantee (ttl = MAX_TTL = 2): that its old primary stops voting L' after it lost its replica.
//! g7 and up say what makes it stop (L = 2 ticks, a tick is a second). Decision record 0012.

use super::table::Table;
use crate::lock::{AB, Bounds, Unit};
use crate::master::V2;
use crate::property::Property::{AdoptionNeverEarly, OldPrimaryStops, TimedMutualExclusion};
use crate::unit::{Identity, Rule, UnitModel};

fn failing_over(unit: Unit, extends: [u8; 3], last: u8, quar: u8) -> Bounds {
    Bounds { unit, quar, release: false, ..Bounds::timed(V2, AB, extends, last) }
}

pub(super) fn rows(t: &mut Table) {
    t.unit("g0-marker-only", "the promoted process waits QUAR, the old one votes on; T=4", {
        failing_over(Unit::MarkerOnly, [0; 3], 4, 3)
    })
    .breaks(TimedMutualExclusion);
    t.unit(
        "g3-lag1-quar3",
        "the old one votes for 1 tick more, QUAR = MAX_TTL + 1, A e1, T=5, lean",
        failing_over(Unit::StopsAfter(1), [1, 0, 0], 5, 3).lean(),
    )
    .slow();
    t.unit("g4-lag1-quar2", "the same, QUAR = MAX_TTL, no extends, give-up", {
        failing_over(Unit::StopsAfter(1), [0; 3], 5, 2)
    })
    .slow()
    .breaks(TimedMutualExclusion);
    t.unit("g5-lag1-quar3-noext", "the same, QUAR = MAX_TTL + 1", {
        failing_over(Unit::StopsAfter(1), [0; 3], 5, 3)
    })
    .huge();
    t.unit("g6-lag2-quar3", "the old one votes for 2 ticks more, QUAR = MAX_TTL + 1", {
        failing_over(Unit::StopsAfter(2), [0; 3], 5, 3)
    })
    .slow()
    .breaks(TimedMutualExclusion);
    old_primary(t);
    changes_of_role(t);
}

/// L in ticks.
const LIMIT: u8 = 2;

/// The protocol: L after the loss of its replica it votes for the last time, however often it is paused.
const HEARTBEATS: UnitModel = UnitModel {
    last: 12,
    limit: LIMIT,
    stops: LIMIT + 1,
    pauses: 3,
    back: false,
    returns: None,
    rule: Rule::Acknowledged,
    identity: Identity::Script,
};

/// And of what the promoted one forgot, nothing is ever counted over an old connection.
const BACK: UnitModel = UnitModel { last: 8, pauses: 1, back: true, ..HEARTBEATS };

/// On paper: 2 L + 2 ticks, and one to spare.
const PAPER: UnitModel =
    UnitModel { rule: Rule::Heartbeats, stops: 2 * LIMIT + 3, pauses: 1, ..HEARTBEATS };

fn old_primary(t: &mut Table) {
    t.primary("g7-acknowledged", "the old primary, paused 3 times, L' = L + 1, T=12", HEARTBEATS)
        .slow();
    t.primary("g8-tight", "the same, L' = L", UnitModel { stops: LIMIT, ..HEARTBEATS })
        .breaks(OldPrimaryStops);
    t.primary("g9-min-replicas", "no heartbeats, paused once, L' = 2 L + 3", {
        UnitModel { rule: Rule::MinReplicas, ..PAPER }
    })
    .breaks(OldPrimaryStops);
    t.primary("g10-heartbeats", "heartbeats that nobody acknowledges, the same", PAPER);
    t.primary("g11-heartbeats-twice", "the same, paused twice", UnitModel { pauses: 2, ..PAPER })
        .breaks(OldPrimaryStops);
}

fn changes_of_role(t: &mut Table) {
    t.primary("g12-back", "demoted and promoted again, paused once, T=8", BACK);
    t.primary("g13-run-id", "the same, known by its run_id", {
        UnitModel { identity: Identity::RunId, ..BACK }
    })
    .breaks(AdoptionNeverEarly);
    t.primary("g14-reread", "the same, identity read every tick and not by the scripts", {
        UnitModel { identity: Identity::Reread, ..BACK }
    })
    .breaks(AdoptionNeverEarly);
    let returning = |rule| UnitModel { last: 11, pauses: 1, returns: Some(4), rule, ..HEARTBEATS };
    t.primary(
        "g15-returns",
        "the promoted one has voted and follows the old one again, QUAR = 4, paused once, T=11",
        returning(Rule::Acknowledged),
    )
    .slow();
    t.primary("g16-one-incident", "the same, a gap in quarantine is no new incident", {
        returning(Rule::OneIncident)
    })
    .breaks(AdoptionNeverEarly);
}
