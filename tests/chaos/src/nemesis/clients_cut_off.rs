//! The connections of all clients to a replica break, and new ones are refused: streams end, and clients
//! go elsewhere.

use anyhow::ensure;

use crate::deployment::Deployment;
use crate::history::{Event, Recorder};
use crate::nemesis::fault::{Doing, Fault, Part};

#[derive(Debug)]
pub(super) struct ClientsCutOff {
    pub(super) replica: usize,
}

impl Fault for ClientsCutOff {
    fn what(&self) -> String {
        format!("cut all clients off replica {}", self.replica)
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part::Front(self.replica), Part::Replica(self.replica)]
    }

    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        recorder: &'a Recorder,
    ) -> Doing<'a, String> {
        Box::pin(async move {
            recorder.record(Event::Severing { replica: self.replica });
            let broken = deployment.fronts[self.replica].cut().await;
            ensure!(broken > 0, "no connection was there to break");
            Ok(format!("{broken} connections broke"))
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move { deployment.fronts[self.replica].resume() })
    }
}
