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
//! The leader of the group is stopped until the keeper has confirmed that it knows of the group, and only
//! then becomes CMD. Until it is told of one, the keeper keeps the lock for one ttl at most.
//!
//! When the group is empty, what left it is killed by the parent, daemons included: it adopts all orphans.
//! What is not covered: a process that left the group (setsid), if the parent is killed or frozen; one
//! that may not be signalled (another user's); and both processes killed or frozen at once, where only CMD
//! itself dies with its parent. Therefore fencing tokens.

mod command;
mod ward;

mod begin;

mod events;
mod notes;
mod signals;

mod group;
mod partner;
mod schedule;
mod terminal;

mod keeper;

mod boottime;
mod wire;

pub(crate) use begin::{Begin, begin};
pub(crate) use command::{Run, run};
pub(crate) use keeper::keep;
pub(crate) use terminal::foreground;

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::secret::TOKEN;

/// This program, to be run again; the same one even if it has been replaced by a newer one since.
fn own_program() -> std::io::Result<Command> {
    let mut command = if cfg!(target_os = "linux") {
        Command::new("/proc/self/exe")
    } else {
        Command::new(std::env::current_exe()?)
    };
    // The keeper is told it through a pipe, and CMD has none of it.
    command.arg0("holdfast").env_remove(TOKEN);
    Ok(command)
}
