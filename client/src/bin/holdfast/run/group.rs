//! CMD and what it starts: one process group, and the certainty that nothing of it runs any more.
//!
//! Orphans of the group become children of this process (a "child subreaper"), so that the end of each
//! one is seen, and no signal ever goes to a group whose number is somebody else's by then. Elsewhere
//! than on Linux they do not, and what CMD leaves behind lives on.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, getpid, kill_process_group,
    waitid, waitpgid,
};

/// The group. Its leader is CMD.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Pid,
    keeper: Pid,
    code: Option<u8>,
    /// Its number may be somebody else's.
    over: bool,
}

/// How the group fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    /// CMD was stopped, by the terminal for example.
    Stopped,
    /// CMD has just ended. Others may still run.
    LeaderEnded,
    /// CMD has ended, and others still run.
    Lingering,
    /// Nothing of it runs.
    Over,
}

impl Group {
    /// Starts CMD. `keeper` is a child that others look after.
    pub(crate) fn start(command: &mut Command, keeper: Pid) -> io::Result<Self> {
        adopt_orphans()?;
        let child = command.process_group(0).spawn()?;
        Ok(Self { leader: Pid::from_child(&child), keeper, code: None, over: false })
    }

    /// Its number, which is that of its leader.
    pub(crate) fn id(&self) -> Pid {
        self.leader
    }

    /// CMD's exit code, 128 and the signal if it died of one; once it has ended.
    pub(crate) fn code(&self) -> Option<u8> {
        self.code
    }

    /// Sends a signal to all of it.
    pub(crate) fn signal(&self, signal: Signal) {
        // A group that is over has nobody to signal, and one that may not be signalled has changed its
        // user; neither can be helped.
        let _ = kill_process_group(self.leader, signal);
    }

    /// Looks after it; to be called at the end of every child.
    pub(crate) fn poll(&mut self) -> io::Result<Stage> {
        if self.code.is_some() {
            return self.linger();
        }
        self.bury_orphans();
        // It stays as it is until the terminal has been taken back from its group.
        let any = WaitIdOptions::EXITED | WaitIdOptions::STOPPED;
        let look = WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match retry(|| waitid(WaitId::Pid(self.leader), any | look))? {
            None => Ok(Stage::Running),
            Some(status) if status.stopped() => {
                // Told once. If it has ended in between, the next look shows it.
                let told = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
                let _ = waitid(WaitId::Pid(self.leader), told);
                Ok(Stage::Stopped)
            }
            Some(ended) => {
                self.code = Some(code_of(&ended));
                Ok(Stage::LeaderEnded)
            }
        }
    }

    fn linger(&mut self) -> io::Result<Stage> {
        loop {
            match retry(|| waitpgid(self.leader, WaitOptions::NOHANG)) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Stage::Lingering),
                Err(Errno::CHILD) => {
                    self.over = true;
                    return Ok(Stage::Over);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Orphans, of this group or not, that have ended. Not the leader, which may end at any moment.
    fn bury_orphans(&self) {
        let children = format!("/proc/self/task/{}/children", getpid());
        // Where there is no such file, they wait for the end of this process.
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let pids = children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        for pid in pids.filter(|pid| *pid != self.leader && *pid != self.keeper) {
            // It runs on, or is gone already.
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::NOHANG | WaitIdOptions::EXITED);
        }
    }
}

/// Whatever goes wrong, nothing of it runs on without somebody who looks after it.
impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            self.signal(Signal::KILL);
        }
    }
}

fn code_of(status: &WaitIdStatus) -> u8 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal).unwrap_or(1) as u8
}

fn retry<T>(call: impl Fn() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(call)
}

#[cfg(target_os = "linux")]
fn adopt_orphans() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(getpid()))?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans() -> io::Result<()> {
    Ok(())
}
