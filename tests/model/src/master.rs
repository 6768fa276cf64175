//! One master: its state for one resource and the atomic scripts of the protocol, one function a
//! script. Every rule is a switch of [`Rules`], so that each can be weakened on its own; [`V2`] is
//! the protocol of `docs/protocol.md` (with the rules of the decision records), [`V2P`] and
//! [`BRIEF`] are earlier drafts. Floors are plain numbers per bucket, without owner or lifetime.

/// The most acquire attempts and sessions in one model.
pub(crate) const NA: usize = 3;
/// Marks the nonce of a session that came by re-attach; without it, one that came by acquire.
pub(crate) const REATTACHED: u8 = 8;

/// Messages of an attempt that can still be delivered, any number of times (bits of `Link::live`).
/// Bits 0, 1 are acquire rounds, 2, 3 extend rounds.
pub(crate) const ACQUIRE0: u8 = 1;
pub(crate) const EXTEND0: u8 = 4;
pub(crate) const CLEANUP: u8 = 16;
pub(crate) const RELEASE: u8 = 32;
pub(crate) const REPAIR: u8 = 64;
/// A cleanup or release was processed here: no message of the attempt may create a lock any more.
pub(crate) const ENDED: u8 = 128;

/// One attempt at one master: its replies and its messages under way.
#[derive(Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Link {
    /// An OK to the attempt's current acquire round exists.
    pub(crate) ok_a: bool,
    /// A counted vote for the attempt's current extend round exists.
    pub(crate) ok_e: bool,
    pub(crate) live: u8,
    /// The replica saw the master's clock before a step: its scripts are LATE here.
    pub(crate) late: bool,
    /// An extend of this session was accepted here (only kept if property G is checked).
    pub(crate) touched: bool,
    /// The master answered the release with token 0 (only kept if there is such a release).
    pub(crate) answered: bool,
    /// The tok read here by a release with token 0 (0 = not read, 255 = nothing there).
    pub(crate) read: u8,
}

/// One master.
#[derive(Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Col {
    /// lock.lease (0 = no lock)
    pub(crate) ll: u8,
    /// lock.nonce (attempt + 1, plus [`REATTACHED`]; 0 = shared)
    pub(crate) ln: u8,
    /// lock.first
    pub(crate) lf: u8,
    /// lock.p
    pub(crate) lp: u8,
    /// lock.tok
    pub(crate) lt: u8,
    /// lock expiry (timed models)
    pub(crate) le: u8,
    /// floor of the resource's bucket
    pub(crate) fp: u8,
    /// p_base
    pub(crate) pb: u8,
    /// not voting (quarantine)
    pub(crate) nv: bool,
    /// when the quarantine began
    pub(crate) boot: u8,
    /// contents before the last write (stale-snapshot restarts only)
    pub(crate) prev: [u8; 7],
    /// what the poll or the check under way read here: tok, lease, first
    pub(crate) seen: [u8; 3],
    pub(crate) a: [Link; NA],
}

/// How `extend` recognises its own occupancy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Own {
    Lease,
    First,
    Tok,
}

/// What the extend or repair of a session does to the nonce of its own lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Detach {
    /// Nothing, and repair creates a shared lock (the protocol before sessions).
    Untouched,
    /// p > lock.p: the session's nonce, otherwise shared.
    Stated,
    /// p > lock.p: the session's nonce, otherwise shared unless it is the session's already.
    Lenient,
    /// A foreign touch shares the lock for good.
    Shared,
    /// As `Shared`, but a re-attached session takes over the nonce of one that came by acquire.
    Handover,
    /// As `Handover`, but any session's nonce can be taken over by a re-attached one.
    Chain,
}

