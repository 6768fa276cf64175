//! A master's wall clock steps: its keys expire too soon, or too late.
//!
//! Every replica can notice: its links and all replicas are well meanwhile. It steps back only after an
//! incident is on record there: a clock that goes and comes back before anybody looks is what no protocol
//! can know of.

use std::time::Duration;

use anyhow::ensure;

use crate::deployment::{Deployment, REPLICAS};
use crate::history::Recorder;
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

/// How long a step may stay unnoticed on a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);

/// How long until TIME shows the step.
const STEPPED_WITHIN: Duration = Duration::from_secs(2);
/// What may pass meanwhile, and be lost to rounding; less than the least step.
const LEEWAY_SECONDS: u64 = 3;

#[derive(Debug)]
pub(super) struct MasterClock {
    pub(super) master: usize,
    pub(super) offset_ms: i64,
}

impl Fault for MasterClock {
    fn what(&self) -> String {
        format!("step the clock of master {} by {} ms", self.master, self.offset_ms)
    }

    fn parts(&self) -> Vec<Part> {
        let links = (0..REPLICAS).map(|replica| Part::Link(replica, self.master));
        let replicas = (0..REPLICAS).map(Part::Replica);
        [Part::Master(self.master)].into_iter().chain(links).chain(replicas).collect()
    }

    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        _: &'a Recorder,
    ) -> Doing<'a, String> {
        Box::pin(async move {
            let server = &deployment.masters[self.master];
            let incident = async || -> Option<u64> {
                let incident = server.command(&["HEXISTS", "holdfast:st", "q"]).await;
                incident.ok().filter(|exists| *exists == 1)
            };
            ensure!(incident().await.is_none(), "master {} has an incident already", self.master);
            let before: (u64, u64) = server.command(&["TIME"]).await?;
            deployment.step_master(self.master, self.offset_ms)?;
            // Valkey answers with the time at which it last looked.
            let asked_for = self.offset_ms.unsigned_abs() / 1_000;
            let stepped = evidence::seen(STEPPED_WITHIN, async || {
                let after: (u64, u64) = server.command(&["TIME"]).await.ok()?;
                let stepped = after.0.abs_diff(before.0).abs_diff(asked_for) < LEEWAY_SECONDS;
                stepped.then(|| format!("its TIME went from {} to {} s", before.0, after.0))
            });
            let stepped = stepped.await?;
            let noticed = evidence::seen(NOTICED_WITHIN, async || {
                incident().await.map(|_| "an incident is on record".to_owned())
            });
            Ok(format!("{stepped}, {}", noticed.await?))
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move { deployment.step_master(self.master, 0) })
    }
}
