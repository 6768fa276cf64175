//! Replicas whose clock is wrong beyond the bound: AHEAD at the masters, and why QUAR is above
//! 2 x SKEW. SKEW = 1 tick; a master's clock may be SKEW ahead of the slowest right one, so it takes
//! ballots up to 2 ticks ahead of that.

use super::table::Table;
use crate::lock::{AB, Bounds};
use crate::master::{Rules, V2};
use crate::property::Property::{FencingTokensIncrease, SupersededLeaseStaysLost};

/// Masters refuse what is more than SKEW ahead of their own clock.
const GUARDED: Rules = Rules { ahead: Some(2), ..V2 };

/// B's replica has a clock up to 4 ticks ahead, four times SKEW.
fn poisoned(rules: Rules, extends: [u8; 3], last: u8, crashes: u8) -> Bounds {
    Bounds { crashes, skew: 1, fast: 3, ..Bounds::timed(rules, AB, extends, last).lean() }
}

pub(super) fn rows(t: &mut Table) {
    t.lock("h0-ahead", "B's clock up to 4 ahead, AHEAD, QUAR 3 > 2 x SKEW; 1 crash, T=4, lean", {
        poisoned(GUARDED, [0; 3], 4, 1)
    })
    .slow();
    t.lock("h0e-ahead-ext", "the same, A, B e1", poisoned(GUARDED, [0, 1, 0], 4, 1)).slow();
    t.lock("h0c-ahead-giveup", "the same as h0, with give-up, T=3: cleanup is not refused", {
        Bounds { give_up: true, ..poisoned(GUARDED, [0; 3], 3, 1) }
    })
    .slow();
    t.lock("h4-no-loss", "no AHEAD, no loss: any ballot is safe; A e1, B, T=3, lean", {
        poisoned(V2, [1, 0, 0], 3, 0)
    })
    .slow();
    t.lock("h1-no-ahead", "as h0 without AHEAD", poisoned(V2, [0; 3], 4, 1))
        .slow()
        .breaks(FencingTokensIncrease);
    t.lock("h2-quar-2-skew", "as h0, QUAR 2 = 2 x SKEW, no more", {
        Bounds { quar: 2, ..poisoned(GUARDED, [0; 3], 4, 1) }
    })
    .slow()
    .breaks(FencingTokensIncrease);
    t.lock("h3-slow-adopter", "equal clocks, but whoever adopts is 4 ticks slow; A e2, B, T=4", {
        Bounds { skew: 0, fast: 0, slow_adopter: 4, ..poisoned(GUARDED, [2, 0, 0], 4, 1) }
    })
    .slow()
    .breaks(SupersededLeaseStaysLost);
}
