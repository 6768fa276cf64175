//! `holdfast run`: a command that runs only while a lock is held.
//!
//! ```text
//!   shell ── holdfast run ──────────── CMD and what it starts        (a process group of its own)
//!              │  pipe: events, deadlines
//!              └─ holdfast keep ── heartbeats ── a replica
//! ```
//!
//! Two processes, each of which stops CMD when the other one cannot. The keeper takes the lock and renews
//! it; the parent knows the deadline of every renewal (CLOCK_BOOTTIME, so that it means the same to both)
//! and ends CMD's process group before it. So CMD is stopped in time when
//! - the lock is lost: by the parent; by the keeper, should the parent be frozen;
//! - the keeper is killed or frozen: by the parent, at the last deadline it was told;
//! - the parent is killed: by the keeper, at the end of the pipe, and only then is the lock given back.
//!
//! What is not covered: a process that left the group (setsid), one that may not be signalled (another
//! user's), and both processes killed or frozen at once. Therefore fencing tokens.

mod command;
mod ward;

mod events;
mod signals;

mod group;
mod partner;
mod schedule;
mod terminal;

mod keeper;

mod boottime;
mod wire;

pub(crate) use command::{Run, run};
pub(crate) use keeper::keep;
pub(crate) use terminal::foreground;
