//! Masters that forget everything and live on: FLUSHALL.

use anyhow::{Context, ensure};

use crate::deployment::Deployment;
use crate::history::Recorder;
use crate::nemesis::fault::{Doing, Fault, Part};

#[derive(Debug)]
pub(super) struct MasterFlushed {
    pub(super) masters: Vec<usize>,
}

impl Fault for MasterFlushed {
    fn what(&self) -> String {
        format!("flush masters {:?}", self.masters)
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
                let server = &deployment.masters[*master];
                let keys: u64 = server.command(&["DBSIZE"]).await?;
                ensure!(keys > 0, "master {master} has nothing to forget");
                server.flush().await?;
                let flushes: String = server.command(&["INFO", "commandstats"]).await?;
                let stats = flushes.lines().find(|line| line.starts_with("cmdstat_flushall"));
                let stats = stats.context("the master knows of no FLUSHALL")?;
                let calls = stats.split(',').next().unwrap_or(stats);
                evidence.push(format!("master {master} forgot {keys} keys ({calls})"));
            }
            Ok(evidence.join(", "))
        })
    }

    /// What is forgotten stays forgotten.
    fn heal<'a>(&'a mut self, _: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
