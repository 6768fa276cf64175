//! How one try came to nothing.
//!
//! Deliberately absent: whether it is tried again (`replicas`), and what the caller is told (`error`).

use std::time::Duration;

use tonic::Status;

use crate::error::{self, Error};

/// Why a try, or a stream, is of no use any more.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the server or the transport says of its end.
    Status(Status),
    /// What the server said in an answer.
    Said(Error),
}

impl Failure {
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Status(status) => Error::from_status(status),
            Self::Said(error) => error.clone(),
        }
    }

    /// How long the server asks to wait.
    pub(crate) fn hint(&self) -> Duration {
        match self {
            Self::Status(status) => error::retry_after(status).unwrap_or_default(),
            Self::Said(_) => Duration::ZERO,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}
