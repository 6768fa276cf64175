//! Ballots: the numbers attempts propose, and the hybrid clock they are drawn from.

use std::fmt;

/// A proposed number; the ballot that won is the fencing token. Microseconds since the Unix epoch,
/// so about 1.8e15: exact in a Lua or JavaScript double.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ballot(pub u64);

impl Ballot {
    /// Below every ballot: "none yet".
    pub const ZERO: Self = Self(0);

    /// `first` of a revoked lease: above every token, so that its extends are lost.
    pub const REVOKED: Self = Self((1 << 53) - 1);
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Draws ballots: the wall clock, but above everything any master has shown.
///
/// Fed by masters' replies only. What a client sends is compared, never learned: a forged token
/// must not move a ballot.
#[derive(Debug, Default)]
pub struct BallotClock {
    last_seen: Ballot,
}

impl BallotClock {
    /// A fresh ballot: `max(wall, last_seen + 1)`, where nothing above `bound` was ever seen: ballots drawn
    /// while the wall clock was wrong are forgotten with it. No master would accept one, and a floor must
    /// not be raised to one.
    pub fn draw(&mut self, wall_micros: u64, bound: Ballot) -> Ballot {
        self.last_seen = self.peek(wall_micros, bound);
        self.last_seen
    }

    /// What [`draw`](Self::draw) would answer, without drawing.
    pub fn peek(&self, wall_micros: u64, bound: Ballot) -> Ballot {
        let known = if self.last_seen < bound { self.last_seen } else { Ballot::ZERO };
        Ballot(wall_micros.max(known.0 + 1))
    }

    /// A master's reply carried this number. One above `bound` is not believed: no master would
    /// accept a ballot above it, and a single master must not take them all away.
    pub fn learn(&mut self, seen: Ballot, bound: Ballot) {
        if seen < bound {
            self.last_seen = self.last_seen.max(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Ballot = Ballot(1_000);

    #[test]
    fn ballots_follow_the_wall_clock_and_never_repeat() {
        let mut clock = BallotClock::default();
        assert_eq!(clock.draw(100, BOUND), Ballot(100));
        assert_eq!(clock.draw(100, BOUND), Ballot(101));
        assert_eq!(clock.draw(50, BOUND), Ballot(102), "a wall clock that steps back is outvoted");
        clock.learn(Ballot(500), BOUND);
        assert_eq!(clock.draw(200, BOUND), Ballot(501));
        clock.learn(Ballot(1_001), BOUND);
        assert_eq!(clock.draw(200, BOUND), Ballot(502), "too far ahead to be true");
    }

    #[test]
    fn ballots_drawn_by_a_wrong_clock_are_forgotten_with_it() {
        let mut clock = BallotClock::default();
        assert_eq!(clock.draw(90_000, Ballot(91_000)), Ballot(90_000));
        assert_eq!(clock.draw(100, BOUND), Ballot(100), "the clock was set right");
        assert_eq!(clock.draw(100, BOUND), Ballot(101));
    }
}
