//! The table of rows: what is explored, in which bounds, and what must come out.

use crate::adopt::{self, Adopt, Clocks, Rule};
use crate::engine::{Outcome, search};
use crate::f4::F4;
use crate::lock::{
    C1, C2, Cfg, Check, F1, F2, F3, FLUSH, Fresh, G, H, KEEP, Kind, LOSE, Lock, P, STALE, Stepped,
    Token0, W, Watch, Z,
};
use crate::master::{BRIEF, Detach, Own, Rules, V2, V2P};

/// More states than this are not searched (about 4 GiB).
const CAP: usize = 60_000_000;
const F4_LOST: &str = crate::f4::LOST;

/// How much a row costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cost {
    /// A couple of seconds at most; part of the test.
    Quick,
    /// Up to two minutes.
    Slow,
    /// Beyond the memory and time of a small machine; only on request.
    Huge,
}

/// What a row must show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expect {
    Holds,
    Violates(&'static str),
}

impl Expect {
    pub(crate) fn is_met(self, outcome: &Outcome) -> bool {
        match self {
            Self::Holds => outcome.complete && outcome.violation.is_none(),
            Self::Violates(property) => outcome.violation == Some(property),
        }
    }
}

/// One row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) words: &'static str,
    pub(crate) cost: Cost,
    pub(crate) expect: Expect,
    run: Box<dyn Fn() -> Outcome>,
}

impl Row {
    pub(crate) fn run(&self) -> Outcome {
        (self.run)()
    }
}

/// Collects the rows.
struct Table(Vec<Row>);

use Cost::{Huge, Quick, Slow};
use Expect::{Holds, Violates};

impl Table {
    fn push(
        &mut self,
        name: &'static str,
        words: &'static str,
        cost: Cost,
        expect: Expect,
        run: impl Fn() -> Outcome + 'static,
    ) {
        self.0.push(Row { name, words, cost, expect, run: Box::new(run) });
    }

    /// A row of the lock model with three masters; zombies are looked for only in rows that hold.
    fn lock(
        &mut self,
        name: &'static str,
        words: &'static str,
        cost: Cost,
        expect: Expect,
        c: Cfg,
    ) {
        let ignore: &[&str] = if expect == Holds { &[] } else { &[Z] };
        self.lock_ignoring(name, words, cost, expect, c, ignore);
    }

    fn lock_ignoring(
        &mut self,
        name: &'static str,
        words: &'static str,
        cost: Cost,
        expect: Expect,
        c: Cfg,
        ignore: &'static [&'static str],
    ) {
        self.push(name, words, cost, expect, move || {
            search(&Lock::<3> { c: c.clone() }, CAP, ignore)
        });
    }

    /// A row of the lock model with five masters.
    fn lock5(&mut self, name: &'static str, words: &'static str, cost: Cost, c: Cfg) {
        self.push(name, words, cost, Holds, move || search(&Lock::<5> { c: c.clone() }, CAP, &[]));
    }

    fn f4(&mut self, name: &'static str, words: &'static str, expect: Expect, model: F4) {
        self.push(name, words, Quick, expect, move || search(&model, CAP, &[]));
    }

    fn adopt(
        &mut self,
        name: &'static str,
        words: &'static str,
        cost: Cost,
        expect: Expect,
        model: Adopt,
    ) {
        // A model that breaks Q may starve too.
        let ignore: &[&str] = if expect == Violates(adopt::Q) { &[adopt::L] } else { &[] };
        self.push(name, words, cost, expect, move || search(&model, CAP, ignore));
    }
}

const AB: &[u8] = &[1, 2];
const AAB: &[u8] = &[1, 1, 2];
const AAA: &[u8] = &[1, 1, 1];

/// Every row, in the order of the results.
pub(crate) fn all() -> Vec<Row> {
    let mut t = Table(Vec::new());
    detach(&mut t);
    suspects(&mut t);
    token0(&mut t);
    watch(&mut t);
    untimed(&mut t);
    timed(&mut t);
    skew(&mut t);
    rolling(&mut t);
    quarantine(&mut t);
    t.0
}