/// The rules of the scripts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// BROKEN: OKs of different rounds are added up
    pub(crate) mixed: bool,
    /// BROKEN: own-lease re-accept with a lower p regresses lock and floor
    pub(crate) own_regress: bool,
    /// extend accepts: the same lease (BROKEN) / lock.first <= tok / lock.tok <= tok
    pub(crate) own: Own,
    /// cleanup deletes only a lock with its own nonce
    pub(crate) nonce: bool,
    /// a re-accept by another attempt shares the lock
    pub(crate) share: bool,
    /// release deletes iff lock.tok <= tok (false: lock.first <= tok)
    pub(crate) rel_tok: bool,
    /// cleanup/release raise the floor
    pub(crate) barrier: bool,
    /// extend carries a fresh ballot (false: its token)
    pub(crate) ext_ballot: bool,
    /// extend raises lock.p and the floor to that ballot
    pub(crate) ext_floor: bool,
    /// adoption records p_base
    pub(crate) pbase: bool,
    /// an own lock with lock.p <= p_base is no vote: extend -> ABSENT, acquire treats it as absent
    pub(crate) proven: bool,
    /// proof-repair exists
    pub(crate) repair: bool,
    /// proof-repair is also sent to non-voting masters
    pub(crate) nv_repair: bool,
    /// proof-repair overwrites another lease's lock with a lower ballot
    pub(crate) rep_over: bool,
    /// proof-repair respects the floor
    pub(crate) rep_floor: bool,
    /// acquire/extend/repair never shorten a lifetime
    pub(crate) gt: bool,
    /// what extend and repair do to the nonce
    pub(crate) detach: Detach,
    /// scripts of a replica that saw the clock before its step neither vote nor write
    pub(crate) late: bool,
}

/// V2 with repair also at non-voting masters, and the `proven` rule that makes this safe.
pub(crate) const V2P: Rules = Rules {
    mixed: false,
    own_regress: false,
    own: Own::First,
    nonce: true,
    share: true,
    rel_tok: true,
    barrier: true,
    ext_ballot: true,
    ext_floor: true,
    pbase: true,
    proven: true,
    repair: true,
    nv_repair: true,
    rep_over: true,
    rep_floor: true,
    gt: true,
    detach: Detach::Handover,
    late: true,
};
/// The first draft: release by `first`, no `proven` rule.
pub(crate) const BRIEF: Rules = Rules { rel_tok: false, proven: false, ..V2P };
/// The protocol: no repair at non-voting masters, hence no `proven` rule.
pub(crate) const V2: Rules = Rules { nv_repair: false, proven: false, ..V2P };

/// The reply of a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    Ok,
    Held,
    Stale,
    Lost,
    Absent,
    NotVoting,
    Written,
    Refused,
}

impl Col {
    fn key(&self) -> [u8; 7] {
        [self.ll, self.ln, self.lf, self.lp, self.lt, self.le, self.fp]
    }

    /// Remembers the contents before this step, if it changed them.
    pub(crate) fn snapshot(&mut self, old: &Self) {
        if self.key() != old.key() {
            self.prev = old.key();
        }
    }

    pub(crate) fn clear_lock(&mut self) {
        self.ll = 0;
        self.ln = 0;
        self.lf = 0;
        self.lp = 0;
        self.lt = 0;
        self.le = 0;
    }

    fn lifetime(&mut self, e: u8, v: &Rules) {
        self.le = if v.gt { self.le.max(e) } else { e };
    }

    fn eff(&self) -> u8 {
        self.fp.max(self.pb)
    }

    fn create(&mut self, lease: u8, nonce: u8, first: u8, p: u8, tok: u8, exp: u8) {
        self.ll = lease;
        self.ln = nonce;
        self.lf = first;
        self.lp = p;
        self.lt = tok;
        self.le = exp;
        self.fp = self.fp.max(p);
    }

    /// The lock was written by something newer than the adoption.
    pub(crate) fn proven(&self, v: &Rules) -> bool {
        !v.proven || self.lp > self.pb
    }

    /// A session extends or repairs its own lock with ballot `p`: whose cleanup may delete it?
    fn touch(&mut self, nonce: u8, p: u8, v: &Rules) {
        let own = self.ln == nonce;
        let taken = nonce & REATTACHED != 0 && self.ln != 0;
        self.ln = match v.detach {
            Detach::Untouched => self.ln,
            Detach::Stated if p > self.lp => nonce,
            Detach::Stated => 0,
            Detach::Lenient if p > self.lp || own => nonce,
            Detach::Lenient => 0,
            _ if own => nonce,
            Detach::Handover if taken && self.ln & REATTACHED == 0 => nonce,
            Detach::Chain if taken => nonce,
            Detach::Shared | Detach::Handover | Detach::Chain => 0,
        };
    }

    pub(crate) fn acquire(&mut self, lease: u8, nonce: u8, p: u8, exp: u8, v: &Rules) -> Reply {
        if self.nv {
            return Reply::NotVoting;
        }
        if self.ll != 0 && self.ll != lease {
            return Reply::Held;
        }
        if self.ll == lease && self.proven(v) {
            if p < self.lp && !v.own_regress {
                return Reply::Stale;
            }
            if self.ln != nonce && v.share {
                self.ln = 0;
            }
            self.lp = p;
            self.lt = p;
            self.fp = if v.own_regress { p } else { self.fp.max(p) };
            self.lifetime(exp, v);
            return Reply::Ok;
        }
        if p <= self.eff() {
            return Reply::Stale;
        }
        let exp = if v.gt { self.le.max(exp) } else { exp };
        self.create(lease, nonce, p, p, p, exp);
        Reply::Ok
    }

