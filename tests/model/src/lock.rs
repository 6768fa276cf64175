//! The lock model: N masters, up to [`NA`] acquire attempts and sessions, an asynchronous network in
//! which every message sent may be lost, delayed, reordered and duplicated without bound until the
//! master restarts, clocks with skew, memory loss, clock steps, a watcher and a token check. Other
//! resources of the same floor bucket are the action "noise". Scripts live in `master`.

use crate::engine::{Model, Step};
use crate::master::{
    ACQUIRE0, CLEANUP, Col, ENDED, EXTEND0, NA, REATTACHED, RELEASE, REPAIR, Reply, Rules,
};

pub(crate) const F1: &str = "F1 token not above an earlier completed acquisition";
pub(crate) const F1S: &str = "F1s same-lease retry got a lower token";
pub(crate) const F1U: &str = "F1u duplicate token";
pub(crate) const F2: &str = "F2 two valid holders";
pub(crate) const F3: &str = "F3 extend succeeded after a newer lease";
pub(crate) const Z: &str = "Z zombie lock after cleanup/release";
pub(crate) const W: &str = "W watcher went backwards";
pub(crate) const P: &str = "P a completed holder's term was withheld";
pub(crate) const G: &str = "G cleanup of a re-attached session left its lock";
pub(crate) const H: &str = "H a valid holder's quorum of locks is gone";
pub(crate) const C1: &str = "C1 SUPERSEDED for a valid holder";
pub(crate) const C2: &str = "C2 CURRENT after a newer lease had completed";
pub(crate) const C3: &str = "C3 CURRENT because of another lease";

/// What an attempt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// An acquire, and the session (Hold stream) that follows it.
    Acquire,
    /// A session that re-attaches by extend with the token the client already has.
    Reattach,
    /// Unary extends with the token the client already has; no session, nothing to clean up.
    Unary,
}

/// How `Release` without a token is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token0 {
    Off,
    /// tok = the release's own ballot, the id may be reused at once.
    OwnBallot,
    /// The same, but the id may be reused only after a quorum answered the release.
    ReuseAfterQuorum,
    /// A quorum is read first, tok = the highest tok read.
    HighestRead,
    /// Each master is read first and deletes only what was read at this very master; reads that
    /// arrive after the client has used the id again are not acted on.
    Exact,
    /// BROKEN: as `Exact`, but such late reads are acted on.
    ExactLateRead,
}

/// What happens when a replica finds a master's clock stepped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stepped {
    /// It opens an incident; only after the answer it uses its new estimate.
    Suspect,
    /// BROKEN: it just uses its new estimate.
    Remeasure,
}

/// What a replica may do that starts with no estimate of the masters' clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fresh {
    Off,
    AtOnce,
    /// It counts votes only `ttl` after its first estimate.
    Waits,
}

/// How the leader is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Watch {
    Off,
    /// A quorum shows the same lease and tok.
    Pair,
    /// A quorum shows the same lease; term = q-th largest tok, never below one sent for the lease.
    Largest,
    /// The same, but another lease with a term not above the highest sent is withheld.
    Withheld,
    /// Term = the largest T for which a quorum shows the lease with first <= T <= tok.
    Interval,
}

/// How `CheckFencingToken` concludes SUPERSEDED.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Check {
    Off,
    /// A quorum shows a lease with first > T.
    AnyLease,
    /// There is a T' for which a quorum shows one lease with T < first <= T' <= tok.
    Interval,
}

/// Phases of an attempt.
const IDLE: u8 = 0;
const ACQUIRING: u8 = 1;
const HELD: u8 = 2;
const FAILED: u8 = 3;
const RELEASED: u8 = 4;
const DETACHED: u8 = 5;

#[derive(Clone, Copy, Hash, PartialEq, Eq, Default, Debug)]
pub(crate) struct Att {
    ph: u8,
    /// acquire rounds so far, their ballots, start of the current one
    nr: u8,
    ps: [u8; 2],
    start: u8,
    tok: u8,
    /// valid until
    vu: u8,
    /// highest token completed before the start by another / the same lease
    mint: u8,
    mint_same: u8,
    /// extend rounds so far, their ballots, whether one runs, its start
    ne: u8,
    es: [u8; 2],
    eact: bool,
    estart: u8,
    /// a newer lease had completed before the extend round started
    ebad: bool,
    /// proven ballot of the last successful extend (what repair carries)
    rp: u8,
    /// the client has given the lease up: later results grant it nothing
    gone: bool,
    /// ballot of a release with token 0, and the tok it carries
    r0: u8,
    r0t: u8,
    /// a replica without old estimates starts nothing before
    from: u8,
}

#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub(crate) struct S<const N: usize> {
    now: u8,
    crashes: u8,
    jumps: u8,
    noise: u8,
    steps: u8,
    suspects: u8,
    restarts: u8,
    /// a poll or a check runs (0 no, 1 poll, 2 + attempt: check of its token)
    poll: u8,
    /// a newer lease than the checked one had completed before the check began
    newer: bool,
    /// highest term sent to the watcher, for all leases and for each
    sent: [u8; 3],
    att: [Att; NA],
    col: [Col; N],
}

