//! Why a request is not answered: a status of HTTP, and a reason for the page in the words of the error contract.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use holdfast_proto::errors::REASON_TRAILER;
use serde_json::json;
use tonic::{Code, Status};

/// What the page is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) struct Failure {
    code: StatusCode,
    reason: String,
    message: String,
}

impl Failure {
    /// For this reason; `message` is for people.
    pub(in crate::admin) fn new(
        code: StatusCode,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into() }
    }

    /// What is said to people.
    pub(super) fn into_message(self) -> String {
        self.message
    }

    /// The request is none of this port's.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message)
    }

    /// Others are served, and that is all this replica does for dashboards.
    pub(in crate::admin) fn busy(message: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_STREAMS", message)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let reason = status.metadata().get(REASON_TRAILER).and_then(|it| it.to_str().ok());
        let reason = reason.unwrap_or_else(|| status.code().description());
        Self::new(http_code(status.code()), reason, status.message())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { code, reason, message } = self;
        (code, Json(json!({ "reason": reason, "message": message }))).into_response()
    }
}

fn http_code(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
