//! The masters: independent voting units behind one interface.
//!
//! A backend implements [`Connector`] and [`Link`] and passes the conformance suite in
//! `tests/tests/conformance.rs`; nothing else knows which one it is. [`redis`] is what users run,
//! [`memory`] is the embedded default and the simulator's master.
//!
//! Neither judges: what an answer means is the engine's business.

pub mod memory;
pub mod redis;

use futures_util::future::BoxFuture;
use holdfast_engine::{Ask, Down, Notice, Reply, Resource, Session};
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// What the text of [`holdfast_engine::Standing::Misfit`] begins with; then the fields that differ.
pub const MISFIT: &str = "configuration differs: ";

/// Makes connections to one configured master.
pub trait Connector: Send + 'static {
    /// Connects, and finds out who answers and whether it is fit to vote. `events` is told what
    /// happens on its own on this connection.
    fn connect(
        &mut self,
        events: UnboundedSender<Event>,
    ) -> BoxFuture<'_, Result<Connection, Down>>;
}

/// A live connection to one process.
pub struct Connection {
    /// Who answers.
    pub session: Session,
    /// The way to it.
    pub link: Box<dyn Link>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("session", &self.session).finish_non_exhaustive()
    }
}

/// An ordered connection: of two asks about one resource, the one sent later is executed later. It is
/// never repaired; dropping it closes it.
pub trait Link: Send {
    /// Sends all of them in one write, at once (before the future is first polled or on
    /// its first poll). Resolves with one reply each, in the same order; a reply that cannot come
    /// any more is [`holdfast_engine::Body::Unknown`]. Does not time out by itself.
    fn send(&mut self, asks: Vec<Ask>) -> BoxFuture<'static, Vec<Reply>>;

    /// Notices about this resource arrive as [`Event::Notice`] once [`Event::Subscribed`] did.
    fn subscribe(&mut self, resource: &Resource);

    /// They need not any more.
    fn unsubscribe(&mut self, resource: &Resource);
}

/// What happens on a connection without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Notices about this resource arrive from now on.
    Subscribed(Resource),
    /// Another replica, or this one, says what happened to a resource.
    Notice(Resource, Notice),
    /// The process is older than it was: its machine was restored from a snapshot.
    Rewound,
    /// What an operator should know of this process, which may vote all the same; `None`: nothing any more.
    Remark(Option<Arc<str>>),
    /// The connection is of no more use: lost, or the process behind it is not what it was.
    Closed(Down),
}
