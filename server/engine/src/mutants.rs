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
}

/// Which rules are taken away; none by default.
#[derive(Clone, Copy, Default, Debug)]
pub struct Mutants(u32);

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
