//! The properties by name: what each row claims, or what a broken variant must lose. Where a
//! property is judged is in the models.

use std::fmt;

/// One claim about the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Property {
    FencingTokensIncrease,
    FencingTokensAreUnique,
    RetryNeverLowersTheToken,
    TimedMutualExclusion,
    SupersededLeaseStaysLost,
    LeaseSurvivesRollingRestart,
    NoZombie,
    RevokedLeaseEnds,
    TermsNeverGoDown,
    HoldersTermIsTold,
    SessionGivesBack,
    HolderKeepsItsLocks,
    SupersededIsTrue,
    CurrentIsTrue,
    CurrentMeansThisLease,
    AdoptionNeverEarly,
    AdoptionNeverStarved,
    OldPrimaryStops,
}

impl Property {
    /// In the order of the table in the results.
    pub(crate) const ALL: [Self; 18] = [
        Self::FencingTokensIncrease,
        Self::FencingTokensAreUnique,
        Self::RetryNeverLowersTheToken,
        Self::TimedMutualExclusion,
        Self::SupersededLeaseStaysLost,
        Self::LeaseSurvivesRollingRestart,
        Self::NoZombie,
        Self::RevokedLeaseEnds,
        Self::TermsNeverGoDown,
        Self::HoldersTermIsTold,
        Self::SessionGivesBack,
        Self::HolderKeepsItsLocks,
        Self::SupersededIsTrue,
        Self::CurrentIsTrue,
        Self::CurrentMeansThisLease,
        Self::AdoptionNeverEarly,
        Self::AdoptionNeverStarved,
        Self::OldPrimaryStops,
    ];

    /// The letter it has in the documents and decision records.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::FencingTokensIncrease => "F1",
            Self::FencingTokensAreUnique => "F1u",
            Self::RetryNeverLowersTheToken => "F1s",
            Self::TimedMutualExclusion => "F2",
            Self::SupersededLeaseStaysLost => "F3",
            Self::LeaseSurvivesRollingRestart => "F4",
            Self::NoZombie => "Z",
            Self::RevokedLeaseEnds => "R",
            Self::TermsNeverGoDown => "W",
            Self::HoldersTermIsTold => "P",
            Self::SessionGivesBack => "G",
            Self::HolderKeepsItsLocks => "H",
            Self::SupersededIsTrue => "C1",
            Self::CurrentIsTrue => "C2",
            Self::CurrentMeansThisLease => "C3",
            Self::AdoptionNeverEarly => "Q",
            Self::AdoptionNeverStarved => "L",
            Self::OldPrimaryStops => "U",
        }
    }

    /// What it says, in one sentence.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::FencingTokensIncrease => {
                "A token is above that of every acquisition by another lease that completed \
                 before this one began."
            }
            Self::FencingTokensAreUnique => "No two leases ever get the same token.",
            Self::RetryNeverLowersTheToken => {
                "A later acquisition by the same lease does not get a lower token."
            }
            Self::TimedMutualExclusion => "No two leases are valid at the same time.",
            Self::SupersededLeaseStaysLost => {
                "An extend does not succeed if a newer lease had completed before it began."
            }
            Self::LeaseSurvivesRollingRestart => {
                "A live lease keeps its quorum while every master is restarted empty, one at a \
                 time."
            }
            Self::NoZombie => {
                "Where cleanup or release was processed, no late message of that attempt creates \
                 a lock."
            }
            Self::RevokedLeaseEnds => {
                "Once a ForceRelease has said REVOKED, no extend of that lease that begins later succeeds."
            }
            Self::TermsNeverGoDown => "A watcher is never told a lower term after a higher one.",
            Self::HoldersTermIsTold => "The term of a completed holder is not withheld.",
            Self::SessionGivesBack => {
                "The cleanup of a session that extended a lock deletes it, unless others touched \
                 it."
            }
            Self::HolderKeepsItsLocks => {
                "While a lease is valid, a quorum of locks outlives its validity (stands for F2 \
                 where no contender is in the model)."
            }
            Self::SupersededIsTrue => {
                "CheckFencingToken never answers SUPERSEDED for a lease that is valid."
            }
            Self::CurrentIsTrue => {
                "It never answers CURRENT if a newer lease had completed before it was asked."
            }
            Self::CurrentMeansThisLease => "It never answers CURRENT because of another lease.",
            Self::AdoptionNeverEarly => {
                "A master that may have forgotten votes does not vote before its quarantine is \
                 over."
            }
            Self::AdoptionNeverStarved => "Nobody but a new loss sets a running quarantine back.",
            Self::OldPrimaryStops => {
                "A primary that has lost its replica does not vote any more when L' has passed, or \
                 comes back in quarantine."
            }
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self:?}", self.code())
    }
}
