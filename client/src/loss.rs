//! How a lease ends against its holder's will, and what warns of it.

use std::fmt;

use holdfast_proto::v1::{AtRiskReason, LeaseLostReason};

/// Why a lease is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// Its validity ended, or the masters no longer have it.
    Expired,
    /// Masters show another lease in its place.
    Taken,
    /// An administrator took it back.
    Revoked,
    /// Too few masters answered to renew it in time.
    NoQuorum,
    /// The server heard no heartbeat of this client in time.
    ClientSilent,
    /// It reached the server's `max_hold`.
    MaxHold,
    /// No replica answered in time to renew it.
    Unreachable,
    /// The connection broke that it was held on, and it had no [`grace`](crate::Lock::grace) left.
    Disconnected,
    /// The servers refused to renew it: who asks is not accepted any more, or has no permission any more.
    Denied,
}

impl LossReason {
    pub(crate) fn from_wire(reason: LeaseLostReason) -> Self {
        match reason {
            LeaseLostReason::Taken => Self::Taken,
            LeaseLostReason::Revoked => Self::Revoked,
            LeaseLostReason::NoQuorum => Self::NoQuorum,
            LeaseLostReason::ClientSilent => Self::ClientSilent,
            LeaseLostReason::MaxHold => Self::MaxHold,
            LeaseLostReason::Unspecified | LeaseLostReason::Expired => Self::Expired,
        }
    }

    /// From the text in an error's details, which is the name of the enum value without its prefix.
    pub(crate) fn from_name(name: &str) -> Self {
        let full = format!("LEASE_LOST_REASON_{name}");
        Self::from_wire(LeaseLostReason::from_str_name(&full).unwrap_or_default())
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its validity ended",
            Self::Taken => "another lease took its place",
            Self::Revoked => "an administrator took it back",
            Self::NoQuorum => "too few masters answered to renew it in time",
            Self::ClientSilent => "the server heard no heartbeat in time",
            Self::MaxHold => "it reached the longest time a lock may be held (max_hold)",
            Self::Unreachable => "no replica answered in time to renew it",
            Self::Disconnected => "the connection it was held on broke",
            Self::Denied => "the credentials do not suffice any more to renew it",
        })
    }
}

/// What endangers a lease that still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Risk {
    /// A renewal is late.
    RenewalLate,
    /// The last renewal got no vote to spare.
    BareQuorum,
    /// The last renewal failed because too few masters answered.
    NoQuorum,
    /// The replica that keeps the lease is going away; the client moves to another one.
    ServerDraining,
    /// The last renewal failed because no replica answered.
    Unreachable,
    /// The connection broke that it is held on; the client is coming back to it.
    Disconnected,
    /// The last renewal was refused: who asks is not accepted any more, or has no permission any more.
    Denied,
}

impl Risk {
    pub(crate) fn from_wire(reason: AtRiskReason) -> Self {
        match reason {
            AtRiskReason::BareQuorum => Self::BareQuorum,
            AtRiskReason::NoQuorum => Self::NoQuorum,
            AtRiskReason::ServerDraining => Self::ServerDraining,
            AtRiskReason::Unspecified | AtRiskReason::RenewalLate => Self::RenewalLate,
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RenewalLate => "a renewal is late",
            Self::BareQuorum => "the last renewal got no vote to spare",
            Self::NoQuorum => "too few masters answered the last renewal",
            Self::ServerDraining => "the replica is going away",
            Self::Unreachable => "no replica answered the last renewal",
            Self::Disconnected => "the connection it is held on broke",
            Self::Denied => "the credentials did not suffice for the last renewal",
        })
    }
}
