//! The terminal, lent to CMD's group while it runs, so that CMD can read from it and gets its signals.

use std::io::{self, IsTerminal, stdin};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, getpgrp, kill_current_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::group::Group;
use crate::exit::Failure;

/// The terminal that stdin is.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// This process's group.
    own: Pid,
    /// Found out before the binary can be replaced.
    program: PathBuf,
}

impl Terminal {
    /// `None`: stdin is none, and nothing needs to be done.
    pub(crate) fn of_stdin() -> Option<Self> {
        let program = std::env::current_exe().ok()?;
        stdin().is_terminal().then(|| Self { own: getpgrp(), program })
    }

    /// Lends it to the group, if it is this process's own. A read that came before was stopped, so the
    /// group goes on.
    pub(crate) fn lend(&self, group: &Group) {
        if self.is_ours() && tcsetpgrp(stdin(), group.id()).is_ok() {
            group.signal(Signal::CONT);
        }
    }

    /// Takes it back from a group whose leader has ended and still has its number.
    ///
    /// Who is not in the foreground is stopped for trying (SIGTTOU), and no safe call ignores that. A
    /// process of the group it is taken from may give it away.
    pub(crate) fn take_back(&self, group: &Group) {
        if !tcgetpgrp(stdin()).is_ok_and(|foreground| foreground == group.id()) {
            return;
        }
        let mut helper = Command::new(&self.program);
        helper.arg("foreground").arg(self.own.as_raw_nonzero().to_string());
        // An interactive shell helps itself; others cannot be helped.
        let _ = helper.process_group(group.id().as_raw_nonzero().get()).status();
    }

    /// CMD was stopped: so does this job, as the shell expects, and goes on with it.
    pub(crate) fn stop_with(&self, group: &Group) {
        if !self.is_ours() {
            // The keeper, in a group of its own, goes on and keeps the lock.
            let _ = kill_current_process_group(Signal::STOP);
        }
        self.lend(group);
        group.signal(Signal::CONT);
    }

    fn is_ours(&self) -> bool {
        tcgetpgrp(stdin()).is_ok_and(|foreground| foreground == self.own)
    }
}

/// The hidden command that gives the terminal to a group, from within the one that has it.
pub(crate) fn foreground(group: i32) -> Result<u8, Failure> {
    let group = Pid::from_raw(group).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    tcsetpgrp(stdin(), group).map_err(io::Error::from)?;
    Ok(0)
}
