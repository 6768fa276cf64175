//! What an answer says, in the words of a unary call's end.

use std::time::Duration;

use holdfast_proto::errors::{REASON_TRAILER, RETRY_AFTER_TRAILER};
use holdfast_proto::v1;
use holdfast_proto::v1::session_response::Result as Outcome;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::error::{Error, Violation};
use crate::failure::Failure;
use crate::loss::LossReason;

/// Where a session's message has what a unary call asks for.
const WITHIN: [&str; 3] = ["acquire.acquire.", "extend.", "release."];

/// Why an answer is not the one that was asked for.
pub(super) fn refused(outcome: Option<Outcome>) -> Failure {
    match outcome {
        Some(Outcome::Lost(lost)) => Error::Lost(LossReason::from_wire(lost.reason())).into(),
        Some(Outcome::Error(error)) => {
            let status = status(error);
            match Error::from_status(&status) {
                Error::Invalid(bad) => {
                    Error::Invalid(bad.into_iter().map(of_the_call).collect()).into()
                }
                _ => status.into(),
            }
        }
        _ => Error::contract("an answer to another question").into(),
    }
}

fn of_the_call(bad: Violation) -> Violation {
    let inner = WITHIN.iter().find_map(|outer| bad.field.strip_prefix(outer));
    let field = inner.unwrap_or(&bad.field).to_owned();
    Violation { field, ..bad }
}

/// The status that a unary call would have ended with.
fn status(error: v1::LeaseError) -> Status {
    let v1::LeaseError { code, reason, message, retry_after, details } = error;
    let mut trailers = MetadataMap::new();
    if let Ok(reason) = reason.parse() {
        trailers.insert(REASON_TRAILER, reason);
    }
    if let Some(after) = retry_after.and_then(|after| Duration::try_from(after).ok()) {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        trailers.insert(RETRY_AFTER_TRAILER, millis.into());
    }
    Status::with_details_and_metadata(Code::from_i32(code), message, details.into(), trailers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_proto::errors::{DOMAIN, reason};
    use std::collections::HashMap;
    use tonic_types::{ErrorDetails, StatusExt};

    /// As the server writes both.
    fn on_a_stream(status: &Status) -> v1::LeaseError {
        let trailer = |name| status.metadata().get(name).map(|value| value.to_str().unwrap());
        let millis = trailer(RETRY_AFTER_TRAILER).map(|millis| millis.parse().unwrap());
        v1::LeaseError {
            code: status.code().into(),
            reason: trailer(REASON_TRAILER).unwrap().to_owned(),
            message: status.message().to_owned(),
            retry_after: millis.map(|millis| Duration::from_millis(millis).try_into().unwrap()),
            details: status.details().to_vec(),
        }
    }

    fn with(code: Code, reason: &'static str, details: ErrorDetails) -> Status {
        let mut status = Status::with_error_details(code, "for a test", details);
        status.metadata_mut().insert(REASON_TRAILER, reason.parse().unwrap());
        status
    }

    #[test]
    fn an_error_of_an_answer_is_that_of_a_status() {
        let masters = HashMap::from([("a".to_owned(), "silent".to_owned())]);
        let details = ErrorDetails::with_error_info(reason::NO_QUORUM, DOMAIN, masters);
        let mut status = with(Code::Unavailable, reason::NO_QUORUM, details);
        status.metadata_mut().insert(RETRY_AFTER_TRAILER, 250.into());
        let failure = refused(Some(Outcome::Error(on_a_stream(&status))));
        assert_eq!(failure.hint(), Duration::from_millis(250));
        let error = failure.error();
        assert_eq!(error.to_string(), "too few masters vote (a: silent)");
        let Error::NoQuorum { masters, .. } = error else { panic!("{error}") };
        assert_eq!(masters["a"], "silent");
    }

    #[test]
    fn no_quorum_without_answers_says_why() {
        let details = ErrorDetails::with_error_info(reason::NO_QUORUM, DOMAIN, HashMap::new());
        let status = with(Code::Unavailable, reason::NO_QUORUM, details);
        let error = refused(Some(Outcome::Error(on_a_stream(&status)))).error();
        assert_eq!(error.to_string(), "too few masters vote: for a test");
    }

    #[test]
    fn a_field_has_the_name_that_it_has_in_a_call() {
        for (field, name) in
            [("acquire.acquire.ttl", "ttl"), ("extend.ttl", "ttl"), ("request", "request")]
        {
            let details = ErrorDetails::with_bad_request_violation(field, "does not fit");
            let status = with(Code::InvalidArgument, reason::INVALID_ARGUMENT, details);
            let failure = refused(Some(Outcome::Error(on_a_stream(&status))));
            let Error::Invalid(bad) = failure.error() else { panic!("{failure:?}") };
            assert_eq!((bad[0].field.as_str(), &*bad[0].description), (name, "does not fit"));
        }
    }

    #[test]
    fn an_answer_to_nothing_is_refused() {
        let error = refused(None).error();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
}
