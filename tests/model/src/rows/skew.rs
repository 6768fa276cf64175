//! Skewed clocks of the replicas, within the bound, and p_base. "skew 2": any two readings differ by
//! at most 2 ticks. ttl = MAX_TTL = 2 ticks, QUAR = 3 unless stated; T = last tick.

use super::table::Table;
use crate::lock::{AB, Bounds};
use crate::master::{Rules, V2};
use crate::property::Property::FencingTokensIncrease;
use holdfast_engine::Mutant;

fn skewed(extends: [u8; 3], last: u8, crashes: u8, skew: u8) -> Bounds {
    Bounds { crashes, skew, release: false, ..Bounds::timed(V2, AB, extends, last) }
}

pub(super) fn rows(t: &mut Table) {
    with_base(t);
    combined(t);
    without_base(t);
}

fn with_base(t: &mut Table) {
    t.lock("t42-skew2", "skew 2 < QUAR 3, 1 crash, T=4, no release", skewed([0; 3], 4, 1, 2))
        .slow();
    t.lock(
        "t42e-skew2-pbase-early",
        "the same, p_base computed at the first legal moment, adopt late",
        Bounds { early_base: true, ..skewed([0; 3], 4, 1, 2) },
    )
    .slow();
    t.lock("t34-pbase-skew-ttls", "skew 2, ttls 1 and 2, 1 crash, A e1, T=4, lean", {
        two_ttls(skewed([1, 0, 0], 4, 1, 2))
    })
    .slow();
    t.lock("t64-skew2-ext2", "skew 2 < QUAR 3, 1 crash, A e2, T=4, lean", {
        skewed([2, 0, 0], 4, 1, 2).lean()
    })
    .huge();
    t.lock("t44-skew4", "skew 4 > QUAR 3, 1 crash, T=4", skewed([0; 3], 4, 1, 4))
        .slow()
        .breaks(FencingTokensIncrease);
}

/// Skew together with everything else.
fn combined(t: &mut Table) {
    t.lock("t80-skew2-release", "skew 2, no loss, A e1, B, release and give-up, T=2", {
        Bounds { release: true, ..skewed([1, 0, 0], 2, 0, 2) }
    })
    .slow();
    t.lock("t81-skew2-release-crash", "skew 2, 1 crash, A, B, release and give-up, T=4", {
        Bounds { release: true, ..skewed([0; 3], 4, 1, 2) }
    })
    .slow();
    t.lock("t82-skew2-ext-giveup", "skew 2, 1 crash, A e1, B, give-up, T=4", {
        skewed([1, 0, 0], 4, 1, 2)
    })
    .huge();
    t.lock("t82s-skew1-ext-giveup", "skew 1, QUAR 2, 1 crash, A e1, B, give-up, T=3", {
        Bounds { quar: 2, ..skewed([1, 0, 0], 3, 1, 1) }
    })
    .slow();
    t.lock("t83-skew2-crash2", "skew 2, 2 crashes, A, B, T=4, lean", {
        skewed([0; 3], 4, 2, 2).lean()
    })
    .slow();
    t.lock("t84-skew2-crash2-ext", "skew 2, 2 crashes, A e1, B, T=4, lean", {
        skewed([1, 0, 0], 4, 2, 2).lean()
    })
    .huge();
    t.lock("t84s-skew1-crash2-ext", "skew 1, QUAR 2, 2 crashes, A e1, B, T=4, lean", {
        Bounds { quar: 2, ..skewed([1, 0, 0], 4, 2, 1).lean() }
    })
    .slow();
    t.lock("t85-skew2-crash3", "skew 2, 3 crashes, A, B, T=4, lean", {
        skewed([0; 3], 4, 3, 2).lean()
    })
    .slow();
}

fn without_base(t: &mut Table) {
    let no_base = |bounds| Bounds { rules: Rules { p_base: false, ..V2 }, ..bounds };
    t.lock(
        "t33-nopbase-skew-ttls",
        "no p_base, skew 2, ttls 1 and 2, QUAR 5, A e1, T=5, lean",
        no_base(Bounds { quar: 5, ..two_ttls(skewed([1, 0, 0], 5, 1, 2)) }),
    )
    .slow();
    t.lock("t43-nopbase-skew2-quar5", "no p_base, skew 2, QUAR 5 > MAX_TTL + skew", {
        no_base(Bounds { quar: 5, ..skewed([0; 3], 5, 1, 2) })
    })
    .slow();
    t.lock("t41-skew2-nopbase", "no p_base, skew 2 < QUAR 3", no_base(skewed([0; 3], 4, 1, 2)))
        .slow()
        .breaks(FencingTokensIncrease)
        .mutant(Mutant::NoBallotBase);
    t.lock("t40-skew4-nopbase", "no p_base, skew 4", no_base(skewed([0; 3], 4, 1, 4)))
        .slow()
        .breaks(FencingTokensIncrease);
}

/// Short-lived leases among longer ones.
fn two_ttls(bounds: Bounds) -> Bounds {
    Bounds { ttl: [1, 2, 2], extend_ttl: 1, give_up: false, ..bounds }
}
