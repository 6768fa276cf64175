//! The callers' side of the driver. Dropping a call cancels it, at any moment: a grant that can no
//! longer be delivered is taken back.

use super::backlog::Backlog;
use super::calls::{Caller, Calls};
use super::history::History;
use super::outbox::{Teller, outbox};
use super::session::Session;
use super::watch::{Views, Watch};
use crate::clock::Trust;
use crate::telemetry::{self, Parent};
use holdfast_engine::{
    Answer, Ballot, Call, CallId, GiveBack, Hangup, Hold, Instant, Resource, Status,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};

/// The way to the driver. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Unbounded, for every message belongs to an RPC: those are bounded by the transport, and what streams
    /// say by the backlog.
    pub(super) messages: UnboundedSender<Message>,
    pub(super) backlog: Backlog,
    pub(super) last_id: Arc<AtomicU64>,
    pub(super) draining: watch::Receiver<bool>,
    pub(super) trust: Trust,
    pub(super) history: History,
}

/// What callers send to the driver.
#[derive(Debug)]
pub(super) enum Message {
    Call(CallId, Call, Option<Parent>, Caller),
    Cancel(CallId),
    Undelivered(GiveBack),
    /// The stream has ended whose leases these are.
    Abandon(Vec<GiveBack>),
    Hold(CallId, Hold, Option<Parent>, Teller),
    Heartbeat(CallId, u64, Instant),
    ReleaseHold(CallId),
    /// The stream of a Hold has ended.
    Hangup(CallId, Hangup),
    Watch(Resource, Ballot, Option<Parent>, oneshot::Sender<Views>),
    Unwatch(Resource),
    Status(oneshot::Sender<Status>),
    Drain(oneshot::Sender<()>),
    /// Drain is over: Holds end, and leave their leases to other replicas.
    Close,
}

/// The driver has ended: the process is going away.
#[derive(Debug, thiserror::Error)]
#[error("this replica is shutting down")]
pub struct Closed;

impl Handle {
    /// Has a call served. Dropping the future cancels it.
    pub async fn call(&self, call: Call) -> Result<Answer, Closed> {
        let id = CallId(self.last_id.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        self.send(Message::Call(id, call, telemetry::parent(), Caller::One(answer)))?;
        let mut pending = Pending { handle: self, id, answered: Some(answered) };
        let answer = match &mut pending.answered {
            Some(answered) => answered.await.map_err(|_| Closed),
            None => Err(Closed),
        };
        pending.answered = None;
        if let Ok(answer) = &answer {
            telemetry::note_answer(answer);
        }
        answer
    }

    /// Takes back a grant that nobody will rely on; done also while draining.
    pub fn give_back(&self, give_back: GiveBack) {
        // A driver that has gone leaves it to the ttl.
        drop(self.send(Message::Undelivered(give_back)));
    }

    /// For a stream of calls.
    pub fn calls(&self) -> Calls {
        Calls::new(self.clone())
    }

    /// Opens a Hold. Dropping the session ends it: its client has gone.
    pub fn hold(&self, hold: Hold) -> Result<Session, Closed> {
        let id = CallId(self.last_id.fetch_add(1, Ordering::Relaxed));
        let (teller, listener) = outbox();
        self.send(Message::Hold(id, hold, telemetry::parent(), teller))?;
        Ok(Session::new(id, self.clone(), listener))
    }

    /// Watches a resource; all watches of one resource share one upstream watch. Whoever has seen the term
    /// `after` is told by a reading that begins from now on, unless what was read before is as new.
    pub async fn watch(&self, resource: Resource, after: Ballot) -> Result<Watch, Closed> {
        let parent = telemetry::parent();
        let mut watch = Watch::new(resource.clone(), self.clone(), parent.clone());
        let (answer, answered) = oneshot::channel();
        self.send(Message::Watch(resource, after, parent, answer))?;
        watch.views = Some(answered.await.map_err(|_| Closed)?);
        Ok(watch)
    }

    /// Whether this replica's wall clock is known to be right.
    pub fn clock_trust(&self) -> Trust {
        self.trust.clone()
    }

    /// The terms that watches of this replica have seen.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Resolves when this replica begins to drain, or has ended.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut draining = self.draining.clone();
        async move {
            // An error: the driver has gone, which is no less the end.
            let _ = draining.wait_for(|draining| *draining).await;
        }
    }

    /// The replica's view of its masters and itself.
    pub async fn status(&self) -> Result<Status, Closed> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Status(answer))?;
        answered.await.map_err(|_| Closed)
    }

    /// Stops taking calls: waiters are told, watches end, Holds are warned. Resolves when no call and
    /// no Hold is left; after `patience` the Holds that are left end, and keep their leases.
    pub async fn drain(&self, patience: Duration) {
        // Out of patience, or nobody left to wait for: either way it is time to go.
        let _ = tokio::time::timeout(patience, self.begin_drain()).await;
        self.close();
    }

    /// The first half of [`drain`](Self::drain): resolves when no call and no Hold is left.
    pub async fn begin_drain(&self) {
        let (done, drained) = oneshot::channel();
        if self.send(Message::Drain(done)).is_ok() {
            // An error: the driver has gone, and so have they.
            let _ = drained.await;
        }
    }

    /// The second half: the Holds that are left end, and keep their leases.
    pub fn close(&self) {
        // Gone already: so have they.
        let _ = self.send(Message::Close);
    }

    /// Ready, if the driver keeps up with what streams say: until then none is to be read.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.backlog.poll_room(cx)
    }

    pub(super) fn send(&self, message: Message) -> Result<(), Closed> {
        self.backlog.sent();
        self.messages.send(message).map_err(|_| Closed)
    }
}

/// A call whose answer is awaited.
struct Pending<'a> {
    handle: &'a Handle,
    id: CallId,
    answered: Option<oneshot::Receiver<Answer>>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Some(mut answered) = self.answered.take() else { return };
        // From here on the driver's send fails; what it has sent before is there to be taken back.
        answered.close();
        // The driver may have gone already; then there is nothing to take back.
        let _ = match answered.try_recv() {
            Ok(Answer::Granted(granted)) => {
                self.handle.send(Message::Undelivered(granted.give_back))
            }
            Ok(_) => Ok(()),
            Err(_) => self.handle.send(Message::Cancel(self.id)),
        };
    }
}
