//! Release with token 0: of everything the client has started with the lease so far, under the
//! protocol's rule and under others that were tried.

use super::actions::Actions;
use super::bounds::Token0;
use super::model::LockModel;
use super::state::{Phase, State};

/// Read by a release with token 0: the lease is not here.
const NOTHING: u8 = 255;

impl<const N: usize> LockModel<N> {
    pub(super) fn releasing_token0(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let (rule, a) = (self.bounds.token0, &s.attempts[i]);
        if rule == Token0::Off {
            return;
        }
        let started = matches!(a.phase, Phase::Acquiring | Phase::Held | Phase::Failed);
        if i == 0 && started && a.release_p == 0 {
            for p in self.ballots(s, i, 0) {
                self.client_releases_all(s, i, p, next);
            }
        }
        let reads = s.masters.iter().map(|m| m.link[i].read).filter(|read| *read != 0);
        let undecided = a.release_p > 0 && a.release_tok == 0;
        if rule == Token0::HighestRead && undecided && reads.clone().count() >= self.quorum() {
            let tok = reads.filter(|t| *t != NOTHING).max();
            let mut n = *s;
            n.attempts[i].release_tok = tok.unwrap_or(1);
            next.add(n, || format!("att{i} sends release(tok={tok:?}), the highest it read"));
        }
    }

    fn client_releases_all(&self, s: &State<N>, i: usize, p: u8, next: &mut Actions<'_, N>) {
        let mut n = *s;
        n.stop_extending(i);
        n.attempts[i].phase = Phase::Released;
        n.attempts[i].release_p = p;
        if matches!(self.bounds.token0, Token0::OwnBallot | Token0::ReuseAfterQuorum) {
            n.attempts[i].release_tok = p;
        }
        for j in self.same(i).filter(|j| s.attempts[*j].phase != Phase::Idle) {
            n.attempts[j].valid_until = 0;
            n.attempts[j].gone = true;
        }
        n.forget_acquire_oks(i);
        next.add(n, || format!("client of att{i} RELEASES token 0, p={p} t={}", s.now));
    }

    /// What the release of attempt `i` does at master `at`.
    pub(super) fn token0_delivered(
        &self,
        s: &State<N>,
        i: usize,
        at: usize,
        next: &mut Actions<'_, N>,
    ) {
        let (rule, rules) = (self.bounds.token0, &self.bounds.rules);
        let (a, m, lease) = (&s.attempts[i], &s.masters[at], self.bounds.leases[i]);
        let read = m.link[i].read;
        let in_use = |j: usize| !s.attempts[j].gone && s.attempts[j].phase != Phase::Idle;
        if a.release_tok > 0 {
            let mut n = *s;
            n.masters[at].release(lease, a.release_tok, a.release_p, rules);
            n.masters[at].link[i].answered |= rule == Token0::ReuseAfterQuorum;
            next.judge_change(n, None, || {
                let (tok, p) = (a.release_tok, a.release_p);
                format!("master[{at}] release(L{lease}, tok={tok}, p={p}) token 0")
            });
        } else if read == 0 && (rule != Token0::Exact || !self.same(i).any(in_use)) {
            let mut n = *s;
            let tok = if m.lock.lease == lease { m.lock.tok } else { NOTHING };
            n.masters[at].link[i].read = tok;
            next.add(n, || format!("master[{at}] is read for the release: tok {tok}"));
        }
        if matches!(rule, Token0::Exact | Token0::ExactLateRead) && read != 0 {
            let mut n = *s;
            n.masters[at].delete_exact(lease, read, a.release_p, rules);
            next.judge_change(n, None, || format!("master[{at}] delete-exact tok={read}"));
        }
    }
}
