//! Masters whose clock steps, incidents opened for it or for nothing, and replicas that start with
//! no estimate of any clock.

use super::actions::Actions;
use super::bounds::{Fresh, Stepped};
use super::model::LockModel;
use super::state::{Phase, State};

impl<const N: usize> LockModel<N> {
    pub(super) fn clock_steps(&self, s: &State<N>, at: usize, next: &mut Actions<'_, N>) {
        let (c, m, all) = (&self.bounds, &s.masters[at], self.bounds.leases.len());
        if s.steps < c.steps {
            let mut n = *s;
            n.steps += 1;
            for link in &mut n.masters[at].link[..all] {
                link.late = true;
            }
            next.add(n, || format!("master[{at}] CLOCK STEP, t={}", s.now));
            if m.is_locked() {
                n.masters[at].unlock();
                let lease = m.lock.lease;
                next.add(n, || format!("master[{at}] CLOCK STEP, L{lease} expires, t={}", s.now));
            }
        }
        for i in (0..all).filter(|i| m.link[*i].late) {
            let mut n = *s;
            n.masters[at].link[i].late = false;
            if c.stepped == Stepped::Suspect {
                n.masters[at].suspect(s.now);
            }
            next.add(n, || format!("replica of att{i}: {:?} master[{at}]", c.stepped));
        }
        if s.suspects < c.suspects && !m.q {
            let mut n = *s;
            n.suspects += 1;
            n.masters[at].suspect(s.now);
            next.add(n, || format!("master[{at}] is SUSPECTED for nothing, t={}", s.now));
        }
    }

    /// A replica restarts: it measures all masters anew, whatever their clocks did before.
    pub(super) fn replica_restarts(&self, s: &State<N>, next: &mut Actions<'_, N>) {
        let c = &self.bounds;
        if c.fresh == Fresh::Off || s.restarts > 0 || s.steps == 0 {
            return;
        }
        for i in (0..c.leases.len()).filter(|i| s.attempts[*i].phase == Phase::Idle) {
            let mut n = *s;
            n.restarts += 1;
            for m in &mut n.masters {
                m.link[i].late = false;
            }
            if c.fresh == Fresh::Waits {
                n.attempts[i].from = s.now + c.extend_ttl;
            }
            next.add(n, || format!("replica of att{i} RESTARTS without estimates, t={}", s.now));
        }
    }
}
