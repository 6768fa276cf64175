//! The audit log: one line for every ForceRelease, whatever became of it.
//!
//! It owns the words of the line. That the line is shown is seen to by `telemetry`.

use crate::auth::Caller;
use crate::grpc::origin::Origin;
use crate::telemetry::AUDIT;
use holdfast_proto::errors::REASON_TRAILER;
use holdfast_proto::v1::{ForceReleaseRequest, ForceReleaseResponse};
use std::net::SocketAddr;
use tonic::{Request, Status};
use tracing::{info, warn};

/// Longest text of a request in the line, were it refused for its length.
const MAX_TEXT_BYTES: usize = 1_024;
/// What stands in the names of all outcomes.
const OUTCOME: &str = "FORCE_RELEASE_OUTCOME_";

/// A line that is written when this is dropped: also a call that was cancelled, or whose handler
/// panicked, may have taken a lock back.
#[derive(Debug)]
pub(super) struct Entry {
    resource: String,
    token: u64,
    immediate: bool,
    reason: String,
    caller: Caller,
    peer: Option<SocketAddr>,
    outcome: String,
    masters_changed: u32,
}

impl Entry {
    /// About this call, of which nobody knows yet what it will come to.
    pub(super) fn of(request: &Request<ForceReleaseRequest>) -> Self {
        let Origin { caller, address } = Origin::of(request);
        let request = request.get_ref();
        Self {
            resource: clipped(&request.resource),
            token: request.fencing_token,
            immediate: request.immediate,
            reason: clipped(&request.reason),
            caller,
            peer: address,
            outcome: "ABANDONED".to_owned(),
            masters_changed: 0,
        }
    }

    /// It came to this. An error is named by its reason.
    pub(super) fn conclude(mut self, answered: Result<&ForceReleaseResponse, &Status>) {
        match answered {
            Ok(response) => {
                let outcome = response.outcome().as_str_name();
                self.outcome = outcome.strip_prefix(OUTCOME).unwrap_or(outcome).to_owned();
                self.masters_changed = response.masters_changed;
            }
            Err(status) => {
                let reason = status.metadata().get(REASON_TRAILER);
                let reason = reason.and_then(|reason| reason.to_str().ok());
                self.outcome = reason.unwrap_or_else(|| status.code().description()).to_owned();
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // A level is a constant of the place that logs.
        macro_rules! write_at {
            ($level:ident) => {
                $level!(
                    target: AUDIT,
                    action = "force_release",
                    resource = self.resource.as_str(),
                    fencing_token = self.token,
                    immediate = self.immediate,
                    reason = self.reason.as_str(),
                    identity = self.caller.identity().map(|identity| &**identity),
                    peer = self.peer.map(tracing::field::display),
                    outcome = self.outcome.as_str(),
                    masters_changed = self.masters_changed,
                    "an operator took a lock back, or tried to"
                )
            };
        }
        if self.immediate { write_at!(warn) } else { write_at!(info) }
    }
}

/// The beginning of a text, if it is long.
fn clipped(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::errors::refused;
    use holdfast_proto::errors::reason;
    use holdfast_proto::v1::ForceReleaseOutcome;
    use serde_json::{Value, json};
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};
    use tonic::Code;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The one line that is written for `request`.
    fn line_of(request: ForceReleaseRequest, conclude: impl FnOnce(Entry)) -> Value {
        let lines = Lines::default();
        let written = lines.clone();
        let log = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || written.clone())
            .finish();
        let entry = Entry::of(&Request::new(request));
        tracing::subscriber::with_default(log, || conclude(entry));
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut line: Value = serde_json::from_str(&text).unwrap();
        line.as_object_mut().unwrap().remove("timestamp");
        line
    }

    fn request(immediate: bool) -> ForceReleaseRequest {
        ForceReleaseRequest {
            resource: "orders/42".to_owned(),
            fencing_token: 7,
            reason: "stuck\nfor hours".to_owned(),
            immediate,
        }
    }

    #[test]
    fn a_line_says_who_did_what_and_what_came_of_it() {
        let response = ForceReleaseResponse {
            outcome: ForceReleaseOutcome::Revoked.into(),
            masters_changed: 3,
            ..ForceReleaseResponse::default()
        };
        let expected = json!({
            "level": "INFO",
            "target": "holdfast::audit",
            "message": "an operator took a lock back, or tried to",
            "action": "force_release",
            "resource": "orders/42",
            "fencing_token": 7,
            "immediate": false,
            "reason": "stuck\nfor hours",
            "outcome": "REVOKED",
            "masters_changed": 3,
        });
        assert_eq!(line_of(request(false), |entry| entry.conclude(Ok(&response))), expected);
    }

    #[test]
    fn what_is_refused_or_abandoned_is_written_too() {
        let status = refused(Code::InvalidArgument, reason::INVALID_ARGUMENT, "no");
        let line = line_of(request(true), |entry| entry.conclude(Err(&status)));
        assert_eq!(
            (&line["level"], &line["outcome"]),
            (&json!("WARN"), &json!("INVALID_ARGUMENT"))
        );
        let line = line_of(request(false), drop);
        assert_eq!((&line["outcome"], &line["masters_changed"]), (&json!("ABANDONED"), &json!(0)));
    }

    #[test]
    fn the_peer_is_named_and_no_text_is_endless() {
        let mut request = Request::new(ForceReleaseRequest {
            resource: "\u{e9}".repeat(60_000),
            ..ForceReleaseRequest::default()
        });
        let address = Some(SocketAddr::from(([10, 0, 0, 1], 5)));
        let caller = Caller::default();
        request.extensions_mut().insert(Origin { caller, address });

        let entry = Entry::of(&request);

        assert_eq!((entry.peer, entry.resource.len()), (address, 1_024));
        assert_eq!(clipped(&format!("x{}", "\u{e9}".repeat(600))).len(), 1_023);
    }
}
