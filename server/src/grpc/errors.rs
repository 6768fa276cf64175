//! The one map from everything that can go wrong to a gRPC status: a code, a reason, its details, and
//! the trailers that repeat them. What each reason means stands at the head of `lock_service.proto`.
//!
//! Deliberately absent: logging, and the answers that are no errors.

use super::convert::Violations;
use super::limits::{Exhausted, Scope, What};
use super::masters::{MasterNames, ascii};
pub use super::refusal::{Lost, Refusal};
use crate::auth::Denied;
use holdfast_engine::{Loss, MasterAnswer};
use holdfast_proto::errors::{DOMAIN, REASON_TRAILER, RETRY_AFTER_TRAILER, reason};
use std::collections::HashMap;
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// INTERNAL: a fault of this server, never of the request.
pub const INTERNAL: &str = "INTERNAL";
/// The ErrorInfo metadata of LEASE_LOST: why, in the words of LeaseLostReason.
pub const LOST_REASON: &str = "lost_reason";

/// How long to wait before asking again for a quorum: about what a failover of a connection takes.
const RETRY_NO_QUORUM: Duration = Duration::from_millis(250);
/// The same for a place in a queue that is full.
const RETRY_QUEUE: Duration = Duration::from_secs(1);
/// Longest status message: with its details it must fit into headers that every client accepts.
const MAX_MESSAGE_BYTES: usize = 512;

impl Refusal {
    /// The status that says so.
    pub fn to_status(&self, masters: &MasterNames) -> Status {
        match self {
            Self::Invalid(violations) => invalid(violations),
            Self::LeaseLost(lost) => lease_lost(*lost),
            Self::Superseded => refused(
                Code::Aborted,
                reason::SUPERSEDED,
                "a newer call with the same lease_id took this call's place",
            ),
            Self::QueueFull => exhausted(
                reason::QUEUE_FULL,
                "too many calls wait for this resource on this replica",
                RETRY_QUEUE,
            ),
            Self::NoQuorum(answers) => no_quorum(answers, masters),
            Self::OutOfTime => out_of_time(),
            Self::Draining => refused(
                Code::Unavailable,
                reason::SERVER_DRAINING,
                "this replica is going away: use another one",
            ),
            Self::Exhausted(exhausted) => too_much(*exhausted),
            Self::Denied(denied) => permission_denied(denied),
            Self::Unreadable(status) => unreadable(status),
            Self::Misanswered => internal(),
        }
    }
}

/// A status with a reason and nothing else.
pub(super) fn refused(code: Code, reason: &'static str, message: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    build(code, reason, message, details)
}

/// A bound of this replica, or of the caller, was reached.
pub(crate) fn too_much(of: Exhausted) -> Status {
    let (reason, what) = match of.what {
        What::Requests => (reason::RATE_LIMITED, "too many calls and messages in a second"),
        What::Waiters => (reason::QUEUE_FULL, "too many calls wait"),
        What::Streams => (reason::TOO_MANY_STREAMS, "too many streams are open"),
        What::Leases => (reason::TOO_MANY_LEASES, "too many leases have not ended"),
    };
    let whose = match of.scope {
        Scope::Replica => "on this replica",
        Scope::Identity => "of this caller on this replica",
    };
    exhausted(reason, &format!("{what} {whose}"), of.retry_after)
}

fn exhausted(reason: &'static str, message: &str, retry_after: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    details.set_retry_info(Some(retry_after));
    build(Code::ResourceExhausted, reason, message, details)
}

/// Nobody proved to be the caller.
pub(super) fn unauthenticated(why: &str) -> Status {
    refused(Code::Unauthenticated, reason::UNAUTHENTICATED, why)
}

fn permission_denied(denied: &Denied) -> Status {
    let mut metadata = HashMap::from([
        ("identity".to_owned(), denied.caller.to_string()),
        ("permission".to_owned(), denied.permission.to_string()),
    ]);
    metadata.extend(denied.resource.clone().map(|resource| ("resource".to_owned(), resource)));
    let details = ErrorDetails::with_error_info(reason::PERMISSION_DENIED, DOMAIN, metadata);
    build(Code::PermissionDenied, reason::PERMISSION_DENIED, &denied.to_string(), details)
}

/// The bytes are no message of the contract.
pub(super) fn malformed(message: &str) -> Status {
    refused(Code::InvalidArgument, reason::MALFORMED_MESSAGE, message)
}

/// A message of a stream that has begun could not be read. The decoder's own statuses speak the
/// contract already; what tonic says of frames does not, and no layer sees it.
fn unreadable(status: &Status) -> Status {
    if status.metadata().contains_key(REASON_TRAILER) {
        return status.clone();
    }
    match status.code() {
        Code::OutOfRange => malformed("the message is larger than this server accepts"),
        Code::Cancelled | Code::DeadlineExceeded => out_of_time(),
        _ => malformed(&format!("a message could not be read: {}", status.message())),
    }
}

