//! What an answer says, in the words of a unary call's end.

use std::time::Duration;

use holdfast_proto::errors::{REASON_TRAILER, RETRY_AFTER_TRAILER};
use holdfast_proto::v1;
use holdfast_proto::v1::session_response::Result as Outcome;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::error::Error;
use crate::failure::Failure;
use crate::loss::LossReason;

/// Why an answer is not the one that was asked for.
pub(super) fn refused(outcome: Option<Outcome>) -> Failure {
    match outcome {
        Some(Outcome::Lost(lost)) => Error::Lost(LossReason::from_wire(lost.reason())).into(),
        Some(Outcome::Error(error)) => status(error).into(),
        _ => Error::contract("an answer to another question").into(),
    }
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
