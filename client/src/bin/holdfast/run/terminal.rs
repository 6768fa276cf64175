//! The terminal, lent to CMD's group while it runs, so that CMD can read from it and gets its signals.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getpgrp, kill_current_process_group, setrlimit,
};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::group::Group;
use super::own_program;
use crate::exit::Failure;

/// The terminal of this session.
#[derive(Debug)]
pub(crate) struct Terminal {
    file: File,
    /// This process's group.
    own: Pid,
}

impl Terminal {
    /// `None`: there is none.
    pub(crate) fn own() -> Option<Self> {
        Some(Self { file: open().ok()?, own: getpgrp() })
    }

    /// Lends it to the group, if it is this process's own, and lets the group go on. Once: what it does
    /// at once, such as stopping itself, must not be undone.
    pub(crate) fn lend(&self, group: &Group) {
        if self.is_ours() {
            // Refused: it learns that when it reads.
            let _ = tcsetpgrp(&self.file, group.id());
        }
        group.signal(Signal::CONT);
    }

    /// Takes it back from a group whose leader has ended and still has its number; whether it had it.
    ///
    /// Who is not in the foreground is stopped for trying (SIGTTOU), and no safe call ignores that. A
    /// process of the group it is taken from may give it away.
    pub(crate) fn take_back(&self, group: &Group) -> bool {
        if !tcgetpgrp(&self.file).is_ok_and(|foreground| foreground == group.id()) {
            return false;
        }
        if let Ok(mut helper) = own_program() {
            helper.arg("foreground").arg(self.own.as_raw_nonzero().to_string());
            // An interactive shell helps itself; others cannot be helped.
            let _ = helper.process_group(group.id().as_raw_nonzero().get()).status();
        }
        true
    }

    /// CMD was stopped: so does this job, as the shell expects. It comes back when the shell lets it go
    /// on, or at once if it is CMD that wants a terminal that is this job's.
    pub(crate) fn stop_with(&self) {
        if !self.is_ours() {
            // The keeper, in a group of its own, goes on and keeps the lock. Where no shell could let
            // this go on the kernel does not stop it.
            let _ = kill_current_process_group(Signal::TSTP);
        }
    }

    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.file).is_ok_and(|foreground| foreground == self.own)
    }
}

/// Whatever stdin is.
fn open() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

/// The hidden command that gives the terminal to a group, from within the one that has it.
pub(crate) fn foreground(group: i32) -> Result<u8, Failure> {
    let group = Pid::from_raw(group).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    tcsetpgrp(open()?, group).map_err(io::Error::from)?;
    Ok(0)
}

/// Dies of a signal that CMD died of at the terminal, so that a loop around it ends as well. This
/// process's group, a script perhaps, would have got it, too, had CMD not had the terminal. Comes back if
/// that cannot be done.
pub(crate) fn die_of(signal: i32) {
    // A new program has none of this one's handlers. One core is enough, and that is CMD's.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    let _ = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("kill -{signal} 0; exit {}", 128 + signal))
        .exec();
}
