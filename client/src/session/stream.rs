//! One Session stream: its requests, who waits for which answer, and the task that reads them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use holdfast_proto::v1::acquire_response::Outcome as Acquired;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::session_request::Request;
use holdfast_proto::v1::session_response::Result as Outcome;
use holdfast_proto::v1::{
    AcquireResponse, ReleaseRequest, SessionCancel, SessionRequest, SessionResponse,
};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use crate::session::waiting::Waiting;
use crate::token::Channel;

/// What a call comes to: what its answer says, or how the stream ended before it had one.
pub(super) type Answer = Result<Option<Outcome>, Status>;

/// Dropped, it is closed: nobody waits for it any more.
#[derive(Debug)]
pub(super) struct SessionStream {
    /// Bounded by those who call: each has one call under way, and gives it up after a while. A
    /// connection that takes nothing is ended by its pings.
    requests: mpsc::UnboundedSender<SessionRequest>,
    under_way: Arc<UnderWay>,
}

impl SessionStream {
    /// What is asked before the server has answered is sent when it has.
    pub(super) fn open(runtime: &Handle, channel: Channel) -> Self {
        let (requests, outgoing) = mpsc::unbounded_channel();
        let under_way = Arc::new(UnderWay::default());
        let reader = Reader { under_way: Arc::clone(&under_way), requests: requests.downgrade() };
        runtime.spawn(reader.run(channel, outgoing));
        Self { requests, under_way }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.under_way.ended.get().is_some()
    }

    pub(super) fn ask(self: Arc<Self>, request: Request) -> Waiting {
        let (sequence, answer) = self.under_way.begin();
        send(&self.requests, sequence, request);
        Waiting::new(self, sequence, answer)
    }

    /// Nobody waits for this answer any more.
    pub(super) fn give_up(&self, sequence: u64, answer: &mut oneshot::Receiver<Answer>) {
        if self.under_way.end_of(sequence).is_some() {
            return send(&self.requests, sequence, Request::Cancel(SessionCancel {}));
        }
        // From here on the reader finds that nobody waits.
        answer.close();
        if let Ok(Ok(Some(outcome))) = answer.try_recv() {
            give_back(&self.requests, &self.under_way, outcome);
        }
    }
}

#[derive(Debug, Default)]
struct UnderWay {
    calls: Mutex<Calls>,
    /// How the stream ended. Set while `calls` is locked: from then on none begins.
    ended: OnceLock<Status>,
}

#[derive(Debug, Default)]
struct Calls {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

impl UnderWay {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> (u64, oneshot::Receiver<Answer>) {
        let (tell, answer) = oneshot::channel();
        let mut calls = self.calls();
        calls.last += 1;
        let sequence = calls.last;
        match self.ended.get() {
            // Its receiver is in this function's hands.
            Some(status) => drop(tell.send(Err(status.clone()))),
            None => drop(calls.waiting.insert(sequence, tell)),
        }
        (sequence, answer)
    }

    fn end_of(&self, sequence: u64) -> Option<oneshot::Sender<Answer>> {
        self.calls().waiting.remove(&sequence)
    }

    /// A number that no call has.
    fn next(&self) -> u64 {
        let mut calls = self.calls();
        calls.last += 1;
        calls.last
    }

    fn end(&self, status: Status) {
        let mut calls = self.calls();
        let status = self.ended.get_or_init(|| status);
        for (_, tell) in calls.waiting.drain() {
            // It may have been given up in this moment.
            let _ = tell.send(Err(status.clone()));
        }
    }
}

struct Reader {
    under_way: Arc<UnderWay>,
    /// Weak: the stream ends when nobody calls any more.
    requests: mpsc::WeakUnboundedSender<SessionRequest>,
}

impl Reader {
    async fn run(self, channel: Channel, outgoing: mpsc::UnboundedReceiver<SessionRequest>) {
        let outgoing = UnboundedReceiverStream::new(outgoing);
        let ended = match LockServiceClient::new(channel).session(outgoing).await {
            Ok(answers) => self.read(answers.into_inner()).await,
            Err(status) => status,
        };
        self.under_way.end(ended);
    }

    async fn read(&self, mut answers: Streaming<SessionResponse>) -> Status {
        loop {
            match answers.message().await {
                Ok(Some(answer)) => self.deliver(answer),
                Ok(None) => return Status::unavailable("the session ended"),
                Err(status) => return status,
            }
        }
    }

    fn deliver(&self, SessionResponse { sequence, result }: SessionResponse) {
        let unclaimed = match self.under_way.end_of(sequence) {
            Some(tell) => tell.send(Ok(result)).err().and_then(Result::ok).flatten(),
            None => result,
        };
        if let (Some(outcome), Some(requests)) = (unclaimed, self.requests.upgrade()) {
            give_back(&requests, &self.under_way, outcome);
        }
    }
}

impl Drop for Reader {
    /// Also when its runtime ends before it: nobody waits for ever.
    fn drop(&mut self) {
        self.under_way.end(Status::unavailable("the session is not read any more"));
    }
}

/// A lease that was granted to nobody. At best: the ttl sees to the rest.
fn give_back(
    requests: &mpsc::UnboundedSender<SessionRequest>,
    under_way: &UnderWay,
    outcome: Outcome,
) {
    let Outcome::Acquired(AcquireResponse { outcome: Some(Acquired::Lease(lease)) }) = outcome
    else {
        return;
    };
    // A repetition with the same lease_id has a higher token, and is not touched by this.
    let release = ReleaseRequest {
        resource: lease.resource,
        lease_id: lease.lease_id,
        fencing_token: lease.fencing_token,
    };
    send(requests, under_way.next(), Request::Release(release));
}

fn send(requests: &mpsc::UnboundedSender<SessionRequest>, sequence: u64, request: Request) {
    // The contract without a timeout: who gives up says so. An error means that the stream is ending,
    // which the reader tells everybody who waits.
    let _ = requests.send(SessionRequest { sequence, timeout: None, request: Some(request) });
}