/// Kinds of memory loss.
pub(crate) const LOSE: u8 = 1;
pub(crate) const KEEP: u8 = 2;
pub(crate) const STALE: u8 = 4;
pub(crate) const FLUSH: u8 = 8;

/// Bounds of one row.
#[derive(Clone, Debug)]
pub(crate) struct Cfg {
    pub(crate) v: Rules,
    /// lease id (1 or 2) per attempt
    pub(crate) leases: Vec<u8>,
    /// acquire rounds per attempt (1..2)
    pub(crate) rounds: Vec<u8>,
    /// extend rounds per attempt (0..2)
    pub(crate) exts: Vec<u8>,
    pub(crate) kind: [Kind; NA],
    /// untimed: ballots 1..=maxp, any unused one
    pub(crate) maxp: u8,
    /// ballots globally unique
    pub(crate) uniq: bool,
    pub(crate) timed: bool,
    pub(crate) tmax: u8,
    pub(crate) ttl_a: [u8; NA],
    pub(crate) ttl_e: u8,
    pub(crate) quar: u8,
    /// replica clock offset in -delta..=delta
    pub(crate) delta: u8,
    /// number and kinds of memory losses
    pub(crate) crashes: u8,
    pub(crate) kinds: u8,
    /// timed: number of early expiries allowed; untimed: unlimited
    pub(crate) jumps: u8,
    /// number of floor raises by other resources of the bucket
    pub(crate) noise: u8,
    /// explicit release is possible
    pub(crate) release: bool,
    /// an attempt may give up (cleanup); an extend round may be abandoned
    pub(crate) giveup: bool,
    /// a session may end (cleanup with its nonce)
    pub(crate) session_end: bool,
    /// BROKEN: a re-attach that failed cleans up too
    pub(crate) failed_cleanup: bool,
    /// property G is checked
    pub(crate) gives_back: bool,
    /// property H is checked: it stands for F2 where no contender is in the model
    pub(crate) locks_stay: bool,
    /// only crashes of one and the same master (the second one after its adoption)
    pub(crate) twice: bool,
    /// p_base was computed at the earliest legal moment, the adopt arrives arbitrarily later
    pub(crate) pb_early: bool,
    pub(crate) token0: Token0,
    /// clock steps of masters, and incidents opened although nothing was wrong
    pub(crate) steps: u8,
    pub(crate) suspects: u8,
    pub(crate) stepped: Stepped,
    pub(crate) fresh: Fresh,
    pub(crate) watch: Watch,
    pub(crate) check: Check,
}

impl Cfg {
    pub(crate) fn untimed(v: Rules, leases: &[u8], rounds: &[u8], exts: &[u8], maxp: u8) -> Self {
        Self {
            v,
            leases: leases.to_vec(),
            rounds: rounds.to_vec(),
            exts: exts.to_vec(),
            kind: [Kind::Acquire; NA],
            maxp,
            uniq: true,
            timed: false,
            tmax: 0,
            ttl_a: [1; NA],
            ttl_e: 1,
            quar: 0,
            delta: 0,
            crashes: 0,
            kinds: LOSE,
            jumps: 0,
            noise: 0,
            release: true,
            giveup: true,
            session_end: false,
            failed_cleanup: false,
            gives_back: false,
            locks_stay: false,
            twice: false,
            pb_early: false,
            token0: Token0::Off,
            steps: 0,
            suspects: 0,
            stepped: Stepped::Suspect,
            fresh: Fresh::Off,
            watch: Watch::Off,
            check: Check::Off,
        }
    }

    /// ttl = MAX_TTL = 2 ticks, quarantine 3 ticks.
    pub(crate) fn timed(
        v: Rules,
        leases: &[u8],
        rounds: &[u8],
        exts: &[u8],
        (tmax, crashes, delta): (u8, u8, u8),
    ) -> Self {
        Self {
            timed: true,
            tmax,
            ttl_a: [2; NA],
            ttl_e: 2,
            quar: 3,
            crashes,
            delta,
            ..Self::untimed(v, leases, rounds, exts, 0)
        }
    }

    /// No explicit release, an attempt never gives up voluntarily.
    pub(crate) fn lean(mut self) -> Self {
        self.release = false;
        self.giveup = false;
        self
    }
}

/// The model with `N` masters.
#[derive(Debug)]
pub(crate) struct Lock<const N: usize> {
    pub(crate) c: Cfg,
}

/// Ballots per clock tick (timed): p = clock * F + sub, sub = 1 + attempt + 3k.
const F: u8 = 7;
/// Read by a release with token 0: the lease is not here.
const NOTHING: u8 = 255;

/// Actions found so far, and how to add one.
struct Sink<'a, const N: usize> {
    from: &'a S<N>,
    snapshots: bool,
    labels: bool,
    out: &'a mut Vec<Step<S<N>>>,
}

