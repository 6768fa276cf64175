//! Leader reads and token checks. Decision record 0004. The watchers of pairs are in `untimed` and
//! `loss`.

use super::table::Table;
use crate::lock::{AB, Bounds, Check, Watch};
use crate::master::{Own, Rules, V2};
use crate::property::Property::{
    CurrentIsTrue, CurrentMeansThisLease, FencingTokensIncrease, HoldersTermIsTold, NoZombie,
    SupersededIsTrue, SupersededLeaseStaysLost, TermsNeverGoDown, TimedMutualExclusion,
};
use holdfast_engine::Mutant;

/// B makes two rounds.
const TWICE: [u8; 3] = [1, 2, 1];

pub(super) fn rows(t: &mut Table) {
    watching(t);
    checking(t);
}

fn watching(t: &mut Table) {
    let untimed = |watch, rounds, extends, max_p| Bounds {
        watch,
        rounds,
        ..Bounds::untimed(V2, AB, extends, max_p).lean()
    };
    t.lock("w7-interval", "largest T with first <= T <= tok at a quorum; A, B r2", {
        untimed(Watch::Interval, TWICE, [0; 3], 3)
    });
    t.lock("w7e-interval-ext", "the same; A e1, B", {
        untimed(Watch::Interval, [1; 3], [1, 0, 0], 3)
    });
    t.lock("w7x-interval-ext-r2", "the same; A e1, B r2", {
        untimed(Watch::Interval, TWICE, [1, 0, 0], 4)
    })
    .slow();
    t.lock("w8-interval-loss", "the same, timed, 1 crash, T=4, lean", {
        Bounds { crashes: 1, watch: Watch::Interval, ..Bounds::timed(V2, AB, [0; 3], 4).lean() }
    })
    .slow();
    t.lock("w5-per-lease", "q-th largest tok, never below one sent for that lease; A, B r2", {
        untimed(Watch::Largest, TWICE, [0; 3], 4)
    })
    .breaks(TermsNeverGoDown)
    .mutant(Mutant::TermOutsideInterval);
    t.lock(
        "w6-per-watch",
        "the same, another lease with a lower term is withheld; A e1, B r2",
        untimed(Watch::Withheld, TWICE, [1, 0, 0], 4),
    )
    .slow()
    .breaks(HoldersTermIsTold);
}

fn checking(t: &mut Table) {
    let timed = |check, rounds, extends, last| Bounds {
        check,
        rounds,
        ..Bounds::timed(V2, AB, extends, last).lean()
    };
    t.lock(
        "k2-interval",
        "SUPERSEDED iff q show one lease with T < first <= T' <= tok; A e1, B r2, T=3",
        timed(Check::Interval, TWICE, [1, 0, 0], 3),
    )
    .slow();
    t.lock("k2e-interval-ext2", "the same; A e2, B r2, T=3", {
        timed(Check::Interval, TWICE, [2, 0, 0], 3)
    })
    .slow();
    t.lock("k3-interval-loss", "the same, A, B, 1 crash, T=4", {
        Bounds { crashes: 1, ..timed(Check::Interval, [1; 3], [0; 3], 4) }
    });
    let untimed =
        Bounds { check: Check::Interval, release: false, ..Bounds::untimed(V2, AB, [1, 0, 0], 3) };
    t.lock("k4-untimed", "CURRENT under arbitrary expiry; A e1, B", untimed);
    t.lock(
        "k1-any-lease",
        "SUPERSEDED iff q masters show a lease with first > T; A e2, B r2, T=3",
        timed(Check::AnyLease, TWICE, [2, 0, 0], 3),
    )
    .slow()
    .breaks(SupersededIsTrue);
    t.lock("k7-tok-only", "CURRENT iff a quorum shows one lease with T <= tok; A, B", {
        Bounds { check: Check::TokOnly, extends: [0; 3], ..untimed }
    })
    .breaks(CurrentMeansThisLease);
    t.lock(
        "k5-repair-ignores-floor",
        "CURRENT if extend matches the lease only and repair ignores the floor; A e2, B",
        {
            let rules = Rules { own: Own::Lease, repair_floor: false, ..V2 };
            Bounds { rules, extends: [2, 0, 0], max_p: 4, ..untimed }
        },
    )
    .breaks(CurrentIsTrue)
    .ignoring(&[NoZombie, FencingTokensIncrease, SupersededLeaseStaysLost]);
    t.lock("k6-early-expiry", "SUPERSEDED if a lock expires early; A, B, T=4", {
        Bounds { early_expiries: 1, ..timed(Check::Interval, [1; 3], [0; 3], 4) }
    })
    .breaks(SupersededIsTrue)
    .ignoring(&[TimedMutualExclusion]);
}