/// Sessions: who may clean up a lock that several of them extended?
fn detach(t: &mut Table) {
    let with = |d: Detach| Rules { detach: d, ..V2 };
    let sessions = |d: Detach, leases: &[u8], exts: &[u8], tmax: u8, delta: u8| {
        let one = vec![1; leases.len()];
        let mut c = Cfg::timed(with(d), leases, &one, exts, (tmax, 0, delta)).lean();
        c.session_end = true;
        c.kind[1] = Kind::Reattach;
        c
    };
    // A acquires (session 1), re-attaches (session 2); B contends.
    let base = |d, tmax| sessions(d, AAB, &[1, 1, 0], tmax, 0);
    t.lock(
        "d0-handover",
        "session 1 e1, session 2 re-attaches e1, B; T=3",
        Slow,
        Holds,
        base(Detach::Handover, 3),
    );
    t.lock("d0t2-handover", "the same, T=2", Quick, Holds, base(Detach::Handover, 2));
    t.lock(
        "d1-as-stated",
        "p > lock.p: nonce = the session's, otherwise ''",
        Quick,
        Violates(F2),
        base(Detach::Stated, 2),
    );
    t.lock(
        "d1l-as-stated-lenient",
        "the same, but own nonce kept when p <= lock.p",
        Quick,
        Violates(F2),
        base(Detach::Lenient, 2),
    );
    t.lock(
        "d2-shared",
        "a foreign touch sets '' for good, no handover",
        Quick,
        Holds,
        base(Detach::Shared, 2),
    );
    t.lock(
        "d3-untouched",
        "extend leaves the nonce alone",
        Quick,
        Violates(F2),
        base(Detach::Untouched, 2),
    );
    let skewed = |d| sessions(d, AAB, &[0, 1, 0], 2, 1);
    t.lock(
        "d4-handover-skew2",
        "session 1, session 2 e1, B; skew 2, T=2",
        Quick,
        Holds,
        skewed(Detach::Handover),
    );
    let mut c = sessions(Detach::Handover, AAB, &[1, 2, 0], 2, 0);
    t.lock("d5-handover-ext2", "session 1 e1, session 2 e2, B; T=2", Slow, Holds, c.clone());
    c = sessions(Detach::Handover, AAB, &[2, 1, 0], 2, 0);
    t.lock("d5b-handover-ext2", "session 1 e2, session 2 e1, B; T=2", Slow, Holds, c);
    // Giving back: session 1 extends no more.
    let gives = |d| {
        let mut c = sessions(d, AAB, &[0, 2, 0], 2, 0);
        c.gives_back = true;
        c
    };
    t.lock(
        "d6-gives-back",
        "session 1 extends no more: session 2's cleanup deletes its lock",
        Quick,
        Holds,
        gives(Detach::Handover),
    );
    t.lock(
        "d7-shared-gives-back",
        "the same without handover",
        Quick,
        Violates(G),
        gives(Detach::Shared),
    );
    // A failed re-attach must not clean up.
    let failed = |d| {
        let mut c = sessions(d, AAB, &[0, 1, 0], 2, 0);
        c.failed_cleanup = true;
        c
    };
    t.lock(
        "d8-failed-cleans-up",
        "a re-attach that failed sends cleanup",
        Quick,
        Violates(F2),
        failed(Detach::Handover),
    );
    // Unary extends beside the session.
    let unary = |d| {
        let mut c = sessions(d, AAB, &[1, 1, 0], 2, 0);
        c.kind[1] = Kind::Unary;
        c
    };
    t.lock(
        "d9-unary",
        "session 1 e1, unary extend e1, B; T=2",
        Quick,
        Holds,
        unary(Detach::Handover),
    );
    t.lock(
        "d9s-unary-as-stated",
        "the same, rule as stated",
        Quick,
        Violates(F2),
        unary(Detach::Stated),
    );
    // Without a contender, H in the place of F2: more sessions of one lease, longer runs.
    let alone = |d: Detach, kind: &[Kind], exts: &[u8], tmax: u8| {
        let leases = &AAA[..kind.len()];
        let mut c = sessions(d, leases, exts, tmax, 0);
        c.kind[..kind.len()].copy_from_slice(kind);
        c.locks_stay = true;
        c
    };
    let three = &[Kind::Acquire, Kind::Reattach, Kind::Reattach];
    t.lock(
        "d10-three-sessions",
        "sessions 1, 2, 3, e1 each, no contender; T=2",
        Slow,
        Holds,
        alone(Detach::Handover, three, &[1, 1, 1], 2),
    );
    t.lock(
        "d10b-three-sessions",
        "sessions 1, 2, 3, of which 2 and 3 extend once; T=3",
        Quick,
        Holds,
        alone(Detach::Handover, three, &[0, 1, 1], 3),
    );
    t.lock(
        "d11-chain",
        "as d10b, T=2, but a re-attached session takes over from another one",
        Quick,
        Violates(H),
        alone(Detach::Chain, three, &[0, 1, 1], 2),
    );
    let mixed = &[Kind::Acquire, Kind::Reattach, Kind::Unary];
    t.lock(
        "d13-session-unary",
        "sessions 1 and 2, unary extend, e1 each, no contender; T=2",
        Slow,
        Holds,
        alone(Detach::Handover, mixed, &[1, 1, 1], 2),
    );
    let retry = &[Kind::Acquire, Kind::Acquire];
    let mut c = alone(Detach::Handover, retry, &[1, 1], 3);
    c.giveup = true;
    t.lock(
        "d14-acquire-retry",
        "session 1 e1, retry of acquire e1, give-up, no contender; T=3",
        Slow,
        Holds,
        c,
    );
    let retry = &[Kind::Acquire, Kind::Acquire, Kind::Reattach];
    t.lock(
        "d15-retry-reattach",
        "session 1, retry of acquire, re-attach e1, no contender; T=2",
        Quick,
        Holds,
        alone(Detach::Handover, retry, &[0, 0, 1], 2),
    );
    let two = &[Kind::Acquire, Kind::Reattach];
    t.lock(
        "d16-two-sessions",
        "session 1 e2, session 2 e2, no contender; T=2",
        Slow,
        Holds,
        alone(Detach::Handover, two, &[2, 2], 2),
    );
    t.lock(
        "d16s-as-stated",
        "session 1 e2, session 2 e2, rule as stated, no contender",
        Quick,
        Violates(H),
        alone(Detach::Stated, two, &[2, 2], 2),
    );
    let mut c = alone(Detach::Handover, two, &[1, 1], 3);
    c.delta = 1;
    t.lock(
        "d17-two-sessions-skew2",
        "session 1 e1, session 2 e1, skew 2, no contender; T=3",
        Slow,
        Holds,
        c,
    );
    let mut c = sessions(Detach::Handover, AAB, &[0, 1, 0], 3, 0);
    c.crashes = 1;
    t.lock("d18-handover-crash", "session 1, session 2 e1, B, 1 crash; T=3", Slow, Holds, c);
    // F1, F3, Z under arbitrary expiry and ballots.
    let mut c = Cfg::untimed(with(Detach::Handover), AAB, &[1, 1, 1], &[1, 1, 0], 4);
    c.kind[1] = Kind::Reattach;
    c.session_end = true;
    c.release = false;
    c.giveup = false;
    t.lock("d12-untimed", "untimed: session 1 e1, session 2 e1, B", Quick, Holds, c);
}

