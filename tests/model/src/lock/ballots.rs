//! Ballots: what a replica may draw, given its clock, and what other resources of the bucket may
//! raise a floor to.

use super::model::LockModel;
use super::state::State;

/// Ballots per clock tick (timed): p = reading * PER_TICK + 1 + attempt + 3k. Readings are those of
/// the slowest right clock plus 0 to `skew` ticks.
pub(super) const PER_TICK: u8 = 7;

pub(super) fn highest(values: &[u8]) -> u8 {
    values.iter().copied().max().unwrap_or(0)
}

impl<const N: usize> LockModel<N> {
    /// Fresh ballots that attempt `i` may draw, above `above`.
    pub(super) fn ballots(&self, s: &State<N>, i: usize, above: u8) -> Vec<u8> {
        let c = &self.bounds;
        if !c.timed {
            let free = |p: &u8| !c.unique || !self.is_used(s, *p);
            return (above + 1..=c.max_p).filter(free).collect();
        }
        // Of each reading the smallest unused ballot is taken, its low part names the attempt.
        let mut drawn = Vec::new();
        let ahead = if i == 1 { c.fast } else { 0 };
        for reading in (0..=c.skew + ahead).rev() {
            let base = (s.now + reading) * PER_TICK;
            let fresh = [base + 1 + i as u8, base + 4 + i as u8];
            drawn.extend(fresh.into_iter().find(|p| *p > above && !self.is_used(s, *p)));
        }
        drawn
    }

    /// Any ballot in use, or one above them all.
    pub(super) fn noise_values(&self, s: &State<N>) -> Vec<u8> {
        let c = &self.bounds;
        let mut values: Vec<u8> =
            if c.timed { vec![(s.now + c.skew) * PER_TICK + 6] } else { (1..=c.max_p).collect() };
        for a in &s.attempts {
            for p in a.acquire_ps.iter().chain(&a.extend_ps) {
                if *p > 0 && !values.contains(p) {
                    values.push(*p);
                }
            }
        }
        values
    }

    fn is_used(&self, s: &State<N>, p: u8) -> bool {
        let extends = self.bounds.rules.extend_ballot;
        s.attempts.iter().any(|a| {
            a.acquire_ps.contains(&p) || a.release_p == p || (extends && a.extend_ps.contains(&p))
        })
    }
}
