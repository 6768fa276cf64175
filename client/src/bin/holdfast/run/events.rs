//! What `holdfast run` tells meanwhile, on stderr: stdout is CMD's.

use std::fmt;

use serde::Serialize;

use super::boottime::Boot;
use super::wire::Grant;
use crate::view::{HeldView, Millis, millis};

/// In text only what somebody should know; in JSON everything.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    Queued {
        position: u32,
        held: Option<HeldView>,
    },
    Granted {
        fencing_token: u64,
        ttl_ms: u64,
        valid_for_ms: u64,
        deadline_ms: u64,
    },
    Renewed {
        valid_for_ms: u64,
        deadline_ms: u64,
    },
    AtRisk {
        reason: String,
        valid_for_ms: u64,
    },
    /// SIGTERM was sent.
    Terminated {
        reason: String,
        valid_for_ms: u64,
    },
    /// SIGKILL was sent.
    Killed {
        valid_for_ms: u64,
    },
    Released {
        outcome: String,
    },
}

impl Event {
    pub(crate) fn granted(grant: &Grant) -> Self {
        Self::Granted {
            fencing_token: grant.fencing_token,
            ttl_ms: millis(grant.ttl),
            valid_for_ms: millis(grant.deadline.remaining()),
            deadline_ms: grant.deadline.unix_millis(),
        }
    }

    pub(crate) fn renewed(deadline: Boot) -> Self {
        let valid_for_ms = millis(deadline.remaining());
        Self::Renewed { valid_for_ms, deadline_ms: deadline.unix_millis() }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued { position, held } => {
                write!(f, "waiting for the lock, place {position} in the queue")?;
                held.as_ref().map_or(Ok(()), |held| write!(f, "; held by {held}"))
            }
            Self::AtRisk { reason, valid_for_ms } => {
                let left = Millis(*valid_for_ms);
                write!(f, "the lock is at risk: {reason}; it is valid for {left} more")
            }
            Self::Terminated { reason, .. } => write!(f, "stopping the command: {reason}"),
            Self::Killed { .. } => f.write_str("killing the command, which did not stop"),
            Self::Granted { .. } | Self::Renewed { .. } | Self::Released { .. } => Ok(()),
        }
    }
}
