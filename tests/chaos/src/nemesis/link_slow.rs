//! Links on which everything arrives late.

use std::time::Duration;

use crate::deployment::Deployment;
use crate::history::Recorder;
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

#[derive(Debug)]
pub(super) struct LinkSlow {
    /// Replica and master.
    pub(super) links: Vec<(usize, usize)>,
    pub(super) delay: Duration,
}

impl Fault for LinkSlow {
    fn what(&self) -> String {
        format!("delay the links (replica, master) {:?} by {:?} each way", self.links, self.delay)
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
            let mut links = Vec::new();
            for (replica, master) in &self.links {
                let link = &deployment.links[*replica][*master];
                links.push((link, link.disturbed()));
                link.delay(self.delay);
            }
            evidence::disturbed(&links).await
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move {
            let mut links = self.links.iter();
            links.try_for_each(|(replica, master)| deployment.links[*replica][*master].resume())
        })
    }
}
