//! A master's process dies and another one takes its place: without any memory, with what was on disk, or
//! with an append-only file of a while ago. The new process has another identity, whatever it remembers.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::deployment::Deployment;
use crate::history::{Nanos, Recorder, now, seconds};
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

/// What the next process begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Empty,
    Disk,
    Old,
}

/// An append-only file of a while ago.
#[derive(Debug)]
pub(crate) struct OldFile {
    path: PathBuf,
    taken: Nanos,
}

impl OldFile {
    /// Copies what a master has on disk, in place of an older copy.
    pub(crate) fn take(deployment: &mut Deployment, master: usize) -> Result<()> {
        let path = deployment.masters[master].copy_of_disk()?;
        let file = OldFile { path, taken: now() };
        if let Some(older) = deployment.old_files[master].replace(file) {
            fs::remove_dir_all(older.path)?;
        }
        Ok(())
    }

    /// How old it is.
    pub(crate) fn age(&self) -> Nanos {
        now() - self.taken
    }
}

#[derive(Debug)]
pub(super) struct MasterKilled {
    pub(super) masters: Vec<usize>,
    pub(super) memory: Memory,
}

impl Fault for MasterKilled {
    fn what(&self) -> String {
        let with = match self.memory {
            Memory::Empty => "without memory",
            Memory::Disk => "from disk",
            Memory::Old => "from an old append-only file",
        };
        format!("kill masters {:?}, restart them {with}", self.masters)
    }

    fn parts(&self) -> Vec<Part> {
        self.masters.iter().copied().map(Part::Master).collect()
    }

    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        _: &'a Recorder,
    ) -> Doing<'a, String> {
        Box::pin(async move {
            let mut evidence = Vec::new();
            for master in &self.masters {
                let server = &mut deployment.masters[*master];
                let pid = server.process().id();
                server.kill()?;
                evidence.push(evidence::gone(pid)?);
                if self.memory == Memory::Old {
                    let old = deployment.old_files[*master].as_ref().context("no old file")?;
                    evidence.push(format!("its file is {:.0} s old", seconds(old.age())));
                }
            }
            Ok(evidence.join(", "))
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move {
            for master in &self.masters {
                let server = &mut deployment.masters[*master];
                match self.memory {
                    Memory::Empty => server.restart().await?,
                    Memory::Disk => server.restart_from_disk().await?,
                    Memory::Old => {
                        let old = deployment.old_files[*master].as_ref().context("no old file")?;
                        server.restart_from_copy(&old.path).await?;
                    }
                }
            }
            Ok(())
        })
    }
}
