//! What can go wrong, by what the caller can do about it.
//!
//! Deliberately absent: what to retry. That is one function here ([`Error::is_transient`]) and a policy in
//! `retry`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::errors::{REASON_TRAILER, RETRY_AFTER_TRAILER, reason};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::held::Held;
use crate::loss::LossReason;

/// Why a call came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else holds the lock: it was tried once, or waited for in vain.
    #[error("{0}")]
    Busy(Held),

    /// The lease is over. Stop what it protects; to go on, acquire anew.
    #[error("the lease is lost: {0}")]
    Lost(LossReason),

    /// A newer call with the same `lease_id` took this call's place.
    #[error("a newer call with the same lease_id took this call's place")]
    Superseded,

    /// Too few masters voted, for as long as it was retried. Whether the call took effect is unknown.
    #[error("too few masters vote{}", answered(.masters, .message))]
    NoQuorum {
        /// How each master answered, by its configured name. Empty if none was asked.
        masters: BTreeMap<String, String>,
        /// What the server said, for people to read.
        message: String,
    },

    /// No replica answered, for as long as it was retried. Whether the call took effect is unknown.
    #[error("no replica of Holdfast answers: {0}")]
    Unreachable(String),

    /// The request does not fit. Nothing happened.
    #[error("{}", listed(.0))]
    Invalid(Vec<Violation>),

    /// The server does not know who asks: it was shown no token and no certificate, or none that it accepts.
    /// This is what it said, for people to read.
    #[error("the server accepts no such credentials: {0}")]
    Unauthenticated(String),

    /// Whoever asks may not do this.
    #[error("permission denied: {0}")]
    PermissionDenied(Denial),

    /// The server refused the call, for a reason that a retry does not change or that outlasted it.
    #[error("{reason}: {message}")]
    Refused {
        /// The reason of the error contract, such as `QUEUE_FULL`.
        reason: String,
        /// What the server said, for people to read.
        message: String,
    },
}

/// What was missing. What the server does not tell is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denial {
    /// What the server said, for people to read.
    pub message: String,
    /// The permission that is missing, such as `acquire`.
    pub permission: String,
    /// The resource that it is missing for.
    pub resource: String,
    /// Who is asking, as the server sees it, such as `token:ci`.
    pub identity: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, permission, resource, identity } = self;
        match (message.is_empty(), permission.is_empty()) {
            (false, _) => f.write_str(message),
            (true, false) => {
                write!(f, "{identity:?} has no permission {permission} on {resource:?}")
            }
            (true, true) => f.write_str("the server does not say which"),
        }
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The field, as the contract names it.
    pub field: String,
    /// What would be right.
    pub description: String,
}

impl Error {
    /// Can the same call succeed a moment later, perhaps through another replica?
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoQuorum { .. } | Self::Unreachable(_) => true,
            Self::Refused { reason, .. } => {
                let full = [
                    reason::QUEUE_FULL,
                    reason::TOO_MANY_STREAMS,
                    reason::TOO_MANY_LEASES,
                    reason::RATE_LIMITED,
                ];
                full.contains(&reason.as_str())
            }
            Self::Busy(_)
            | Self::Lost(_)
            | Self::Superseded
            | Self::Invalid(_)
            | Self::Unauthenticated(_)
            | Self::PermissionDenied(_) => false,
        }
    }

    pub(crate) fn invalid(field: &str, description: &str) -> Self {
        let (field, description) = (field.to_owned(), description.to_owned());
        Self::Invalid(vec![Violation { field, description }])
    }

    /// The server broke its own contract.
    pub(crate) fn contract(what: &str) -> Self {
        Self::Refused { reason: "CONTRACT".to_owned(), message: what.to_owned() }
    }

    pub(crate) fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        match reason_of(status) {
            Some(reason::LEASE_LOST) => {
                let why = details.error_info().and_then(|info| info.metadata.get("lost_reason"));
                Self::Lost(LossReason::from_name(why.map_or("", String::as_str)))
            }
            Some(reason::SUPERSEDED) => Self::Superseded,
            Some(reason::NO_QUORUM) => {
                let info = details.error_info();
                let masters = info.map(|info| info.metadata.clone()).unwrap_or_default();
                let message = status.message().to_owned();
                Self::NoQuorum { masters: masters.into_iter().collect(), message }
            }
            Some(reason::INVALID_ARGUMENT) => {
                let violations = details.bad_request().map(|bad| bad.field_violations.as_slice());
                let violations = violations.unwrap_or_default().iter();
                Self::Invalid(violations.map(Violation::new).collect())
            }
            Some(reason::UNAUTHENTICATED) => Self::Unauthenticated(status.message().to_owned()),
            Some(reason::PERMISSION_DENIED) => {
                Self::PermissionDenied(Denial::new(status, details.error_info()))
            }
            Some(reason::SERVER_DRAINING | reason::DEADLINE_EXCEEDED) => {
                Self::Unreachable(status.message().to_owned())
            }
            Some(other) => {
                Self::Refused { reason: other.to_owned(), message: status.message().to_owned() }
            }
            // Not from Holdfast: the transport, or a proxy in between.
            None => Self::from_elsewhere(status),
        }
    }

    fn from_elsewhere(status: &Status) -> Self {
        let message = status.message().to_owned();
        match status.code() {
            Code::Unauthenticated => Self::Unauthenticated(message),
            Code::PermissionDenied => Self::PermissionDenied(Denial::new(status, None)),
            Code::InvalidArgument | Code::OutOfRange => {
                Self::Refused { reason: reason::INVALID_ARGUMENT.to_owned(), message }
            }
            _ => Self::Unreachable(said_by_transport(status)),
        }
    }
}

