//! The oracle for errors: which code goes with which reason, and what must come with it, by the table at
//! the head of `lock_service.proto`.

use crate::hunt::Verdict;
use crate::rules::Wrong;
use holdfast_proto::errors::{DOMAIN, REASON_TRAILER};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The table.
const REASONS: [(Code, &str); 13] = [
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::InvalidArgument, "MALFORMED_MESSAGE"),
    (Code::FailedPrecondition, "LEASE_LOST"),
    (Code::Aborted, "SUPERSEDED"),
    (Code::Unavailable, "NO_QUORUM"),
    (Code::Unavailable, "SERVER_DRAINING"),
    (Code::ResourceExhausted, "QUEUE_FULL"),
    (Code::ResourceExhausted, "TOO_MANY_STREAMS"),
    (Code::ResourceExhausted, "RATE_LIMITED"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
];
/// What HTTP/2 peers accept as headers, with room for those of the transport.
const MOST_HEADER_BYTES: usize = 7_168;

/// Is this an error of the contract, whichever?
pub fn in_the_contract(status: &Status) -> Verdict {
    let reason = status.metadata().get(REASON_TRAILER).and_then(|value| value.to_str().ok());
    let Some(reason) = reason else {
        return Err(format!("an error without {REASON_TRAILER}: {status:?}"));
    };
    if !REASONS.contains(&(status.code(), reason)) {
        return Err(format!("{:?} {reason} is not in the contract: {status:?}", status.code()));
    }
    if let Some(info) = status.get_details_error_info()
        && (info.domain != DOMAIN || info.reason != reason)
    {
        return Err(format!("details and trailer tell different reasons: {status:?}"));
    }
    if status.message().is_empty() || !status.message().is_ascii() {
        return Err(format!("the message is not printable everywhere: {status:?}"));
    }
    let bytes = status.message().len() + status.details().len() * 4 / 3;
    if bytes > MOST_HEADER_BYTES {
        return Err(format!("{bytes} bytes of headers are too many for some clients: {status:?}"));
    }
    if reason == "INVALID_ARGUMENT" && violations(status).is_empty() {
        return Err(format!("INVALID_ARGUMENT names no field: {status:?}"));
    }
    Ok(())
}

/// Is this the refusal of a message with exactly these fields wrong?
pub fn refuses(status: &Status, wrong: &Wrong) -> Verdict {
    in_the_contract(status)?;
    let named = violations(status);
    if status.code() != Code::InvalidArgument || named != *wrong {
        return Err(format!("{wrong:?} are wrong, {named:?} are named: {status:?}"));
    }
    match named.iter().find(|field| !status.message().contains(field.as_str())) {
        Some(field) if status.message().len() < 512 => {
            Err(format!("the message does not name {field}: {status:?}"))
        }
        _ => Ok(()),
    }
}

/// The fields that an INVALID_ARGUMENT names.
pub fn violations(status: &Status) -> Wrong {
    let details = status.get_details_bad_request();
    let violations = details.map(|details| details.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use tonic::metadata::{MetadataMap, MetadataValue};
    use tonic_types::ErrorDetails;

    fn status(code: Code, reason: &'static str, fields: &[&str]) -> Status {
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        for field in fields {
            details.add_bad_request_violation(*field, "is wrong");
        }
        let mut trailers = MetadataMap::new();
        trailers.insert(REASON_TRAILER, MetadataValue::from_static(reason));
        let message = format!("wrong: {}", fields.join(" "));
        Status::with_error_details_and_metadata(code, message, details, trailers)
    }

    fn wrong(fields: &[&str]) -> Wrong {
        fields.iter().map(|field| (*field).to_owned()).collect()
    }

    #[test]
    fn what_the_table_lists_passes() {
        for (code, reason) in REASONS {
            assert_eq!(in_the_contract(&status(code, reason, &["ttl"])), Ok(()));
        }
        let two = status(Code::InvalidArgument, "INVALID_ARGUMENT", &["ttl", "wait"]);
        assert_eq!(refuses(&two, &wrong(&["wait", "ttl"])), Ok(()));
    }

    #[test]
    fn what_it_does_not_list_is_found() {
        for (code, reason) in [
            (Code::Unknown, "INVALID_ARGUMENT"),
            (Code::Internal, "INTERNAL"),
            (Code::InvalidArgument, "LEASE_LOST"),
            (Code::Cancelled, "DEADLINE_EXCEEDED"),
        ] {
            assert!(in_the_contract(&status(code, reason, &["ttl"])).is_err(), "{code:?}");
        }
        assert!(in_the_contract(&Status::unknown("transport error")).is_err());
        assert!(in_the_contract(&Status::invalid_argument("no reason")).is_err());
    }

    #[test]
    fn a_field_that_is_not_named_is_found() {
        let named = |fields| status(Code::InvalidArgument, "INVALID_ARGUMENT", fields);
        assert!(in_the_contract(&named(&[])).is_err());
        assert!(refuses(&named(&["ttl"]), &wrong(&["ttl", "wait"])).is_err());
        assert!(refuses(&named(&["ttl", "wait"]), &wrong(&["ttl"])).is_err());
    }
}
