//! A replica that is there and says nothing, and goes on later as if nothing had been.

use crate::deployment::Deployment;
use crate::history::Recorder;
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

#[derive(Debug)]
pub(super) struct ReplicaFrozen {
    pub(super) replica: usize,
}

impl Fault for ReplicaFrozen {
    fn what(&self) -> String {
        format!("freeze replica {}", self.replica)
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
            deployment.replicas[self.replica].freeze()?;
            evidence::stopped(deployment.replicas[self.replica].process())
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move { deployment.replicas[self.replica].thaw() })
    }
}
