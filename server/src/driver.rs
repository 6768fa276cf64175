//! Placeholder head.

use holdfast_engine::{Answer, Call, Status};
use std::time::Duration;

/// The way to the driver. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {}

/// The driver has ended: the process is going away.
#[derive(Debug, thiserror::Error)]
#[error("this replica is shutting down")]
pub struct Closed;

impl Handle {
    /// Has a call served. Dropping the future cancels it.
    pub async fn call(&self, _call: Call) -> Result<Answer, Closed> {
        std::future::pending().await
    }

    /// The replica's view of its masters and itself.
    pub async fn status(&self) -> Result<Status, Closed> {
        std::future::pending().await
    }

    /// Stops taking calls; waiters are told. Resolves when no call is left, or after `patience`.
    pub async fn drain(&self, _patience: Duration) {}
}
