//! What a customer is told who gets nothing: 409 where trying again does not help, 503 where it does.

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_client::Error;
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) enum Problem {
    SoldOut,
    NoSuchItem,
    NoCount,
    /// Somebody with a higher token has written: the lock was lost before the write.
    Late,
    Database(String),
    Lock(Error),
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::SoldOut => StatusCode::CONFLICT,
            Self::NoSuchItem => StatusCode::NOT_FOUND,
            Self::NoCount => StatusCode::BAD_REQUEST,
            Self::Lock(Error::Invalid(_)) => StatusCode::BAD_REQUEST,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Late | Self::Lock(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(&self) -> Value {
        match self {
            Self::SoldOut => json!({ "problem": "sold out" }),
            Self::NoSuchItem => json!({ "problem": "there is no such item" }),
            Self::NoCount => json!({ "problem": "the body is no count" }),
            Self::Late => json!({ "problem": "the lock was lost" }),
            Self::Database(why) => json!({ "problem": "the database", "detail": why }),
            Self::Lock(error) => said_of_the_lock(error),
        }
    }
}

fn said_of_the_lock(error: &Error) -> Value {
    let detail = error.to_string();
    match error {
        Error::Busy(held) => json!({
            "problem": "busy",
            "detail": detail,
            "held_by": held.holder,
            "token": held.fencing_token,
            "remaining_ms": held.remaining.map(|remaining| remaining.as_millis() as u64),
            "waiters": held.waiters,
        }),
        Error::NoQuorum { masters, .. } => {
            json!({ "problem": "no quorum", "detail": detail, "masters": masters })
        }
        Error::Lost(_) => json!({ "problem": "the lock was lost", "detail": detail }),
        _ => json!({ "problem": "the lock service", "detail": detail }),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, body) = (self.status(), Json(self.body()));
        let later: [(HeaderName, &str); 1] = [(header::RETRY_AFTER, "1")];
        match status {
            StatusCode::SERVICE_UNAVAILABLE => (status, later, body).into_response(),
            _ => (status, body).into_response(),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Lock(error)
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}