impl<const N: usize> Sink<'_, N> {
    fn emit(&mut self, mut n: S<N>, violation: Option<&'static str>, label: impl Fn() -> String) {
        if self.snapshots {
            for (col, old) in n.col.iter_mut().zip(&self.from.col) {
                col.snapshot(old);
            }
        }
        n.col.sort_unstable();
        self.out.push((if self.labels { label() } else { String::new() }, n, violation));
    }

    /// The same, unless the action changes nothing.
    fn emit_change(
        &mut self,
        n: S<N>,
        violation: Option<&'static str>,
        label: impl Fn() -> String,
    ) {
        if n != *self.from {
            self.emit(n, violation, label);
        }
    }
}

fn highest(values: &[u8]) -> u8 {
    values.iter().copied().max().unwrap_or(0)
}

impl<const N: usize> Lock<N> {
    const Q: usize = N / 2 + 1;

    fn used(&self, s: &S<N>, p: u8) -> bool {
        let ext = self.c.v.ext_ballot;
        s.att.iter().any(|a| a.ps.contains(&p) || a.r0 == p || (ext && a.es.contains(&p)))
    }

    /// Candidate fresh ballots for attempt `i`, greater than `gt`.
    fn ballots(&self, s: &S<N>, i: usize, gt: u8) -> Vec<u8> {
        if !self.c.timed {
            return (gt + 1..=self.c.maxp).filter(|p| !self.c.uniq || !self.used(s, *p)).collect();
        }
        // Clock readings are shifted by delta so that they never go below zero; of each the
        // smallest unused ballot is taken, its low part names the attempt.
        let mut r = Vec::new();
        for off in (0..=2 * self.c.delta).rev() {
            let base = (s.now + off) * F;
            let fresh = [base + 1 + i as u8, base + 4 + i as u8];
            r.extend(fresh.into_iter().find(|p| *p > gt && !self.used(s, *p)));
        }
        r
    }

    /// Values other resources may raise a floor to: any ballot in use, or one above them all.
    fn noise_values(&self, s: &S<N>) -> Vec<u8> {
        let mut r: Vec<u8> = if self.c.timed {
            vec![(s.now + 2 * self.c.delta) * F + 6]
        } else {
            (1..=self.c.maxp).collect()
        };
        for a in &s.att {
            for p in a.ps.iter().chain(&a.es) {
                if *p > 0 && !r.contains(p) {
                    r.push(*p);
                }
            }
        }
        r
    }

    fn nonce(&self, i: usize) -> u8 {
        match self.c.kind[i] {
            Kind::Acquire => i as u8 + 1,
            Kind::Reattach => i as u8 + 1 + REATTACHED,
            Kind::Unary => 0,
        }
    }

