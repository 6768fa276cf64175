//! A client process dies with everything it holds and waits for; another one takes its place.

use crate::deployment::Deployment;
use crate::history::{Event, Recorder};
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

#[derive(Debug)]
pub(super) struct ClientKilled {
    pub(super) client: usize,
}

impl Fault for ClientKilled {
    fn what(&self) -> String {
        format!("kill client process {} and start another", self.client)
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part::Client(self.client)]
    }

    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        recorder: &'a Recorder,
    ) -> Doing<'a, String> {
        Box::pin(async move {
            let client = &mut deployment.clients[self.client];
            let pid = client.process().id();
            recorder.record(Event::Killing { process: client.name() });
            client.kill()?;
            evidence::gone(pid)
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move { deployment.clients[self.client].restart() })
    }
}
