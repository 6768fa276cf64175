//! A unit of two processes behind one vote, of which the second one can be promoted: who reaches
//! which process, and how votes are counted. Without a unit every master is one process and is
//! reached by everybody.

use super::actions::Actions;
use super::bounds::Unit;
use super::model::LockModel;
use super::state::State;
use crate::master::{Loss, Master};

/// The old primary of the unit. Its other process is the last master.
const OLD: usize = 0;

impl<const N: usize> LockModel<N> {
    const PROMOTED: usize = N - 1;

    /// Votes that decide.
    pub(super) fn quorum(&self) -> usize {
        let voters = if self.bounds.unit == Unit::Off { N } else { N - 1 };
        voters / 2 + 1
    }

    /// Votes that were given; both processes of a unit are one.
    pub(super) fn votes(&self, s: &State<N>, given: impl Fn(&Master) -> bool) -> usize {
        let all = s.masters.iter().filter(|m| given(m)).count();
        let both = given(&s.masters[OLD]) && given(&s.masters[Self::PROMOTED]);
        if self.bounds.unit != Unit::Off && both { all - 1 } else { all }
    }

    /// Can messages of attempt `i` reach master `at`, and does it execute scripts?
    pub(super) fn reaches(&self, s: &State<N>, i: usize, at: usize) -> bool {
        match self.bounds.unit {
            Unit::Off => true,
            Unit::MarkerOnly => at != if i == 0 { Self::PROMOTED } else { OLD },
            Unit::StopsAfter(_) if at == Self::PROMOTED => s.promoted > 0,
            Unit::StopsAfter(lag) if at == OLD => s.promoted == 0 || s.now < s.promoted + lag,
            Unit::StopsAfter(_) => true,
        }
    }

    pub(super) fn may_be_adopted(&self, s: &State<N>, at: usize) -> bool {
        match self.bounds.unit {
            Unit::Off | Unit::MarkerOnly => true,
            Unit::StopsAfter(_) => at == Self::PROMOTED && s.promoted > 0,
        }
    }

    /// Cut off from its primary, the replica is promoted: with all its data, or with none.
    pub(super) fn promotion(&self, s: &State<N>, next: &mut Actions<'_, N>) {
        if s.promoted > 0 || !matches!(self.bounds.unit, Unit::StopsAfter(_)) {
            return;
        }
        for (data, words) in [(Master::default(), "empty"), (s.masters[OLD], "up to date")] {
            let mut n = *s;
            let link = s.masters[Self::PROMOTED].link;
            n.promoted = s.now + 1;
            n.masters[Self::PROMOTED] = data;
            n.masters[Self::PROMOTED].lose(Loss::Nothing, s.now);
            // Every replica reaches it with whatever it has sent.
            n.masters[Self::PROMOTED].link = link;
            next.add(n, || format!("PROMOTION of the unit's replica ({words}), t={}", s.now));
        }
    }
}