    fn same(&self, i: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.c.leases.len()).filter(move |j| self.c.leases[*j] == self.c.leases[i])
    }

    fn others(&self, i: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.c.leases.len()).filter(move |j| self.c.leases[*j] != self.c.leases[i])
    }

    /// F2: attempt `i` is valid after this step; is another lease valid too?
    fn two_holders(&self, n: &S<N>, i: usize) -> Option<&'static str> {
        let valid = |j: usize| n.att[j].vu > n.now;
        (self.c.timed && valid(i) && self.others(i).any(valid)).then_some(F2)
    }

    /// H: each valid holder of the lease of `i` has a quorum of locks that outlive its validity.
    fn locks_gone(&self, n: &S<N>, i: usize) -> Option<&'static str> {
        let lease = self.c.leases[i];
        let locks = |vu: u8| n.col.iter().filter(|m| m.ll == lease && m.le >= vu).count();
        let gone = |j: usize| n.att[j].vu > n.now && locks(n.att[j].vu) < Self::Q;
        (self.c.locks_stay && self.same(i).any(gone)).then_some(H)
    }

    /// The client starts a new attempt or session of `i` only if it may use this lease id.
    fn may_start(&self, s: &S<N>, i: usize) -> bool {
        let answered = |j: usize| s.col.iter().filter(|m| m.a[j].answered).count() >= Self::Q;
        s.now >= s.att[i].from
            && (self.c.token0 != Token0::ReuseAfterQuorum
                || self.same(i).all(|j| s.att[j].r0 == 0 || answered(j)))
    }

    fn acquire_rounds(&self, s: &S<N>, i: usize, k: &mut Sink<'_, N>) {
        let (c, a, lease) = (&self.c, &s.att[i], self.c.leases[i]);
        let begins = a.ph == IDLE && self.may_start(s, i);
        if begins || (a.ph == ACQUIRING && a.nr < c.rounds[i]) {
            let gt = if a.nr > 0 { a.ps[a.nr as usize - 1] } else { 0 };
            for p in self.ballots(s, i, gt) {
                let mut n = *s;
                let b = &mut n.att[i];
                if b.ph == IDLE {
                    b.mint = self.others(i).map(|j| s.att[j].tok).max().unwrap_or(0);
                    b.mint_same = self.same(i).map(|j| s.att[j].tok).max().unwrap_or(0);
                }
                b.ph = ACQUIRING;
                b.ps[b.nr as usize] = p;
                b.nr += 1;
                b.start = s.now;
                let r = b.nr - 1;
                for m in &mut n.col {
                    m.a[i].live |= ACQUIRE0 << r;
                    m.a[i].ok_a &= c.v.mixed;
                }
                k.emit(n, None, || {
                    format!("att{i} (lease {lease}) acquire round {r}, p={p}, t={}", s.now)
                });
            }
        }
        if a.ph != ACQUIRING {
            return;
        }
        let votes = s.col.iter().filter(|m| m.a[i].ok_a).count();
        if votes >= Self::Q && (!c.timed || s.now < a.start + c.ttl_a[i]) {
            let mut n = *s;
            let tok = a.ps[a.nr as usize - 1];
            let b = &mut n.att[i];
            b.ph = HELD;
            b.tok = tok;
            b.vu = a.start + c.ttl_a[i];
            b.start = 0;
            // The client has released this lease with a higher token: it ignores the late result.
            let void = |j: usize| s.att[j].ph == RELEASED && s.att[j].tok >= tok;
            if a.gone || self.same(i).any(void) {
                b.vu = 0;
                b.ph = RELEASED;
            }
            let mut violation = None;
            if tok <= a.mint {
                violation = Some(F1);
            } else if tok < a.mint_same {
                violation = Some(F1S);
            } else if self.others(i).any(|j| s.att[j].tok == tok) {
                violation = Some(F1U);
            }
            b.mint = 0;
            b.mint_same = 0;
            for m in &mut n.col {
                m.a[i].ok_a = false;
            }
            let violation =
                violation.or_else(|| self.two_holders(&n, i)).or_else(|| self.locks_gone(&n, i));
            k.emit(n, violation, || {
                format!("att{i} SUCCEEDS token={tok} valid until {}", a.start + c.ttl_a[i])
            });
        }
        if c.giveup {
            let mut n = *s;
            let b = &mut n.att[i];
            b.ph = FAILED;
            b.start = 0;
            b.mint = 0;
            b.mint_same = 0;
            for m in &mut n.col {
                m.a[i].ok_a = false;
                m.a[i].live |= CLEANUP;
            }
            k.emit(n, None, || format!("att{i} gives up, sends cleanup"));
        }
    }

    /// A session that re-attaches, or unary extends: begin with the highest token the client has.
    fn reattach(&self, s: &S<N>, i: usize, k: &mut Sink<'_, N>) {
        let tok = self.same(i).map(|j| s.att[j].tok).max().unwrap_or(0);
        let given_up = self.same(i).any(|j| s.att[j].ph == RELEASED || s.att[j].r0 > 0);
        if s.att[i].ph == IDLE && tok > 0 && !given_up && self.may_start(s, i) {
            let mut n = *s;
            n.att[i].ph = HELD;
            n.att[i].tok = tok;
            k.emit(n, None, || format!("att{i} comes as {:?} with token {tok}", self.c.kind[i]));
        }
    }

    fn extend_rounds(&self, s: &S<N>, i: usize, k: &mut Sink<'_, N>) {
        let (c, a) = (&self.c, &s.att[i]);
        if a.ph != HELD {
            return;
        }
        if a.ne < c.exts[i] && !a.eact {
            let gt = a.tok.max(highest(&a.ps)).max(highest(&a.es));
            let fresh = if c.v.ext_ballot { self.ballots(s, i, gt) } else { vec![a.tok] };
            for p in fresh {
                let mut n = *s;
                let b = &mut n.att[i];
                b.es[b.ne as usize] = p;
                b.ne += 1;
                b.eact = true;
                b.estart = s.now;
                b.ebad = self.others(i).any(|j| s.att[j].tok > a.tok);
                let r = b.ne - 1;
                for m in &mut n.col {
                    m.a[i].ok_e = false;
                    m.a[i].live |= EXTEND0 << r;
                }
                k.emit(n, None, || {
                    format!("att{i} extend round {r}, tok={}, p={p}, t={}", a.tok, s.now)
                });
            }
        }
        if !a.eact {
            return;
        }
        let votes = s.col.iter().filter(|m| m.a[i].ok_e).count();
        if votes >= Self::Q && (!c.timed || s.now < a.estart + c.ttl_e) {
            let mut n = *s;
            let b = &mut n.att[i];
            b.eact = false;
            if !a.gone {
                b.vu = b.vu.max(a.estart + c.ttl_e);
            }
            b.rp = a.es[a.ne as usize - 1];
            b.estart = 0;
            b.ebad = false;
            for m in &mut n.col {
                m.a[i].ok_e = false;
                if c.v.repair {
                    m.a[i].live |= REPAIR;
                }
            }
            let violation = a
                .ebad
                .then_some(F3)
                .or_else(|| self.two_holders(&n, i))
                .or_else(|| self.locks_gone(&n, i));
            k.emit(n, violation, || {
                format!("att{i} EXTEND SUCCEEDS tok={} until {}", a.tok, a.estart + c.ttl_e)
            });
        }
        if c.giveup || (c.timed && s.now >= a.estart + c.ttl_e) {
            let mut n = *s;
            stop_extending(&mut n, i);
            k.emit(n, None, || format!("att{i} abandons the extend round"));
        }
    }

    /// Explicit release, end of a session, a re-attach that failed.
    fn endings(&self, s: &S<N>, i: usize, k: &mut Sink<'_, N>) {
        let (c, a) = (&self.c, &s.att[i]);
        if a.ph == HELD && c.release && c.kind[i] == Kind::Acquire {
            let mut n = *s;
            stop_extending(&mut n, i);
            n.att[i].ph = RELEASED;
            // A later re-acquisition (higher token) stays valid.
            for j in self.same(i).filter(|j| s.att[*j].tok > 0 && s.att[*j].tok <= a.tok) {
                n.att[j].vu = 0;
                n.att[j].gone = true;
            }
            n.att[i].gone = false;
            for m in &mut n.col {
                m.a[i].live |= RELEASE;
            }
            k.emit(n, None, || format!("client of att{i} RELEASES tok={} t={}", a.tok, s.now));
        }
        let established = c.kind[i] == Kind::Acquire || a.rp > 0;
        if a.ph == HELD && c.session_end && c.kind[i] != Kind::Unary && established {
            let mut n = *s;
            stop_extending(&mut n, i);
            n.att[i].ph = DETACHED;
            // With this session end the ones its client had before it, not the ones after.
            for j in self.same(i).filter(|j| *j <= i && c.kind[*j] != Kind::Unary) {
                n.att[j].vu = 0;
                n.att[j].gone = s.att[j].ph != IDLE;
            }
            for m in &mut n.col {
                m.a[i].live |= CLEANUP;
            }
            k.emit(n, None, || format!("session of att{i} ENDS, sends cleanup, t={}", s.now));
        }
        if a.ph == HELD && c.failed_cleanup && c.kind[i] == Kind::Reattach && !established {
            let mut n = *s;
            stop_extending(&mut n, i);
            n.att[i].ph = FAILED;
            for m in &mut n.col {
                m.a[i].live |= CLEANUP;
            }
            k.emit(n, None, || format!("re-attach att{i} FAILS and sends cleanup"));
        }
        // Release with token 0, of everything this client has started with the lease so far.
        let started = a.ph == ACQUIRING || a.ph == HELD || a.ph == FAILED;
        if c.token0 != Token0::Off && i == 0 && started && a.r0 == 0 {
            for p in self.ballots(s, i, 0) {
                let mut n = *s;
                stop_extending(&mut n, i);
                n.att[i].ph = RELEASED;
                n.att[i].r0 = p;
                if matches!(c.token0, Token0::OwnBallot | Token0::ReuseAfterQuorum) {
                    n.att[i].r0t = p;
                }
                for j in self.same(i).filter(|j| s.att[*j].ph != IDLE) {
                    n.att[j].vu = 0;
                    n.att[j].gone = true;
                }
                for m in &mut n.col {
                    m.a[i].ok_a = false;
                }
                k.emit(n, None, || format!("client of att{i} RELEASES token 0, p={p} t={}", s.now));
            }
        }
        let reads = s.col.iter().filter(|m| m.a[i].read != 0);
        if c.token0 == Token0::HighestRead
            && a.r0 > 0
            && a.r0t == 0
            && reads.clone().count() >= Self::Q
        {
            let tok = reads.map(|m| m.a[i].read).filter(|t| *t != NOTHING).max();
            let mut n = *s;
            n.att[i].r0t = tok.unwrap_or(1);
            k.emit(n, None, || format!("att{i} sends release(tok={tok:?}), the highest it read"));
        }
    }

    /// Every message of attempt `i` that master `m` may process now.
    fn deliveries(&self, s: &S<N>, i: usize, at: usize, k: &mut Sink<'_, N>) {
        let (c, v, a, m) = (&self.c, &self.c.v, &s.att[i], &s.col[at]);
        let (lease, nonce, live) = (c.leases[i], self.nonce(i), m.a[i].live);
        let (exp_a, exp_e) = (s.now + c.ttl_a[i], s.now + c.ttl_e);
        let zombie = |n: &S<N>| {
            let created = m.ll == 0 && n.col[at].ll == lease;
            (live & ENDED != 0 && v.barrier && created).then_some(Z)
        };
        let late = v.late && m.a[i].late;
        for r in 0..2usize {
            if live & (ACQUIRE0 << r) != 0 && !late {
                let mut n = *s;
                let res = n.col[at].acquire(lease, nonce, a.ps[r], exp_a, v);
                if res == Reply::Ok && a.ph == ACQUIRING && (r + 1 == a.nr as usize || v.mixed) {
                    n.col[at].a[i].ok_a = true;
                }
                k.emit_change(n, zombie(&n), || {
                    format!("master[{at}] acquire(L{lease}, p={}) att{i} -> {res:?}", a.ps[r])
                });
            }
            if live & (EXTEND0 << r) != 0 && !late {
                let mut n = *s;
                let res = n.col[at].extend(lease, nonce, (a.tok, a.es[r]), exp_e, v);
                if res == Reply::Ok && a.eact && r + 1 == a.ne as usize {
                    n.col[at].a[i].ok_e = true;
                }
                if res == Reply::Ok && c.gives_back && c.kind[i] == Kind::Reattach {
                    n.col[at].a[i].touched = true;
                }
                k.emit_change(n, zombie(&n), || {
                    let (tok, p) = (a.tok, a.es[r]);
                    format!("master[{at}] extend(L{lease}, tok={tok}, p={p}) att{i} -> {res:?}")
                });
            }
        }
        if live & CLEANUP != 0 {
            let mut n = *s;
            n.col[at].cleanup(lease, nonce, highest(&a.ps).max(highest(&a.es)), v);
            if n.col[at].ll != lease {
                n.col[at].a[i].live |= ENDED;
            }
            let kept = n.col[at].ll == lease && m.a[i].touched;
            k.emit_change(n, kept.then_some(G).or_else(|| self.locks_gone(&n, i)), || {
                format!("master[{at}] cleanup(L{lease}, nonce {nonce}) att{i}")
            });
        }
        if live & RELEASE != 0 {
            let mut n = *s;
            n.col[at].release(lease, a.tok, highest(&a.ps).max(highest(&a.es)), v);
            if n.col[at].ll != lease {
                n.col[at].a[i].live |= ENDED;
            }
            k.emit_change(n, None, || {
                format!("master[{at}] release(L{lease}, tok={}) att{i}", a.tok)
            });
        }
        if live & REPAIR != 0 && !late {
            let mut n = *s;
            let res = n.col[at].repair(lease, nonce, (a.tok, a.rp), exp_e, v);
            k.emit_change(n, zombie(&n), || {
                format!(
                    "master[{at}] repair(L{lease}, tok={}, p={}) att{i} -> {res:?}",
                    a.tok, a.rp
                )
            });
        }
        if a.r0 > 0 {
            self.token0_deliveries(s, i, at, k);
        }
    }

    fn token0_deliveries(&self, s: &S<N>, i: usize, at: usize, k: &mut Sink<'_, N>) {
        let (c, a, m) = (&self.c, &s.att[i], &s.col[at]);
        let lease = c.leases[i];
        if a.r0t > 0 {
            let mut n = *s;
            n.col[at].release(lease, a.r0t, a.r0, &c.v);
            n.col[at].a[i].answered |= c.token0 == Token0::ReuseAfterQuorum;
            k.emit_change(n, None, || {
                format!("master[{at}] release(L{lease}, tok={}, p={}) token 0", a.r0t, a.r0)
            });
        } else if m.a[i].read == 0
            && (c.token0 != Token0::Exact
                || self.same(i).all(|j| s.att[j].gone || s.att[j].ph == IDLE))
        {
            let mut n = *s;
            let read = if m.ll == lease { m.lt } else { NOTHING };
            n.col[at].a[i].read = read;
            k.emit(n, None, || format!("master[{at}] is read for the release: tok {read}"));
        }
        if matches!(c.token0, Token0::Exact | Token0::ExactLateRead) && m.a[i].read != 0 {
            let mut n = *s;
            n.col[at].delete_exact(lease, m.a[i].read, a.r0, &c.v);
            k.emit_change(n, None, || format!("master[{at}] delete-exact tok={}", m.a[i].read));
        }
    }

    /// A replica finds the clock of a master stepped, or opens an incident for nothing.
    fn clock_steps(&self, s: &S<N>, at: usize, k: &mut Sink<'_, N>) {
        let (c, m, na) = (&self.c, &s.col[at], self.c.leases.len());
        if s.steps < c.steps {
            let mut n = *s;
            n.steps += 1;
            for a in &mut n.col[at].a[..na] {
                a.late = true;
            }
            k.emit(n, None, || format!("master[{at}] CLOCK STEP, t={}", s.now));
            if m.ll != 0 {
                n.col[at].clear_lock();
                let lease = m.ll;
                k.emit(n, None, || {
                    format!("master[{at}] CLOCK STEP, L{lease} expires, t={}", s.now)
                });
            }
        }
        for i in (0..na).filter(|i| m.a[*i].late) {
            let mut n = *s;
            n.col[at].a[i].late = false;
            if c.stepped == Stepped::Suspect {
                n.col[at].suspect(s.now);
            }
            k.emit(n, None, || format!("replica of att{i}: {:?} master[{at}]", c.stepped));
        }
        if s.suspects < c.suspects && !m.nv {
            let mut n = *s;
            n.suspects += 1;
            n.col[at].suspect(s.now);
            k.emit(n, None, || format!("master[{at}] is SUSPECTED for nothing, t={}", s.now));
        }
    }

    /// A replica restarts: it measures all masters anew, whatever their clocks did before.
    fn replica_restarts(&self, s: &S<N>, k: &mut Sink<'_, N>) {
        if self.c.fresh == Fresh::Off || s.restarts > 0 || s.steps == 0 {
            return;
        }
        for i in (0..self.c.leases.len()).filter(|i| s.att[*i].ph == IDLE) {
            let mut n = *s;
            n.restarts += 1;
            for m in &mut n.col {
                m.a[i].late = false;
            }
            if self.c.fresh == Fresh::Waits {
                n.att[i].from = s.now + self.c.ttl_e;
            }
            k.emit(n, None, || {
                format!("replica of att{i} RESTARTS without estimates, t={}", s.now)
            });
        }
    }

    fn watcher(&self, s: &S<N>, k: &mut Sink<'_, N>) {
        if s.poll == 0 {
            let mut n = *s;
            n.poll = 1;
            k.emit(n, None, || format!("watcher starts a poll (highest sent {})", s.sent[0]));
            return;
        }
        for at in 0..N {
            let m = &s.col[at];
            if m.seen[0] == 0 && m.ll != 0 && !m.nv && m.proven(&self.c.v) {
                let mut n = *s;
                n.col[at].seen = [m.lt, m.ll, m.lf];
                k.emit(n, None, || format!("watcher reads master[{at}]: (L{}, {})", m.ll, m.lt));
            }
        }
        let done = poll_done(s);
        k.emit(done, None, || "the poll ends without a leader".to_owned());
        for lease in 1..=2u8 {
            let shown = || s.col.iter().filter(|m| m.seen[1] == lease);
            let term = match self.c.watch {
                Watch::Pair => shown()
                    .map(|m| m.seen[0])
                    .find(|t| shown().filter(|m| m.seen[0] == *t).count() >= Self::Q),
                Watch::Interval => proven_term(&done_reads(s), lease, 0, Self::Q),
                _ => {
                    let mut toks: Vec<u8> = shown().map(|m| m.seen[0]).collect();
                    toks.sort_unstable_by(|a, b| b.cmp(a));
                    toks.get(Self::Q - 1).copied()
                }
            };
            let Some(mut term) = term else { continue };
            if self.c.watch != Watch::Pair {
                term = term.max(s.sent[lease as usize]);
            }
            let mut n = done;
            if self.c.watch == Watch::Withheld && term < s.sent[0] {
                // Withheld. Was it the term of a holder who is known to hold?
                let holds = |i: usize| {
                    let a = &s.att[i];
                    self.c.leases[i] == lease && a.tok > 0 && a.tok <= term
                };
                let completed = (0..self.c.leases.len()).any(holds);
                k.emit(n, completed.then_some(P), || format!("(L{lease}, {term}) is withheld"));
                continue;
            }
            n.sent[0] = term.max(s.sent[0]);
            if self.c.watch != Watch::Pair {
                n.sent[lease as usize] = term;
            }
            let violation = (term < s.sent[0]).then_some(W);
            k.emit(n, violation, || format!("watcher is told (L{lease}, {term})"));
        }
    }

    /// `CheckFencingToken`: one read a master, the answer is given with the read that decides it.
    fn token_check(&self, s: &S<N>, k: &mut Sink<'_, N>) {
        if s.poll == 0 {
            for i in (0..self.c.leases.len()).filter(|i| s.att[*i].tok > 0) {
                let mut n = *s;
                n.poll = 2 + i as u8;
                n.newer = self.others(i).any(|j| s.att[j].tok > s.att[i].tok);
                k.emit(n, None, || format!("check of token {} begins", s.att[i].tok));
            }
            return;
        }
        let i = s.poll as usize - 2;
        let tok = s.att[i].tok;
        let done = poll_done(s);
        k.emit(done, None, || "the check ends with NO_QUORUM".to_owned());
        for at in 0..N {
            let m = &s.col[at];
            if m.seen[0] != 0 || m.ll == 0 || m.nv {
                continue;
            }
            let mut n = *s;
            n.col[at].seen = [m.lt, m.ll, m.lf];
            let reads = done_reads(&n);
            let count = |f: &dyn Fn(&[u8; 3]) -> bool| reads.iter().filter(|r| f(r)).count();
            let current = (1..=2u8).find(|lease| {
                count(&|[t, l, first]| l == lease && *first <= tok && tok <= *t) >= Self::Q
            });
            let superseded = if self.c.check == Check::Interval {
                (1..=2u8).any(|lease| proven_term(&reads, lease, tok, Self::Q).is_some())
            } else {
                count(&|[_, _, first]| *first > tok) >= Self::Q
            };
            if let Some(lease) = current {
                let other = (lease != self.c.leases[i]).then_some(C3);
                let violation = if s.newer { Some(C2) } else { other };
                k.emit(done, violation, || format!("check reads master[{at}]: CURRENT, L{lease}"));
            } else if superseded {
                let violation = (self.c.timed && s.att[i].vu > s.now).then_some(C1);
                k.emit(done, violation, || format!("check reads master[{at}]: SUPERSEDED"));
            } else {
                k.emit(n, None, || format!("check reads master[{at}]: {:?}", n.col[at].seen));
            }
        }
    }

    /// Noise, early expiry, memory loss, adoption of one master.
    fn master_events(&self, s: &S<N>, at: usize, k: &mut Sink<'_, N>) {
        let (c, m) = (&self.c, &s.col[at]);
        if s.noise < c.noise {
            for f in self.noise_values(s).into_iter().filter(|f| *f > m.fp) {
                let mut n = *s;
                n.noise += 1;
                n.col[at].fp = f;
                k.emit(n, None, || format!("master[{at}] bucket noise raises the floor to {f}"));
            }
        }
        if m.ll != 0 && (!c.timed || s.jumps < c.jumps) {
            let mut n = *s;
            n.col[at].clear_lock();
            n.jumps += u8::from(c.timed);
            k.emit(n, None, || format!("master[{at}] lock (L{}) expires early", m.ll));
        }
        if s.crashes < c.crashes && (!c.twice || s.crashes == 0 || m.pb > 0) {
            for (kind, text) in [
                (LOSE, "CRASH-RESTART, memory lost"),
                (KEEP, "CRASH-RESTART, memory kept"),
                (STALE, "CRASH-RESTART, last write lost"),
                (FLUSH, "FLUSHALL"),
            ] {
                if c.kinds & kind == 0 {
                    continue;
                }
                let mut n = *s;
                n.crashes += 1;
                if kind == STALE {
                    n.col[at].crash_stale(s.now);
                } else {
                    n.col[at].crash(s.now, kind != KEEP, kind == FLUSH);
                }
                k.emit(n, None, || format!("master[{at}] {text} (t={})", s.now));
            }
        }
        if m.nv && s.now >= m.boot + c.quar {
            let mut n = *s;
            n.col[at].nv = false;
            n.col[at].boot = 0;
            if c.v.pbase {
                // The weakest p_base: the adopter has the slowest clock.
                let pb = F * if c.pb_early { m.boot + c.quar } else { s.now };
                n.col[at].pb = m.pb.max(pb);
            }
            k.emit(n, None, || format!("master[{at}] ADOPTED, t={}", s.now));
        }
    }
}

