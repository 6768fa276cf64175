//! The atomic scripts, one function a script, to be read beside `docs/protocol.md` and
//! `server/src/masters/redis/lua`. What is absent: holder and metadata, foreign values, `cfg`, LATE and
//! AHEAD (`lock/network.rs`, as they look at a clock), and observe and adopt, which the `quarantine`
//! model has: here adoption is one event.

use super::rules::{Own, Rules, SessionNonce};
use super::state::{Lock, Master, REATTACHED, Revocation};

/// `first` of a lock that was revoked: above every token.
const REVOKED: u8 = u8::MAX;

/// The reply of a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    Ok,
    Held,
    Stale,
    Lost,
    Absent,
    NotVoting,
    Repaired,
    Refused,
}

/// Who extends or repairs: lease, nonce of the session (0 = unary), its token, the fresh ballot and
/// the expiry it asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renewal {
    pub(crate) lease: u8,
    pub(crate) nonce: u8,
    pub(crate) tok: u8,
    pub(crate) p: u8,
    pub(crate) until: u8,
}

impl Master {
    pub(crate) fn acquire(
        &mut self,
        (lease, nonce): (u8, u8),
        p: u8,
        until: u8,
        rules: &Rules,
    ) -> Reply {
        if self.q {
            return Reply::NotVoting;
        }
        if self.is_locked() && (self.lock.lease != lease || self.lock.first == REVOKED) {
            return Reply::Held;
        }
        if self.lock.lease == lease && self.is_proven(rules) {
            return self.accept_again(nonce, p, until, rules);
        }
        if p < self.eff() || (p == self.eff() && !rules.accepts_floor) {
            return Reply::Stale;
        }
        let until = if rules.expiry_gt { self.lock.until.max(until) } else { until };
        self.lock = Lock { lease, nonce, first: p, p, tok: p, until };
        self.raise(p);
        Reply::Ok
    }

    fn accept_again(&mut self, nonce: u8, p: u8, until: u8, rules: &Rules) -> Reply {
        if p < self.lock.p {
            if !rules.reaccept_regresses {
                return Reply::Stale;
            }
            self.floor = p;
        }
        if self.lock.nonce != nonce && rules.reaccept_shares {
            self.lock.nonce = 0;
        }
        self.lock.p = p;
        self.lock.tok = p;
        self.raise(p);
        self.prolong(until, rules);
        Reply::Ok
    }

    pub(crate) fn extend(&mut self, by: Renewal, rules: &Rules) -> Reply {
        if self.q {
            return Reply::NotVoting;
        }
        if !self.is_locked() || (self.lock.lease == by.lease && !self.is_proven(rules)) {
            return Reply::Absent;
        }
        let own = match rules.own {
            Own::Lease => true,
            Own::First => self.lock.first <= by.tok,
            Own::Tok => self.lock.tok <= by.tok,
        };
        if self.lock.lease != by.lease || !own {
            return Reply::Lost;
        }
        self.touch(by, rules.extend_raises, rules);
        Reply::Ok
    }

    /// Sent only after the extend round with ballot `p` had a quorum of votes in time.
    pub(crate) fn repair(&mut self, by: Renewal, rules: &Rules) -> Reply {
        if self.q && !rules.repair_in_quarantine {
            return Reply::NotVoting;
        }
        if self.lock.lease == by.lease {
            if self.lock.first > by.tok {
                return Reply::Refused;
            }
            self.touch(by, true, rules);
            return Reply::Repaired;
        }
        if self.is_locked() && (self.lock.p >= by.p || !rules.repair_overwrites) {
            return Reply::Refused;
        }
        // In quarantine p_base is that of an earlier adoption.
        let floor = if self.q { self.floor } else { self.eff() };
        if rules.repair_floor && floor >= by.p {
            return Reply::Refused;
        }
        let nonce = if rules.session_nonce == SessionNonce::Untouched { 0 } else { by.nonce };
        let Renewal { lease, tok, p, until, .. } = by;
        self.lock = Lock { lease, nonce, first: tok, p, tok, until };
        self.raise(p);
        Reply::Repaired
    }

