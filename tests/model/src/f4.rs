//! Rolling restarts (property F4): a long-lived lease A that extends every period, an adversarial
//! contender B (acquires and cleans up at any masters at any time with fresh ballots, old messages
//! replayed), restarts with total memory loss of every master, one at a time. Ballots are
//! rank-compressed, so the state space is finite and the run unbounded.

use crate::engine::{Model, Step};
use crate::master::{Col, Reply, Rules};

pub(crate) const LOST: &str = "F4 a healthy lease lost its quorum";

#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub(crate) struct State {
    col: [Col; 3],
    tok: u8,
    bal: u8,
    bp: u8,
    rounds_since: u8,
    periods_nv: u8,
    noisy: bool,
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F4 {
    pub(crate) v: Rules,
    /// one message of an extend round may be lost (only when everybody votes and has settled)
    pub(crate) drop: bool,
    /// fully delivered extend rounds after an adoption before the next restart
    pub(crate) settle: u8,
    /// fully delivered extend rounds inside a quarantine
    pub(crate) qrounds: u8,
    /// the contender leaves no lock behind at a restart
    pub(crate) nob: bool,
    /// other resources raise floors: 0 never; 1 between rounds; 2 also between the votes and the
    /// repairs of a round, such a round does not count as settled; 3 the same, but it counts
    pub(crate) noise: u8,
}

/// "No master": nothing is dropped, no noise.
const NONE: usize = 99;

fn canon(mut s: State) -> State {
    let mut values = vec![0, s.tok, s.bal, s.bp];
    for c in &s.col {
        values.extend([c.lf, c.lp, c.lt, c.fp, c.pb]);
    }
    values.sort_unstable();
    values.dedup();
    let rank = |x: &mut u8| *x = values.partition_point(|y| y < x) as u8;
    for x in [&mut s.tok, &mut s.bal, &mut s.bp] {
        rank(x);
    }
    for c in &mut s.col {
        for x in [&mut c.lf, &mut c.lp, &mut c.lt, &mut c.fp, &mut c.pb] {
            rank(x);
        }
    }
    s.col.sort_unstable();
    s
}

fn fresh(s: &State) -> u8 {
    let here = s.tok.max(s.bal).max(s.bp);
    s.col.iter().fold(here, |m, c| m.max(c.lp).max(c.fp).max(c.pb)) + 1
}

impl F4 {
    /// One extend round of A: all votes, then all repairs.
    fn round(&self, s: &State, drop: usize, noise: usize, out: &mut Vec<Step<State>>) {
        let v = &self.v;
        let quarantine = s.col.iter().any(|c| c.nv);
        let mut n = *s;
        let p = if v.ext_ballot { fresh(s) } else { s.tok };
        let reached = || (0..3).filter(|k| *k != drop);
        let votes: Vec<Reply> =
            reached().map(|k| n.col[k].extend(1, 1, (s.tok, p), 0, v)).collect();
        let enough = votes.iter().filter(|r| **r == Reply::Ok).count() >= 2;
        if noise != NONE {
            n.col[noise].fp = n.col[noise].fp.max(p + 1);
        }
        if enough && v.repair {
            for k in reached() {
                n.col[k].repair(1, 1, (s.tok, p), 0, v);
            }
        }
        n.bal = p;
        n.noisy = noise != NONE;
        if drop == NONE && (noise == NONE || self.noise == 3) {
            n.rounds_since = (n.rounds_since + 1).min(self.settle);
            if quarantine {
                n.periods_nv = (n.periods_nv + 1).min(2);
            }
        }
        let label = format!("A extends (drop {drop}, noise at {noise}), ballot {p} -> {votes:?}");
        out.push((label, canon(n), (!enough).then_some(LOST)));
    }

    /// Noise, the contender, restart and adoption at master `k`.
    fn events(&self, s: &State, k: usize, out: &mut Vec<Step<State>>) {
        let v = &self.v;
        let c = &s.col[k];
        let mut emit = |n: State, label: &str| {
            out.push((format!("master[{k}] {label}"), canon(n), None));
        };
        if self.noise > 0 {
            let mut n = *s;
            n.col[k].fp = fresh(s);
            emit(n, "bucket noise");
        }
        let mut n = *s;
        if n.col[k].acquire(2, 2, fresh(s), 0, v) == Reply::Ok {
            n.bp = fresh(s);
            emit(n, "B acquires with a fresh ballot");
        }
        if s.bp > 0 {
            let mut n = *s;
            n.col[k].acquire(2, 2, s.bp, 0, v);
            if n != *s {
                emit(n, "B acquires (same round or replay)");
            }
            let mut n = *s;
            n.col[k].cleanup(2, 2, s.bp, v);
            if n != *s {
                emit(n, "B cleans up");
            }
        }
        if c.ll == 2 {
            let mut n = *s;
            n.col[k].clear_lock();
            emit(n, "B's lock expires");
        }
        let settled = s.col.iter().all(|c| !c.nv) && s.rounds_since >= self.settle;
        if settled && (!self.nob || s.col.iter().all(|c| c.ll != 2)) {
            let mut n = *s;
            n.col[k].crash(0, true, false);
            n.periods_nv = 0;
            emit(n, "CRASH, memory lost");
        }
        if c.nv && s.periods_nv >= self.qrounds {
            let mut n = *s;
            n.col[k].nv = false;
            n.rounds_since = 0;
            n.periods_nv = 0;
            if v.pbase {
                n.col[k].pb = fresh(s);
            }
            emit(n, "ADOPTED");
        }
    }
}

impl Model for F4 {
    type S = State;

    fn init(&self) -> State {
        let mut s = State {
            col: [Col::default(); 3],
            tok: 1,
            bal: 1,
            bp: 0,
            rounds_since: 0,
            periods_nv: 0,
            noisy: false,
        };
        // The third acquire was lost (with settle 0 that would be hopeless).
        for c in s.col.iter_mut().take(if self.settle == 0 { 3 } else { 2 }) {
            c.acquire(1, 1, 1, 0, &self.v);
        }
        canon(s)
    }

    fn show(&self, s: &State) -> String {
        let mut o = format!("tok{} ", s.tok);
        for m in &s.col {
            o += &format!("[lock L{} first {} p{}; ", m.ll, m.lf, m.lp);
            o += &format!("floor {}; pb{}{}] ", m.fp, m.pb, if m.nv { " not voting" } else { "" });
        }
        o
    }

    fn next(&self, s: &State, out: &mut Vec<Step<State>>, _labels: bool) {
        let everywhere: [usize; 4] = [NONE, 0, 1, 2];
        let drops = &everywhere[..if self.drop { 4 } else { 1 }];
        // Never two noisy rounds in a row.
        let noises = &everywhere[..if self.noise >= 2 && !s.noisy { 4 } else { 1 }];
        let unsettled = s.col.iter().any(|c| c.nv) || s.rounds_since < self.settle;
        for drop in drops {
            for noise in noises {
                // One fault at a time.
                if *drop == NONE || (!unsettled && *noise == NONE) {
                    self.round(s, *drop, *noise, out);
                }
            }
        }
        for k in 0..3 {
            self.events(s, k, out);
        }
    }
}