impl Denial {
    fn new(status: &Status, info: Option<&tonic_types::ErrorInfo>) -> Self {
        let said = |key| info.and_then(|info| info.metadata.get(key).cloned()).unwrap_or_default();
        Self {
            message: status.message().to_owned(),
            permission: said("permission"),
            resource: said("resource"),
            identity: said("identity"),
        }
    }
}

impl Violation {
    fn new(violation: &tonic_types::FieldViolation) -> Self {
        let tonic_types::FieldViolation { field, description, .. } = violation;
        Self { field: field.clone(), description: description.clone() }
    }
}

/// The reason of the error contract; `None` for an error that Holdfast did not make.
pub(crate) fn reason_of(status: &Status) -> Option<&str> {
    status.metadata().get(REASON_TRAILER)?.to_str().ok()
}

/// The connection was never made, so the other side has not seen the call.
pub(crate) fn was_never_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// No answer came in time.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Silence(String);

/// What is said of whoever does not answer.
pub(crate) fn silence(what: String) -> Status {
    let mut status = Status::unavailable(what.clone());
    status.set_source(Arc::new(Silence(what)));
    status
}

/// It is what this client says itself, of whoever does not answer.
pub(crate) fn is_silence(status: &Status) -> bool {
    std::error::Error::source(status).is_some_and(|source| source.is::<Silence>())
}

/// How long the server asks to wait before the same is tried again.
pub(crate) fn retry_after(status: &Status) -> Option<Duration> {
    let millis = status.metadata().get(RETRY_AFTER_TRAILER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

/// The transport's own text is "transport error"; what happened is in the chain below it.
fn said_by_transport(status: &Status) -> String {
    let mut said = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        source = error.source();
    }
    said
}

fn answered(masters: &BTreeMap<String, String>, message: &str) -> String {
    let each: Vec<_> = masters.iter().map(|(name, said)| format!("{name}: {said}")).collect();
    match (each.is_empty(), message.is_empty()) {
        (false, _) => format!(" ({})", each.join(", ")),
        (true, false) => format!(": {message}"),
        (true, true) => String::new(),
    }
}

fn listed(violations: &[Violation]) -> String {
    let all: Vec<_> =
        violations.iter().map(|bad| format!("{}: {}", bad.field, bad.description)).collect();
    if all.is_empty() { "the request does not fit".to_owned() } else { all.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Timeouts, resets and pages of a proxy, as tonic reads them.
    #[test]
    fn what_has_no_reason_is_no_answer_of_holdfast() {
        for code in [
            Code::Cancelled,
            Code::Unknown,
            Code::DeadlineExceeded,
            Code::ResourceExhausted,
            Code::Aborted,
            Code::Unimplemented,
            Code::Internal,
            Code::Unavailable,
            Code::DataLoss,
        ] {
            let error = Error::from_status(&Status::new(code, "502 Bad Gateway"));
            assert!(matches!(error, Error::Unreachable(_)) && error.is_transient(), "{error:?}");
        }
    }

    #[test]
    fn silence_is_told_once_and_is_known_again() {
        let silent = silence("it does not answer".to_owned());
        assert!(is_silence(&silent));
        assert!(!is_silence(&Status::unavailable("it does not answer")));
        let said = Error::from_status(&silent).to_string();
        assert_eq!(said, "no replica of Holdfast answers: it does not answer");
    }
}