/// Clock steps of masters.
fn suspects(t: &mut Table) {
    let step = |exts: &[u8], tmax: u8| {
        let mut c = Cfg::timed(V2, AB, &[1, 1], exts, (tmax, 0, 0)).lean();
        c.steps = 1;
        c
    };
    let broken = |set: &dyn Fn(&mut Cfg)| {
        let mut c = step(&[0, 0], 4);
        set(&mut c);
        c
    };
    t.lock(
        "s0-suspect",
        "1 clock step, LATE, suspect; A e1, B, T=4",
        Slow,
        Holds,
        step(&[1, 0], 4),
    );
    t.lock("s0b-suspect-noext-T5", "the same without extend, T=5", Quick, Holds, step(&[0, 0], 5));
    t.lock(
        "s1-no-late",
        "scripts of a replica that saw the old clock still vote",
        Quick,
        Violates(F2),
        broken(&|c| c.v.late = false),
    );
    t.lock(
        "s2-remeasure",
        "LATE, but the replica just measures again: no suspect",
        Quick,
        Violates(F2),
        broken(&|c| c.stepped = Stepped::Remeasure),
    );
    t.lock("s3-quar-short", "QUAR 1 < ttl 2", Quick, Violates(F2), broken(&|c| c.quar = 1));
    t.lock(
        "s4-fresh-replica",
        "a replica without estimate starts after the step",
        Quick,
        Violates(F2),
        broken(&|c| c.fresh = Fresh::AtOnce),
    );
    t.lock(
        "s5-fresh-waits",
        "it counts votes only MAX_TTL after its first estimate",
        Quick,
        Holds,
        broken(&|c| c.fresh = Fresh::Waits),
    );
    let mut c = step(&[1, 0], 4);
    c.suspects = 1;
    t.lock(
        "s6-false-suspect",
        "1 clock step and 1 suspect for nothing; A e1, B, T=4",
        Slow,
        Holds,
        c,
    );
    let mut c = step(&[1, 0], 4);
    c.steps = 0;
    c.suspects = 2;
    t.lock("s7-false-suspects", "2 suspects for nothing; A e1, B, T=4", Quick, Holds, c);
    let mut c = step(&[0, 0], 4);
    c.steps = 2;
    t.lock("s8-two-steps", "2 clock steps; A, B, T=4", Slow, Holds, c);
    let mut c = step(&[0, 0], 4);
    c.crashes = 1;
    t.lock("s9-step-crash", "1 clock step and 1 crash; A, B, T=4", Slow, Holds, c);
    let mut c = step(&[1, 0], 3);
    c.delta = 1;
    t.lock("s10-step-skew2", "1 clock step, skew 2; A e1, B, T=3", Slow, Holds, c);
    let mut c = step(&[2, 0], 4);
    c.v.pbase = false;
    t.lock("s11-nopbase", "1 clock step, no p_base; A e2, B, T=4", Slow, Holds, c);
    t.lock("s12-suspect-ext2", "1 clock step; A e2, B, T=4", Slow, Holds, step(&[2, 0], 4));
    let mut c = step(&[1, 0], 3);
    c.release = true;
    c.giveup = true;
    t.lock("s13-release-giveup", "1 clock step; A e1, B, release and give-up, T=3", Slow, Holds, c);
    // Who opens and ends the quarantine.
    let clocks = Clocks { steps: 2, ..Clocks::STEADY };
    let one = Clocks { steps: 1, ..Clocks::STEADY };
    let model = |tmax: u8, losses: u8, clocks: Clocks| Adopt {
        rule: Rule::Incident,
        tmax,
        quar: 3,
        losses,
        jumps: 0,
        clocks,
    };
    t.adopt("a6-suspect", "2 clock steps, 1 loss, T=8", Slow, Holds, model(8, 1, clocks));
    t.adopt(
        "a7-false-suspects",
        "1 clock step, 2 suspects for nothing, T=8",
        Slow,
        Holds,
        model(8, 0, Clocks { alarms: 2, ..one }),
    );
    t.adopt(
        "a8-early-estimate",
        "the new estimate is used before the suspect is answered",
        Quick,
        Violates(adopt::Q),
        model(10, 0, Clocks { early: true, ..one }),
    );
    t.adopt(
        "a9-suspect-twice",
        "a suspect is executed twice, with the same x",
        Quick,
        Violates(adopt::Q),
        model(6, 0, Clocks { twice: true, ..clocks }),
    );
    t.adopt(
        "a10-suspect-overwrites",
        "suspect overwrites an open incident",
        Quick,
        Violates(adopt::L),
        model(10, 0, Clocks { overwrite: true, ..one }),
    );
    t.adopt(
        "a11-old-estimate",
        "the old estimate is kept after the answer",
        Quick,
        Violates(adopt::L),
        model(9, 0, Clocks { stale: true, ..one }),
    );
    t.adopt(
        "a12-fresh-replica",
        "a replica that restarts uses its first estimate at once",
        Quick,
        Violates(adopt::Q),
        model(10, 0, Clocks { fresh: Some(0), ..one }),
    );
    t.adopt(
        "a13-fresh-waits",
        "it waits QUAR after its first estimate",
        Slow,
        Holds,
        model(8, 0, Clocks { fresh: Some(3), ..one }),
    );
}

