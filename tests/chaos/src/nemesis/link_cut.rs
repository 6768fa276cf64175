//! Connections between replicas and masters break, and new ones are refused.

use anyhow::ensure;

use crate::deployment::Deployment;
use crate::history::Recorder;
use crate::nemesis::fault::{Doing, Fault, Part};

#[derive(Debug)]
pub(super) struct LinkCut {
    /// Replica and master.
    pub(super) links: Vec<(usize, usize)>,
}

impl Fault for LinkCut {
    fn what(&self) -> String {
        format!("cut the links (replica, master) {:?}", self.links)
    }

    fn parts(&self) -> Vec<Part> {
        self.links.iter().map(|(replica, master)| Part::Link(*replica, *master)).collect()
    }

    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        _: &'a Recorder,
    ) -> Doing<'a, String> {
        Box::pin(async move {
            let mut broken = 0;
            for (replica, master) in &self.links {
                broken += deployment.links[*replica][*master].cut().await;
            }
            ensure!(broken > 0, "no connection was there to break");
            Ok(format!("{broken} connections broke"))
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move {
            let mut links = self.links.iter();
            links.try_for_each(|(replica, master)| deployment.links[*replica][*master].resume())
        })
    }
}
