//! The moment at which a Hold stream says that its lease is lost, whether or not the engine does: its
//! own timer, so that a stalled driver cannot make a holder believe in a lease that is over.

use crate::clock;
use holdfast_engine::{Grant, Instant, lost_at};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Sleep;

/// The engine knows better why a lease is lost: it has this part of the time that is left to say so.
const GRACE: u32 = 4;

/// A deadline that renewals push forward; none before the grant.
#[derive(Debug, Default)]
pub(super) struct Guard {
    armed: Option<(Instant, Pin<Box<Sleep>>)>,
    valid_until: Instant,
}

impl Guard {
    /// For a lease as it was granted or renewed last.
    pub(super) fn arm(&mut self, grant: &Grant, now: Instant) {
        self.valid_until = grant.valid_until;
        let lost_at = lost_at(grant.valid_until, grant.ttl);
        let due = lost_at + grant.valid_until.since(lost_at) / GRACE;
        let pause = due.since(now);
        match &mut self.armed {
            Some((armed, sleep)) => {
                *armed = due;
                sleep.as_mut().reset(tokio::time::Instant::now() + pause);
            }
            None => self.armed = Some((due, Box::pin(tokio::time::sleep(pause)))),
        }
    }

    /// Was a lease told?
    pub(super) fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// Is it time?
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.armed.as_ref().is_some_and(|(due, _)| now >= *due)
    }

    /// Resolves when nobody may rely on the lease any more.
    pub(super) async fn expired(self) {
        loop {
            let left = self.valid_until.since(clock::now().boot);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
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
    use holdfast_engine::Ballot;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test]
    async fn it_is_due_a_little_after_the_engine_and_moves_with_each_renewal() {
        let mut guard = Guard::default();
        let began = clock::now().boot;
        assert!(!guard.is_due(began));
        let ttl = Duration::from_millis(100);
        for valid_for in [40, 80] {
            let valid_until = began + Duration::from_millis(valid_for);
            guard.arm(&Grant { token: Ballot(1), valid_until, votes: 2, ttl }, began);
        }

        poll_fn(|cx| guard.poll(cx)).await;

        let took = clock::now().boot.since(began);
        assert!(took >= Duration::from_millis(65), "{took:?}");
        assert!(!guard.is_due(began + Duration::from_millis(64)));
        assert!(guard.is_due(began + Duration::from_millis(65)));
        guard.expired().await;
        assert!(clock::now().boot >= began + Duration::from_millis(80));
    }
}
