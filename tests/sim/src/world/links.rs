//! The ways between replicas and masters: what the driver writes is picked up here.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdfast_engine::{Ask, MasterId, Reply, Resource, RunId};
use holdfast_server::masters::Link;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// A connection's name.
pub(super) type LinkId = u64;

/// What a driver did with a connection.
#[derive(Debug)]
pub(super) enum Written {
    /// One write.
    Asks(LinkId, Vec<Ask>, oneshot::Sender<Vec<Reply>>),
    /// Notices of this resource are wanted.
    Subscribe(LinkId, Resource),
    /// They are not any more.
    Unsubscribe(LinkId, Resource),
    /// It was closed.
    Closed(LinkId),
}

/// What was written and not picked up. The lock is never contended: there is one thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox(Arc<Mutex<Vec<Written>>>);

impl Outbox {
    fn push(&self, written: Written) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(written);
    }

    /// Picks it up.
    pub(super) fn take(&self) -> Vec<Written> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The driver's end of a connection.
#[derive(Debug)]
pub(super) struct SimLink {
    id: LinkId,
    outbox: Outbox,
}

impl SimLink {
    pub(super) fn new(id: LinkId, outbox: Outbox) -> Self {
        Self { id, outbox }
    }
}

impl Link for SimLink {
    fn send(&mut self, asks: Vec<Ask>) -> BoxFuture<'static, Vec<Reply>> {
        let (reply, replied) = oneshot::channel();
        let count = asks.len();
        self.outbox.push(Written::Asks(self.id, asks, reply));
        async move {
            let unknown = || (0..count).map(|_| Reply::unknown("connection closed")).collect();
            replied.await.unwrap_or_else(|_| unknown())
        }
        .boxed()
    }

    fn subscribe(&mut self, resource: &Resource) {
        self.outbox.push(Written::Subscribe(self.id, resource.clone()));
    }

    fn unsubscribe(&mut self, resource: &Resource) {
        self.outbox.push(Written::Unsubscribe(self.id, resource.clone()));
    }
}

impl Drop for SimLink {
    fn drop(&mut self) {
        self.outbox.push(Written::Closed(self.id));
    }
}

/// The world's end of it.
#[derive(Debug)]
pub(super) struct Way {
    /// Between this replica,
    pub replica: usize,
    /// its incarnation,
    pub incarnation: u32,
    /// this master,
    pub master: MasterId,
    /// and this process of it.
    pub run: RunId,
    /// Notices that are wanted.
    pub resources: BTreeSet<Resource>,
    /// What is sent later arrives later, if messages keep their order.
    pub last_arrival: u64,
    /// The same for the way back.
    pub last_return: u64,
}

/// What becomes of messages on a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cut {
    /// Nothing reaches the master.
    pub there: bool,
    /// Nothing comes back.
    pub back: bool,
}
