//! What is measured: one module a system, with how its servers are started and how a worker locks.
//!
//! A new system is a variant of [`System`], a module with its servers, and one with its [`Worker`] if
//! there is a client for it in Rust.

mod servers;
mod shape;
mod system;
mod tenancy;

mod echo;
mod etcd;
mod holdfast;
mod rslock;
mod zookeeper;

use std::time::Duration;

use anyhow::Result;

pub use echo::{EchoOptions, echo};
pub(crate) use holdfast::{Guarded, start_guarded};
pub(crate) use servers::Servers;
pub(crate) use shape::Shape;
pub(crate) use system::System;
pub(crate) use tenancy::HELD;
pub use tenancy::{Tenancy, hold};

/// How long a lock of a slice lasts at most: long enough that none ends by itself.
pub(crate) const TTL: Duration = Duration::from_secs(10);

/// The same for locks that are only held, and not renewed, while others are measured.
pub(crate) const HELD_TTL: Duration = Duration::from_secs(3_600);

/// How many connections all workers share, where a system's client has one connection to a server.
const CONNECTIONS: usize = 2;

/// One of those who lock and unlock, in a loop.
pub(crate) trait Worker: Send + 'static {
    /// Waits until the lock is held.
    fn acquire(&mut self, resource: &str) -> impl Future<Output = Result<()>> + Send;

    /// Gives back what was acquired last.
    fn release(&mut self) -> impl Future<Output = Result<()>> + Send;
}
