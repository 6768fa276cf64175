//! The way to one master, while there is one: what goes out with the next write, and whose the replies are.

use crate::masters::Link;
use holdfast_engine::{Ask, Down, Instant, MasterId, Reply};
use std::sync::Arc;
use tokio::sync::Notify;

/// The way to one master.
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) link: Option<Box<dyn Link>>,
    /// Replies of an earlier connection are nobody's.
    pub(super) generation: u64,
    pub(super) reset: Arc<Notify>,
    /// What goes out with the next write.
    pub(super) batch: Vec<Ask>,
    /// What was last logged about it, so that it is logged once.
    pub(super) said: Option<Down>,
}

/// One write and what came back.
pub(super) struct Batch {
    pub(super) master: MasterId,
    pub(super) generation: u64,
    pub(super) sent: Instant,
    pub(super) ids: Vec<u64>,
    pub(super) replies: Vec<Reply>,
}

impl Slot {
    pub(super) fn new(name: String) -> Self {
        let reset = Arc::default();
        Self { name, link: None, generation: 0, reset, batch: Vec::new(), said: None }
    }

    pub(super) fn close(&mut self) {
        self.link = None;
        self.generation += 1;
        self.batch.clear();
    }
}
