//! Rolling restarts (LeaseSurvivesRollingRestart): a long-lived lease A that extends every period, an
//! adversarial contender B (acquires and cleans up at any masters at any time with fresh ballots, old
//! messages replayed), restarts with total memory loss of every master, one at a time. Ballots are
//! rank-compressed, so the state space is finite and the run unbounded.

use crate::master::{Loss, Master, Renewal, Reply, Rules};
use crate::property::Property::LeaseSurvivesRollingRestart;
use crate::search::{Model, Step};

#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub(crate) struct State {
    masters: [Master; 3],
    tok: u8,
    extend_p: u8,
    contender_p: u8,
    rounds_since: u8,
    rounds_in_quarantine: u8,
    noisy: bool,
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rolling {
    pub(crate) rules: Rules,
    /// one message of an extend round may be lost (only when everybody votes and has settled)
    pub(crate) drop: bool,
    /// fully delivered extend rounds after an adoption before the next restart
    pub(crate) settle: u8,
    /// fully delivered extend rounds inside a quarantine
    pub(crate) quarantine_rounds: u8,
    /// the contender leaves no lock behind at a restart
    pub(crate) no_lock_left: bool,
    /// other resources raise floors: 0 never; 1 between rounds; 2 also between the votes and the
    /// repairs of a round, such a round does not count as settled; 3 the same, but it counts
    pub(crate) noise: u8,
}

/// The long-lived lease and its contender; each with one nonce, the same number.
const A: u8 = 1;
const B: u8 = 2;
/// "No master": nothing is dropped, no noise.
const NONE: usize = 99;

fn fresh(s: &State) -> u8 {
    let here = s.tok.max(s.extend_p).max(s.contender_p);
    s.masters.iter().fold(here, |m, c| m.max(c.lock.p).max(c.floor).max(c.pb)) + 1
}

impl Rolling {
    /// One extend round of A: all votes, then all repairs.
    fn round(&self, s: &State, drop: usize, noise: usize, out: &mut Vec<Step<State>>) {
        let v = &self.rules;
        let quarantine = s.masters.iter().any(|c| c.q);
        let mut n = *s;
        let p = if v.extend_ballot { fresh(s) } else { s.tok };
        let by = Renewal { lease: A, nonce: A, tok: s.tok, p, until: 0 };
        let reached = || (0..3).filter(|k| *k != drop);
        let votes: Vec<Reply> = reached().map(|k| n.masters[k].extend(by, v)).collect();
        let enough = votes.iter().filter(|r| **r == Reply::Ok).count() >= 2;
        if noise != NONE {
            n.masters[noise].floor = n.masters[noise].floor.max(p + 1);
        }
        if enough && v.repair {
            for k in reached() {
                n.masters[k].repair(by, v);
            }
        }
        n.extend_p = p;
        n.noisy = noise != NONE;
        if drop == NONE && (noise == NONE || self.noise == 3) {
            n.rounds_since = (n.rounds_since + 1).min(self.settle);
            if quarantine {
                n.rounds_in_quarantine = (n.rounds_in_quarantine + 1).min(2);
            }
        }
        let mut label = format!("A extends with ballot {p} -> {votes:?}");
        if drop != NONE {
            label += &format!(", the message to master[{drop}] is lost");
        }
        if noise != NONE {
            label += &format!(", noise at master[{noise}] before the repairs");
        }
        out.push((label, n, (!enough).then_some(LeaseSurvivesRollingRestart)));
    }

    /// Noise, the contender, restart and adoption at master `k`.
    fn events(&self, s: &State, k: usize, out: &mut Vec<Step<State>>) {
        let v = &self.rules;
        let c = &s.masters[k];
        let mut emit = |n: State, label: &str| {
            out.push((format!("master[{k}] {label}"), n, None));
        };
        if self.noise > 0 {
            let mut n = *s;
            n.masters[k].floor = fresh(s);
            emit(n, "bucket noise");
        }
        let mut n = *s;
        if n.masters[k].acquire((B, B), fresh(s), 0, v) == Reply::Ok {
            n.contender_p = fresh(s);
            emit(n, "B acquires with a fresh ballot");
        }
        if s.contender_p > 0 {
            let mut n = *s;
            n.masters[k].acquire((B, B), s.contender_p, 0, v);
            if n != *s {
                emit(n, "B acquires (same round or replay)");
            }
            let mut n = *s;
            n.masters[k].cleanup((B, B), s.contender_p, v);
            if n != *s {
                emit(n, "B cleans up");
            }
        }
        if c.lock.lease == B {
            let mut n = *s;
            n.masters[k].unlock();
            emit(n, "B's lock expires");
        }
        let settled = s.masters.iter().all(|c| !c.q) && s.rounds_since >= self.settle;
        if settled && (!self.no_lock_left || s.masters.iter().all(|c| c.lock.lease != B)) {
            let mut n = *s;
            n.masters[k].lose(Loss::All, 0);
            n.rounds_in_quarantine = 0;
            emit(n, "CRASH, memory lost");
        }
        if c.q && s.rounds_in_quarantine >= self.quarantine_rounds {
            let mut n = *s;
            n.masters[k].q = false;
            n.rounds_since = 0;
            n.rounds_in_quarantine = 0;
            if v.p_base {
                n.masters[k].pb = fresh(s);
            }
            emit(n, "ADOPTED");
        }
    }
}

impl Model for Rolling {
    type S = State;

    fn init(&self) -> State {
        let mut s = State {
            masters: [Master::default(); 3],
            tok: 1,
            extend_p: 1,
            contender_p: 0,
            rounds_since: 0,
            rounds_in_quarantine: 0,
            noisy: false,
        };
        // The third acquire was lost (with settle 0 that would be hopeless).
        for c in s.masters.iter_mut().take(if self.settle == 0 { 3 } else { 2 }) {
            c.acquire((A, A), 1, 0, &self.rules);
        }
        s
    }

    /// Only the order of ballots matters, and masters are interchangeable.
    fn canonical(&self, mut s: State) -> State {
        let mut values = vec![0, s.tok, s.extend_p, s.contender_p];
        for c in &s.masters {
            values.extend([c.lock.first, c.lock.p, c.lock.tok, c.floor, c.pb]);
        }
        values.sort_unstable();
        values.dedup();
        let rank = |x: &mut u8| *x = values.partition_point(|y| y < x) as u8;
        for x in [&mut s.tok, &mut s.extend_p, &mut s.contender_p] {
            rank(x);
        }
        for c in &mut s.masters {
            for x in [&mut c.lock.first, &mut c.lock.p, &mut c.lock.tok, &mut c.floor, &mut c.pb] {
                rank(x);
            }
        }
        s.masters.sort_unstable();
        s
    }

    fn show(&self, s: &State) -> String {
        let mut o = format!("      token {} of A\n", s.tok);
        for (k, m) in s.masters.iter().enumerate() {
            let (l, q) = (&m.lock, if m.q { ", in quarantine" } else { "" });
            o += &format!("      master[{k}]: L{} first {} p {}, ", l.lease, l.first, l.p);
            o += &format!("floor {}, p_base {}{q}\n", m.floor, m.pb);
        }
        o
    }

    fn next(&self, s: &State, out: &mut Vec<Step<State>>, _labels: bool) {
        let everywhere: [usize; 4] = [NONE, 0, 1, 2];
        let drops = &everywhere[..if self.drop { 4 } else { 1 }];
        // Never two noisy rounds in a row.
        let noises = &everywhere[..if self.noise >= 2 && !s.noisy { 4 } else { 1 }];
        let unsettled = s.masters.iter().any(|c| c.q) || s.rounds_since < self.settle;
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
