//! What is measured: one module a system, with how its servers are started and how a worker locks.
//!
//! A new system is a variant of [`System`], a module with its servers, and one with its [`Worker`] if
//! there is a client for it in Rust.

mod servers;
mod shape;
mod system;

mod echo;
mod etcd;
mod holdfast;
mod rslock;
mod zookeeper;

use anyhow::Result;

pub use echo::{EchoOptions, echo};
pub(crate) use servers::Servers;
pub(crate) use shape::Shape;
pub(crate) use system::System;

/// How long a lock of a slice lasts at most: long enough that none ends by itself.
pub(crate) const TTL_SECONDS: u64 = 10;

/// How many connections all workers share, where a system's client has one connection to a server.
pub(crate) const CONNECTIONS: usize = 2;

/// One of those who lock and unlock, in a loop.
pub(crate) trait Worker: Send + 'static {
    /// Waits until the lock is held.
    fn acquire(&mut self, resource: &str) -> impl Future<Output = Result<()>> + Send;

    /// Gives back what was acquired last.
    fn release(&mut self) -> impl Future<Output = Result<()>> + Send;
}