/// Release without a token.
fn token0(t: &mut Table) {
    let row = |rule: Token0, tmax: u8, delta: u8| {
        let mut c = Cfg::timed(V2, AAB, &[1, 1, 1], &[0; 3], (tmax, 0, delta)).lean();
        c.token0 = rule;
        c
    };
    // A late acquire with a higher ballot than the release may leave a lock nobody holds.
    let z: &[&str] = &[Z];
    t.lock(
        "z1-own-ballot-skew2",
        "tok = own p, id reused at once, skew 2",
        Quick,
        Violates(F2),
        row(Token0::OwnBallot, 1, 1),
    );
    t.lock(
        "z1b-own-ballot",
        "the same, clocks equal up to less than a tick",
        Quick,
        Violates(F2),
        row(Token0::OwnBallot, 1, 0),
    );
    t.lock_ignoring(
        "z2-reuse-after-quorum",
        "id reused only after a quorum answered; skew < 1, T=2",
        Quick,
        Holds,
        row(Token0::ReuseAfterQuorum, 2, 0),
        z,
    );
    t.lock_ignoring(
        "z2s-reuse-after-quorum-skew2",
        "the same, skew 2, T=1",
        Slow,
        Holds,
        row(Token0::ReuseAfterQuorum, 1, 1),
        z,
    );
    t.lock(
        "z3-highest-read",
        "tok = highest tok a quorum showed, id reused at once, skew 2",
        Slow,
        Violates(F2),
        row(Token0::HighestRead, 1, 1),
    );
    t.lock_ignoring(
        "z4-exact",
        "read, then delete-exact per master; skew < 1, T=2",
        Slow,
        Holds,
        row(Token0::Exact, 2, 0),
        z,
    );
    t.lock(
        "z4l-exact-late-read",
        "the same, reads that arrive after the id was used again are acted on; T=2",
        Quick,
        Violates(F2),
        row(Token0::ExactLateRead, 2, 0),
    );
    t.lock_ignoring(
        "z4s-exact-skew2",
        "the same, skew 2, T=1",
        Slow,
        Holds,
        row(Token0::Exact, 1, 1),
        z,
    );
    let mut c = row(Token0::ReuseAfterQuorum, 3, 0);
    c.crashes = 1;
    t.lock_ignoring(
        "z5-reuse-after-quorum-crash",
        "id reused after a quorum, 1 crash, T=3",
        Slow,
        Holds,
        c,
        z,
    );
}

/// Leader reads and token checks.
fn watch(t: &mut Table) {
    let untimed = |watch: Watch, rounds: &[u8], exts: &[u8], maxp: u8| {
        let mut c = Cfg::untimed(V2, AB, rounds, exts, maxp);
        c.release = false;
        c.giveup = false;
        c.watch = watch;
        c
    };
    t.lock(
        "w5-per-lease",
        "q-th largest tok, never below one sent for that lease; A, B r2",
        Quick,
        Violates(W),
        untimed(Watch::Largest, &[1, 2], &[0, 0], 4),
    );
    t.lock(
        "w6-per-watch",
        "the same, another lease with a lower term is withheld; A e1, B r2",
        Quick,
        Violates(P),
        untimed(Watch::Withheld, &[1, 2], &[1, 0], 4),
    );
    t.lock(
        "w7-interval",
        "largest T with first <= T <= tok at a quorum; A, B r2",
        Quick,
        Holds,
        untimed(Watch::Interval, &[1, 2], &[0, 0], 3),
    );
    t.lock(
        "w7e-interval-ext",
        "the same; A e1, B",
        Quick,
        Holds,
        untimed(Watch::Interval, &[1, 1], &[1, 0], 3),
    );
    t.lock(
        "w7x-interval-ext-r2",
        "the same; A e1, B r2",
        Slow,
        Holds,
        untimed(Watch::Interval, &[1, 2], &[1, 0], 4),
    );
    let mut c = Cfg::timed(V2, AB, &[1, 1], &[0, 0], (4, 1, 0)).lean();
    c.watch = Watch::Interval;
    t.lock("w8-interval-loss", "the same, timed, 1 crash, T=4, lean", Quick, Holds, c);
    let check = |check: Check, exts: &[u8], tmax: u8| {
        let mut c = Cfg::timed(V2, AB, &[1, 2], exts, (tmax, 0, 0)).lean();
        c.check = check;
        c
    };
    t.lock(
        "k1-any-lease",
        "SUPERSEDED iff q masters show a lease with first > T; A e2, B r2, T=3",
        Slow,
        Violates(C1),
        check(Check::AnyLease, &[2, 0], 3),
    );
    t.lock(
        "k2-interval",
        "SUPERSEDED iff q show one lease with T < first <= T' <= tok; A e1, B r2, T=3",
        Slow,
        Holds,
        check(Check::Interval, &[1, 0], 3),
    );
    t.lock(
        "k2e-interval-ext2",
        "the same; A e2, B r2, T=3",
        Slow,
        Holds,
        check(Check::Interval, &[2, 0], 3),
    );
    let mut c = Cfg::timed(V2, AB, &[1, 1], &[0, 0], (4, 1, 0)).lean();
    c.check = Check::Interval;
    t.lock("k3-interval-loss", "the same, A, B, 1 crash, T=4", Quick, Holds, c);
    let mut c = Cfg::untimed(V2, AB, &[1, 1], &[1, 0], 3);
    c.release = false;
    c.check = Check::Interval;
    t.lock("k4-untimed", "CURRENT under arbitrary expiry; A e1, B", Quick, Holds, c.clone());
    c.v.own = Own::Lease;
    c.v.rep_floor = false;
    t.lock_ignoring(
        "k5-repair-ignores-floor",
        "CURRENT if extend matches the lease only and repair ignores the floor; A e2, B",
        Quick,
        Violates(C2),
        Cfg { exts: vec![2, 0], maxp: 4, ..c },
        &[Z, F1, F3],
    );
    let mut c = Cfg::timed(V2, AB, &[1, 1], &[0, 0], (4, 0, 0)).lean();
    c.check = Check::Interval;
    c.jumps = 1;
    t.lock_ignoring(
        "k6-early-expiry",
        "SUPERSEDED if a lock expires early",
        Quick,
        Violates(C1),
        c,
        &[F2],
    );
}