/// The deadline of the call came first.
pub(super) fn out_of_time() -> Status {
    refused(
        Code::DeadlineExceeded,
        reason::DEADLINE_EXCEEDED,
        "the deadline came first; the outcome is unknown: retry with the same lease_id",
    )
}

/// A fault of this server. What it was is in its log.
pub(super) fn internal() -> Status {
    refused(Code::Internal, INTERNAL, "a fault of this server; its log says more")
}

fn invalid(violations: &Violations) -> Status {
    let text = |v: &super::convert::Violation| format!("{}: {}", v.field, v.description);
    let message = violations.iter().map(text).collect::<Vec<_>>().join("; ");
    let mut details =
        ErrorDetails::with_error_info(reason::INVALID_ARGUMENT, DOMAIN, HashMap::new());
    for violation in violations.iter() {
        details.add_bad_request_violation(violation.field.as_ref(), violation.description.as_ref());
    }
    build(Code::InvalidArgument, reason::INVALID_ARGUMENT, &message, details)
}

fn lease_lost(lost: Lost) -> Status {
    let (why, message) = match lost {
        Lost::Told(Loss::Gone) => {
            ("EXPIRED", "the lease of this token expired, was released, or never was")
        }
        Lost::Told(Loss::Taken) => ("TAKEN", "another lease holds the resource"),
        Lost::Told(Loss::Revoked) => ("REVOKED", "an administrator took the lease back"),
        Lost::Told(Loss::MaxHold) => ("MAX_HOLD", "the lease has been held for max_hold"),
        Lost::TooLate => ("EXPIRED", "nothing was left of the lease when this was written"),
    };
    let metadata = HashMap::from([(LOST_REASON.to_owned(), why.to_owned())]);
    let details = ErrorDetails::with_error_info(reason::LEASE_LOST, DOMAIN, metadata);
    build(Code::FailedPrecondition, reason::LEASE_LOST, message, details)
}

fn no_quorum(answers: &[MasterAnswer], masters: &MasterNames) -> Status {
    let told: Vec<(String, String)> = answers
        .iter()
        .map(|answer| (masters.name(answer.master).to_owned(), masters.brief(&answer.answer)))
        .collect();
    let message = if told.is_empty() {
        "no attempt could be made or finished: this replica's clock does not fit those of the \
         masters, or the time was over between two attempts"
            .to_owned()
    } else {
        let each: Vec<String> = told.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        format!("too few masters voted: {}", each.join("; "))
    };
    let mut details =
        ErrorDetails::with_error_info(reason::NO_QUORUM, DOMAIN, HashMap::from_iter(told));
    details.set_retry_info(Some(RETRY_NO_QUORUM));
    build(Code::Unavailable, reason::NO_QUORUM, &message, details)
}

