//! What the client of one Hold is told next, between the driver that says it and the stream that
//! writes it. A stream that is not read keeps the latest event of each kind and no more.

use holdfast_engine::HoldEvent;
use std::collections::VecDeque;
use std::fmt;
use std::mem::discriminant;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// The two ends of an outbox.
pub(super) fn outbox() -> (Teller, Listener) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    (Teller(Arc::clone(&shared)), Listener { shared, told: false })
}

/// The driver's end. Dropped, nothing more is said.
pub(super) struct Teller(Arc<Mutex<Shared>>);

/// The stream's end.
pub(super) struct Listener {
    shared: Arc<Mutex<Shared>>,
    told: bool,
}

#[derive(Default)]
struct Shared {
    events: VecDeque<HoldEvent>,
    closed: bool,
    waker: Option<Waker>,
}

impl Teller {
    pub(super) fn tell(&self, event: HoldEvent) {
        let mut shared = lock(&self.0);
        shared.events.retain(|other| !replaces(&event, other));
        shared.events.push_back(event);
        wake(shared);
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.closed = true;
        wake(shared);
    }
}

impl Listener {
    /// The next event; `None`: there will be no more.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<HoldEvent>> {
        let mut shared = lock(&self.shared);
        match shared.events.pop_front() {
            Some(event) => {
                self.told |= matches!(event, HoldEvent::Granted(_));
                Poll::Ready(Some(event))
            }
            None if shared.closed => Poll::Ready(None),
            None => {
                if !shared.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    shared.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// May the client know that the lease is its own?
    pub(super) fn told(&self) -> bool {
        self.told
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("told", &self.told).finish_non_exhaustive()
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller").finish_non_exhaustive()
    }
}

/// Is `older` of no interest any more once `newer` is said?
fn replaces(newer: &HoldEvent, older: &HoldEvent) -> bool {
    match (newer, older) {
        (HoldEvent::AtRisk { risk, .. }, HoldEvent::AtRisk { risk: other, .. }) => risk == other,
        _ => discriminant(newer) == discriminant(older),
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("nothing panics while it holds this")
}

/// Outside the lock: whoever wakes looks into the outbox at once.
fn wake(mut shared: MutexGuard<'_, Shared>) {
    let waker = shared.waker.take();
    drop(shared);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use holdfast_engine::{Instant, Risk};
    use std::future::poll_fn;

    fn at_risk(risk: Risk, votes: usize) -> HoldEvent {
        HoldEvent::AtRisk { risk, valid_until: Instant::default(), votes }
    }

    fn next(listener: &mut Listener) -> Option<Option<String>> {
        let event = poll_fn(|cx| listener.poll_event(cx)).now_or_never()?;
        Some(event.map(|event| format!("{event:?}")))
    }

    #[test]
    fn a_stream_that_is_not_read_keeps_the_latest_of_each_kind() {
        let (teller, mut listener) = outbox();
        for votes in 0..100 {
            teller.tell(HoldEvent::Queued { position: votes, held: None });
            teller.tell(at_risk(Risk::BareQuorum, votes));
            teller.tell(at_risk(Risk::RenewalLate, votes));
        }
        let read: Vec<_> = std::iter::from_fn(|| next(&mut listener).flatten()).collect();
        assert_eq!(read.len(), 3, "{read:?}");
        assert!(read.iter().all(|event| event.contains("99")), "{read:?}");
    }

    #[test]
    fn what_was_said_is_read_before_the_end() {
        let (teller, mut listener) = outbox();
        assert_eq!(next(&mut listener), None);
        teller.tell(at_risk(Risk::NoQuorum, 1));
        drop(teller);
        assert!(matches!(next(&mut listener), Some(Some(_))));
        assert_eq!(next(&mut listener), Some(None));
    }
}