    /// A failed attempt, or a session that ended, takes its lock back.
    pub(crate) fn cleanup(&mut self, (lease, nonce): (u8, u8), p: u8, rules: &Rules) {
        if self.lock.lease == lease && (!rules.cleanup_nonce || self.lock.nonce == nonce) {
            self.unlock();
        }
        if rules.barrier {
            self.raise(p);
        }
    }

    /// The client gives back what it holds with a token up to `tok`.
    pub(crate) fn release(&mut self, lease: u8, tok: u8, p: u8, rules: &Rules) {
        let newest = if rules.release_tok { self.lock.tok } else { self.lock.first };
        if self.lock.lease == lease && newest <= tok {
            self.unlock();
        }
        if rules.barrier {
            self.raise(p);
        }
    }

    /// Lets a lease end where it is: every extend of it is LOST, every repair refused, every acquire
    /// HELD until it expires. Without a ballot (p = 0) it raises nothing.
    pub(crate) fn revoke(&mut self, lease: u8, tok: u8, p: u8) -> Revocation {
        let found = match self.lock.lease {
            0 => Revocation::Nothing,
            other if other != lease => Revocation::Other,
            _ if self.lock.tok > tok => Revocation::Newer,
            _ => Revocation::Revoked,
        };
        if found == Revocation::Revoked {
            self.lock.first = REVOKED;
        }
        self.raise(p);
        found
    }

    /// Deletes exactly the lease that was read here before (not in the protocol, see `token0`).
    pub(crate) fn delete_exact(&mut self, lease: u8, tok: u8, p: u8, rules: &Rules) {
        if self.lock.lease == lease && self.lock.tok == tok {
            self.unlock();
        }
        if rules.barrier {
            self.raise(p);
        }
    }

    /// A replica opens an incident: the master stops voting, everything else stays.
    pub(crate) fn suspect(&mut self, now: u8) {
        if !self.q {
            self.q = true;
            self.since = now;
        }
    }

    /// The lock was written by something newer than the adoption.
    pub(crate) fn is_proven(&self, rules: &Rules) -> bool {
        !rules.proven || self.lock.p > self.pb
    }

    /// What an extend and a repair do alike to the lock they recognise.
    fn touch(&mut self, by: Renewal, raises: bool, rules: &Rules) {
        self.lock.nonce = self.nonce_after(by, rules.session_nonce);
        if raises && by.p > self.lock.p {
            self.lock.p = by.p;
            self.raise(by.p);
        }
        self.lock.tok = self.lock.tok.max(by.tok);
        self.prolong(by.until, rules);
    }

    /// Whose cleanup may delete the lock once `by` has touched it?
    fn nonce_after(&self, by: Renewal, rule: SessionNonce) -> u8 {
        let Lock { nonce, p, .. } = self.lock;
        let own = nonce == by.nonce;
        let takes_over = by.nonce & REATTACHED != 0 && nonce != 0;
        match rule {
            SessionNonce::Untouched => nonce,
            SessionNonce::ByBallot if by.p > p => by.nonce,
            SessionNonce::ByBallot => 0,
            SessionNonce::ByBallotLenient if by.p > p || own => by.nonce,
            SessionNonce::ByBallotLenient => 0,
            _ if own => nonce,
            SessionNonce::Handover if takes_over && nonce & REATTACHED == 0 => by.nonce,
            SessionNonce::Chain if takes_over => by.nonce,
            SessionNonce::Shared | SessionNonce::Handover | SessionNonce::Chain => 0,
        }
    }

    fn prolong(&mut self, until: u8, rules: &Rules) {
        self.lock.until = if rules.expiry_gt { self.lock.until.max(until) } else { until };
    }
}
