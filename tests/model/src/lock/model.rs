//! The transition system itself: where it starts, all that may happen in a state, and time.

use super::actions::Actions;
use super::bounds::{Bounds, Check, Kind, Unit, Watch};
use super::state::State;
use crate::search::{Model, Step};

/// The lock model with `N` masters, or with `N` - 1 of which one has a second process.
#[derive(Debug)]
pub(crate) struct LockModel<const N: usize> {
    pub(crate) bounds: Bounds,
}

impl<const N: usize> LockModel<N> {
    /// Attempts for the lease of `i`, itself included.
    pub(super) fn same(&self, i: usize) -> impl Iterator<Item = usize> + '_ {
        let leases = self.bounds.leases;
        (0..leases.len()).filter(move |j| leases[*j] == leases[i])
    }

    pub(super) fn others(&self, i: usize) -> impl Iterator<Item = usize> + '_ {
        let leases = self.bounds.leases;
        (0..leases.len()).filter(move |j| leases[*j] != leases[i])
    }

    fn interchangeable(&self) -> bool {
        self.bounds.unit == Unit::Off
    }

    /// What happens to master `at`.
    fn at_master(&self, s: &State<N>, at: usize, next: &mut Actions<'_, N>) {
        for i in 0..self.bounds.leases.len() {
            self.deliveries(s, i, at, next);
        }
        self.revoke_delivered(s, at, next);
        self.faults(s, at, next);
        if self.bounds.steps > 0 || self.bounds.suspects > 0 {
            self.clock_steps(s, at, next);
        }
    }

    fn tick(s: &State<N>) -> State<N> {
        let mut n = *s;
        n.now += 1;
        for m in &mut n.masters {
            if m.lock.until <= n.now {
                m.unlock();
            }
        }
        for a in &mut n.attempts {
            if a.valid_until <= n.now {
                a.valid_until = 0;
            }
        }
        n
    }
}

impl<const N: usize> Model for LockModel<N> {
    type S = State<N>;

    fn init(&self) -> State<N> {
        let mut s = State::new();
        s.masters[N - 1].q = self.bounds.unit == Unit::MarkerOnly;
        s
    }

    fn canonical(&self, mut s: State<N>) -> State<N> {
        if self.interchangeable() {
            s.masters.sort_unstable();
        }
        s
    }

    fn show(&self, s: &State<N>) -> String {
        let mut o = format!("      t={}\n", s.now);
        for (i, a) in s.attempts.iter().enumerate().take(self.bounds.leases.len()) {
            let (lease, ballots) = (self.bounds.leases[i], (a.acquire_ps, a.extend_ps));
            o += &format!("      att{i} of lease {lease}: {:?}, tok {}, ", a.phase, a.tok);
            o += &format!("valid until {}, ballots {ballots:?}\n", a.valid_until);
        }
        for (at, m) in s.masters.iter().enumerate() {
            let l = &m.lock;
            o += &format!("      master[{at}]: ");
            if m.is_locked() {
                o += &format!("L{} nonce {} first {} p {} ", l.lease, l.nonce, l.first, l.p);
                o += &format!("tok {} until {}, ", l.tok, l.until);
            }
            o += &format!("floor {}, p_base {}", m.floor, m.pb);
            o += &if m.q { format!(", in quarantine since {}\n", m.since) } else { "\n".into() };
        }
        o
    }

    fn next(&self, s: &State<N>, out: &mut Vec<Step<State<N>>>, labels: bool) {
        let c = &self.bounds;
        let next = &mut Actions { from: s, labels, out };
        for i in 0..c.leases.len() {
            match c.kind[i] {
                Kind::Acquire => self.acquiring(s, i, next),
                Kind::Reattach | Kind::Unary => self.reattaching(s, i, next),
            }
            self.extending(s, i, next);
            self.ending(s, i, next);
            self.releasing_token0(s, i, next);
        }
        // Of masters in the same state only the first one acts.
        let twin = |at: usize| self.interchangeable() && s.masters[..at].contains(&s.masters[at]);
        for at in (0..N).filter(|at| !twin(*at)) {
            self.at_master(s, at, next);
        }
        if c.watch != Watch::Off {
            self.watcher(s, next);
        }
        if c.check != Check::Off {
            self.token_check(s, next);
        }
        self.revoking(s, next);
        self.replica_restarts(s, next);
        self.promotion(s, next);
        if c.timed && s.now < c.last {
            let n = Self::tick(s);
            next.add(n, || format!("tick -> t={}", n.now));
        }
    }
}