/// Every status of this server is built here.
fn build(code: Code, reason: &'static str, message: &str, details: ErrorDetails) -> Status {
    let retry_after = details.retry_info().and_then(|info| info.retry_delay);
    let message = ascii(message, MAX_MESSAGE_BYTES);
    let mut status = Status::with_error_details(code, message, details);
    let trailers = status.metadata_mut();
    trailers.insert(REASON_TRAILER, MetadataValue::from_static(reason));
    if let Some(after) = retry_after {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        trailers.insert(RETRY_AFTER_TRAILER, MetadataValue::from(millis));
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Caller, Permission};
    use crate::driver::Closed;
    use crate::grpc::convert::Violation;
    use holdfast_engine::{Answer, MasterId, Outcome};

    fn masters() -> MasterNames {
        MasterNames::new([
            ("a".to_owned(), vec!["10.0.0.1:6379".to_owned()]),
            ("b".to_owned(), Vec::new()),
        ])
    }

    fn answers() -> Vec<MasterAnswer> {
        let refused = "10.0.0.1:6379: connection refused".to_owned();
        vec![
            MasterAnswer { master: MasterId(0), answer: refused },
            MasterAnswer { master: MasterId(1), answer: "voted for it".to_owned() },
        ]
    }

    fn violations() -> Violations {
        [
            Violation { field: "resource".into(), description: "must be 1 to 512 bytes".into() },
            Violation { field: "ttl".into(), description: "must be 100ms to 1m".into() },
        ]
        .into_iter()
        .collect()
    }

    fn too_many(what: What) -> Refusal {
        let retry_after = Duration::from_millis(7);
        Refusal::Exhausted(Exhausted { what, scope: Scope::Identity, retry_after })
    }

    fn denied() -> Denied {
        let resource = Some("orders/42".to_owned());
        Denied { caller: Caller::Anyone, permission: Permission::ForceRelease, resource }
    }

    fn foreign(code: Code) -> Refusal {
        Refusal::Unreadable(Status::new(code, "tonic's own words"))
    }

    #[test]
    fn each_refusal_has_its_code_reason_details_and_trailers() {
        for (refusal, code, reason) in [
            (Refusal::Invalid(violations()), Code::InvalidArgument, "INVALID_ARGUMENT"),
            (Refusal::LeaseLost(Lost::TooLate), Code::FailedPrecondition, "LEASE_LOST"),
            (Answer::Lost(Loss::Taken).into(), Code::FailedPrecondition, "LEASE_LOST"),
            (Answer::Superseded.into(), Code::Aborted, "SUPERSEDED"),
            (Answer::QueueFull.into(), Code::ResourceExhausted, "QUEUE_FULL"),
            (Answer::NoQuorum(answers()).into(), Code::Unavailable, "NO_QUORUM"),
            (Answer::NoQuorum(Vec::new()).into(), Code::Unavailable, "NO_QUORUM"),
            (Answer::OutOfTime.into(), Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            (Answer::Draining.into(), Code::Unavailable, "SERVER_DRAINING"),
            (Closed.into(), Code::Unavailable, "SERVER_DRAINING"),
            (too_many(What::Requests), Code::ResourceExhausted, "RATE_LIMITED"),
            (too_many(What::Waiters), Code::ResourceExhausted, "QUEUE_FULL"),
            (too_many(What::Streams), Code::ResourceExhausted, "TOO_MANY_STREAMS"),
            (too_many(What::Leases), Code::ResourceExhausted, "TOO_MANY_LEASES"),
            (denied().into(), Code::PermissionDenied, "PERMISSION_DENIED"),
            (foreign(Code::OutOfRange), Code::InvalidArgument, "MALFORMED_MESSAGE"),
            (foreign(Code::Internal), Code::InvalidArgument, "MALFORMED_MESSAGE"),
            (Refusal::Unreadable(malformed("ours")), Code::InvalidArgument, "MALFORMED_MESSAGE"),
            (Answer::Released(Outcome::Released).into(), Code::Internal, "INTERNAL"),
        ] {
            let status = refusal.to_status(&masters());

            assert_eq!(status.code(), code, "{refusal:?}");
            assert_eq!(status.metadata().get(REASON_TRAILER).unwrap(), reason);
            let info = status.get_details_error_info().unwrap();
            assert_eq!((info.domain.as_str(), info.reason.as_str()), (DOMAIN, reason));
            assert!(!status.message().is_empty() && status.message().is_ascii(), "{status:?}");
            let retry = status.metadata().get(RETRY_AFTER_TRAILER);
            let again = reason == "NO_QUORUM" || code == Code::ResourceExhausted;
            assert_eq!(retry.is_some(), again, "{refusal:?}");
        }
    }

    #[test]
    fn a_denial_names_what_was_missing() {
        let status = Refusal::from(denied()).to_status(&masters());
        let said = status.get_details_error_info().unwrap().metadata;
        let said = ["identity", "permission", "resource"].map(|key| said[key].as_str());
        assert_eq!(said, ["anyone", "force-release", "orders/42"]);
        assert!(status.message().contains("force-release"), "{}", status.message());
    }

    #[test]
    fn every_violation_is_listed() {
        let status = Refusal::Invalid(violations()).to_status(&masters());

        let listed = status.get_details_bad_request().unwrap().field_violations;
        let fields: Vec<_> = listed.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["resource", "ttl"]);
        assert_eq!(listed[1].description, "must be 100ms to 1m");
        assert!(status.message().contains("resource") && status.message().contains("ttl"));
    }

    #[test]
    fn no_quorum_says_how_each_master_answered_by_name() {
        let status = Refusal::NoQuorum(answers()).to_status(&masters());

        let told = status.get_details_error_info().unwrap().metadata;
        assert_eq!(told["a"], "a: connection refused");
        assert_eq!(told["b"], "voted for it");
        assert!(!format!("{status:?}").contains("10.0.0.1"));
        let after = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(after, Some(RETRY_NO_QUORUM));
        assert_eq!(status.metadata().get(RETRY_AFTER_TRAILER).unwrap(), "250");
    }

    #[test]
    fn no_quorum_without_answers_says_why() {
        let status = Refusal::NoQuorum(Vec::new()).to_status(&masters());
        assert!(status.message().contains("clock"), "{}", status.message());
    }

    #[test]
    fn a_lost_lease_says_how() {
        for (lost, why) in [
            (Lost::Told(Loss::Gone), "EXPIRED"),
            (Lost::Told(Loss::Taken), "TAKEN"),
            (Lost::Told(Loss::Revoked), "REVOKED"),
            (Lost::Told(Loss::MaxHold), "MAX_HOLD"),
            (Lost::TooLate, "EXPIRED"),
        ] {
            let status = Refusal::LeaseLost(lost).to_status(&masters());
            assert_eq!(status.get_details_error_info().unwrap().metadata[LOST_REASON], why);
        }
    }
}
