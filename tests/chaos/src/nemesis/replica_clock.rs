//! A replica's wall clock steps: it would draw ballots of another day. It must notice, end the leases it
//! serves, and propose nothing until its clock is right. It reaches the masters meanwhile: by their clocks
//! it knows.

use std::time::Duration;

use crate::deployment::{Deployment, MASTERS};
use crate::history::Recorder;
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

/// How long a step may stay unnoticed on a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct ReplicaClock {
    pub(super) replica: usize,
    pub(super) offset_ms: i64,
}

impl Fault for ReplicaClock {
    fn what(&self) -> String {
        format!("step the clock of replica {} by {} ms", self.replica, self.offset_ms)
    }

    fn parts(&self) -> Vec<Part> {
        let links = (0..MASTERS).map(|master| Part::Link(self.replica, master));
        [Part::Replica(self.replica)].into_iter().chain(links).collect()
    }

    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        _: &'a Recorder,
    ) -> Doing<'a, String> {
        Box::pin(async move {
            let replica = &deployment.replicas[self.replica];
            deployment.step_replica(self.replica, self.offset_ms)?;
            evidence::seen(NOTICED_WITHIN, async || {
                let answer = replica.http_get("/readyz").await.ok()?;
                let complains = answer.status == 503 && answer.body.contains("clock");
                complains.then(|| "it is not ready because of its clock".to_owned())
            })
            .await
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move { deployment.step_replica(self.replica, 0) })
    }
}
