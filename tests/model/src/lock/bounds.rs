//! What one configuration may contain: who takes part, how much of everything bad can happen, and
//! which of the readings and rules beside the scripts are under study.

use crate::master::{ATTEMPTS, Loss, Rules};

/// What an attempt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// An acquire, and the session (Hold stream) that follows it.
    Acquire,
    /// A session that re-attaches by extend with the token the client already has.
    Reattach,
    /// Unary extends with the token the client already has; no session, nothing to clean up.
    Unary,
}

/// How `Release` without a token is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token0 {
    Off,
    /// BROKEN: tok = the release's own ballot, the id may be reused at once.
    OwnBallot,
    /// The protocol: the same, but the id may be reused only after a quorum answered the release.
    ReuseAfterQuorum,
    /// BROKEN: a quorum is read first, tok = the highest tok read.
    HighestRead,
    /// Each master is read first and deletes only what was read at this very master; reads that
    /// arrive after the client has used the id again are not acted on.
    Exact,
    /// BROKEN: as `Exact`, but such late reads are acted on.
    ExactLateRead,
}

/// What happens when a replica finds a master's clock stepped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stepped {
    /// The protocol: it opens an incident; only after the answer it uses its new estimate.
    Suspect,
    /// BROKEN: it just uses its new estimate.
    Remeasure,
}

/// What a replica may do that starts with no estimate of the masters' clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fresh {
    Off,
    AtOnce,
    /// It counts votes only `ttl` after its first estimate.
    Waits,
}

/// How the leader is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Watch {
    Off,
    /// A quorum shows the same lease and tok.
    Pair,
    /// BROKEN: a quorum shows the same lease; term = q-th largest tok, never below one sent for it.
    Largest,
    /// BROKEN: the same, but another lease with a term not above the highest sent is withheld.
    Withheld,
    /// The protocol: the largest T for which a quorum shows the lease with first <= T <= tok.
    Interval,
}

/// How `CheckFencingToken` concludes CURRENT and SUPERSEDED.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Check {
    Off,
    /// BROKEN: CURRENT iff a quorum shows one lease with T <= tok, whatever its first.
    TokOnly,
    /// BROKEN: a quorum shows a lease with first > T.
    AnyLease,
    /// The protocol: there is a T' for which a quorum shows one lease with T < first <= T' <= tok.
    Interval,
}

/// How ForceRelease revokes the lease of attempt 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Revoke {
    Off,
    /// BROKEN: REVOKED if so many masters revoked it, show another lease or nothing that the rest
    /// is no quorum.
    NoFloor,
    /// BROKEN: the same, but revoke carries a ballot and raises the floor to it.
    Raising,
    /// BROKEN: as `Raising`, and of the masters counted none has seen a higher ballot.
    AboveAllSeen,
    /// The protocol: as `AboveAllSeen`, and nothing in quarantine is counted but a lock that was
    /// revoked.
    VotersOnly,
}

/// A unit of two processes behind one vote: master 0 is the old primary, master 3 the promoted one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    Off,
    /// BROKEN: only the promoted process is in quarantine; the old one votes on over the
    /// connections it has (that of attempt 0).
    MarkerOnly,
    /// The old primary votes for so many ticks after it was cut off; every replica may reach both.
    StopsAfter(u8),
}

