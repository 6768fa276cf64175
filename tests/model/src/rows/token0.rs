//! Release with token 0, by a client that never learned its token. Decision record 0003. AAB: the
//! first attempt is released, the second one uses the lease id again. A late acquire with a higher
//! ballot than the release may leave a lock nobody holds, so zombies are not judged.

use super::table::Table;
use crate::lock::{AAB, Bounds, Token0};
use crate::master::V2;
use crate::property::Property::{NoZombie, TimedMutualExclusion};

fn releasing(token0: Token0, last: u8, skew: u8) -> Bounds {
    Bounds { token0, skew, ..Bounds::timed(V2, AAB, [0; 3], last).lean() }
}

pub(super) fn rows(t: &mut Table) {
    t.lock(
        "z2-reuse-after-quorum",
        "tok = own p, id reused only after a quorum answered; T=2",
        releasing(Token0::ReuseAfterQuorum, 2, 0),
    )
    .ignoring(&[NoZombie]);
    t.lock("z2s-reuse-after-quorum-skew2", "the same, skew 2, T=1", {
        releasing(Token0::ReuseAfterQuorum, 1, 2)
    })
    .slow()
    .ignoring(&[NoZombie]);
    t.lock("z5-reuse-after-quorum-crash", "the same, equal clocks, 1 crash, T=3", {
        Bounds { crashes: 1, ..releasing(Token0::ReuseAfterQuorum, 3, 0) }
    })
    .slow()
    .ignoring(&[NoZombie]);
    t.lock("z4-exact", "read, then delete-exact per master; T=2", {
        releasing(Token0::Exact, 2, 0)
    })
    .slow()
    .ignoring(&[NoZombie]);
    t.lock("z4s-exact-skew2", "the same, skew 2, T=1", releasing(Token0::Exact, 1, 2))
        .slow()
        .ignoring(&[NoZombie]);
    t.lock("z1-own-ballot-skew2", "tok = own p, id reused at once, skew 2, T=1", {
        releasing(Token0::OwnBallot, 1, 2)
    })
    .slow()
    .breaks(TimedMutualExclusion);
    t.lock("z1b-own-ballot", "the same, clocks equal up to less than a tick", {
        releasing(Token0::OwnBallot, 1, 0)
    })
    .breaks(TimedMutualExclusion);
    t.lock(
        "z3-highest-read",
        "tok = highest tok a quorum showed, id reused at once, skew 2, T=1",
        releasing(Token0::HighestRead, 1, 2),
    )
    .slow()
    .breaks(TimedMutualExclusion);
    t.lock(
        "z4l-exact-late-read",
        "as z4, but reads that arrive after the id was used again are acted on",
        releasing(Token0::ExactLateRead, 2, 0),
    )
    .slow()
    .breaks(TimedMutualExclusion);
}
