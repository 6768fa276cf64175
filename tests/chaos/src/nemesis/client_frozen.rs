//! A client process that stops in the middle of what it does, and goes on later without knowing.

use crate::deployment::Deployment;
use crate::history::Recorder;
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

#[derive(Debug)]
pub(super) struct ClientFrozen {
    pub(super) client: usize,
}

impl Fault for ClientFrozen {
    fn what(&self) -> String {
        format!("freeze client process {}", self.client)
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part::Client(self.client)]
    }

    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        _: &'a Recorder,
    ) -> Doing<'a, String> {
        Box::pin(async move {
            deployment.clients[self.client].process().freeze()?;
            evidence::stopped(deployment.clients[self.client].process())
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move { deployment.clients[self.client].process().thaw() })
    }
}
