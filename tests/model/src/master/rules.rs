//! The rules of the scripts and of the replica that sends them, one switch a rule, so that each can
//! be taken away on its own. [`V2`] is the protocol of `docs/protocol.md`.

/// How `extend` recognises its own occupancy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Own {
    /// BROKEN: the lease is the same.
    Lease,
    /// The protocol: and first <= tok.
    First,
    /// Holds as well: lock.tok <= tok.
    Tok,
}

/// What the extend or repair of a session does to the nonce of its own lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SessionNonce {
    /// BROKEN: nothing, and repair creates a shared lock.
    Untouched,
    /// BROKEN: p > lock.p: the session's nonce, otherwise shared.
    ByBallot,
    /// BROKEN: the same, but a nonce that is the session's already stays.
    ByBallotLenient,
    /// A foreign touch shares the lock for good.
    Shared,
    /// The protocol: as `Shared`, but a session that re-attached takes over the nonce of one that
    /// came by acquire.
    Handover,
    /// BROKEN: as `Handover`, but it takes over any session's nonce.
    Chain,
}

/// The rules, true or as in the protocol unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// BROKEN if set: OKs of different acquire rounds are added up.
    pub(crate) mixed_rounds: bool,
    /// BROKEN if set: a re-accept with a lower p regresses lock and floor.
    pub(crate) reaccept_regresses: bool,
    /// BROKEN if set: a new lock is accepted at the very ballot of the floor.
    pub(crate) accepts_floor: bool,
    /// A re-accept by another attempt shares the lock.
    pub(crate) reaccept_shares: bool,
    pub(crate) own: Own,
    /// Extend carries a fresh ballot (else: its token).
    pub(crate) extend_ballot: bool,
    /// Extend raises lock.p and the floor to its ballot.
    pub(crate) extend_raises: bool,
    /// Acquire, extend and repair never shorten a lifetime.
    pub(crate) expiry_gt: bool,
    /// Proof-repair exists.
    pub(crate) repair: bool,
    /// Proof-repair writes in quarantine too; not in the protocol.
    pub(crate) repair_in_quarantine: bool,
    /// Proof-repair overwrites another lease's lock with a lower ballot.
    pub(crate) repair_overwrites: bool,
    /// Proof-repair respects the floor.
    pub(crate) repair_floor: bool,
    /// Cleanup deletes only a lock with its own nonce.
    pub(crate) cleanup_nonce: bool,
    /// Release deletes iff lock.tok <= tok (else: first <= tok).
    pub(crate) release_tok: bool,
    /// Cleanup and release raise the floor.
    pub(crate) barrier: bool,
    pub(crate) session_nonce: SessionNonce,
    /// Adoption records p_base.
    pub(crate) p_base: bool,
    /// An own lock with lock.p <= p_base is no vote: extend -> ABSENT, acquire treats it as absent.
    /// Not in the protocol.
    pub(crate) proven: bool,
    /// Scripts of a replica that saw the clock before its step neither vote nor write.
    pub(crate) late: bool,
    /// Ballots so many ticks ahead of the slowest clock are refused (with clocks that are modelled
    /// right, none is, so the rule is off).
    pub(crate) ahead: Option<u8>,
}

/// The protocol: no repair in quarantine, hence no `proven` rule.
pub(crate) const V2: Rules = Rules {
    mixed_rounds: false,
    reaccept_regresses: false,
    accepts_floor: false,
    reaccept_shares: true,
    own: Own::First,
    extend_ballot: true,
    extend_raises: true,
    expiry_gt: true,
    repair: true,
    repair_in_quarantine: false,
    repair_overwrites: true,
    repair_floor: true,
    cleanup_nonce: true,
    release_tok: true,
    barrier: true,
    session_nonce: SessionNonce::Handover,
    p_base: true,
    proven: false,
    late: true,
    ahead: None,
};
/// A variant: repair in quarantine, and the `proven` rule that makes this safe.
pub(crate) const V2P: Rules = Rules { repair_in_quarantine: true, proven: true, ..V2 };
/// The first draft: repair in quarantine without the `proven` rule, release by `first`.
pub(crate) const BRIEF: Rules = Rules { release_tok: false, proven: false, ..V2P };
