//! No memory loss and no clocks: tokens, superseded leases and zombies under arbitrary expiry, delay,
//! repetition and skew of ballots.

use super::table::Table;
use crate::lock::{AAB, AB, Bounds, Watch};
use crate::master::{Own, Rules, V2};
use crate::property::Property::{
    FencingTokensAreUnique, FencingTokensIncrease, NoZombie, RetryNeverLowersTheToken,
    SupersededLeaseStaysLost,
};
use holdfast_engine::Mutant;

pub(super) fn rows(t: &mut Table) {
    holding(t);
    t.lock("u1-regress", "re-accept with a lower p regresses", {
        let rules = Rules { reaccept_regresses: true, ..V2 };
        Bounds { rounds: [2, 1, 1], ..Bounds::untimed(rules, AB, [0; 3], 3) }
    })
    .breaks(FencingTokensIncrease)
    .mutant(Mutant::RegressingReaccept);
    t.lock("u1s-regress-retry", "the same: A's retry, begun later, gets the lower token", {
        let rules = Rules { reaccept_regresses: true, ..V2 };
        Bounds::untimed(rules, &[1, 1], [0; 3], 3)
    })
    .breaks(RetryNeverLowersTheToken);
    t.lock(
        "u6e-accepts-floor",
        "ballots NOT unique, a new lock at the very ballot of the floor",
        {
            let rules = Rules { accepts_floor: true, ..V2 };
            Bounds { unique: false, ..Bounds::untimed(rules, AB, [0; 3], 3) }
        },
    )
    .breaks(FencingTokensAreUnique)
    .ignoring(&[FencingTokensIncrease]);
    t.lock("u2-mixed", "OKs of different rounds added", {
        let rules = Rules { mixed_rounds: true, ..V2 };
        Bounds { rounds: [2, 1, 1], ..Bounds::untimed(rules, AB, [0; 3], 3) }
    })
    .breaks(FencingTokensIncrease)
    .mutant(Mutant::MixedRounds);
    let own = |own: Own| Bounds::untimed(Rules { own, ..V2 }, AAB, [1, 0, 0], 4);
    t.lock("u3-extend-by-lease", "extend matches the lease only", own(Own::Lease))
        .slow()
        .breaks(SupersededLeaseStaysLost)
        .mutant(Mutant::ExtendByLease);
    t.lock(
        "u3t-extend-by-tok",
        "extend requires lock.tok <= tok instead of first <= tok",
        own(Own::Tok),
    )
    .slow();
    t.lock("u7-repair-ignores-floor", "repair ignores the floor", {
        Bounds::untimed(Rules { repair_floor: false, ..V2 }, AB, [2, 0, 0], 4)
    })
    .breaks(SupersededLeaseStaysLost)
    .mutant(Mutant::RepairIgnoresFloor);
    let no_barrier = Rules { barrier: false, ..V2 };
    t.lock("u8-no-barrier", "no barrier, A r2 e1, B, noise 1 (Z not judged)", {
        let bounds = Bounds::untimed(no_barrier, AB, [1, 0, 0], 4);
        Bounds { rounds: [2, 1, 1], noise: 1, ..bounds }
    })
    .slow()
    .ignoring(&[NoZombie]);
    t.lock("u8b-no-barrier-ext2", "no barrier, A e2, B e1 (Z not judged)", {
        Bounds::untimed(no_barrier, AB, [2, 1, 0], 5)
    })
    .slow()
    .ignoring(&[NoZombie]);
    t.lock("u8z-no-barrier-zombie", "no barrier", Bounds::untimed(no_barrier, AB, [0; 3], 3))
        .breaks(NoZombie);
    t.lock("u9-ext-no-floor", "extend does not raise lock.p and the floor", {
        Bounds::untimed(Rules { extend_raises: false, ..V2 }, AB, [2, 1, 0], 5)
    })
    .slow()
    .breaks(SupersededLeaseStaysLost)
    .mutant(Mutant::ExtendRaisesNothing);
}

fn holding(t: &mut Table) {
    t.lock("u0", "A, B", Bounds::untimed(V2, AB, [0; 3], 3));
    t.lock("u4-AB-ext", "A r2 e1, B, noise 1", {
        let bounds = Bounds::untimed(V2, AB, [1, 0, 0], 4);
        Bounds { rounds: [2, 1, 1], noise: 1, ..bounds }
    })
    .slow();
    t.lock("u4b-AB-ext2", "A e2, B e1", Bounds::untimed(V2, AB, [2, 1, 0], 5)).slow();
    t.lock("u5-AAB-ext", "AAB (retry via another replica), e1", {
        Bounds::untimed(V2, AAB, [1, 0, 0], 4)
    })
    .slow();
    t.lock("u6-nonunique-ballots", "ballots NOT unique, A r2 e1, B e1", {
        let bounds = Bounds::untimed(V2, AB, [1, 1, 0], 3);
        Bounds { rounds: [2, 1, 1], unique: false, ..bounds }
    });
    t.lock5("n5-untimed", "N=5, A e1, B", Bounds::untimed(V2, AB, [1, 0, 0], 3)).slow();
    let watched = |bounds| Bounds { watch: Watch::Pair, ..bounds };
    t.lock("w0-watch-untimed", "watcher of pairs, A r2, B", {
        watched(Bounds { rounds: [2, 1, 1], ..Bounds::untimed(V2, AB, [0; 3], 3) })
    })
    .slow();
    t.lock("w3-watch-untimed-ext", "watcher of pairs, A e1, B", {
        watched(Bounds::untimed(V2, AB, [1, 0, 0], 3))
    })
    .slow();
}
