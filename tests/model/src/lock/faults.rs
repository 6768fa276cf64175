//! What happens to a master by itself: bucket noise, early expiry, dumps, restarts and flushes, and
//! the adoption that ends its quarantine.

use super::actions::Actions;
use super::ballots::PER_TICK;
use super::model::LockModel;
use super::state::State;
use crate::master::{Loss, Master};

impl<const N: usize> LockModel<N> {
    pub(super) fn faults(&self, s: &State<N>, at: usize, next: &mut Actions<'_, N>) {
        let (c, m) = (&self.bounds, &s.masters[at]);
        if s.noise < c.noise {
            for p in self.noise_values(s).into_iter().filter(|p| *p > m.floor) {
                let mut n = *s;
                n.noise += 1;
                n.masters[at].floor = p;
                next.add(n, || format!("master[{at}] bucket noise raises the floor to {p}"));
            }
        }
        if m.is_locked() && (!c.timed || s.early_expiries < c.early_expiries) {
            let mut n = *s;
            n.masters[at].unlock();
            n.early_expiries += u8::from(c.timed);
            next.add(n, || format!("master[{at}] lock (L{}) expires early", m.lock.lease));
        }
        if s.crashes < c.crashes {
            self.losses(s, at, next);
        }
        if m.q && s.now >= m.since + c.quar && self.may_be_adopted(s, at) {
            let mut n = *s;
            self.adopt(&mut n.masters[at], s.now);
            let pb = n.masters[at].pb;
            next.add(n, || format!("master[{at}] ADOPTED, p_base {pb}, t={}", s.now));
        }
    }

    /// Dumps, restarts, flushes.
    fn losses(&self, s: &State<N>, at: usize, next: &mut Actions<'_, N>) {
        let (c, m) = (&self.bounds, &s.masters[at]);
        // A dump of an empty master is the same as none.
        if s.snapshots < c.snapshots && (m.is_locked() || m.floor > 0) {
            let mut n = *s;
            n.snapshots += 1;
            n.masters[at].take_snapshot();
            next.judge_change(n, None, || format!("master[{at}] DUMP written, t={}", s.now));
        }
        if c.same_master && s.crashes > 0 && m.pb == 0 {
            return;
        }
        for loss in c.losses {
            let mut n = *s;
            n.crashes += 1;
            n.masters[at].lose(*loss, s.now);
            if n.crashes == c.crashes {
                // No restart will come back with them.
                for m in &mut n.masters {
                    m.forget_snapshot();
                }
            }
            next.add(n, || {
                let text = match loss {
                    Loss::All => "CRASH-RESTART, memory lost",
                    Loss::Nothing => "CRASH-RESTART, memory kept",
                    Loss::SinceSnapshot => "CRASH-RESTART from its last dump, if any",
                    Loss::Flush => "FLUSHALL",
                };
                format!("master[{at}] {text}, t={}", s.now)
            });
        }
    }

    fn adopt(&self, m: &mut Master, now: u8) {
        let c = &self.bounds;
        if c.rules.p_base {
            // The weakest p_base: the adopter has the slowest clock.
            let reading = if c.early_base { m.since + c.quar } else { now };
            m.pb = m.pb.max(PER_TICK * reading.saturating_sub(c.slow_adopter));
        }
        m.q = false;
        m.since = 0;
    }
}
