//! Sessions: who may clean up a lock that several of them extended? Decision record 0002.
//! Attempts are, in order: session 1 by acquire, session 2 by re-attach, contender B, unless the row
//! says otherwise. ttl = MAX_TTL = 2 ticks; T = last tick.

use super::table::Table;
use crate::lock::{AAA, AAB, Bounds, Kind};
use crate::master::{Rules, SessionNonce, V2};
use crate::property::Property::{HolderKeepsItsLocks, SessionGivesBack, TimedMutualExclusion};
use holdfast_engine::Mutant;

const AA: &[u8] = &[1, 1];
const RETRY: [Kind; 3] = [Kind::Acquire, Kind::Acquire, Kind::Reattach];

const fn with(rule: SessionNonce) -> Rules {
    Rules { session_nonce: rule, ..V2 }
}

fn sessions(rule: SessionNonce, extends: [u8; 3], last: u8) -> Bounds {
    Bounds {
        session_end: true,
        kind: [Kind::Acquire, Kind::Reattach, Kind::Acquire],
        ..Bounds::timed(with(rule), AAB, extends, last).lean()
    }
}

/// Without a contender, so that there is room for more sessions and longer runs: the third one, if
/// any, is a re-attached session too.
fn alone(rule: SessionNonce, leases: &'static [u8], extends: [u8; 3], last: u8) -> Bounds {
    let kind = [Kind::Acquire, Kind::Reattach, Kind::Reattach];
    Bounds { leases, kind, locks_stay: true, ..sessions(rule, extends, last) }
}

pub(super) fn rows(t: &mut Table) {
    handover(t);
    giving_back(t);
    beside_unary(t);
    more_sessions(t);
    broken(t);
}

fn handover(t: &mut Table) {
    use SessionNonce::{Handover, Shared};
    t.lock("d0-handover", "session 1 e1, session 2 e1, B; T=3", sessions(Handover, [1, 1, 0], 3))
        .slow();
    t.lock("d0t2-handover", "the same, T=2", sessions(Handover, [1, 1, 0], 2)).slow();
    t.lock("d2-shared", "a foreign touch sets '' for good, no handover; T=2", {
        sessions(Shared, [1, 1, 0], 2)
    })
    .slow();
    t.lock("d4-handover-skew2", "session 1, session 2 e1, B; skew 2, T=2", {
        Bounds { skew: 2, ..sessions(Handover, [0, 1, 0], 2) }
    })
    .slow();
    t.lock("d5-handover-ext2", "session 1 e1, session 2 e2, B; T=2", {
        sessions(Handover, [1, 2, 0], 2)
    })
    .slow();
    t.lock("d5b-handover-ext2", "session 1 e2, session 2 e1, B; T=2", {
        sessions(Handover, [2, 1, 0], 2)
    })
    .slow();
    t.lock("d18-handover-crash", "session 1, session 2 e1, B, 1 crash; T=3", {
        Bounds { crashes: 1, ..sessions(Handover, [0, 1, 0], 3) }
    })
    .slow();
    t.lock("d12-untimed", "untimed: session 1 e1, session 2 e1, B", {
        let Bounds { kind, .. } = sessions(Handover, [0; 3], 0);
        let bounds = Bounds::untimed(with(Handover), AAB, [1, 1, 0], 4).lean();
        Bounds { kind, session_end: true, ..bounds }
    })
    .slow();
}

fn giving_back(t: &mut Table) {
    let gives = |rule| Bounds { gives_back: true, ..sessions(rule, [0, 2, 0], 2) };
    t.lock(
        "d6-gives-back",
        "session 1 extends no more: session 2's cleanup deletes its lock; T=2",
        gives(SessionNonce::Handover),
    )
    .slow();
    t.lock("d7-shared-gives-back", "the same without handover", gives(SessionNonce::Shared))
        .breaks(SessionGivesBack);
}

