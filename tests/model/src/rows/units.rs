//! A unit that fails over: old primary and promoted replica behind one vote. Holdfast advises
//! masters without replicas; these rows say what a unit would have to guarantee. ttl = MAX_TTL = 2.

use super::table::Table;
use crate::lock::{AB, Bounds, Unit};
use crate::master::V2;
use crate::property::Property::TimedMutualExclusion;

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
}
