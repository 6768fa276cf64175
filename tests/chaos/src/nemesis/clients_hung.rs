//! The connections of all clients to a replica stay, and nothing arrives on them: in both directions, or
//! replies only, so that a client cannot know whether it was granted what it asked for. What was held back
//! arrives at the end, or the connections break.

use crate::deployment::Deployment;
use crate::history::{Event, Recorder};
use crate::nemesis::evidence;
use crate::nemesis::fault::{Doing, Fault, Part};
use crate::nemesis::link_hung::{Direction, End};

#[derive(Debug)]
pub(super) struct ClientsHung {
    pub(super) replica: usize,
    pub(super) direction: Direction,
    pub(super) end: End,
}

impl Fault for ClientsHung {
    fn what(&self) -> String {
        let (end, what) = (self.end.word(), self.direction.word());
        format!("hold back and {end} {what} between all clients and replica {}", self.replica)
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part::Front(self.replica), Part::Replica(self.replica)]
    }

    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        _: &'a Recorder,
    ) -> Doing<'a, String> {
        Box::pin(async move {
            let front = &deployment.fronts[self.replica];
            let before = front.disturbed();
            match self.direction {
                Direction::Both => front.hang(),
                Direction::Replies => front.hang_replies(),
            }
            evidence::disturbed(&[(front, before)]).await
        })
    }

    fn heal<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        recorder: &'a Recorder,
    ) -> Doing<'a, ()> {
        Box::pin(async move {
            let front = &mut deployment.fronts[self.replica];
            if self.end == End::Lost {
                recorder.record(Event::Severing { replica: self.replica });
                front.cut().await;
            }
            front.resume()
        })
    }
}