/// What the poll or check under way has read so far: (tok, lease, first) of each master.
fn done_reads<const N: usize>(s: &S<N>) -> [[u8; 3]; N] {
    s.col.map(|m| m.seen)
}

fn poll_done<const N: usize>(s: &S<N>) -> S<N> {
    let mut done = *s;
    done.poll = 0;
    done.newer = false;
    for m in &mut done.col {
        m.seen = [0; 3];
    }
    done
}

/// The largest T for which `q` reads show `lease` with above < first <= T <= tok.
fn proven_term(reads: &[[u8; 3]], lease: u8, above: u8, q: usize) -> Option<u8> {
    let shows = |[tok, l, first]: &[u8; 3], t: u8| {
        *l == lease && above < *first && *first <= t && t <= *tok
    };
    let terms = reads.iter().filter(|r| r[1] == lease).map(|r| r[0]);
    terms.filter(|t| reads.iter().filter(|r| shows(r, *t)).count() >= q).max()
}

fn stop_extending<const N: usize>(n: &mut S<N>, i: usize) {
    n.att[i].eact = false;
    n.att[i].estart = 0;
    n.att[i].ebad = false;
    for m in &mut n.col {
        m.a[i].ok_e = false;
    }
}

impl<const N: usize> Model for Lock<N> {
    type S = S<N>;

