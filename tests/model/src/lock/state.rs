//! What there is at one moment: the attempts with what their clients know, and the masters.

use crate::master::{ATTEMPTS, Master};

/// How far an attempt has come.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Default, Debug)]
pub(crate) enum Phase {
    #[default]
    Idle,
    Acquiring,
    Held,
    Failed,
    Released,
    /// The session ended.
    Detached,
}

/// One acquire attempt with the session after it, a re-attached session, or unary extends.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Default, Debug)]
pub(crate) struct Attempt {
    pub(crate) phase: Phase,
    /// Acquire rounds so far, their ballots, start of the current one.
    pub(crate) acquires: u8,
    pub(crate) acquire_ps: [u8; 2],
    pub(crate) acquire_start: u8,
    pub(crate) tok: u8,
    pub(crate) valid_until: u8,
    /// Highest token completed before the start, by another lease and by the same one.
    pub(crate) above: u8,
    pub(crate) above_same: u8,
    /// Extend rounds so far, their ballots, whether one runs, its start.
    pub(crate) extends: u8,
    pub(crate) extend_ps: [u8; 2],
    pub(crate) extending: bool,
    pub(crate) extend_start: u8,
    /// A newer lease had completed before the extend round started.
    pub(crate) superseded: bool,
    /// The lease had been revoked before the extend round started.
    pub(crate) revoked: bool,
    /// Ballot of the last successful extend: what repair carries.
    pub(crate) proven_p: u8,
    /// The client has given the lease up: later results grant it nothing.
    pub(crate) gone: bool,
    /// Ballot of a release with token 0, and the tok it carries.
    pub(crate) release_p: u8,
    pub(crate) release_tok: u8,
    /// A replica without old estimates starts nothing before.
    pub(crate) from: u8,
}

/// What there is.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub(crate) struct State<const N: usize> {
    pub(crate) now: u8,
    /// How much of what the bounds allow has happened.
    pub(crate) crashes: u8,
    pub(crate) snapshots: u8,
    pub(crate) early_expiries: u8,
    pub(crate) noise: u8,
    pub(crate) steps: u8,
    pub(crate) suspects: u8,
    pub(crate) restarts: u8,
    /// When the unit's replica was promoted, plus 1; 0 = not yet.
    pub(crate) promoted: u8,
    /// ForceRelease: the token it means, the ballot it carries, whether it has said REVOKED.
    pub(crate) revoke_tok: u8,
    pub(crate) revoke_p: u8,
    pub(crate) revoked: bool,
    /// A poll or a check runs (0 no, 1 poll, 2 + attempt: check of its token).
    pub(crate) poll: u8,
    /// A newer lease than the checked one had completed before the check began.
    pub(crate) newer: bool,
    /// Highest term sent to the watcher, for all leases and for each.
    pub(crate) sent: [u8; 3],
    pub(crate) attempts: [Attempt; ATTEMPTS],
    pub(crate) masters: [Master; N],
}

impl<const N: usize> State<N> {
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            crashes: 0,
            snapshots: 0,
            early_expiries: 0,
            noise: 0,
            steps: 0,
            suspects: 0,
            restarts: 0,
            promoted: 0,
            revoke_tok: 0,
            revoke_p: 0,
            revoked: false,
            poll: 0,
            newer: false,
            sent: [0; 3],
            attempts: [Attempt::default(); ATTEMPTS],
            masters: [Master::default(); N],
        }
    }

    /// Attempt `i` sends to all masters.
    pub(crate) fn send(&mut self, i: usize, message: u8) {
        for m in &mut self.masters {
            m.link[i].live |= message;
        }
    }

    /// OKs that came, or come, to the acquire round so far count no more.
    pub(crate) fn forget_acquire_oks(&mut self, i: usize) {
        for m in &mut self.masters {
            m.link[i].acquire_ok = false;
        }
    }

    /// The extend round under way, if any, is over.
    pub(crate) fn stop_extending(&mut self, i: usize) {
        let a = &mut self.attempts[i];
        a.extending = false;
        a.extend_start = 0;
        a.superseded = false;
        a.revoked = false;
        for m in &mut self.masters {
            m.link[i].extend_ok = false;
        }
    }
}
