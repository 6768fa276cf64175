//! Reads: a watcher that polls for the leader, and `CheckFencingToken`. Each master is read once a
//! poll or check, at any moment; one runs at a time.

use super::actions::Actions;
use super::bounds::{Check, Watch};
use super::model::LockModel;
use super::state::State;
use crate::property::Property::{
    CurrentIsTrue, CurrentMeansThisLease, HoldersTermIsTold, SupersededIsTrue, TermsNeverGoDown,
};

impl<const N: usize> LockModel<N> {
    pub(super) fn watcher(&self, s: &State<N>, next: &mut Actions<'_, N>) {
        if s.poll == 0 {
            let mut n = *s;
            n.poll = 1;
            next.add(n, || format!("watcher starts a poll (highest sent {})", s.sent[0]));
            return;
        }
        for at in 0..N {
            if self.is_readable(s, at) {
                let mut n = *s;
                read(&mut n, at);
                let [tok, lease, first] = n.masters[at].seen;
                next.add(n, || {
                    format!("watcher reads master[{at}]: L{lease}, first {first}, tok {tok}")
                });
            }
        }
        next.add(finished(s), || "the poll ends without a leader".to_owned());
        for lease in 1..=2u8 {
            if let Some(term) = self.term(s, lease) {
                self.tell(s, lease, term, next);
            }
        }
    }

    fn is_readable(&self, s: &State<N>, at: usize) -> bool {
        let m = &s.masters[at];
        m.seen[0] == 0 && m.is_locked() && !m.q && m.is_proven(&self.bounds.rules)
    }

    /// The term under which the reads so far show `lease` as the leader.
    fn term(&self, s: &State<N>, lease: u8) -> Option<u8> {
        let quorum = self.quorum();
        let shown = || s.masters.iter().filter(|m| m.seen[1] == lease).map(|m| m.seen[0]);
        match self.bounds.watch {
            Watch::Pair => {
                return shown().find(|t| shown().filter(|tok| tok == t).count() >= quorum);
            }
            Watch::Interval => shared_term(&reads(s), lease, 0, quorum),
            Watch::Off | Watch::Largest | Watch::Withheld => {
                let mut toks: Vec<u8> = shown().collect();
                toks.sort_unstable_by(|a, b| b.cmp(a));
                toks.get(quorum - 1).copied()
            }
        }
        .map(|term| term.max(s.sent[lease as usize]))
    }

    fn tell(&self, s: &State<N>, lease: u8, term: u8, next: &mut Actions<'_, N>) {
        let mut n = finished(s);
        if self.bounds.watch == Watch::Withheld && term < s.sent[0] {
            // Was it the term of a holder who is known to hold?
            let holds = |i: usize| {
                let tok = s.attempts[i].tok;
                self.bounds.leases[i] == lease && tok > 0 && tok <= term
            };
            let completed = (0..self.bounds.leases.len()).any(holds);
            let broken = completed.then_some(HoldersTermIsTold);
            next.judge(n, broken, || format!("L{lease} with term {term} is withheld"));
            return;
        }
        n.sent[0] = term.max(s.sent[0]);
        if self.bounds.watch != Watch::Pair {
            n.sent[lease as usize] = term;
        }
        let broken = (term < s.sent[0]).then_some(TermsNeverGoDown);
        next.judge(n, broken, || format!("watcher is told: L{lease} leads with term {term}"));
    }

    /// `CheckFencingToken`: the answer is given with the read that decides it.
    pub(super) fn token_check(&self, s: &State<N>, next: &mut Actions<'_, N>) {
        if s.poll == 0 {
            for i in (0..self.bounds.leases.len()).filter(|i| s.attempts[*i].tok > 0) {
                let tok = s.attempts[i].tok;
                let mut n = *s;
                n.poll = 2 + i as u8;
                n.newer = self.others(i).any(|j| s.attempts[j].tok > tok);
                next.add(n, || format!("check of token {tok} begins"));
            }
            return;
        }
        next.add(finished(s), || "the check ends with NO_QUORUM".to_owned());
        for at in 0..N {
            if self.is_readable(s, at) {
                let mut n = *s;
                read(&mut n, at);
                self.conclude(n, at, next);
            }
        }
    }

    /// Master `at` was read last.
    fn conclude(&self, n: State<N>, at: usize, next: &mut Actions<'_, N>) {
        let i = n.poll as usize - 2;
        let (a, seen, quorum) = (&n.attempts[i], reads(&n), self.quorum());
        let count = |f: &dyn Fn(&[u8; 3]) -> bool| seen.iter().filter(|r| f(r)).count();
        let shows = |lease: u8, [tok, l, first]: &[u8; 3]| {
            let begun = *first <= a.tok || self.bounds.check == Check::TokOnly;
            *l == lease && begun && a.tok <= *tok
        };
        let current = (1..=2u8).find(|lease| count(&|r| shows(*lease, r)) >= quorum);
        let superseded = match self.bounds.check {
            Check::Off | Check::AnyLease => count(&|[_, _, first]| *first > a.tok) >= quorum,
            Check::TokOnly | Check::Interval => {
                (1..=2u8).any(|lease| shared_term(&seen, lease, a.tok, quorum).is_some())
            }
        };
        if let Some(lease) = current {
            let other = (lease != self.bounds.leases[i]).then_some(CurrentMeansThisLease);
            let broken = if n.newer { Some(CurrentIsTrue) } else { other };
            let answer = || format!("check reads master[{at}]: CURRENT, L{lease}");
            next.judge(finished(&n), broken, answer);
        } else if superseded {
            let valid = self.bounds.timed && a.valid_until > n.now;
            let answer = || format!("check reads master[{at}]: SUPERSEDED");
            next.judge(finished(&n), valid.then_some(SupersededIsTrue), answer);
        } else {
            next.add(n, || format!("check reads master[{at}]: {:?}", n.masters[at].seen));
        }
    }
}

fn read<const N: usize>(n: &mut State<N>, at: usize) {
    let m = &mut n.masters[at];
    m.seen = [m.lock.tok, m.lock.lease, m.lock.first];
}

/// What the poll or check under way has read so far: tok, lease and first of each master.
fn reads<const N: usize>(s: &State<N>) -> [[u8; 3]; N] {
    s.masters.map(|m| m.seen)
}

fn finished<const N: usize>(s: &State<N>) -> State<N> {
    let mut done = *s;
    done.poll = 0;
    done.newer = false;
    for m in &mut done.masters {
        m.seen = [0; 3];
    }
    done
}

/// The largest T for which `quorum` reads show `lease` with above < first <= T <= tok.
fn shared_term(reads: &[[u8; 3]], lease: u8, above: u8, quorum: usize) -> Option<u8> {
    let shows = |[tok, l, first]: &[u8; 3], term: u8| {
        *l == lease && above < *first && *first <= term && term <= *tok
    };
    let terms = reads.iter().filter(|r| r[1] == lease).map(|r| r[0]);
    terms.filter(|t| reads.iter().filter(|r| shows(r, *t)).count() >= quorum).max()
}
