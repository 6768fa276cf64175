//! A replica ends, by SIGKILL or after a drain, and comes back a while later.

use std::time::Duration;

use rustix::process::Signal;

use crate::deployment::Deployment;
use crate::history::Recorder;
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

/// How long a drain may take: its own bound is 2 s.
const DRAINED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct ReplicaStopped {
    pub(super) replica: usize,
    pub(super) how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Killed,
    Drained,
}

impl Fault for ReplicaStopped {
    fn what(&self) -> String {
        let how = match self.how {
            How::Killed => "kill",
            How::Drained => "drain",
        };
        format!("{how} replica {} and restart it", self.replica)
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part::Replica(self.replica)]
    }

    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        _: &'a Recorder,
    ) -> Doing<'a, String> {
        Box::pin(async move {
            let replica = &mut deployment.replicas[self.replica];
            let pid = replica.process().id();
            match self.how {
                How::Killed => {
                    replica.kill()?;
                    evidence::gone(pid)
                }
                How::Drained => {
                    replica.process().signal(Signal::TERM)?;
                    let status = replica.wait_exit(DRAINED_WITHIN).await?;
                    Ok(format!("{}, {status}", evidence::gone(pid)?))
                }
            }
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move { deployment.replicas[self.replica].restart().await })
    }
}
