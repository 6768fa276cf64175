//! Masters that are there and say nothing: connections open, commands hang, and are carried out later.

use crate::deployment::Deployment;
use crate::history::Recorder;
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

#[derive(Debug)]
pub(super) struct MasterFrozen {
    pub(super) masters: Vec<usize>,
}

impl Fault for MasterFrozen {
    fn what(&self) -> String {
        format!("freeze masters {:?}", self.masters)
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
                deployment.masters[*master].freeze()?;
                evidence.push(evidence::stopped(deployment.masters[*master].process())?);
            }
            Ok(evidence.join(", "))
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move {
            self.masters.iter().try_for_each(|master| deployment.masters[*master].thaw())
        })
    }
}
