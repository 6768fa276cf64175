//! The stream's side of a Hold. Dropping it, whatever the reason, tells the replica that the client has
//! gone.

use super::handle::{Handle, Message};
use super::outbox::Listener;
use holdfast_engine::{CallId, Hangup, HoldEvent, Instant};
use std::task::{Context, Poll};

/// One open Hold.
#[derive(Debug)]
pub struct Session {
    id: CallId,
    handle: Handle,
    listener: Listener,
    faulty: bool,
}

impl Session {
    pub(super) fn new(id: CallId, handle: Handle, listener: Listener) -> Self {
        Self { id, handle, listener, faulty: false }
    }

    /// Ready, if the next message may be read.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.handle.poll_room(cx)
    }

    /// The client is alive, and asks for a renewal.
    pub fn heartbeat(&self, sequence: u64, received: Instant) {
        self.send(Message::Heartbeat(self.id, sequence, received));
    }

    /// The client gives the lock back; the answer comes as an event.
    pub fn release(&self) {
        self.send(Message::ReleaseHold(self.id));
    }

    /// The client broke the rules of its stream, and may still rely on its lease: that stays for its ttl.
    pub fn fail(&mut self) {
        self.faulty = true;
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
        let how = match self.listener.told() {
            false => Hangup::Unread,
            true if self.faulty => Hangup::Fault,
            true => Hangup::Gone,
        };
        self.send(Message::Hangup(self.id, how));
    }
}
