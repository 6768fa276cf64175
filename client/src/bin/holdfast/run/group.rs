//! CMD and what it starts: one process group, and the certainty that nothing of it runs any more.
//!
//! Orphans become children of this process (a "child subreaper"), so that the end of each one is seen,
//! and no signal ever goes to a group whose number is somebody else's by then. Those that left the group
//! are killed when it is empty. Elsewhere than on Linux they are not, and what CMD leaves behind lives on.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, getpgid, getpid, kill_process,
    kill_process_group, waitid, waitpgid,
};

/// The group. Its leader is CMD.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Pid,
    /// Children of this process that are none of CMD's: the keeper, and those of a script that this
    /// process was once, before it became `holdfast` by `exec`.
    unrelated: Vec<Pid>,
    code: Option<u8>,
    /// The signal that CMD died of.
    died_of: Option<i32>,
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
    /// Starts a group with this leader.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        adopt_orphans()?;
        let unrelated = children().unwrap_or_default();
        let leader = Pid::from_child(&command.process_group(0).spawn()?);
        Ok(Self { leader, unrelated, code: None, died_of: None, over: false })
    }

    /// Its number, which is that of its leader.
    pub(crate) fn id(&self) -> Pid {
        self.leader
    }

    /// CMD's exit code, 128 and the signal if it died of one; once it has ended.
    pub(crate) fn code(&self) -> Option<u8> {
        self.code
    }

    /// The signal that CMD died of, once it has.
    pub(crate) fn died_of(&self) -> Option<i32> {
        self.died_of
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
                self.died_of = ended.terminating_signal();
                Ok(Stage::LeaderEnded)
            }
        }
    }

    /// The leader is not reaped, so that the number stays the group's own until this process has ended.
    fn linger(&mut self) -> io::Result<Stage> {
        let others = loop {
            let Some(others) = self.others() else { return self.linger_without_proc() };
            // What one that has ended left behind may have come here since.
            if others.iter().filter(|pid| buried(**pid)).count() == 0 {
                break others;
            }
        };
        let (members, strays): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|pid| self.has_member(*pid));
        if !members.is_empty() {
            return Ok(Stage::Lingering);
        }
        // They left the group, and have lost the one who started them. Not those of another user, for
        // whom nothing can be done.
        let killed = strays.into_iter().filter(|pid| kill_process(*pid, Signal::KILL).is_ok());
        if killed.count() > 0 {
            return Ok(Stage::Lingering);
        }
        self.over = true;
        Ok(Stage::Over)
    }

    /// Where nothing tells of the children: only those of the group, and the leader with them.
    fn linger_without_proc(&mut self) -> io::Result<Stage> {
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

    fn has_member(&self, pid: Pid) -> bool {
        getpgid(Some(pid)).is_ok_and(|group| group == self.leader)
    }

    /// Orphans, of this group or not, that have ended. Where nothing tells of them, they wait for the end
    /// of this process.
    fn bury_orphans(&self) {
        for pid in self.others().unwrap_or_default() {
            buried(pid);
        }
    }

    /// What CMD has left to this process. `None`: that cannot be known.
    fn others(&self) -> Option<Vec<Pid>> {
        let mut others = children()?;
        others.retain(|pid| *pid != self.leader && !self.unrelated.contains(pid));
        Some(others)
    }
}

/// The children of this process. `None`: that cannot be known.
fn children() -> Option<Vec<Pid>> {
    // The first thread's, who adopts orphans, and those of threads that may end at any moment.
    let mut children =
        std::fs::read_to_string(format!("/proc/self/task/{}/children", getpid())).ok()?;
    for thread in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        children.push(' ');
        children += &std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    }
    let pids = children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
    Some(pids.collect())
}

/// Whether a child has ended, and is reaped by that.
fn buried(pid: Pid) -> bool {
    let look = WaitIdOptions::NOHANG | WaitIdOptions::EXITED;
    !matches!(retry(|| waitid(WaitId::Pid(pid), look)), Ok(None))
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
