//! ForceRelease by revocation. A is revoked by an operator while it is extended; with B, exclusion
//! is judged as well. Without all three parts of the rule (the floor, `r1`; nobody has seen a higher
//! ballot, `r2`; no quarantine, `r4`) a message of A that was under way can create its lock where the
//! operator was told that there is none. ttl = MAX_TTL = 2 ticks, QUAR = 3; T = last tick; all lean.

use super::table::Table;
use crate::lock::{AB, Bounds, Revoke};
use crate::master::V2;
use crate::property::Property::RevokedLeaseEnds;
use holdfast_engine::Mutant;

const A: &[u8] = &[1];

fn revoking(revoke: Revoke, leases: &'static [u8], extends: [u8; 3], last: u8) -> Bounds {
    Bounds { revoke, ..Bounds::timed(V2, leases, extends, last).lean() }
}

pub(super) fn rows(t: &mut Table) {
    t.lock(
        "r0-no-floor-contender",
        "revoke that raises no floor: exclusion, tokens; A e1, B, T=3 (R not judged)",
        revoking(Revoke::NoFloor, AB, [1, 0, 0], 3),
    )
    .slow()
    .ignoring(&[RevokedLeaseEnds]);
    t.lock(
        "r1-no-floor",
        "revoke that raises no floor: late messages bring A back; A e2, T=2",
        revoking(Revoke::NoFloor, A, [2, 0, 0], 2),
    )
    .breaks(RevokedLeaseEnds)
    .mutant(Mutant::RevokeRaisesNothing);
    t.lock("r2-raising", "revoke raises the floor to its ballot; A e2, skew 2, T=2", {
        Bounds { skew: 2, ..revoking(Revoke::Raising, A, [2, 0, 0], 2) }
    })
    .breaks(RevokedLeaseEnds);
    t.lock(
        "r3-above-all-seen",
        "and no master counted has seen a higher one; A e2, skew 2, T=3",
        Bounds { skew: 2, ..revoking(Revoke::AboveAllSeen, A, [2, 0, 0], 3) },
    )
    .slow();
    t.lock("r4-above-all-seen-crash", "the same, equal clocks, 1 crash, T=2", {
        Bounds { crashes: 1, ..revoking(Revoke::AboveAllSeen, A, [2, 0, 0], 2) }
    })
    .slow()
    .breaks(RevokedLeaseEnds);
    t.lock(
        "r5-voters-only",
        "as built: and no quarantine counts, but a revoked lock; A e2, 1 crash, T=5",
        Bounds { crashes: 1, ..revoking(Revoke::VotersOnly, A, [2, 0, 0], 5) },
    )
    .slow();
    t.lock("r5s-voters-only-skew", "the same, skew 1, QUAR 2, A e2, 1 crash, T=3", {
        Bounds { crashes: 1, skew: 1, quar: 2, ..revoking(Revoke::VotersOnly, A, [2, 0, 0], 3) }
    })
    .slow();
    t.lock("r6-voters-only-contender", "the same, equal clocks, A e1, B, T=3, no crash", {
        revoking(Revoke::VotersOnly, AB, [1, 0, 0], 3)
    })
    .slow();
}