    pub(crate) fn extend(
        &mut self,
        lease: u8,
        nonce: u8,
        (tok, p): (u8, u8),
        exp: u8,
        v: &Rules,
    ) -> Reply {
        if self.nv {
            return Reply::NotVoting;
        }
        if self.ll == 0 || (self.ll == lease && !self.proven(v)) {
            return Reply::Absent;
        }
        if self.ll != lease {
            return Reply::Lost;
        }
        let lost = match v.own {
            Own::Lease => false,
            Own::First => self.lf > tok,
            Own::Tok => self.lt > tok,
        };
        if lost {
            return Reply::Lost;
        }
        self.touch(nonce, p, v);
        if v.ext_floor && p > self.lp {
            self.lp = p;
            self.fp = self.fp.max(p);
        }
        self.lt = self.lt.max(tok);
        self.lifetime(exp, v);
        Reply::Ok
    }

    /// Sent only after the extend round with ballot `p` had a quorum of votes in time.
    pub(crate) fn repair(
        &mut self,
        lease: u8,
        nonce: u8,
        (tok, p): (u8, u8),
        exp: u8,
        v: &Rules,
    ) -> Reply {
        if self.nv && !v.nv_repair {
            return Reply::NotVoting;
        }
        if self.ll == lease {
            if self.lf > tok {
                return Reply::Refused;
            }
            self.touch(nonce, p, v);
            if p > self.lp {
                self.lp = p;
                self.fp = self.fp.max(p);
            }
            self.lifetime(exp, v);
            return Reply::Written;
        }
        if self.ll != 0 && (self.lp >= p || !v.rep_over) {
            return Reply::Refused;
        }
        if v.rep_floor && (if self.nv { self.fp } else { self.eff() }) >= p {
            return Reply::Refused;
        }
        let nonce = if v.detach == Detach::Untouched { 0 } else { nonce };
        self.create(lease, nonce, tok, p, tok, exp);
        Reply::Written
    }

    /// A failed attempt, or a session that ended, takes its lock back.
    pub(crate) fn cleanup(&mut self, lease: u8, nonce: u8, p: u8, v: &Rules) {
        if self.ll == lease && (!v.nonce || self.ln == nonce) {
            self.clear_lock();
        }
        if v.barrier {
            self.fp = self.fp.max(p);
        }
    }

    /// Explicit release by the owner of `tok`.
    pub(crate) fn release(&mut self, lease: u8, tok: u8, p: u8, v: &Rules) {
        if self.ll == lease && (if v.rel_tok { self.lt } else { self.lf }) <= tok {
            self.clear_lock();
        }
        if v.barrier {
            self.fp = self.fp.max(p);
        }
    }

    /// Deletes exactly the lease that was read here before.
    pub(crate) fn delete_exact(&mut self, lease: u8, tok: u8, p: u8, v: &Rules) {
        if self.ll == lease && self.lt == tok {
            self.clear_lock();
        }
        if v.barrier {
            self.fp = self.fp.max(p);
        }
    }

    /// A replica opens an incident: the master stops voting, everything else stays.
    pub(crate) fn suspect(&mut self, now: u8) {
        if !self.nv {
            self.nv = true;
            self.boot = now;
        }
    }

    /// Restart (`flush` = false: messages of old connections die) or FLUSHALL (the same process).
    pub(crate) fn crash(&mut self, now: u8, lose: bool, flush: bool) {
        if lose {
            self.clear_lock();
            self.fp = 0;
        }
        self.pb = 0;
        self.nv = true;
        self.boot = now;
        for a in &mut self.a {
            if !flush {
                a.live &= ENDED;
            }
            if lose {
                a.live &= !ENDED;
            }
        }
    }

    /// Restart from a snapshot that misses the last write.
    pub(crate) fn crash_stale(&mut self, now: u8) {
        [self.ll, self.ln, self.lf, self.lp, self.lt, self.le, self.fp] = self.prev;
        if self.le <= now {
            self.clear_lock();
        }
        self.crash(now, false, false);
        for a in &mut self.a {
            a.live = 0;
        }
    }
}
