//! Deliveries: every message of an attempt that a master may process next, any number of times, and
//! what the sender makes of the reply. LATE and AHEAD are here, as they look at a clock.

use super::actions::Actions;
use super::ballots::{PER_TICK, highest};
use super::bounds::Kind;
use super::model::LockModel;
use super::state::{Phase, State};
use crate::master::{Renewal, Reply, message};
use crate::property::Property::SessionGivesBack;

impl<const N: usize> LockModel<N> {
    /// Every message of attempt `i` that master `at` may process.
    pub(super) fn deliveries(&self, s: &State<N>, i: usize, at: usize, next: &mut Actions<'_, N>) {
        if !self.reaches(s, i, at) {
            return;
        }
        let (a, live) = (&s.attempts[i], s.masters[at].link[i].live);
        for round in 0..2 {
            if live & (message::ACQUIRE << round) != 0 {
                self.acquire_delivered(s, i, (at, round), next);
            }
            if live & (message::EXTEND << round) != 0 {
                self.extend_delivered(s, i, (at, round), next);
            }
        }
        if live & message::CLEANUP != 0 {
            self.cleanup_delivered(s, i, at, next);
        }
        if live & message::RELEASE != 0 {
            self.release_delivered(s, i, at, next);
        }
        if live & message::REPAIR != 0 {
            self.repair_delivered(s, i, at, next);
        }
        if a.release_p > 0 {
            self.token0_delivered(s, i, at, next);
        }
    }

    /// LATE, or AHEAD: no vote, no write. The master's clock is the fastest right one.
    fn is_refused_by_clock(&self, s: &State<N>, i: usize, at: usize, p: u8) -> bool {
        let rules = &self.bounds.rules;
        let late = rules.late && s.masters[at].link[i].late;
        late || rules.ahead.is_some_and(|limit| p / PER_TICK > s.now + limit)
    }

    fn nonce(&self, i: usize) -> u8 {
        match self.bounds.kind[i] {
            Kind::Acquire => i as u8 + 1,
            Kind::Reattach => i as u8 + 1 + crate::master::REATTACHED,
            Kind::Unary => 0,
        }
    }

    fn renewal(&self, s: &State<N>, i: usize, p: u8) -> Renewal {
        let until = s.now + self.bounds.extend_ttl;
        let lease = self.bounds.leases[i];
        Renewal { lease, nonce: self.nonce(i), tok: s.attempts[i].tok, p, until }
    }

    fn acquire_delivered(
        &self,
        s: &State<N>,
        i: usize,
        (at, round): (usize, usize),
        next: &mut Actions<'_, N>,
    ) {
        let (c, a, lease) = (&self.bounds, &s.attempts[i], self.bounds.leases[i]);
        let p = a.acquire_ps[round];
        if self.is_refused_by_clock(s, i, at, p) {
            return;
        }
        let mut n = *s;
        let by = (lease, self.nonce(i));
        let reply = n.masters[at].acquire(by, p, s.now + c.ttl[i], &c.rules);
        let counted = round + 1 == a.acquires as usize || c.rules.mixed_rounds;
        if reply == Reply::Ok && a.phase == Phase::Acquiring && counted {
            n.masters[at].link[i].acquire_ok = true;
        }
        next.judge_change(n, self.zombie(s, &n, i, at), || {
            format!("master[{at}] acquire(L{lease}, p={p}) of att{i} -> {reply:?}")
        });
    }

    fn extend_delivered(
        &self,
        s: &State<N>,
        i: usize,
        (at, round): (usize, usize),
        next: &mut Actions<'_, N>,
    ) {
        let (c, a) = (&self.bounds, &s.attempts[i]);
        let by = self.renewal(s, i, a.extend_ps[round]);
        if self.is_refused_by_clock(s, i, at, by.p) {
            return;
        }
        let mut n = *s;
        let reply = n.masters[at].extend(by, &c.rules);
        let link = &mut n.masters[at].link[i];
        if reply == Reply::Ok && a.extending && round + 1 == a.extends as usize {
            link.extend_ok = true;
        }
        link.touched |= reply == Reply::Ok && c.gives_back && c.kind[i] == Kind::Reattach;
        next.judge_change(n, self.zombie(s, &n, i, at), || {
            let Renewal { lease, tok, p, .. } = by;
            format!("master[{at}] extend(L{lease}, tok={tok}, p={p}) of att{i} -> {reply:?}")
        });
    }

    fn repair_delivered(&self, s: &State<N>, i: usize, at: usize, next: &mut Actions<'_, N>) {
        let by = self.renewal(s, i, s.attempts[i].proven_p);
        if self.is_refused_by_clock(s, i, at, by.p) {
            return;
        }
        let mut n = *s;
        let reply = n.masters[at].repair(by, &self.bounds.rules);
        next.judge_change(n, self.zombie(s, &n, i, at), || {
            let Renewal { lease, tok, p, .. } = by;
            format!("master[{at}] repair(L{lease}, tok={tok}, p={p}) of att{i} -> {reply:?}")
        });
    }

    fn cleanup_delivered(&self, s: &State<N>, i: usize, at: usize, next: &mut Actions<'_, N>) {
        let (a, lease, nonce) = (&s.attempts[i], self.bounds.leases[i], self.nonce(i));
        let p = highest(&a.acquire_ps).max(highest(&a.extend_ps));
        let mut n = *s;
        n.masters[at].cleanup((lease, nonce), p, &self.bounds.rules);
        self.end_here(&mut n, i, at);
        let kept = n.masters[at].lock.lease == lease && s.masters[at].link[i].touched;
        let broken = kept.then_some(SessionGivesBack).or_else(|| self.locks_gone(&n, i));
        next.judge_change(n, broken, || {
            format!("master[{at}] cleanup(L{lease}, nonce {nonce}, p={p}) of att{i}")
        });
    }

    fn release_delivered(&self, s: &State<N>, i: usize, at: usize, next: &mut Actions<'_, N>) {
        let (a, lease) = (&s.attempts[i], self.bounds.leases[i]);
        let p = highest(&a.acquire_ps).max(highest(&a.extend_ps));
        let mut n = *s;
        n.masters[at].release(lease, a.tok, p, &self.bounds.rules);
        self.end_here(&mut n, i, at);
        next.judge_change(n, None, || {
            format!("master[{at}] release(L{lease}, tok={}, p={p}) of att{i}", a.tok)
        });
    }

    /// From here on a lock of this attempt would be a zombie.
    fn end_here(&self, n: &mut State<N>, i: usize, at: usize) {
        if n.masters[at].lock.lease != self.bounds.leases[i] {
            n.masters[at].link[i].live |= message::ENDED;
        }
    }
}
