//! What all streams have in common: they are counted and bounded, run inside the span of their call,
//! and end at the deadline that their client set.
//!
//! Deliberately absent: what flows through them, which is each method's own.

use super::desk::Desk;
use super::errors::Refusal;
use crate::telemetry::{OpenStreams, StreamMethod};
use futures_util::Stream;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use tonic::Status;
use tonic::codegen::BoxStream;
use tracing::Span;

/// The streams that are open on this replica. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    most: usize,
    open: AtomicUsize,
    metrics: OpenStreams,
}

impl Streams {
    /// None is open, and never more than `most` are.
    pub fn new(most: usize) -> Self {
        let metrics = OpenStreams::new();
        Self(Arc::new(Counted { most, open: AtomicUsize::new(0), metrics }))
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// One more, until the guard is dropped.
    pub(super) fn enter(&self, method: StreamMethod) -> Result<Entered, Refusal> {
        let more = |open| (open < self.0.most).then_some(open + 1);
        self.0
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map_err(|_| Refusal::TooManyStreams)?;
        self.0.metrics.opened(method);
        Ok(Entered { streams: self.clone(), method })
    }
}

/// A stream that counts as open.
#[derive(Debug)]
pub(super) struct Entered {
    streams: Streams,
    method: StreamMethod,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.streams.0.open.fetch_sub(1, Ordering::Relaxed);
        self.streams.0.metrics.closed(self.method);
    }
}

/// A stream of responses under way.
pub struct Open<T> {
    /// Gone with its last item: what it holds is given back then, and not when the last bytes are out.
    flowing: Option<Flowing<T>>,
    span: Span,
}

struct Flowing<T> {
    messages: BoxStream<T>,
    /// Only if the client set one: ten thousand idle streams are ten thousand times this.
    deadline: Option<Pin<Box<Sleep>>>,
    desk: Arc<Desk>,
    entered: Entered,
}

impl<T> Open<T> {
    /// `messages`, whose client waits for `timeout`. It ends its call by itself then: this is for one that
    /// cannot, and later, so that no Hold is given back while its client relies on it.
    pub(super) fn new(
        (desk, entered, span): (Arc<Desk>, Entered, Span),
        timeout: Option<Duration>,
        messages: BoxStream<T>,
    ) -> Self {
        let late = |timeout: Duration| timeout + timeout / 50;
        let deadline = timeout.map(|timeout| Box::pin(tokio::time::sleep(late(timeout))));
        Self { flowing: Some(Flowing { messages, deadline, desk, entered }), span }
    }
}

impl<T> Stream for Open<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { flowing, span } = self.get_mut();
        let Some(under_way) = flowing else { return Poll::Ready(None) };
        let entered = span.enter();
        let next = under_way.poll(cx);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            *flowing = None;
        }
        drop(entered);
        next
    }
}

impl<T> Flowing<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        let next = self.messages.as_mut().poll_next(cx);
        let out_of_time = |deadline: &mut Pin<Box<Sleep>>| deadline.as_mut().poll(cx).is_ready();
        if next.is_pending() && self.deadline.as_mut().is_some_and(out_of_time) {
            let status = self.desk.refuse(self.entered.method.name(), &Refusal::OutOfTime);
            return Poll::Ready(Some(Err(status)));
        }
        next
    }
}

impl<T> fmt::Debug for Open<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_bounded_and_counted_until_they_end() {
        let streams = Streams::new(2);
        let one = streams.enter(StreamMethod::Hold).unwrap();
        let _two = streams.enter(StreamMethod::WatchLeader).unwrap();
        assert_eq!(streams.open(), 2);
        let refused = streams.enter(StreamMethod::KeepAlive);
        assert!(matches!(refused, Err(Refusal::TooManyStreams)), "{refused:?}");

        drop(one);
        assert_eq!(streams.open(), 1);
        assert!(streams.enter(StreamMethod::KeepAlive).is_ok());
    }
}