/// No memory loss: F1 F3 Z under arbitrary expiry, delay, duplication, skew.
fn untimed(t: &mut Table) {
    let u = Cfg::untimed;
    t.lock("u0", "untimed, A, B", Quick, Holds, u(V2, AB, &[1, 1], &[0, 0], 3));
    let mut c = u(V2, AB, &[2, 1], &[1, 0], 4);
    c.noise = 1;
    t.lock("u4-AB-ext", "untimed, A r2 e1, B, noise 1", Quick, Holds, c.clone());
    t.lock("u4b-AB-ext2", "untimed, A e2, B e1", Slow, Holds, u(V2, AB, &[1, 1], &[2, 1], 5));
    t.lock(
        "u5-AAB-ext",
        "untimed, AAB (retry via another replica), e1",
        Slow,
        Holds,
        u(V2, AAB, &[1, 1, 1], &[1, 0, 0], 4),
    );
    let mut same = u(V2, AB, &[2, 1], &[1, 1], 3);
    same.uniq = false;
    t.lock(
        "u6-nonunique-ballots",
        "untimed, ballots NOT unique, A r2 e1, B e1",
        Quick,
        Holds,
        same,
    );
    t.lock5("n5-untimed", "untimed, N=5, A e1, B", Quick, u(V2, AB, &[1, 1], &[1, 0], 3));
    let mut w = u(V2, AB, &[2, 1], &[0, 0], 3);
    w.watch = Watch::Pair;
    t.lock("w0-watch-untimed", "untimed, watcher of pairs, A r2, B", Slow, Holds, w);
    let mut w = u(V2, AB, &[1, 1], &[1, 0], 3);
    w.watch = Watch::Pair;
    t.lock("w3-watch-untimed-ext", "untimed, watcher of pairs, A e1, B", Slow, Holds, w);

    let regress = Rules { own_regress: true, ..V2 };
    t.lock(
        "u1-regress",
        "re-accept with a lower p regresses",
        Quick,
        Violates(F1),
        u(regress, AB, &[2, 1], &[0, 0], 3),
    );
    let mixed = Rules { mixed: true, ..V2 };
    t.lock(
        "u2-mixed",
        "OKs of different rounds added",
        Quick,
        Violates(F1),
        u(mixed, AB, &[2, 1], &[0, 0], 3),
    );
    let own = |own: Own| u(Rules { own, ..V2 }, AAB, &[1, 1, 1], &[1, 0, 0], 4);
    t.lock(
        "u3-extend-by-lease",
        "extend matches the lease only",
        Slow,
        Violates(F3),
        own(Own::Lease),
    );
    t.lock(
        "u3t-extend-by-tok",
        "extend requires lock.tok <= tok instead of first <= tok",
        Slow,
        Holds,
        own(Own::Tok),
    );
    let floor = Rules { rep_floor: false, ..V2 };
    t.lock(
        "u7-repair-ignores-floor",
        "repair ignores the floor",
        Quick,
        Violates(F3),
        u(floor, AB, &[1, 1], &[2, 0], 4),
    );
    let free = Rules { barrier: false, ..V2 };
    c.v = free;
    t.lock("u8-no-barrier", "no barrier, A r2 e1, B, noise 1 (Z not required)", Slow, Holds, c);
    t.lock(
        "u8b-no-barrier-ext2",
        "no barrier, A e2, B e1",
        Slow,
        Holds,
        u(free, AB, &[1, 1], &[2, 1], 5),
    );
    let low = Rules { ext_floor: false, ..V2 };
    t.lock(
        "u9-ext-no-floor",
        "extend does not raise lock.p / floor",
        Quick,
        Violates(F3),
        u(low, AB, &[1, 1], &[2, 1], 5),
    );
}

