//! The stream's side of a Hold. Dropping it, whatever the reason, tells the replica that the client has
//! gone.

use super::handle::{Handle, Message};
use super::outbox::Listener;
use holdfast_engine::{CallId, HoldEvent, Instant};
use std::task::{Context, Poll};

/// One open Hold.
#[derive(Debug)]
pub struct Session {
    id: CallId,
    handle: Handle,
    listener: Listener,
}

impl Session {
    pub(super) fn new(id: CallId, handle: Handle, listener: Listener) -> Self {
        Self { id, handle, listener }
    }

    /// The client is alive, and asks for a renewal.
    pub fn heartbeat(&self, sequence: u64, received: Instant) {
        self.send(Message::Heartbeat(self.id, sequence, received));
    }

    /// The client gives the lock back; the answer comes as an event.
    pub fn release(&self) {
        self.send(Message::ReleaseHold(self.id));
    }

    /// The next event; `None`: there will be no more.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<HoldEvent>> {
        self.listener.poll_event(cx)
    }

    fn send(&self, message: Message) {
        // A driver that has gone says so by the end of the events.
        let _ = self.handle.send(message);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.send(Message::Hangup(self.id, self.listener.told()));
    }
}