/// Bounds of one row. Whatever is zero, false or `Off` cannot happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) rules: Rules,
    /// Lease (1 or 2) of each attempt.
    pub(crate) leases: &'static [u8],
    pub(crate) kind: [Kind; ATTEMPTS],
    /// Acquire rounds of each attempt (1 or 2), extend rounds of each (0 to 2).
    pub(crate) rounds: [u8; ATTEMPTS],
    pub(crate) extends: [u8; ATTEMPTS],
    /// Explicit release is possible.
    pub(crate) release: bool,
    /// An attempt may give up (cleanup); an extend round may be abandoned.
    pub(crate) give_up: bool,
    /// A session may end (cleanup with its nonce).
    pub(crate) session_end: bool,
    /// BROKEN: a re-attach that failed cleans up too.
    pub(crate) failed_cleanup: bool,
    pub(crate) token0: Token0,
    pub(crate) revoke: Revoke,

    /// Untimed: ballots are any unused ones of 1..=max_p, locks may expire at any moment.
    pub(crate) timed: bool,
    pub(crate) max_p: u8,
    /// Ballots are globally unique.
    pub(crate) unique: bool,
    /// Last tick.
    pub(crate) last: u8,
    /// ttl of each attempt's acquire, and of every extend. MAX_TTL is the longest of them.
    pub(crate) ttl: [u8; ATTEMPTS],
    pub(crate) extend_ttl: u8,
    /// QUAR
    pub(crate) quar: u8,
    /// Any two right clocks of replicas differ by at most so many ticks.
    pub(crate) skew: u8,
    /// The replica of attempt 1 has a wrong clock, up to so many ticks ahead of all right ones.
    pub(crate) fast: u8,
    /// BROKEN: whoever adopts has a clock so many ticks behind all right ones.
    pub(crate) slow_adopter: u8,
    /// p_base was computed at the earliest legal moment, the adopt arrives arbitrarily later.
    pub(crate) early_base: bool,

    /// Number and kinds of restarts and flushes.
    pub(crate) crashes: u8,
    pub(crate) losses: &'static [Loss],
    /// Dumps taken, each at any moment; restarts with [`Loss::SinceSnapshot`] come back with them.
    pub(crate) snapshots: u8,
    /// Only crashes of one and the same master (the next one after its adoption).
    pub(crate) same_master: bool,
    /// Timed: locks that may expire early. Untimed: unlimited.
    pub(crate) early_expiries: u8,
    /// Floor raises by other resources of the bucket.
    pub(crate) noise: u8,
    /// Clock steps of masters, and incidents opened although nothing was wrong.
    pub(crate) steps: u8,
    pub(crate) suspects: u8,
    pub(crate) stepped: Stepped,
    pub(crate) fresh: Fresh,
    pub(crate) unit: Unit,

    pub(crate) watch: Watch,
    pub(crate) check: Check,
    /// SessionGivesBack is judged.
    pub(crate) gives_back: bool,
    /// HolderKeepsItsLocks is judged: it stands for F2 where no contender is in the model.
    pub(crate) locks_stay: bool,
}

/// A lease and a contender, one acquire round each.
pub(crate) const AB: &[u8] = &[1, 2];
/// Two attempts or sessions of one lease, and a contender.
pub(crate) const AAB: &[u8] = &[1, 1, 2];
/// Three attempts or sessions of one lease.
pub(crate) const AAA: &[u8] = &[1, 1, 1];

impl Bounds {
    /// No memory loss and no clocks: any ballots up to `max_p`, arbitrary expiry.
    pub(crate) const fn untimed(
        rules: Rules,
        leases: &'static [u8],
        extends: [u8; ATTEMPTS],
        max_p: u8,
    ) -> Self {
        Self {
            rules,
            leases,
            kind: [Kind::Acquire; ATTEMPTS],
            rounds: [1; ATTEMPTS],
            extends,
            release: true,
            give_up: true,
            session_end: false,
            failed_cleanup: false,
            token0: Token0::Off,
            revoke: Revoke::Off,
            timed: false,
            max_p,
            unique: true,
            last: 0,
            ttl: [1; ATTEMPTS],
            extend_ttl: 1,
            quar: 0,
            skew: 0,
            fast: 0,
            slow_adopter: 0,
            early_base: false,
            crashes: 0,
            losses: &[Loss::All],
            snapshots: 0,
            same_master: false,
            early_expiries: 0,
            noise: 0,
            steps: 0,
            suspects: 0,
            stepped: Stepped::Suspect,
            fresh: Fresh::Off,
            unit: Unit::Off,
            watch: Watch::Off,
            check: Check::Off,
            gives_back: false,
            locks_stay: false,
        }
    }

    /// Ticks 0..=last; ttl = MAX_TTL = 2 ticks, QUAR = 3 ticks.
    pub(crate) const fn timed(
        rules: Rules,
        leases: &'static [u8],
        extends: [u8; ATTEMPTS],
        last: u8,
    ) -> Self {
        Self {
            timed: true,
            last,
            ttl: [2; ATTEMPTS],
            extend_ttl: 2,
            quar: 3,
            ..Self::untimed(rules, leases, extends, 0)
        }
    }

    /// No explicit release, an attempt never gives up voluntarily.
    pub(crate) const fn lean(self) -> Self {
        Self { release: false, give_up: false, ..self }
    }
}
