//! Why a call, or a stream, gets no answer of its own, whoever says so.
//!
//! Deliberately absent: how that is worded, which is `errors`.

use super::convert::Violations;
use super::limits::Exhausted;
use crate::auth::Denied;
use crate::driver::Closed;
use holdfast_engine::{Answer, Loss, LostBy, MasterAnswer};
use std::error::Error;
use tonic::Status;

/// Why a call gets no answer of its own.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// Fields that do not fit.
    Invalid(Violations),
    /// The lease is over.
    LeaseLost(Lost),
    /// A newer call with the same lease_id took its place.
    Superseded,
    /// Too many calls wait for the resource.
    QueueFull,
    /// Too few masters voted.
    NoQuorum(Vec<MasterAnswer>),
    /// The deadline of the call came first.
    OutOfTime,
    /// This replica is going away.
    Draining,
    /// There is too much of what is bounded.
    Exhausted(Exhausted),
    /// The policy does not allow it.
    Denied(Box<Denied>),
    /// A message of a stream could not be read: what tonic or the decoder says of it.
    Unreadable(Status),
    /// The engine's answer is to another question.
    Misanswered,
}

/// Why a lease is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The masters said so.
    Told(Loss),
    /// It was granted or renewed, and nothing was left of it when that was to be said.
    TooLate,
}

impl From<Lost> for LostBy {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Told(loss) => Self::Told(loss),
            Lost::TooLate => Self::Expired,
        }
    }
}

impl Refusal {
    /// Is it about what the client said, and not about how the stream fared?
    pub(super) fn is_about_a_message(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::Denied(_) => true,
            // What the transport says of a stream that broke has its cause with it.
            Self::Unreadable(status) => status.source().is_none(),
            _ => false,
        }
    }
}

impl From<Violations> for Refusal {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl From<Exhausted> for Refusal {
    fn from(exhausted: Exhausted) -> Self {
        Self::Exhausted(exhausted)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Denied(Box::new(denied))
    }
}

impl From<Closed> for Refusal {
    fn from(_: Closed) -> Self {
        Self::Draining
    }
}

/// What an answer that is none of those a method knows means for its caller.
impl From<Answer> for Refusal {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Superseded => Self::Superseded,
            Answer::QueueFull => Self::QueueFull,
            Answer::Lost(loss) => Self::LeaseLost(Lost::Told(loss)),
            Answer::NoQuorum(answers) => Self::NoQuorum(answers),
            Answer::OutOfTime => Self::OutOfTime,
            Answer::Draining => Self::Draining,
            Answer::Granted(_)
            | Answer::Held(_)
            | Answer::Renewed(_)
            | Answer::Released(_)
            | Answer::Forced(_)
            | Answer::Scanned { .. }
            | Answer::Shown { .. }
            | Answer::Standing { .. } => Self::Misanswered,
        }
    }
}