/// Timed: ttl = MAX_TTL = 2 ticks, QUAR = 3 unless stated; T = last tick.
fn timed(t: &mut Table) {
    let c = |leases: &[u8], exts: &[u8], bounds: (u8, u8)| {
        let one = vec![1; leases.len()];
        Cfg::timed(V2, leases, &one, exts, (bounds.0, bounds.1, 0))
    };
    let set = |mut c: Cfg, f: &dyn Fn(&mut Cfg)| {
        f(&mut c);
        c
    };
    t.lock("t00-AB-nocrash", "A e1, B e1, T=4", Slow, Holds, c(AB, &[1, 1], (4, 0)));
    t.lock(
        "t00n-AB-nocrash-noise",
        "A e1, B, T=3, noise 1",
        Slow,
        Holds,
        set(c(AB, &[1, 0], (3, 0)), &|c| c.noise = 1),
    );
    t.lock(
        "t11v-reuse-release-by-tok",
        "AAB, lease id reused after release, T=3",
        Huge,
        Holds,
        c(AAB, &[0; 3], (3, 0)),
    );
    let ttls = |gt: bool| {
        set(c(AB, &[1, 0], (3, 0)), &|c| {
            c.v.gt = gt;
            c.ttl_a = [3; 3];
            c.ttl_e = 1;
        })
    };
    t.lock("t13-gt", "acquire ttl 3, extend ttl 1, T=3", Quick, Holds, ttls(true));
    t.lock(
        "t21-quar-eq-ttl",
        "QUAR = MAX_TTL exactly, 1 crash, T=5",
        Slow,
        Holds,
        set(c(AB, &[0, 0], (5, 1)), &|c| c.quar = 2),
    );
    t.lock(
        "t22-crash1-noise",
        "1 crash, noise 1, T=4, no release",
        Slow,
        Holds,
        set(c(AB, &[0, 0], (4, 1)), &|c| {
            c.noise = 1;
            c.release = false;
        }),
    );
    t.lock(
        "t50-crash1-keep-or-lose",
        "crash keeps or loses memory, A e1, B, T=5",
        Huge,
        Holds,
        set(c(AB, &[1, 0], (5, 1)), &|c| c.kinds = LOSE | KEEP),
    );
    t.lock(
        "t51-crash2-noext",
        "2 crashes, T=6, no release",
        Huge,
        Holds,
        set(c(AB, &[0, 0], (6, 2)), &|c| c.release = false),
    );
    t.lock_ignoring(
        "t52-jump1-crash1",
        "1 early expiry + 1 crash, A e1, T=4, no release (F2 not required)",
        Slow,
        Holds,
        set(c(AB, &[1, 0], (4, 1)), &|c| {
            c.jumps = 1;
            c.release = false;
        }),
        &[F2],
    );
    t.lock(
        "t53-crash1-ext",
        "1 crash, A e1, B, T=5, release and give-up",
        Huge,
        Holds,
        c(AB, &[1, 0], (5, 1)),
    );
    t.lock(
        "t54-stale-snapshot-ext",
        "restart loses the last write, A e1, T=4, lean",
        Slow,
        Holds,
        set(c(AB, &[1, 0], (4, 1)).lean(), &|c| c.kinds = STALE),
    );
    t.lock(
        "t55-stale-snapshot-noext",
        "restart loses the last write, T=5, no release",
        Huge,
        Holds,
        set(c(AB, &[0, 0], (5, 1)), &|c| {
            c.kinds = STALE;
            c.release = false;
        }),
    );
    t.lock(
        "t56-crash2-ext",
        "2 crashes, A e1, T=4, lean",
        Slow,
        Holds,
        c(AB, &[1, 0], (4, 2)).lean(),
    );
    t.lock(
        "t57-crash2-ext-T5",
        "2 crashes, A e1, T=5, lean",
        Slow,
        Holds,
        c(AB, &[1, 0], (5, 2)).lean(),
    );
    t.lock(
        "t58-same-master-twice-ext",
        "same master restarted again after its adoption, A e1, T=7, lean",
        Slow,
        Holds,
        set(c(AB, &[1, 0], (7, 2)).lean(), &|c| c.twice = true),
    );
    t.lock(
        "t61-crash1-ext2",
        "1 crash, A e2, B, T=4, lean",
        Slow,
        Holds,
        c(AB, &[2, 0], (4, 1)).lean(),
    );
    t.lock(
        "t65-crash1-ext2-T5",
        "1 crash, A e2, B, T=5, lean",
        Slow,
        Holds,
        c(AB, &[2, 0], (5, 1)).lean(),
    );
    t.lock(
        "t70-crash1-ext2-ext1",
        "1 crash, A e2, B e1, T=5, lean",
        Huge,
        Holds,
        c(AB, &[2, 1], (5, 1)).lean(),
    );
    t.lock(
        "t69-crash2-ext2",
        "2 crashes, A e2, B, T=5, lean",
        Huge,
        Holds,
        c(AB, &[2, 0], (5, 2)).lean(),
    );
    t.lock(
        "t63-flush1-ext2",
        "FLUSHALL (messages survive), A e2, T=4, lean",
        Quick,
        Holds,
        set(c(AB, &[2, 0], (4, 1)).lean(), &|c| c.kinds = FLUSH),
    );
    t.lock(
        "t67-flush1-ext",
        "FLUSHALL, A e1, T=4, release and give-up",
        Slow,
        Holds,
        set(c(AB, &[1, 0], (4, 1)), &|c| c.kinds = FLUSH),
    );
    t.lock(
        "t68-lose-keep-flush-ext2",
        "lose / keep / FLUSHALL, A e2, T=4, lean",
        Slow,
        Holds,
        set(c(AB, &[2, 0], (4, 1)).lean(), &|c| c.kinds = LOSE | KEEP | FLUSH),
    );
    t.lock(
        "t71-stale-snapshot-ext2",
        "restart loses the last write, A e2, T=4, lean",
        Huge,
        Holds,
        set(c(AB, &[2, 0], (4, 1)).lean(), &|c| c.kinds = STALE),
    );
    t.lock(
        "t66-AAB-crash1-reuse",
        "AAB, 1 crash, reuse after release, T=3, no give-up",
        Huge,
        Holds,
        set(c(AAB, &[0; 3], (3, 1)), &|c| c.giveup = false),
    );
    t.lock(
        "w2-watch-loss",
        "watcher of pairs, 1 crash, T=4, lean",
        Slow,
        Holds,
        set(c(AB, &[0, 0], (4, 1)).lean(), &|c| c.watch = Watch::Pair),
    );
    t.lock5(
        "n5-timed",
        "N=5, 1 crash, T=4, no release",
        Huge,
        set(c(AB, &[0, 0], (4, 1)), &|c| c.release = false),
    );
    t.lock5("n5-crash2", "N=5, 2 crashes, T=3, lean", Slow, c(AB, &[0, 0], (3, 2)).lean());

    let retry = |f: &dyn Fn(&mut Cfg), tmax| set(c(AAB, &[0; 3], (tmax, 0)), f);
    t.lock(
        "t10-cleanup-by-lease",
        "cleanup by lease id",
        Quick,
        Violates(F2),
        retry(&|c| c.v.nonce = false, 1),
    );
    t.lock(
        "t10s-nonce-not-shared",
        "nonce, but not cleared by a foreign touch",
        Quick,
        Violates(F2),
        retry(&|c| c.v.share = false, 1),
    );
    t.lock(
        "t11-reuse-release-by-first",
        "release by first, reuse",
        Slow,
        Violates(F2),
        retry(&|c| c.v.rel_tok = false, 3),
    );
    t.lock("t12-no-gt", "ttl may shrink", Quick, Violates(F2), ttls(false));
    t.lock(
        "t20-quar-short",
        "QUAR 1 < ttl 2",
        Quick,
        Violates(F2),
        set(c(AB, &[0, 0], (4, 1)), &|c| c.quar = 1),
    );
    t.lock(
        "t60-brief-crash1-ext2",
        "repair to non-voting masters, no `proven` rule",
        Slow,
        Violates(F3),
        set(c(AB, &[2, 0], (4, 1)).lean(), &|c| c.v = BRIEF),
    );
    t.lock(
        "p-t61-crash1-ext2",
        "repair to non-voting masters with the `proven` rule, A e2, T=4, lean",
        Slow,
        Holds,
        set(c(AB, &[2, 0], (4, 1)).lean(), &|c| c.v = V2P),
    );
    let nopbase = |exts: &[u8], tmax| set(c(AB, exts, (tmax, 1)).lean(), &|c| c.v.pbase = false);
    t.lock("t30-nopbase", "no p_base, A e1, T=5, lean", Quick, Holds, nopbase(&[1, 0], 5));
    t.lock(
        "t32-nopbase-ext2",
        "no p_base, A e2, T=4, lean",
        Slow,
        Violates(F3),
        nopbase(&[2, 0], 4),
    );
}

