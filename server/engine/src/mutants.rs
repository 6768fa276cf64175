//! Seeded protocol bugs. Each takes one rule of docs/protocol.md away, so that the tests can show
//! that the rule is needed and that they would notice. Without the `mutants` feature every rule is
//! a constant and the compiler removes the question.

/// One rule taken away. The row names are those of the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Mutant {
    /// OKs of different rounds are added up (row u2).
    MixedRounds,
    /// A re-accept with a lower ballot regresses lock and floor (u1).
    RegressingReaccept,
    /// Extend recognises its lock by the lease alone (u3).
    ExtendByLease,
    /// Extend does not raise the ballot and the floor (u9).
    ExtendRaisesNothing,
    /// Extend proposes its token instead of a fresh ballot (f4-no-ballots).
    ExtendWithoutBallot,
    /// Proof-repair does not look at the floor (u7).
    RepairIgnoresFloor,
    /// Proof-repair does not overwrite another lease's lock (f4-no-overwrite).
    RepairNeverOverwrites,
    /// Proof-repair writes on masters in quarantine (t60).
    RepairInQuarantine,
    /// There is no proof-repair (f4-no-repair).
    NoRepair,
    /// Cleanup deletes by lease, whatever the nonce (t10).
    CleanupByLease,
    /// A re-accept by another attempt leaves the nonce (t10s).
    NonceNotShared,
    /// Release compares `first` instead of the token (t11).
    ReleaseByFirst,
    /// A new TTL may shorten the old one (t12).
    TtlShrinks,
    /// Adoption records no p_base (t32, t41).
    NoBallotBase,
    /// Adoption does not compare the incident (a0).
    AdoptAnyIncident,
    /// Every observer overwrites the incident with its own (a5).
    ObserverOverwrites,
    /// A master votes in quarantine.
    VoteInQuarantine,
    /// A quarantine is over at once (t20).
    NoQuarantine,
    /// TIME on the master need not be where it was expected (s1).
    VoteLate,
    /// What a master shows is believed although its clock stepped (k6).
    ReadLate,
    /// Cleanup raises no floor (u8).
    CleanupWithoutBarrier,
    /// Extend brings a lock back that is gone.
    ExtendResurrects,
    /// A revoked lease is extended like any other.
    ExtendRevoked,
    /// One vote fewer than a majority decides.
    MinorityDecides,
    /// No answer in time counts as a vote.
    SilenceIsAVote,
    /// Validity is counted from the answer, not from the moment before the question.
    ValidityFromAnswer,
    /// Validity is the whole ttl: neither drift nor epsilon.
    ValidityWithoutDrift,
    /// The last who came is served first.
    LastComeFirst,
    /// The term of a leader is the q-th largest token, whatever the intervals (w5).
    TermOutsideInterval,
    /// A Hold whose lease runs out is not told so.
    LossNotTold,
    /// A re-attached session whose client never heard of it takes the lock back (d8).
    UnreadTakesBack,
    /// Revoke raises no floor (r1).
    RevokeRaisesNothing,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 32] = [
        Self::MixedRounds,
        Self::RegressingReaccept,
        Self::ExtendByLease,
        Self::ExtendRaisesNothing,
        Self::ExtendWithoutBallot,
        Self::RepairIgnoresFloor,
        Self::RepairNeverOverwrites,
        Self::RepairInQuarantine,
        Self::NoRepair,
        Self::CleanupByLease,
        Self::NonceNotShared,
        Self::ReleaseByFirst,
        Self::TtlShrinks,
        Self::NoBallotBase,
        Self::AdoptAnyIncident,
        Self::ObserverOverwrites,
        Self::VoteInQuarantine,
        Self::NoQuarantine,
        Self::VoteLate,
        Self::ReadLate,
        Self::CleanupWithoutBarrier,
        Self::ExtendResurrects,
        Self::ExtendRevoked,
        Self::MinorityDecides,
        Self::SilenceIsAVote,
        Self::ValidityFromAnswer,
        Self::ValidityWithoutDrift,
        Self::LastComeFirst,
        Self::TermOutsideInterval,
        Self::LossNotTold,
        Self::UnreadTakesBack,
        Self::RevokeRaisesNothing,
    ];
}

/// Which rules are taken away; none by default.
#[derive(Clone, Copy, Default, Debug)]
pub struct Mutants(u64);

impl Mutants {
    /// The protocol with one rule taken away.
    #[cfg(feature = "mutants")]
    pub fn only(mutant: Mutant) -> Self {
        Self(1 << mutant as u32)
    }

    /// Is this rule taken away?
    pub const fn has(self, mutant: Mutant) -> bool {
        cfg!(feature = "mutants") && self.0 & (1 << mutant as u32) != 0
    }
}
