//! Masters in this process's memory: the embedded default, and what the simulator and the
//! protocol traces run on. What they hold dies with the process.
//!
//! `state` is what a master holds and what may happen to it, `script` is how it is asked; one
//! file each for what the scripts do, the counterparts of the Lua files, bound to them by the
//! conformance and differential tests. All are pure: the caller brings the time. `link` is the
//! way to a master that several replicas of one process share.
//!
//! Source: docs/protocol.md.

mod acquire;
mod extend;
mod give_back;
mod link;
mod quarantine;
mod repair;
mod script;
mod state;

pub use link::{MemoryConnector, dev_masters};
pub use state::MemoryMaster;
