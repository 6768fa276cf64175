//! What all faults have in common.

use std::collections::HashSet;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Result;

use crate::deployment::Deployment;
use crate::history::Recorder;

/// What a fault befalls; nothing is in two faults at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Master(usize),
    Replica(usize),
    /// Between a replica and a master.
    Link(usize, usize),
    /// Between the clients and a replica.
    Front(usize),
    Client(usize),
}

/// Something that is done to a deployment, later.
pub(crate) type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A fault that befalls certain parts.
pub(crate) trait Fault: Send {
    /// What it does to what.
    fn what(&self) -> String;

    /// What must be well before, and is left alone by others meanwhile.
    fn parts(&self) -> Vec<Part>;

    /// Does it, and says by what it is seen that it happened. An error: it did not, or nobody saw it.
    fn inject<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        recorder: &'a Recorder,
    ) -> Doing<'a, String>;

    /// Undoes it.
    fn heal<'a>(
        &'a mut self,
        deployment: &'a mut Deployment,
        recorder: &'a Recorder,
    ) -> Doing<'a, ()>;
}

/// A fault, and how long it is to last.
pub(crate) struct Plan {
    pub(crate) fault: Box<dyn Fault>,
    pub(crate) lasts: Duration,
    /// How many masters should vote before.
    pub(crate) votes_wanted: usize,
}

impl Plan {
    pub(crate) fn is_possible(&self, busy: &HashSet<Part>) -> bool {
        self.fault.parts().iter().all(|part| !busy.contains(part))
    }
}
