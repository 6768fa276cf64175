//! A stream whose client says too much is not read for a while: to refuse a message costs nearly as much as to
//! serve it, and what is not read stands still in the client.

use super::Exhausted;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// When there is room for one message again is a matter of microseconds; hundreds of streams must not be woken for
/// it, each to be refused.
const LEAST: Duration = Duration::from_millis(20);
/// What its client sends behind, such as a release, waits as well.
const MOST: Duration = Duration::from_secs(1);

/// None, until it begins.
#[derive(Debug, Default)]
pub(crate) struct Pause(Option<Pin<Box<Sleep>>>);

impl Pause {
    /// From now on, for about as long as its client was told to wait.
    pub(crate) fn begin(&mut self, because: &Exhausted) {
        let pause = because.retry_after.clamp(LEAST, MOST);
        self.0 = Some(Box::pin(tokio::time::sleep(pause)));
    }

    /// Ready: read on.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.0 {
            ready!(sleep.as_mut().poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }
}
