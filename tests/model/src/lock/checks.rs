//! What is judged of locks and holders. Watching and token checks are judged in `reading`.

use super::model::LockModel;
use super::state::{Phase, State};
use crate::property::Property::{
    self, FencingTokensAreUnique, FencingTokensIncrease, HolderKeepsItsLocks, NoZombie,
    RetryNeverLowersTheToken, TimedMutualExclusion,
};

impl<const N: usize> LockModel<N> {
    /// Attempt `i` has just completed with its token; `s` is the state before.
    pub(super) fn tokens_broken(&self, s: &State<N>, i: usize, tok: u8) -> Option<Property> {
        let a = &s.attempts[i];
        if tok <= a.above {
            return Some(FencingTokensIncrease);
        }
        if tok < a.above_same {
            return Some(RetryNeverLowersTheToken);
        }
        let twice = self.others(i).any(|j| s.attempts[j].tok == tok);
        twice.then_some(FencingTokensAreUnique)
    }

    /// Attempt `i` is valid after this step: is another lease valid too, do its locks stay?
    pub(super) fn holder_broken(&self, n: &State<N>, i: usize) -> Option<Property> {
        let valid = |j: usize| n.attempts[j].valid_until > n.now;
        let two = self.bounds.timed && valid(i) && self.others(i).any(valid);
        two.then_some(TimedMutualExclusion).or_else(|| self.locks_gone(n, i))
    }

    /// Each valid holder of the lease of `i` has a quorum of locks that outlive its validity.
    pub(super) fn locks_gone(&self, n: &State<N>, i: usize) -> Option<Property> {
        if !self.bounds.locks_stay {
            return None;
        }
        let lease = self.bounds.leases[i];
        let gone = |j: usize| {
            let until = n.attempts[j].valid_until;
            let outlives = |m: &&_| outlives(m, lease, until);
            until > n.now && n.masters.iter().filter(outlives).count() < self.quorum()
        };
        self.same(i).any(gone).then_some(HolderKeepsItsLocks)
    }

    /// A message of attempt `i` was processed at master `at`; `s` is the state before.
    pub(super) fn zombie(
        &self,
        s: &State<N>,
        n: &State<N>,
        i: usize,
        at: usize,
    ) -> Option<Property> {
        let m = &s.masters[at];
        let created = !m.is_locked() && n.masters[at].lock.lease == self.bounds.leases[i];
        let ended = m.link[i].live & crate::master::message::ENDED != 0;
        (ended && created).then_some(NoZombie)
    }

    /// The client has released this lease with a higher token, or given it up: it ignores the
    /// result.
    pub(super) fn is_void(&self, s: &State<N>, i: usize, tok: u8) -> bool {
        let released =
            |j: usize| s.attempts[j].phase == Phase::Released && s.attempts[j].tok >= tok;
        s.attempts[i].gone || self.same(i).any(released)
    }
}

fn outlives(m: &crate::master::Master, lease: u8, until: u8) -> bool {
    m.lock.lease == lease && m.lock.until >= until
}