/// Skew of the replicas' clocks (2 delta ticks) and p_base.
fn skew(t: &mut Table) {
    let c = |exts: &[u8], bounds: (u8, u8, u8), f: &dyn Fn(&mut Cfg)| {
        let mut c = Cfg::timed(V2, AB, &[1, 1], exts, bounds);
        c.release = false;
        f(&mut c);
        c
    };
    let ttls = |c: &mut Cfg| {
        c.ttl_a = [1, 2, 2];
        c.ttl_e = 1;
        c.giveup = false;
    };
    t.lock(
        "t64-skew2-ext2",
        "skew 2 < QUAR 3, 1 crash, A e2, T=4, lean",
        Huge,
        Holds,
        c(&[2, 0], (4, 1, 1), &|c| c.giveup = false),
    );
    t.lock(
        "t42-skew2",
        "skew 2 < QUAR 3, 1 crash, T=4, no release",
        Slow,
        Holds,
        c(&[0, 0], (4, 1, 1), &|_| {}),
    );
    t.lock(
        "t42e-skew2-pbase-early",
        "the same, p_base computed at the first legal moment, adopt late",
        Slow,
        Holds,
        c(&[0, 0], (4, 1, 1), &|c| c.pb_early = true),
    );
    t.lock(
        "t34-pbase-skew-ttls",
        "skew 2, ttls 1 and 2, 1 crash, A e1, T=4, lean",
        Slow,
        Holds,
        c(&[1, 0], (4, 1, 1), &ttls),
    );
    t.lock(
        "t33-nopbase-skew-ttls",
        "no p_base, skew 2, ttls 1 and 2, QUAR 5, A e1, T=5, lean",
        Slow,
        Holds,
        c(&[1, 0], (5, 1, 1), &|c| {
            ttls(c);
            c.v.pbase = false;
            c.quar = 5;
        }),
    );
    t.lock(
        "t40-skew4-nopbase",
        "no p_base, skew 4",
        Slow,
        Violates(F1),
        c(&[0, 0], (4, 1, 2), &|c| c.v.pbase = false),
    );
    t.lock(
        "t41-skew2-nopbase",
        "no p_base, skew 2 < QUAR 3",
        Slow,
        Violates(F1),
        c(&[0, 0], (4, 1, 1), &|c| c.v.pbase = false),
    );
    t.lock(
        "t43-nopbase-skew2-quar5",
        "no p_base, skew 2, QUAR 5 > MAX_TTL + skew",
        Slow,
        Holds,
        c(&[0, 0], (5, 1, 1), &|c| {
            c.v.pbase = false;
            c.quar = 5;
        }),
    );
    t.lock(
        "t44-skew4",
        "p_base, skew 4 > QUAR 3",
        Slow,
        Violates(F1),
        c(&[0, 0], (4, 1, 2), &|_| {}),
    );
}

