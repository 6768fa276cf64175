//! What several commands show: leases, holders, leaders and spans, as JSON and as text. Fields are named
//! as in the contract, durations are whole milliseconds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use holdfast_client::proto::v1;
use holdfast_client::{Held, Lease};
use serde::{Deserialize, Serialize};

/// A lease, for its holder.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LeaseView {
    pub(crate) resource: String,
    pub(crate) lease_id: String,
    pub(crate) fencing_token: u64,
    pub(crate) ttl_ms: u64,
    pub(crate) valid_for_ms: u64,
    pub(crate) votes: u32,
    pub(crate) masters: u32,
}

/// Somebody else's lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HeldView {
    pub(crate) holder: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) fencing_token: u64,
    pub(crate) remaining_ms: Option<u64>,
    pub(crate) waiters: u32,
}

/// Who holds a resource.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LeaderView {
    pub(crate) holder: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) fencing_token: u64,
    pub(crate) remaining_ms: u64,
}

impl From<&Lease> for LeaseView {
    fn from(lease: &Lease) -> Self {
        Self {
            resource: lease.resource.clone(),
            lease_id: lease.lease_id.as_str().to_owned(),
            fencing_token: lease.fencing_token,
            ttl_ms: millis(lease.ttl),
            valid_for_ms: millis(lease.valid_for()),
            votes: lease.votes,
            masters: lease.masters,
        }
    }
}

impl From<Held> for HeldView {
    fn from(held: Held) -> Self {
        let Held { holder, metadata, fencing_token, remaining, waiters, .. } = held;
        Self { holder, metadata, fencing_token, remaining_ms: remaining.map(millis), waiters }
    }
}

impl From<&v1::Leader> for LeaderView {
    fn from(leader: &v1::Leader) -> Self {
        Self {
            holder: leader.holder.clone(),
            metadata: leader.metadata.clone().into_iter().collect(),
            fencing_token: leader.fencing_token,
            remaining_ms: millis(from_wire(leader.remaining.as_ref())),
        }
    }
}

impl fmt::Display for LeaseView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "resource       {}", self.resource)?;
        writeln!(f, "lease_id       {}", self.lease_id)?;
        writeln!(f, "fencing_token  {}", self.fencing_token)?;
        writeln!(f, "ttl            {}", Millis(self.ttl_ms))?;
        writeln!(f, "valid_for      {}", Millis(self.valid_for_ms))?;
        writeln!(f, "votes          {} of {}", self.votes, self.masters)
    }
}

impl fmt::Display for HeldView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fencing_token {
            0 => f.write_str("another Redlock library"),
            token => write!(f, "{} with token {token}", named(&self.holder)),
        }
    }
}

impl fmt::Display for LeaderView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with token {}", named(&self.holder), self.fencing_token)?;
        for (key, value) in &self.metadata {
            write!(f, ", {}={}", printable(key), printable(value))?;
        }
        Ok(())
    }
}

/// What others wrote, on a terminal: they could write lines and escape sequences of their own.
pub(crate) fn printable(text: &str) -> String {
    let shown = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(shown).collect()
}

/// A holder that has no name gets one.
pub(crate) fn named(holder: &str) -> &str {
    if holder.is_empty() { "(no name)" } else { holder }
}

pub(crate) fn millis(span: Duration) -> u64 {
    span.as_millis().try_into().unwrap_or(u64::MAX)
}

/// A span of the contract. One that is absent or negative counts as none.
pub(crate) fn from_wire(span: Option<&prost_types::Duration>) -> Duration {
    span.and_then(|span| Duration::try_from(*span).ok()).unwrap_or_default()
}

/// Milliseconds, for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Millis(pub(crate) u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            millis if millis < 1_000 => write!(f, "{millis}ms"),
            millis if millis < 120_000 => write!(f, "{}.{}s", millis / 1_000, millis % 1_000 / 100),
            millis => {
                let seconds = Duration::from_secs(millis / 1_000);
                write!(f, "{}", humantime::format_duration(seconds))
            }
        }
    }
}