    fn init(&self) -> S<N> {
        S {
            now: 0,
            crashes: 0,
            jumps: 0,
            noise: 0,
            steps: 0,
            suspects: 0,
            restarts: 0,
            poll: 0,
            newer: false,
            sent: [0; 3],
            att: Default::default(),
            col: [Col::default(); N],
        }
    }

    fn show(&self, s: &S<N>) -> String {
        let mut o = format!("now={} ", s.now);
        for (i, a) in s.att.iter().enumerate().take(self.c.leases.len()) {
            let lease = self.c.leases[i];
            o += &format!("| att{i} L{lease} phase {} ps{:?} tok{} ", a.ph, a.ps, a.tok);
            o += &format!("until {} es{:?} ", a.vu, a.es);
        }
        for m in &s.col {
            o += &format!("| [lock L{} n{} first {} p{} ", m.ll, m.ln, m.lf, m.lp);
            o += &format!("tok{} e{}; floor {}; ", m.lt, m.le, m.fp);
            o += &format!("pb{}{} since {}] ", m.pb, if m.nv { " not voting" } else { "" }, m.boot);
        }
        o
    }

    fn next(&self, s: &S<N>, out: &mut Vec<Step<S<N>>>, labels: bool) {
        let c = &self.c;
        let snapshots = c.kinds & STALE != 0 && s.crashes < c.crashes;
        let k = &mut Sink { from: s, snapshots, labels, out };
        // Masters in the same state are interchangeable: only the first of them acts.
        let distinct = |at: &usize| *at == 0 || s.col[*at] != s.col[*at - 1];
        for i in 0..c.leases.len() {
            if c.kind[i] == Kind::Acquire {
                self.acquire_rounds(s, i, k);
            } else {
                self.reattach(s, i, k);
            }
            self.extend_rounds(s, i, k);
            self.endings(s, i, k);
            for at in (0..N).filter(distinct) {
                self.deliveries(s, i, at, k);
            }
        }
        if c.watch != Watch::Off {
            self.watcher(s, k);
        }
        if c.check != Check::Off {
            self.token_check(s, k);
        }
        for at in (0..N).filter(distinct) {
            self.master_events(s, at, k);
            if c.steps > 0 || c.suspects > 0 {
                self.clock_steps(s, at, k);
            }
        }
        self.replica_restarts(s, k);
        if c.timed && s.now < c.tmax {
            let mut n = *s;
            n.now += 1;
            for m in &mut n.col {
                if m.ll != 0 && m.le <= n.now {
                    m.clear_lock();
                }
            }
            for a in &mut n.att {
                if a.vu <= n.now {
                    a.vu = 0;
                }
            }
            k.emit(n, None, || format!("tick -> t={}", n.now));
        }
    }
}
