//! Links on which nothing arrives although nothing breaks: in both directions, or replies only, so that a
//! replica cannot know what a master did. What was held back arrives at the end, or is lost.

use crate::deployment::Deployment;
use crate::history::Recorder;
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};

#[derive(Debug)]
pub(super) struct LinkHung {
    /// Replica and master.
    pub(super) links: Vec<(usize, usize)>,
    pub(super) direction: Direction,
    pub(super) end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Both,
    Replies,
}

/// What becomes of what was held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Arrives,
    Lost,
}

impl Direction {
    pub(super) fn word(self) -> &'static str {
        match self {
            Direction::Both => "everything",
            Direction::Replies => "replies",
        }
    }
}

impl End {
    pub(super) fn word(self) -> &'static str {
        match self {
            End::Arrives => "deliver",
            End::Lost => "lose",
        }
    }
}

impl Fault for LinkHung {
    fn what(&self) -> String {
        let (end, what) = (self.end.word(), self.direction.word());
        format!("hold back and {end} {what} on the links (replica, master) {:?}", self.links)
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
                match self.direction {
                    Direction::Both => link.hang(),
                    Direction::Replies => link.hang_replies(),
                }
            }
            evidence::disturbed(&links).await
        })
    }

    fn heal<'a>(&'a mut self, deployment: &'a mut Deployment, _: &'a Recorder) -> Doing<'a, ()> {
        Box::pin(async move {
            for (replica, master) in &self.links {
                let link = &mut deployment.links[*replica][*master];
                if self.end == End::Lost {
                    link.cut().await;
                }
                link.resume()?;
            }
            Ok(())
        })
    }
}
