//! ForceRelease by revocation: an operator's replica tells every master, and says REVOKED once no
//! quorum can be left that extends the lease.

use super::actions::Actions;
use super::bounds::Revoke;
use super::model::LockModel;
use super::state::State;
use crate::master::Revocation;

/// The attempt whose lease and token are meant.
const MEANT: usize = 0;
/// The operator's replica draws ballots as an attempt of this number would.
const OPERATOR: usize = 2;

impl<const N: usize> LockModel<N> {
    pub(super) fn revoking(&self, s: &State<N>, next: &mut Actions<'_, N>) {
        let (rule, tok) = (self.bounds.revoke, s.attempts[MEANT].tok);
        if rule == Revoke::Off {
            return;
        }
        if s.revoke_tok == 0 && tok > 0 {
            // Drawn by a replica that may have the slowest clock, or any other.
            let ballots =
                if rule == Revoke::NoFloor { vec![0] } else { self.ballots(s, OPERATOR, 0) };
            for p in ballots {
                let mut n = *s;
                n.revoke_tok = tok;
                n.revoke_p = p;
                next.add(n, || format!("operator sends revoke of token {tok}, p={p}, t={}", s.now));
            }
        }
        let found = |what| s.masters.iter().filter(|m| m.revocation == what).count();
        let revoked = found(Revocation::Revoked);
        let counted = revoked + found(Revocation::Other) + found(Revocation::Nothing);
        let newer = found(Revocation::Newer) + found(Revocation::Other);
        let ends = revoked > 0 && counted > N - self.quorum() && newer < self.quorum();
        if ends && !s.revoked {
            let mut n = *s;
            n.revoked = true;
            next.add(n, || format!("operator is told REVOKED, t={}", s.now));
        }
    }

    /// The first answer of a master counts, if any does.
    pub(super) fn revoke_delivered(&self, s: &State<N>, at: usize, next: &mut Actions<'_, N>) {
        let (rule, m) = (self.bounds.revoke, &s.masters[at]);
        if s.revoke_tok == 0 {
            return;
        }
        let (lease, tok, p) = (self.bounds.leases[MEANT], s.revoke_tok, s.revoke_p);
        let seen = m.eff().max(m.lock.p);
        let mut n = *s;
        let found = n.masters[at].revoke(lease, tok, p);
        let high = matches!(rule, Revoke::AboveAllSeen | Revoke::VotersOnly) && seen > p;
        let gone = rule == Revoke::VotersOnly && m.q && found != Revocation::Revoked;
        if m.revocation == Revocation::Unanswered && !high && !gone {
            n.masters[at].revocation = found;
        }
        next.judge_change(n, None, || {
            format!("master[{at}] revoke(L{lease}, tok={tok}, p={p}) -> {found:?}, seen {seen}")
        });
    }

    /// Has the lease of attempt `i`, with its token, been said to be revoked?
    pub(super) fn is_revoked(&self, s: &State<N>, i: usize) -> bool {
        let same = self.bounds.leases[i] == self.bounds.leases[MEANT];
        s.revoked && same && s.attempts[i].tok <= s.revoke_tok
    }
}
