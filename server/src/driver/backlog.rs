//! How many messages wait for the driver. A stream that says much is not read while there are too many: its
//! client's sends stand still, and nothing piles up here.
//!
//! Deliberately absent: single calls. The transport bounds how many are under way.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// With so many streams are not read. What the driver takes in within some hundredths of a second.
const MANY: usize = 4_096;
/// With so few they are read again.
const FEW: usize = MANY / 2;

/// One for the driver and all its callers. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Backlog(Arc<Inner>);

#[derive(Default)]
struct Inner {
    messages: AtomicUsize,
    /// There is somebody to be woken.
    awaited: AtomicBool,
    asleep: Mutex<Vec<Waker>>,
}

impl Backlog {
    /// One more.
    pub(super) fn sent(&self) {
        self.0.messages.fetch_add(1, Ordering::SeqCst);
    }

    /// One less.
    pub(super) fn taken(&self) {
        let left = self.0.messages.fetch_sub(1, Ordering::SeqCst) - 1;
        if left <= FEW && self.0.awaited.swap(false, Ordering::SeqCst) {
            let asleep = std::mem::take(&mut *self.asleep());
            asleep.into_iter().for_each(Waker::wake);
        }
    }

    /// Is there room for what a stream says?
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        self.asleep().push(cx.waker().clone());
        self.0.awaited.store(true, Ordering::SeqCst);
        // What the driver took in before it could see that it is awaited.
        if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn has_room(&self) -> bool {
        self.0.messages.load(Ordering::SeqCst) < MANY
    }

    fn asleep(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.0.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Backlog").field(&self.0.messages).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker;
    use std::future::poll_fn;

    #[tokio::test]
    async fn streams_wait_until_the_driver_has_caught_up() {
        let backlog = Backlog::default();
        (1..MANY).for_each(|_| backlog.sent());
        poll_fn(|cx| backlog.poll_room(cx)).await;
        backlog.sent();
        assert!(backlog.poll_room(&Context::from_waker(&noop_waker())).is_pending());
        let driver = backlog.clone();
        let stream = tokio::spawn(async move { poll_fn(|cx| backlog.poll_room(cx)).await });
        tokio::task::yield_now().await;
        (FEW + 1..MANY).for_each(|_| driver.taken());
        tokio::task::yield_now().await;
        assert!(!stream.is_finished(), "not for one message each");
        driver.taken();
        stream.await.unwrap();
    }
}
