//! The streaming rpcs as tests use them, by the generated client: opened in one line, read one message at
//! a time, every wait bounded.

use std::future::Future;
use std::time::Duration;

use futures_util::stream;
use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{
    self, AcquireRequest, HoldHeartbeat, HoldRelease, HoldRequest, HoldResponse, HoldStart,
    KeepAliveRequest, KeepAliveResponse, Liveness, SessionRequest, SessionResponse,
    WatchLeaderRequest, WatchLeaderResponse,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::calls::Lease;
use crate::holdfastd::Holdfastd;

/// How long a message that must come may take, unless the test says otherwise.
pub const SOON: Duration = Duration::from_secs(20);

/// What opens a Hold: heartbeats, no grace, waits for a minute.
pub fn start(resource: &str, lease_id: &str, ttl: Duration) -> HoldStart {
    let acquire = AcquireRequest {
        resource: resource.to_owned(),
        holder: format!("holder of {lease_id}"),
        ttl: Some(wire(ttl)),
        wait: Some(wire(Duration::from_secs(60))),
        lease_id: lease_id.to_owned(),
        ..AcquireRequest::default()
    };
    HoldStart { acquire: Some(acquire), ..HoldStart::default() }
}

/// The same, kept alive by the connection.
pub fn by_connection(start: HoldStart) -> HoldStart {
    HoldStart { liveness: Liveness::Connection.into(), ..start }
}

/// The same, for the lease that is held already.
pub fn re_attach(start: HoldStart, fencing_token: u64) -> HoldStart {
    HoldStart { fencing_token, ..start }
}

/// A duration of the contract.
pub fn wire(span: Duration) -> prost_types::Duration {
    span.try_into().expect("durations of tests are short")
}

/// A call whose client sends `Out` and reads `In`. Dropped, it is reset.
#[derive(Debug)]
pub struct Duplex<Out, In> {
    /// Gone once this side is closed.
    requests: Option<mpsc::UnboundedSender<Out>>,
    responses: Streaming<In>,
}

/// A Hold.
pub type HoldStream = Duplex<HoldRequest, HoldResponse>;
/// A KeepAlive.
pub type KeepAliveStream = Duplex<KeepAliveRequest, KeepAliveResponse>;
/// A Session.
pub type SessionStream = Duplex<SessionRequest, SessionResponse>;

/// Opens a Hold over a connection of the test's own, and says nothing yet.
pub async fn hold_over(channel: Channel) -> Result<HoldStream, Status> {
    hold_for(channel, None).await
}

/// Opens a Hold whose first message goes out with it: nginx passes nothing on before there is one.
pub async fn hold_with(channel: Channel, start: HoldStart) -> Result<HoldStream, Status> {
    let start = HoldRequest { message: Some(Message::Start(start)) };
    open_hold(channel, [start], None).await
}

/// Opens a Hold, says nothing yet, and has a gRPC deadline that only the server minds.
pub async fn hold_for(channel: Channel, bound: Option<Duration>) -> Result<HoldStream, Status> {
    open_hold(channel, [], bound).await
}

async fn open_hold(
    channel: Channel,
    first: impl IntoIterator<Item = HoldRequest>,
    bound: Option<Duration>,
) -> Result<HoldStream, Status> {
    let (requests, outgoing) = begun(first);
    let mut client = LockServiceClient::new(channel);
    let mut request = Request::new(outgoing_stream(outgoing));
    if let Some(bound) = bound {
        request.set_timeout(bound);
    }
    let opened = soon(client.hold(request)).await?;
    Ok(Duplex { requests: Some(requests), responses: opened.into_inner() })
}

/// Opens a KeepAlive over a connection of the test's own.
pub async fn keep_alive_over(channel: Channel) -> Result<KeepAliveStream, Status> {
    open_keep_alive(channel, []).await
}

/// The same with its first message.
pub async fn keep_alive_with(
    channel: Channel,
    first: KeepAliveRequest,
) -> Result<KeepAliveStream, Status> {
    open_keep_alive(channel, [first]).await
}

async fn open_keep_alive(
    channel: Channel,
    first: impl IntoIterator<Item = KeepAliveRequest>,
) -> Result<KeepAliveStream, Status> {
    let (requests, outgoing) = begun(first);
    let mut client = LockServiceClient::new(channel);
    let opened = soon(client.keep_alive(outgoing_stream(outgoing))).await?;
    Ok(Duplex { requests: Some(requests), responses: opened.into_inner() })
}

/// Opens a Session over a connection of the test's own, with its first message.
pub async fn session_with(
    channel: Channel,
    first: SessionRequest,
) -> Result<SessionStream, Status> {
    let (requests, outgoing) = begun([first]);
    let mut client = LockServiceClient::new(channel);
    let opened = soon(client.session(outgoing_stream(outgoing))).await?;
    Ok(Duplex { requests: Some(requests), responses: opened.into_inner() })
}

fn begun<T>(
    first: impl IntoIterator<Item = T>,
) -> (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>) {
    let (requests, outgoing) = mpsc::unbounded_channel();
    for request in first {
        // It is not closed: the other end is here.
        let _ = requests.send(request);
    }
    (requests, outgoing)
}

/// Watches over a connection of the test's own.
pub async fn watch_over(
    channel: Channel,
    request: WatchLeaderRequest,
) -> Result<WatchStream, Status> {
    let mut client = LockServiceClient::new(channel);
    Ok(WatchStream { responses: soon(client.watch_leader(request)).await?.into_inner() })
}

impl Holdfastd {
    /// Opens a Hold.
    pub async fn hold(&self, start: HoldStart) -> Result<HoldStream, Status> {
        let hold = hold_over(self.channel()).await?;
        hold.start(start);
        Ok(hold)
    }

    /// Opens a KeepAlive.
    pub async fn keep_alive(&self) -> Result<KeepAliveStream, Status> {
        keep_alive_over(self.channel()).await
    }

    /// Watches a resource.
    pub async fn watch(&self, resource: &str) -> Result<WatchStream, Status> {
        let resource = resource.to_owned();
        self.watch_as(WatchLeaderRequest { resource, ..WatchLeaderRequest::default() }).await
    }

    /// Watches as the request says.
    pub async fn watch_as(&self, request: WatchLeaderRequest) -> Result<WatchStream, Status> {
        watch_over(self.channel(), request).await
    }
}

impl<Out, In> Duplex<Out, In> {
    /// Sends a message; nothing happens if the call has ended.
    pub fn send(&self, message: Out) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(message);
        }
    }

    /// Closes the client's side: half-close.
    pub fn close(&mut self) {
        self.requests = None;
    }

    /// The next message; `None`: the server ended the call with OK.
    pub async fn message(&mut self) -> Result<Option<In>, Status> {
        self.message_within(SOON).await
    }

    /// The same, for what may take longer or must not.
    pub async fn message_within(&mut self, bound: Duration) -> Result<Option<In>, Status> {
        within(bound, self.responses.message()).await
    }
}

