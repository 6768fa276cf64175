//! Time without memory loss: mutual exclusion, release, clean-up, lifetimes. ttl = MAX_TTL = 2 ticks
//! unless stated; T = last tick.

use super::table::Table;
use crate::lock::{AAB, AB, Bounds};
use crate::master::{Rules, V2};
use crate::property::Property::TimedMutualExclusion;
use holdfast_engine::Mutant;

pub(super) fn rows(t: &mut Table) {
    t.lock("t00-AB-nocrash", "A e1, B e1, T=4", Bounds::timed(V2, AB, [1, 1, 0], 4)).slow();
    t.lock("t00n-AB-nocrash-noise", "A e1, B, T=3, noise 1", {
        Bounds { noise: 1, ..Bounds::timed(V2, AB, [1, 0, 0], 3) }
    })
    .slow();
    t.lock("t11v-reuse-release-by-tok", "AAB, lease id reused after release, T=3", {
        Bounds::timed(V2, AAB, [0; 3], 3)
    })
    .slow();
    let ttls = |rules: Rules| Bounds {
        ttl: [3; 3],
        extend_ttl: 1,
        ..Bounds::timed(rules, AB, [1, 0, 0], 3)
    };
    t.lock("t13-gt", "acquire ttl 3, extend ttl 1, T=3", ttls(V2)).slow();
    t.lock("t12-no-gt", "the same, a new ttl may shorten the old one", {
        ttls(Rules { expiry_gt: false, ..V2 })
    })
    .breaks(TimedMutualExclusion)
    .mutant(Mutant::TtlShrinks);
    t.lock("t10-cleanup-by-lease", "AAB, cleanup by lease id, T=1", {
        Bounds::timed(Rules { cleanup_nonce: false, ..V2 }, AAB, [0; 3], 1)
    })
    .breaks(TimedMutualExclusion)
    .mutant(Mutant::CleanupByLease);
    t.lock("t10s-nonce-not-shared", "AAB, nonce not cleared by a foreign touch, T=1", {
        Bounds::timed(Rules { reaccept_shares: false, ..V2 }, AAB, [0; 3], 1)
    })
    .breaks(TimedMutualExclusion)
    .mutant(Mutant::NonceNotShared);
    t.lock("t11-reuse-release-by-first", "AAB, release by first, id reused, T=3", {
        Bounds::timed(Rules { release_tok: false, ..V2 }, AAB, [0; 3], 3)
    })
    .slow()
    .breaks(TimedMutualExclusion)
    .mutant(Mutant::ReleaseByFirst);
}
