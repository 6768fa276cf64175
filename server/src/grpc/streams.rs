//! What all streams have in common: they are counted and bounded, run inside the span of their call,
//! and end at the deadline that their client set.
//!
//! Deliberately absent: what flows through them, which is each method's own.

use super::desk::Desk;
use super::errors::Refusal;
use super::limits::Part;
use super::origin::Origin;
use crate::telemetry::StreamMethod;
use futures_util::Stream;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use tonic::Status;
use tonic::codegen::BoxStream;
use tracing::Span;

/// A stream that counts as open.
#[derive(Debug)]
pub(super) struct Entered {
    desk: Arc<Desk>,
    method: StreamMethod,
    _part: Part,
}

impl Entered {
    /// One more, until it is dropped.
    pub(super) fn new(
        desk: &Arc<Desk>,
        origin: &Origin,
        method: StreamMethod,
    ) -> Result<Self, Refusal> {
        let part = desk.context.bounds.stream(&origin.party())?;
        desk.streams.opened(method);
        Ok(Self { desk: Arc::clone(desk), method, _part: part })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.desk.streams.closed(self.method);
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
    entered: Entered,
}

impl<T> Open<T> {
    /// `messages`, whose client waits for `timeout`. It ends its call by itself then: this is for one that
    /// cannot, and later, so that no Hold is given back while its client relies on it.
    pub(super) fn new(
        (entered, span): (Entered, Span),
        timeout: Option<Duration>,
        messages: BoxStream<T>,
    ) -> Self {
        let late = |timeout: Duration| timeout + timeout / 50;
        let deadline = timeout.map(|timeout| Box::pin(tokio::time::sleep(late(timeout))));
        Self { flowing: Some(Flowing { messages, deadline, entered }), span }
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
            let Entered { desk, method, .. } = &self.entered;
            let status = desk.refuse(method.name(), &Refusal::OutOfTime);
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