impl HoldStream {
    /// Asks for the lock: the first message.
    pub fn start(&self, start: HoldStart) {
        self.send(HoldRequest { message: Some(Message::Start(start)) });
    }

    /// Says that the client is alive, and asks for a renewal.
    pub fn heartbeat(&self, sequence: u64) {
        let heartbeat = HoldHeartbeat { sequence };
        self.send(HoldRequest { message: Some(Message::Heartbeat(heartbeat)) });
    }

    /// Gives the lock back.
    pub fn release(&self) {
        self.send(HoldRequest { message: Some(Message::Release(HoldRelease {})) });
    }

    /// The next event; panics at the end of the call.
    pub async fn event(&mut self) -> Event {
        let message = self.message().await.expect("an event");
        message.expect("an event, not the end").event.expect("a HoldResponse has an event")
    }

    /// Reads until an event of this kind, and returns it; panics at the end of the call.
    pub async fn until(&mut self, kind: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.event().await;
            if kind(&event) {
                return event;
            }
        }
    }

    /// Reads until it has the lock; panics if it does not get it.
    pub async fn granted(&mut self) -> Lease {
        match self.until(|event| !matches!(event, Event::Queued(_))).await {
            Event::Granted(lease) => lease.into(),
            other => panic!("expected the lock, was told {other:?}"),
        }
    }
}

/// A WatchLeader. Dropped, it is reset.
#[derive(Debug)]
pub struct WatchStream {
    responses: Streaming<WatchLeaderResponse>,
}

impl WatchStream {
    /// The next message; panics at the end of the call.
    pub async fn next(&mut self) -> WatchLeaderResponse {
        self.message().await.expect("a state").expect("a state, not the end")
    }

    /// The next message; `None`: the server ended the call with OK.
    pub async fn message(&mut self) -> Result<Option<WatchLeaderResponse>, Status> {
        soon(self.responses.message()).await
    }

    /// Reads until a state of this kind.
    pub async fn until(
        &mut self,
        kind: impl Fn(&WatchLeaderResponse) -> bool,
    ) -> WatchLeaderResponse {
        loop {
            let response = self.next().await;
            if kind(&response) {
                return response;
            }
        }
    }
}

/// The term a watch shows, if it shows a leader.
pub fn term(response: &WatchLeaderResponse) -> Option<u64> {
    match &response.state {
        Some(v1::watch_leader_response::State::Leader(leader)) => Some(leader.fencing_token),
        _ => None,
    }
}

/// Does a watch show that nobody leads?
pub fn is_vacant(response: &WatchLeaderResponse) -> bool {
    matches!(&response.state, Some(v1::watch_leader_response::State::Vacant(_)))
}

/// What is sent there, as the requests of a call.
pub fn outgoing_stream<T: Send + 'static>(
    receiver: mpsc::UnboundedReceiver<T>,
) -> impl stream::Stream<Item = T> + Send + 'static {
    stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|message| (message, receiver))
    })
}

async fn soon<T>(next: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    within(SOON, next).await
}

async fn within<T>(
    bound: Duration,
    next: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match timeout(bound, next).await {
        Ok(result) => result,
        Err(_) => Err(Status::cancelled("given up by the test harness")),
    }
}
