//! How a client or its replica ends a lease: explicit release, the end of a session, a re-attach
//! that failed. Release with token 0 is in `token0`.

use super::actions::Actions;
use super::bounds::Kind;
use super::model::LockModel;
use super::state::{Phase, State};
use crate::master::message;

impl<const N: usize> LockModel<N> {
    pub(super) fn ending(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let (c, a) = (&self.bounds, &s.attempts[i]);
        if a.phase != Phase::Held {
            return;
        }
        let established = c.kind[i] == Kind::Acquire || a.proven_p > 0;
        if c.release && c.kind[i] == Kind::Acquire {
            self.client_releases(s, i, next);
        }
        if c.session_end && c.kind[i] != Kind::Unary && established {
            self.session_ends(s, i, next);
        }
        if c.failed_cleanup && c.kind[i] == Kind::Reattach && !established {
            let mut n = *s;
            n.stop_extending(i);
            n.attempts[i].phase = Phase::Failed;
            n.send(i, message::CLEANUP);
            next.add(n, || format!("re-attach att{i} FAILS and sends cleanup"));
        }
    }

    fn client_releases(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let tok = s.attempts[i].tok;
        let mut n = *s;
        n.stop_extending(i);
        n.attempts[i].phase = Phase::Released;
        // A later re-acquisition (higher token) stays valid.
        for j in self.same(i).filter(|j| s.attempts[*j].tok > 0 && s.attempts[*j].tok <= tok) {
            n.attempts[j].valid_until = 0;
            n.attempts[j].gone = true;
        }
        n.attempts[i].gone = false;
        n.send(i, message::RELEASE);
        next.add(n, || format!("client of att{i} RELEASES tok={tok} t={}", s.now));
    }

    fn session_ends(&self, s: &State<N>, i: usize, next: &mut Actions<'_, N>) {
        let mut n = *s;
        n.stop_extending(i);
        n.attempts[i].phase = Phase::Detached;
        // With this session end the ones its client had before it, not the ones after.
        for j in self.same(i).filter(|j| *j <= i && self.bounds.kind[*j] != Kind::Unary) {
            n.attempts[j].valid_until = 0;
            n.attempts[j].gone = s.attempts[j].phase != Phase::Idle;
        }
        n.send(i, message::CLEANUP);
        next.add(n, || format!("session of att{i} ENDS, sends cleanup, t={}", s.now));
    }
}
