//! What a policy can allow.

use serde::Deserialize;
use std::fmt;

/// One kind of thing that is done. All but [`Admin`](Self::Admin) are about a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Acquire, Hold, and acquires of a Session.
    Acquire,
    /// Whatever is done to a lease with its lease_id: Extend, Release, KeepAlive, the renewals of a Hold.
    Extend,
    /// WatchLeader and CheckFencingToken.
    Watch,
    /// DescribeLock and ListLocks.
    Describe,
    /// ForceRelease.
    ForceRelease,
    /// GetClusterStatus.
    Admin,
}

impl Permission {
    /// As policies and denials write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Extend => "extend",
            Self::Watch => "watch",
            Self::Describe => "describe",
            Self::ForceRelease => "force-release",
            Self::Admin => "admin",
        }
    }

    /// Is it about a resource?
    pub(super) fn has_resource(self) -> bool {
        self != Self::Admin
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
