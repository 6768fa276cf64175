//! Who comes in and who does not: connections, and calls that are refused for what their caller is, may or
//! has too much of.

use super::names;
use metrics::{Counter, Gauge, counter, gauge};
use std::fmt;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// There are as many as may be.
    TooMany,
    /// Of its address there are.
    TooManyOfAddress,
    /// TLS failed, or it was no HTTP, or took too long.
    Handshake,
}

const REFUSALS: [&str; 3] = ["too_many", "too_many_of_address", "handshake"];

/// Connections that are open, and those that were refused.
pub struct Connections {
    open: Gauge,
    refused: [Counter; REFUSALS.len()],
}

impl Connections {
    /// On the recorder that is installed; nothing is counted if there is none.
    pub fn new() -> Self {
        let open = gauge!(names::CONNECTIONS);
        open.set(0.0);
        let refused = REFUSALS.map(|reason| {
            let refused = counter!(names::CONNECTIONS_REFUSED, "reason" => reason);
            refused.absolute(0);
            refused
        });
        Self { open, refused }
    }

    /// One more.
    pub fn opened(&self) {
        self.open.increment(1.0);
    }

    /// One less.
    pub fn closed(&self) {
        self.open.decrement(1.0);
    }

    /// One more that was refused.
    pub fn refused(&self, why: ConnectionRefusal) {
        self.refused[why as usize].increment(1);
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

/// What is bounded, and whose bound it is, as they are called in the metric.
const LIMITS: [&str; 4] = ["requests", "waiters", "streams", "leases"];
const SCOPES: [&str; 2] = ["replica", "identity"];

/// Calls and messages that were refused because there was too much of them.
pub struct Limited([[Counter; SCOPES.len()]; LIMITS.len()]);

impl Limited {
    /// On the recorder that is installed; nothing is counted if there is none.
    pub fn new() -> Self {
        Self(LIMITS.map(|limit| {
            SCOPES.map(|scope| {
                let refused = counter!(names::LIMITED, "limit" => limit, "scope" => scope);
                refused.absolute(0);
                refused
            })
        }))
    }

    /// One more, of this limit and scope in their order.
    pub fn refused(&self, limit: usize, scope: usize) {
        self.0[limit][scope].increment(1);
    }
}

impl Default for Limited {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").finish_non_exhaustive()
    }
}
