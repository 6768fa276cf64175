//! The moment at which a Hold stream says that its lease is lost, whether or not the engine does: its
//! own timer, so that a stalled driver cannot make a holder believe in a lease that is over.

use crate::clock;
use holdfast_engine::Instant;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// The engine knows better why a lease is lost, and says so first unless it is stalled.
const GRACE: Duration = Duration::from_millis(5);

/// A deadline that renewals push forward; none before the grant.
#[derive(Debug, Default)]
pub(super) struct Guard {
    armed: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Guard {
    /// A lease that the engine calls lost at `lost_at`.
    pub(super) fn arm(&mut self, lost_at: Instant, now: Instant) {
        let due = lost_at + GRACE;
        let pause = due.since(now);
        match &mut self.armed {
            Some((armed, sleep)) => {
                *armed = due;
                sleep.as_mut().reset(tokio::time::Instant::now() + pause);
            }
            None => self.armed = Some((due, Box::pin(tokio::time::sleep(pause)))),
        }
    }

    /// Is it time?
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.armed.as_ref().is_some_and(|(due, _)| now >= *due)
    }

    /// Resolves when it is time. The runtime's clock does not count suspend, so ours is asked at every
    /// poll, whoever woke the stream.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = clock::now().boot;
            if self.is_due(now) {
                return Poll::Ready(());
            }
            let Some((due, sleep)) = &mut self.armed else { return Poll::Pending };
            ready!(sleep.as_mut().poll(cx));
            // The runtime's clock runs faster than ours.
            sleep.as_mut().reset(tokio::time::Instant::now() + due.since(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn it_is_due_a_little_after_the_engine_and_moves_with_each_renewal() {
        let mut guard = Guard::default();
        let began = clock::now().boot;
        assert!(!guard.is_due(began));
        guard.arm(began + Duration::from_millis(20), began);
        guard.arm(began + Duration::from_millis(60), began);

        poll_fn(|cx| guard.poll(cx)).await;

        let took = clock::now().boot.since(began);
        assert!(took >= Duration::from_millis(65), "{took:?}");
        assert!(!guard.is_due(began + Duration::from_millis(64)));
        assert!(guard.is_due(began + Duration::from_millis(65)));
    }
}
