//! WatchLeader: who holds a resource, at once and at every change.
//!
//! One stream is a place in the driver's watch, a [`Teller`] that knows what it has said, and a timer if
//! bookmarks are asked for. Deliberately absent: a task and a queue a stream. Ten thousand idle ones are
//! normal, and a slow reader gets the latest state because nothing else is kept.

use super::convert::WatchArgs;
use super::desk::{Desk, name_call};
use super::errors::Refusal;
use super::origin::Origin;
use super::teller::Teller;
use crate::auth::{Pass, Permission};
use crate::clock;
use crate::driver::{Closed, Watch};
use crate::telemetry::StreamMethod;
use futures_util::{Stream, stream};
use holdfast_engine::View;
use holdfast_proto::v1::{WatchLeaderRequest, WatchLeaderResponse};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tonic::Status;

const RPC: &str = StreamMethod::WatchLeader.name();

/// The responses of one stream.
pub(super) async fn responses(
    (desk, origin): (Arc<Desk>, Origin),
    request: &WatchLeaderRequest,
) -> Result<impl Stream<Item = Result<WatchLeaderResponse, Status>> + Send + 'static, Refusal> {
    let args = WatchArgs::parse(request, &desk.context.rules, clock::now())?;
    let WatchArgs { resource, after, bookmarks } = args;
    name_call(&resource, None);
    let pass = desk.context.gate.pass(&origin.caller, Permission::Watch, resource.name())?;
    let opened = clock::now().boot;
    let watch = desk.context.driver.watch(resource, after).await?;
    let bookmarks = bookmarks.map(Bookmarks::new);
    let watching = Watching { desk, pass, watch, teller: Teller::new(after, opened), bookmarks };
    Ok(stream::unfold(Some(watching), async |watching| {
        let mut watching = watching?;
        match watching.next().await {
            Ok(response) => Some((Ok(response), Some(watching))),
            Err(refusal) => {
                let status = watching.desk.refuse(RPC, &refusal);
                Some((Err(status), None))
            }
        }
    }))
}

/// One stream.
struct Watching {
    desk: Arc<Desk>,
    /// Asked again before each message.
    pass: Pass,
    watch: Watch,
    teller: Teller,
    bookmarks: Option<Box<Bookmarks>>,
}

impl Watching {
    /// The next thing worth a message.
    async fn next(&mut self) -> Result<WatchLeaderResponse, Refusal> {
        loop {
            let said = match self.view().await? {
                Some(view) => self.teller.tell(&view, clock::now().boot),
                None => self.confirm(),
            };
            if let Some(said) = said {
                self.pass.check()?;
                if let Some(bookmarks) = &mut self.bookmarks {
                    bookmarks.restart();
                }
                return Ok(said);
            }
        }
    }

    /// The next change; `None`: nothing changed until the next bookmark is due.
    async fn view(&mut self) -> Result<Option<Arc<View>>, Closed> {
        let Some(bookmarks) = &mut self.bookmarks else {
            return self.watch.changed().await.map(Some);
        };
        tokio::select! {
            biased;
            view = self.watch.changed() => view.map(Some),
            () = &mut bookmarks.timer => {
                bookmarks.restart();
                Ok(None)
            }
        }
    }

    fn confirm(&mut self) -> Option<WatchLeaderResponse> {
        let (view, now) = (self.watch.latest()?, clock::now().boot);
        // A change that came in this very moment is a change and no bookmark.
        self.teller.tell(&view, now).or_else(|| self.teller.confirm(&view, now))
    }
}

/// When an unchanged state is to be confirmed.
struct Bookmarks {
    interval: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Bookmarks {
    fn new(interval: Duration) -> Box<Self> {
        Box::new(Self { interval, timer: Box::pin(tokio::time::sleep(interval)) })
    }

    /// Whatever was said is itself a confirmation.
    fn restart(&mut self) {
        self.timer.as_mut().reset(Instant::now() + self.interval);
    }
}
