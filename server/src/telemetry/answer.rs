//! How a master answered, in one word and its reason, for spans and metrics. Judges nothing: what an answer counts for is the engine's business.

use holdfast_engine::{Body, Deletion, Request, Standing};

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It did what it was asked.
    Ok,
    /// It said why not.
    Refused(&'static str),
    /// Nobody knows what it did.
    Unknown(Silence),
}

/// Why nothing was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// Not in time. It may answer yet.
    Timeout,
    /// It never will: the connection is gone, or what came was an error of the server.
    Error,
}

impl Answer {
    pub(super) fn of(body: &Body) -> Self {
        match body {
            Body::Ok { .. }
            | Body::Repaired
            | Body::Cleaned
            | Body::Revoked { .. }
            | Body::Scanned { .. }
            | Body::Published(_)
            | Body::Observed(_)
            | Body::Released(Deletion::Deleted | Deletion::Nothing)
            | Body::Read { standing: Standing::Voting, .. } => Self::Ok,
            Body::Held(_) => Self::Refused("held"),
            Body::Stale => Self::Refused("stale"),
            Body::Lost { .. } => Self::Refused("lost"),
            Body::Absent => Self::Refused("absent"),
            Body::NotVoting(_) | Body::Read { standing: Standing::Quarantined(_), .. } => {
                Self::Refused("quarantined")
            }
            Body::Misfit | Body::Read { standing: Standing::Misfit(_), .. } => {
                Self::Refused("misfit")
            }
            Body::Late => Self::Refused("late"),
            Body::Ahead => Self::Refused("ahead"),
            Body::Refused | Body::Released(Deletion::Newer) => Self::Refused("newer"),
            Body::Released(Deletion::Other) => Self::Refused("other"),
            Body::Dropped => Self::Refused("dropped"),
            Body::Unknown(_) | Body::NotAsked(_) => Self::Unknown(Silence::Error),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }

    pub(super) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Ok => None,
            Self::Refused(why) => Some(why),
            Self::Unknown(Silence::Timeout) => Some("timeout"),
            Self::Unknown(Silence::Error) => Some("error"),
        }
    }
}

/// What a round is called; `None`: it is none, for it is for nobody.
pub(super) fn kind(request: &Request) -> Option<&'static str> {
    match request {
        Request::Acquire { .. } => Some("acquire"),
        Request::Extend { .. } => Some("extend"),
        Request::Repair { .. } => Some("repair"),
        Request::Cleanup { .. } => Some("cleanup"),
        Request::Release { .. } => Some("release"),
        Request::Read { .. } => Some("read"),
        Request::Revoke { .. } => Some("revoke"),
        Request::Scan { .. } => Some("scan"),
        Request::Publish { .. }
        | Request::Observe { .. }
        | Request::Adopt { .. }
        | Request::Suspect { .. } => None,
    }
}