fn beside_unary(t: &mut Table) {
    let unary = |rule| Bounds {
        kind: [Kind::Acquire, Kind::Unary, Kind::Acquire],
        ..sessions(rule, [1, 1, 0], 2)
    };
    t.lock("d9-unary", "session 1 e1, unary extend e1, B; T=2", unary(SessionNonce::Handover));
    t.lock("d9s-unary-by-ballot", "the same, p > lock.p: nonce = the session's, else ''", {
        unary(SessionNonce::ByBallot)
    })
    .slow()
    .breaks(TimedMutualExclusion);
    t.lock("d13-session-unary", "sessions 1 and 2, unary extend, e1 each, no contender; T=2", {
        Bounds {
            kind: [Kind::Acquire, Kind::Reattach, Kind::Unary],
            ..alone(SessionNonce::Handover, AAA, [1, 1, 1], 2)
        }
    })
    .slow();
}

fn more_sessions(t: &mut Table) {
    use SessionNonce::Handover;
    t.lock("d10-three-sessions", "sessions 1, 2, 3, e1 each, no contender; T=2", {
        alone(Handover, AAA, [1, 1, 1], 2)
    })
    .slow();
    t.lock("d10b-three-sessions", "sessions 1, 2 e1, 3 e1, no contender; T=3", {
        alone(Handover, AAA, [0, 1, 1], 3)
    });
    t.lock(
        "d14-acquire-retry",
        "session 1 e1, retry of acquire e1, give-up, no contender; T=3",
        Bounds { kind: RETRY, give_up: true, ..alone(Handover, AA, [1, 1, 0], 3) },
    )
    .slow();
    t.lock(
        "d15-retry-reattach",
        "session 1, retry of acquire, re-attach e1, no contender; T=2",
        Bounds { kind: RETRY, ..alone(Handover, AAA, [0, 0, 1], 2) },
    )
    .slow();
    t.lock("d16-two-sessions", "session 1 e2, session 2 e2, no contender; T=2", {
        alone(Handover, AA, [2, 2, 0], 2)
    })
    .slow();
    t.lock("d17-two-sessions-skew2", "session 1 e1, session 2 e1, skew 2, no contender; T=3", {
        Bounds { skew: 2, ..alone(Handover, AA, [1, 1, 0], 3) }
    })
    .slow();
}

fn broken(t: &mut Table) {
    use SessionNonce::{ByBallot, ByBallotLenient, Chain, Handover, Untouched};
    t.lock("d1-by-ballot", "p > lock.p: nonce = the session's, else ''; T=2", {
        sessions(ByBallot, [1, 1, 0], 2)
    })
    .slow()
    .breaks(TimedMutualExclusion);
    t.lock("d1l-by-ballot-lenient", "the same, but own nonce kept when p <= lock.p", {
        sessions(ByBallotLenient, [1, 1, 0], 2)
    })
    .slow()
    .breaks(TimedMutualExclusion);
    t.lock("d3-untouched", "extend leaves the nonce alone; T=2", {
        sessions(Untouched, [1, 1, 0], 2)
    })
    .breaks(TimedMutualExclusion);
    t.lock("d8-failed-cleans-up", "a re-attach that failed sends cleanup; session 2 e1, T=2", {
        Bounds { failed_cleanup: true, ..sessions(Handover, [0, 1, 0], 2) }
    })
    .breaks(TimedMutualExclusion)
    .mutant(Mutant::UnreadTakesBack);
    t.lock("d11-chain", "as d10b, T=2, but a re-attached session takes over from another one", {
        alone(Chain, AAA, [0, 1, 1], 2)
    })
    .breaks(HolderKeepsItsLocks);
    t.lock("d16s-by-ballot", "as d16, p > lock.p: nonce = the session's, else ''", {
        alone(ByBallot, AA, [2, 2, 0], 2)
    })
    .breaks(HolderKeepsItsLocks);
}
