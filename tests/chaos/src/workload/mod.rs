//! How the service is used while it is broken: by processes of their own, through the public API.
//!
//! One file a way to use it. Every client process does all of them at once, in tasks.

pub(crate) mod client;
pub(crate) mod process;

mod acquire;
mod campaign;
mod hold;
mod probe;
mod queue;
mod watch;

mod context;
mod resources;
mod tenure;

pub(crate) use client::Role;
pub(crate) use probe::BOUND as PROBE_BOUND;
pub(crate) use process::ClientProcess;
