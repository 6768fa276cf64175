//! The one place where the engine meets a runtime: calls and replies in, asks and answers out.
//!
//! One task owns the replica and the way to every master. Each time it wakes it takes everything
//! that waits, lets the replica decide, and sends each master what is for it in one write. Answers
//! go out at quorum; stragglers settle without a task each; one timer serves all deadlines.
//!
//! `handle` is the callers' side, `backlog` what waits between, `calls` that of a stream of calls, `session` that of a Hold and `watch` that of a watch, `outbox` what a
//! Hold is told, `history` what watches have seen; `core` is the driver itself, `slot` the way to one master, `witness` what telemetry hears, `supervisor` keeps one master connected, `task` is the loop.
//! Deliberately absent: decisions. They are the engine's.

mod backlog;
mod calls;
mod core;
mod handle;
mod history;
mod outbox;
mod session;
mod slot;
mod supervisor;
mod task;
mod watch;
mod witness;

pub use calls::Calls;
pub use core::{Arrival, Core, LinkEvent};
pub use handle::{Closed, Handle};
pub use history::{End, History, Term};
pub use session::Session;
pub use task::spawn;
pub use watch::Watch;
