//! Restarts from an old dump: what a master remembers is what it knew at any one earlier moment,
//! down to nothing. ttl = MAX_TTL = 2 ticks, QUAR = 3; T = last tick.

use super::table::Table;
use crate::lock::{AAB, AB, Bounds, Kind};
use crate::master::{Loss, Rules, V2};
use crate::property::Property::{SupersededLeaseStaysLost, TimedMutualExclusion};

/// One restart from a dump that was written at any moment.
fn dumped(extends: [u8; 3], last: u8) -> Bounds {
    Bounds {
        crashes: 1,
        snapshots: 1,
        losses: &[Loss::SinceSnapshot],
        ..Bounds::timed(V2, AB, extends, last)
    }
}

pub(super) fn rows(t: &mut Table) {
    t.lock("t54-dump-ext", "1 restart from a dump, A e1, B, T=4, lean", {
        dumped([1, 0, 0], 4).lean()
    })
    .slow();
    t.lock("t55-dump-noext", "1 restart from a dump, A, B, give-up, T=5", {
        Bounds { release: false, ..dumped([0; 3], 5) }
    })
    .slow();
    t.lock("t55r-dump-release", "1 restart from a dump, A, B, release and give-up, T=4", {
        dumped([0; 3], 4)
    })
    .slow();
    t.lock(
        "t72-dump-release-ext",
        "1 restart from a dump, A e1, B, release and give-up, T=4",
        dumped([1, 0, 0], 4),
    )
    .huge();
    t.lock("t71-dump-ext2", "1 restart from a dump, A e2, B, T=4, lean", {
        dumped([2, 0, 0], 4).lean()
    })
    .huge();
    t.lock("t77-dump-twice", "2 restarts, 1 of them from a dump, A e1, B, T=4, lean", {
        Bounds { crashes: 2, ..dumped([1, 0, 0], 4).lean() }
    })
    .slow();
    t.lock("t78-two-dumps", "2 restarts, 2 dumps, A, B, T=5, lean", {
        Bounds { crashes: 2, snapshots: 2, ..dumped([0; 3], 5).lean() }
    })
    .slow();
    t.lock("t79-dump-session", "session 1, session 2 e1, B; 1 restart from a dump, T=3", {
        Bounds {
            leases: AAB,
            kind: [Kind::Acquire, Kind::Reattach, Kind::Acquire],
            session_end: true,
            ..dumped([0, 1, 0], 3).lean()
        }
    })
    .slow();
    t.lock("t54b-dump-quar-short", "QUAR 1 < ttl 2, 1 restart from a dump, A, B, T=4, lean", {
        Bounds { quar: 1, ..dumped([0; 3], 4).lean() }
    })
    .breaks(TimedMutualExclusion);
    t.lock("t71b-dump-nopbase", "no p_base, 1 restart from a dump, A e2, B, T=4, lean", {
        Bounds { rules: Rules { p_base: false, ..V2 }, ..dumped([2, 0, 0], 4).lean() }
    })
    .slow()
    .breaks(SupersededLeaseStaysLost);
}
