//! The words of the history.

use serde::{Deserialize, Serialize};

use crate::history::Nanos;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at: Nanos,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// What happened. A session is one try to get one resource, and what came of it; its name is also the
/// holder that others see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    // Of clients.
    /// Before anything is sent.
    Asked {
        session: String,
        way: Way,
        resource: String,
        /// Does its lease outlive the connection for as long as it is valid?
        outlives_connection: bool,
        /// The only replica that is asked; `None`: any.
        replica: Option<usize>,
    },
    /// The replica has said that it waits.
    Queued { session: String, position: u32 },
    /// After the answer: from here on the session counts as the holder.
    Granted { session: String, token: u64, deadline: Nanos },
    /// It may rely on the lease for longer.
    Renewed { session: String, deadline: Nanos },
    /// It was not granted, or nobody knows whether it was.
    Refused { session: String, why: String },
    /// A leader said something else of itself.
    Published { session: String, outcome: String },
    /// Before the release is sent: from here on the session does not count as the holder.
    Releasing { session: String },
    /// What the release came to.
    Released { session: String, outcome: String },
    /// It was told that the lease is over.
    Lost { session: String, reason: String },
    /// Before the first look.
    Watching { watch: String, resource: String },
    /// What a watch shows.
    Observed { watch: String, seen: Seen },
    /// The last line of a process that ends by itself.
    Leaving { process: String },

    // Of the store.
    /// A write that a holder asked for.
    Write { session: String, resource: String, token: u64, accepted: bool, highest: u64 },

    // Of the nemesis.
    /// Before a fault is injected.
    Injecting { fault: u64, kind: String, what: String },
    /// It is there, and seen to be there.
    Fired { fault: u64, evidence: String },
    /// It is not there, or nobody saw it.
    Fizzled { fault: u64, why: String },
    /// Before it is undone.
    Healing { fault: u64 },
    /// It is undone.
    Healed { fault: u64 },
    /// Before the process is killed.
    Killing { process: String },
    /// Before the connections of all clients to a replica are cut.
    Severing { replica: usize },
    /// No fault will come any more.
    Calm,
}

/// How a resource is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// `Lock::acquire`: renewed by calls.
    Acquire,
    /// `Lock::hold`: renewed on a stream.
    Hold,
    /// `Election::campaign`.
    Campaign,
    /// One Hold stream, message by message: it comes back to nothing, and so has one place in a queue.
    Queue,
}

/// What a watch shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Seen {
    Led { holder: String, term: u64 },
    Vacant { last_term: u64 },
    Unknown { why: String },
}
