//! An acquire attempt: its rounds, its success, its giving up.

use super::actions::Actions;
use super::bounds::Token0;
use super::model::LockModel;
use super::state::{Phase, State};
use crate::master::message;

impl<const N: usize> LockModel<N> {
    pub(super) fn acquiring(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let a = &s.attempts[i];
        let begins = a.phase == Phase::Idle && self.may_start(s, i);
        if begins || (a.phase == Phase::Acquiring && a.acquires < self.bounds.rounds[i]) {
            self.acquire_round(s, i, next);
        }
        if a.phase != Phase::Acquiring {
            return;
        }
        self.acquire_succeeds(s, i, next);
        if self.bounds.give_up {
            let mut n = *s;
            let b = &mut n.attempts[i];
            b.phase = Phase::Failed;
            b.acquire_start = 0;
            b.above = 0;
            b.above_same = 0;
            n.forget_acquire_oks(i);
            n.send(i, message::CLEANUP);
            next.add(n, || format!("att{i} gives up, sends cleanup"));
        }
    }

    /// The client starts a new attempt or session of `i` only if it may use this lease id.
    pub(super) fn may_start(&self, s: &State<N>, i: usize) -> bool {
        let answered =
            |j: usize| s.masters.iter().filter(|m| m.link[j].answered).count() >= self.quorum();
        s.now >= s.attempts[i].from
            && (self.bounds.token0 != Token0::ReuseAfterQuorum
                || self.same(i).all(|j| s.attempts[j].release_p == 0 || answered(j)))
    }

    fn acquire_round(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let (c, a, lease) = (&self.bounds, &s.attempts[i], self.bounds.leases[i]);
        let above = if a.acquires > 0 { a.acquire_ps[a.acquires as usize - 1] } else { 0 };
        for p in self.ballots(s, i, above) {
            let mut n = *s;
            let b = &mut n.attempts[i];
            if b.phase == Phase::Idle {
                b.above = self.others(i).map(|j| s.attempts[j].tok).max().unwrap_or(0);
                b.above_same = self.same(i).map(|j| s.attempts[j].tok).max().unwrap_or(0);
            }
            b.phase = Phase::Acquiring;
            b.acquire_ps[b.acquires as usize] = p;
            b.acquires += 1;
            b.acquire_start = s.now;
            let round = b.acquires - 1;
            if !c.rules.mixed_rounds {
                n.forget_acquire_oks(i);
            }
            n.send(i, message::ACQUIRE << round);
            next.add(n, || {
                format!("att{i} sends acquire of lease {lease}, round {round}, p={p}, t={}", s.now)
            });
        }
    }

    fn acquire_succeeds(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let (c, a) = (&self.bounds, &s.attempts[i]);
        let until = a.acquire_start + c.ttl[i];
        let in_time = !c.timed || s.now < until;
        if self.votes(s, |m| m.link[i].acquire_ok) < self.quorum() || !in_time {
            return;
        }
        let mut n = *s;
        let tok = a.acquire_ps[a.acquires as usize - 1];
        let void = self.is_void(s, i, tok);
        let b = &mut n.attempts[i];
        b.phase = if void { Phase::Released } else { Phase::Held };
        b.tok = tok;
        b.valid_until = if void { 0 } else { until };
        b.acquire_start = 0;
        b.above = 0;
        b.above_same = 0;
        n.forget_acquire_oks(i);
        let broken = self.tokens_broken(s, i, tok).or_else(|| self.holder_broken(&n, i));
        next.judge(n, broken, || format!("att{i} HOLDS with token {tok}, valid until {until}"));
    }
}
