//! Clock steps of masters: LATE, suspect, and replicas without an estimate. Decision record 0005.
//! ttl = MAX_TTL = 2 ticks, QUAR = 3; T = last tick; all lean unless stated.

use super::table::Table;
use crate::lock::{AB, Bounds, Fresh, Stepped};
use crate::master::{Rules, V2};
use crate::property::Property::TimedMutualExclusion;
use holdfast_engine::Mutant;

fn stepping(extends: [u8; 3], last: u8) -> Bounds {
    Bounds { steps: 1, ..Bounds::timed(V2, AB, extends, last).lean() }
}

pub(super) fn rows(t: &mut Table) {
    one_step(t);
    together(t);
    t.lock("s1-no-late", "scripts of a replica that saw the old clock still vote", {
        Bounds { rules: Rules { late: false, ..V2 }, ..stepping([0; 3], 4) }
    })
    .breaks(TimedMutualExclusion)
    .mutant(Mutant::VoteLate);
    t.lock("s2-remeasure", "LATE, but the replica just measures again: no suspect", {
        Bounds { stepped: Stepped::Remeasure, ..stepping([0; 3], 4) }
    })
    .breaks(TimedMutualExclusion);
    t.lock("s3-quar-short", "QUAR 1 < ttl 2", Bounds { quar: 1, ..stepping([0; 3], 4) })
        .breaks(TimedMutualExclusion);
    t.lock("s4-fresh-replica", "a replica without estimate starts after the step", {
        Bounds { fresh: Fresh::AtOnce, ..stepping([0; 3], 4) }
    })
    .breaks(TimedMutualExclusion);
    t.lock("s5-fresh-waits", "it counts votes only MAX_TTL after its first estimate", {
        Bounds { fresh: Fresh::Waits, ..stepping([0; 3], 4) }
    })
    .slow();
}

fn one_step(t: &mut Table) {
    t.lock("s0-suspect", "1 clock step, LATE, suspect; A e1, B, T=4", stepping([1, 0, 0], 4))
        .slow();
    t.lock("s0b-suspect-noext-T5", "the same without extend, T=5", stepping([0; 3], 5)).slow();
    t.lock("s12-suspect-ext2", "1 clock step; A e2, B, T=4", stepping([2, 0, 0], 4)).slow();
    t.lock("s11-nopbase", "1 clock step, no p_base; A e2, B, T=4", {
        Bounds { rules: Rules { p_base: false, ..V2 }, ..stepping([2, 0, 0], 4) }
    })
    .slow();
    t.lock("s13-release-giveup", "1 clock step; A e1, B, release and give-up, T=3", {
        Bounds { release: true, give_up: true, ..stepping([1, 0, 0], 3) }
    })
    .slow();
    t.lock("s10-step-skew2", "1 clock step, skew 2; A e1, B, T=3", {
        Bounds { skew: 2, ..stepping([1, 0, 0], 3) }
    })
    .slow();
}

fn together(t: &mut Table) {
    t.lock("s6-false-suspect", "1 clock step and 1 suspect for nothing; A e1, B, T=4", {
        Bounds { suspects: 1, ..stepping([1, 0, 0], 4) }
    })
    .slow();
    t.lock("s7-false-suspects", "2 suspects for nothing; A e1, B, T=4", {
        Bounds { steps: 0, suspects: 2, ..stepping([1, 0, 0], 4) }
    })
    .slow();
    t.lock("s8-two-steps", "2 clock steps; A, B, T=4", {
        Bounds { steps: 2, ..stepping([0; 3], 4) }
    })
    .slow();
    t.lock("s9-step-crash", "1 clock step and 1 crash; A, B, T=4", {
        Bounds { crashes: 1, ..stepping([0; 3], 4) }
    })
    .slow();
}
