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
    /// A fresh ballot: `max(wall, last_seen + 1)`.
    pub fn draw(&mut self, wall_micros: u64) -> Ballot {
        let ballot = Ballot(wall_micros.max(self.last_seen.0 + 1));
        self.last_seen = ballot;
        ballot
    }

    /// What [`draw`](Self::draw) would answer, without drawing.
    pub fn peek(&self, wall_micros: u64) -> Ballot {
        Ballot(wall_micros.max(self.last_seen.0 + 1))
    }

    /// A master's reply carried this number. One above `bound` is not believed: no master would
    /// accept a ballot above it, and a single master must not take them all away.
    pub fn learn(&mut self, seen: Ballot, bound: Ballot) {
        if seen <= bound {
            self.last_seen = self.last_seen.max(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ballots_follow_the_wall_clock_and_never_repeat() {
        let mut clock = BallotClock::default();
        assert_eq!(clock.draw(100), Ballot(100));
        assert_eq!(clock.draw(100), Ballot(101));
        assert_eq!(clock.draw(50), Ballot(102), "a wall clock that steps back is outvoted");
        clock.learn(Ballot(500), Ballot(1_000));
        assert_eq!(clock.draw(200), Ballot(501));
        clock.learn(Ballot(1_001), Ballot(1_000));
        assert_eq!(clock.draw(200), Ballot(502), "too far ahead to be true");
    }
}
