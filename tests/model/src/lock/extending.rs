//! Extend rounds of a session or of unary extends, and the session that comes by re-attach.

use super::actions::Actions;
use super::ballots::highest;
use super::model::LockModel;
use super::state::{Phase, State};
use crate::master::message;
use crate::property::Property::{RevokedLeaseEnds, SupersededLeaseStaysLost};

impl<const N: usize> LockModel<N> {
    /// A session that re-attaches, or unary extends: begin with the highest token the client has.
    pub(super) fn reattaching(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let tok = self.same(i).map(|j| s.attempts[j].tok).max().unwrap_or(0);
        let given_up = self
            .same(i)
            .any(|j| s.attempts[j].phase == Phase::Released || s.attempts[j].release_p > 0);
        if s.attempts[i].phase == Phase::Idle && tok > 0 && !given_up && self.may_start(s, i) {
            let mut n = *s;
            n.attempts[i].phase = Phase::Held;
            n.attempts[i].tok = tok;
            next.add(n, || format!("att{i} comes as {:?} with token {tok}", self.bounds.kind[i]));
        }
    }

    pub(super) fn extending(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let (c, a) = (&self.bounds, &s.attempts[i]);
        if a.phase != Phase::Held {
            return;
        }
        if a.extends < c.extends[i] && !a.extending {
            self.extend_round(s, i, next);
        }
        if !a.extending {
            return;
        }
        let too_late = c.timed && s.now >= a.extend_start + c.extend_ttl;
        if !too_late && self.votes(s, |m| m.link[i].extend_ok) >= self.quorum() {
            self.extend_succeeds(s, i, next);
        }
        if c.give_up || too_late {
            let mut n = *s;
            n.stop_extending(i);
            next.add(n, || format!("att{i} abandons the extend round"));
        }
    }

    fn extend_round(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let a = &s.attempts[i];
        let above = a.tok.max(highest(&a.acquire_ps)).max(highest(&a.extend_ps));
        let fresh = self.bounds.rules.extend_ballot;
        let ballots = if fresh { self.ballots(s, i, above) } else { vec![a.tok] };
        for p in ballots {
            let mut n = *s;
            n.stop_extending(i);
            let b = &mut n.attempts[i];
            b.extend_ps[b.extends as usize] = p;
            b.extends += 1;
            b.extending = true;
            b.extend_start = s.now;
            b.superseded = self.others(i).any(|j| s.attempts[j].tok > a.tok);
            b.revoked = self.is_revoked(s, i);
            let round = b.extends - 1;
            n.send(i, message::EXTEND << round);
            next.add(n, || {
                format!("att{i} sends extend, round {round}, tok={}, p={p}, t={}", a.tok, s.now)
            });
        }
    }

    fn extend_succeeds(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let a = &s.attempts[i];
        let until = a.extend_start + self.bounds.extend_ttl;
        let mut n = *s;
        n.stop_extending(i);
        let b = &mut n.attempts[i];
        if !a.gone {
            b.valid_until = b.valid_until.max(until);
        }
        b.proven_p = a.extend_ps[a.extends as usize - 1];
        if self.bounds.rules.repair {
            n.send(i, message::REPAIR);
        }
        let revoked = a.revoked.then_some(RevokedLeaseEnds);
        let lost = a.superseded.then_some(SupersededLeaseStaysLost).or(revoked);
        let broken = lost.or_else(|| self.holder_broken(&n, i));
        next.judge(n, broken, || {
            format!("att{i} HAS EXTENDED token {}, valid until {until}; sends repair", a.tok)
        });
    }
}