/// F4: rolling restarts.
fn rolling(t: &mut Table) {
    let f = F4 { v: V2, drop: false, settle: 1, qrounds: 1, nob: false, noise: 0 };
    let lost = Violates(F4_LOST);
    t.f4("f4-v2-settle1", "1 extend round after adoption", Holds, f);
    t.f4("f4-v2-q0", "no extend round needed inside the quarantine", Holds, F4 { qrounds: 0, ..f });
    t.f4(
        "f4-v2-settle2-drop",
        "settle 2, one message per healthy round lost",
        Holds,
        F4 { settle: 2, drop: true, ..f },
    );
    t.f4("f4-v2-noise1", "noise between rounds", Holds, F4 { noise: 1, ..f });
    t.f4(
        "f4-v2-noise2",
        "noise also between votes and repairs (such rounds do not count)",
        Holds,
        F4 { noise: 2, ..f },
    );
    t.f4(
        "f4-v2-noise3-settle2",
        "such rounds count, settle 2",
        Holds,
        F4 { noise: 3, settle: 2, ..f },
    );
    t.f4("f4-p-settle1", "repair at non-voting masters, settle 1", Holds, F4 { v: V2P, ..f });
    t.f4(
        "f4-p-noise2",
        "repair at non-voting masters, noise as in noise2",
        Holds,
        F4 { v: V2P, noise: 2, ..f },
    );
    t.f4(
        "f4-brief-settle1",
        "first draft, settle 1 (but unsafe: t60)",
        Holds,
        F4 { v: BRIEF, ..f },
    );
    t.f4(
        "f4-brief-settle0",
        "first draft, settle 0 (but unsafe: t60)",
        Holds,
        F4 { v: BRIEF, settle: 0, ..f },
    );
    t.f4("f4-v2-settle0", "next restart immediately after adoption", lost, F4 { settle: 0, ..f });
    t.f4(
        "f4-p-settle0",
        "the same, repair at non-voting masters",
        lost,
        F4 { v: V2P, settle: 0, ..f },
    );
    t.f4(
        "f4-v2-noise3",
        "rounds with a refused repair count, settle 1",
        lost,
        F4 { noise: 3, ..f },
    );
    let v = |change: &dyn Fn(&mut Rules)| {
        let mut v = V2;
        change(&mut v);
        F4 { v, ..f }
    };
    t.f4("f4-no-ballots", "extend without fresh ballot", lost, v(&|v| v.ext_ballot = false));
    t.f4(
        "f4-no-ext-floor",
        "extend does not raise the floor (but unsafe: u9)",
        Holds,
        v(&|v| v.ext_floor = false),
    );
    t.f4("f4-no-overwrite", "repair does not overwrite", lost, v(&|v| v.rep_over = false));
    t.f4(
        "f4-no-overwrite-nob",
        "the same, contender leaves no lock at a restart",
        lost,
        F4 { nob: true, ..v(&|v| v.rep_over = false) },
    );
    t.f4("f4-no-barrier", "no barrier", Holds, v(&|v| v.barrier = false));
    t.f4("f4-no-repair", "no repair", lost, v(&|v| v.repair = false));
}

/// Who measures the quarantine.
fn quarantine(t: &mut Table) {
    let model = |rule: Rule, jumps: u8| Adopt {
        rule,
        tmax: 10,
        quar: 3,
        losses: 2,
        jumps,
        clocks: Clocks::STEADY,
    };
    t.adopt(
        "a2-incident",
        "incident id, 2 losses (restart/FLUSHALL), replica crashes, T=10",
        Quick,
        Holds,
        model(Rule::Incident, 0),
    );
    t.adopt(
        "a3-master-ttl",
        "PX key on the master, no clock step",
        Slow,
        Holds,
        model(Rule::MasterTtl, 0),
    );
    t.adopt(
        "a0-run",
        "adopt: if marker.run != run",
        Quick,
        Violates(adopt::Q),
        model(Rule::Run, 0),
    );
    t.adopt(
        "a1-run-reset",
        "the same, stopwatch reset when votes are seen",
        Quick,
        Violates(adopt::Q),
        model(Rule::RunReset, 0),
    );
    t.adopt(
        "a4-master-ttl-clock-step",
        "PX key on the master, clock step",
        Quick,
        Violates(adopt::Q),
        model(Rule::MasterTtl, 1),
    );
    t.adopt(
        "a5-last-writer",
        "every observer overwrites the incident id",
        Quick,
        Violates(adopt::L),
        model(Rule::LastSeen, 0),
    );
}
