//! CMD before it is CMD: a process that is the leader of its group, stopped, until the keeper knows of it.
//!
//! So there is no moment in which CMD runs and nobody but the parent could stop it.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getpid, getppid, kill_process};

use super::own_program;
use super::wire::Grant;
use crate::args::Global;
use crate::exit::{Failure, Kind};
use crate::output::Format;

/// The hidden command.
#[derive(Debug, clap::Args)]
pub(crate) struct Begin {
    parent: i32,
    #[arg(last = true, required = true, num_args = 1..)]
    command: Vec<OsString>,
}

/// The command line for it, with what CMD finds in its environment.
pub(super) fn prepared(
    global: &Global,
    resource: &str,
    grant: &Grant,
    words: &[OsString],
) -> io::Result<Command> {
    let format = match global.output {
        Format::Text => "text",
        Format::Json => "json",
    };
    let mut command = own_program()?;
    command
        .args(["begin", "--output", format])
        .arg(getpid().as_raw_nonzero().to_string())
        .arg("--")
        .args(words)
        .env("HOLDFAST_RESOURCE", resource)
        .env("HOLDFAST_LEASE_ID", &grant.lease_id)
        .env("HOLDFAST_FENCING_TOKEN", grant.fencing_token.to_string())
        .env("HOLDFAST_DEADLINE_MS", grant.deadline.unix_millis().to_string());
    Ok(command)
}

/// Comes back only if CMD cannot be run.
pub(crate) fn begin(args: Begin) -> Result<u8, Failure> {
    let Begin { parent, command } = args;
    let mut words = command.into_iter();
    let program = words.next().unwrap_or_default();
    die_with_parent()?;
    is_child_of(parent)?;
    kill_process(getpid(), Signal::STOP).map_err(io::Error::from)?;
    // Whoever lets a job go on whose parent has died is not meant.
    is_child_of(parent)?;
    let error = Command::new(&program).args(words).exec();
    let kind = match error.kind() {
        ErrorKind::NotFound => Kind::CommandNotFound,
        _ => Kind::CommandNotExecutable,
    };
    let program = program.to_string_lossy();
    Err(Failure::new(kind, format!("{program:?} cannot be run: {error}")))
}

fn is_child_of(parent: i32) -> Result<(), Failure> {
    if getppid() == Pid::from_raw(parent) {
        return Ok(());
    }
    Err(Failure::new(Kind::Refused, "the process that holds the lock has ended"))
}

/// CMD inherits that, unless it changes its user.
#[cfg(target_os = "linux")]
fn die_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}
