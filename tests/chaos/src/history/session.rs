//! One try to get one resource, from the question to its end.

use crate::history::{Nanos, Way};

/// A session, as far as the history tells.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) way: Way,
    pub(crate) resource: String,
    pub(crate) outlives_connection: bool,
    pub(crate) replica: Option<usize>,
    pub(crate) asked: Nanos,
    /// When it was first told that it waits.
    pub(crate) queued: Option<Nanos>,
    pub(crate) granted: Option<Grant>,
    /// Until when it might rely on the lease at most.
    pub(crate) deadline: Nanos,
    pub(crate) refused: Option<(Nanos, String)>,
    pub(crate) releasing: Option<Nanos>,
    pub(crate) released: Option<(Nanos, String)>,
    pub(crate) lost: Option<(Nanos, String)>,
    /// When its process ended, or a little before.
    pub(crate) process_ended: Option<Nanos>,
    /// When the connection was cut that its lease does not outlive, or another one of its kind.
    pub(crate) severed: Option<Nanos>,
}

/// What it was told when it was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) at: Nanos,
    pub(crate) token: u64,
}

/// From when until when a session relies on its lease, by its own clock and its own knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) from: Nanos,
    pub(crate) until: Nanos,
    pub(crate) token: u64,
}

impl Session {
    pub(crate) fn asked(name: String, way: Way, resource: String, asked: Nanos) -> Session {
        Session {
            name,
            way,
            resource,
            outlives_connection: true,
            replica: None,
            asked,
            queued: None,
            granted: None,
            deadline: 0,
            refused: None,
            releasing: None,
            released: None,
            lost: None,
            process_ended: None,
            severed: None,
        }
    }

    /// A lease is exclusive for its validity only, and only for who has not given it up. `None`: it was
    /// never granted as far as anybody knows, so it excludes nobody.
    pub(crate) fn claim(&self) -> Option<Claim> {
        let Grant { at: from, token } = self.granted?;
        let lost = self.lost.as_ref().map(|(at, _)| *at);
        let ends = [Some(self.deadline), self.releasing, lost, self.process_ended, self.severed];
        let until = ends.into_iter().flatten().min().unwrap_or(from);
        Some(Claim { from, until: until.max(from), token })
    }
}

/// The process that a session, or a watch, belongs to.
pub(crate) fn process_of(name: &str) -> &str {
    name.split('#').next().unwrap_or(name)
}
