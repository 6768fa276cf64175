//! A server of which a test says every word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use holdfast_proto::v1::acquire_response::Outcome as Acquired;
use holdfast_proto::v1::lock_service_server::{LockService, LockServiceServer};
use holdfast_proto::v1::session_request::Request as Asked;
use holdfast_proto::v1::session_response::Result as Outcome;
use holdfast_proto::v1::{
    AcquireRequest, AcquireResponse, CheckFencingTokenRequest, CheckFencingTokenResponse,
    ExtendRequest, ExtendResponse, HoldRequest, HoldResponse, KeepAliveRequest, KeepAliveResponse,
    Lease, ReleaseRequest, ReleaseResponse, SessionRequest, SessionResponse, WatchLeaderRequest,
    WatchLeaderResponse,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::client::{Client, wire};
use crate::session::tests::BOUND;

type Answers<T> = BoxStream<'static, Result<T, Status>>;
type Answered<T> = Result<Response<T>, Status>;

/// One Session stream, from the server's side. Dropped, the stream ends.
pub(super) struct Session {
    asked: Streaming<SessionRequest>,
    answers: mpsc::UnboundedSender<Result<SessionResponse, Status>>,
}

impl Session {
    pub(super) async fn asked(&mut self) -> (u64, Asked) {
        let asked = tokio::time::timeout(BOUND, self.asked.next()).await;
        let asked = asked.expect("a request").expect("an open stream").expect("a message");
        (asked.sequence, asked.request.expect("a request"))
    }

    pub(super) async fn asked_to_acquire(&mut self) -> (u64, AcquireRequest) {
        match self.asked().await {
            (sequence, Asked::Acquire(asked)) => (sequence, asked.acquire.expect("an acquire")),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn asked_to_release(&mut self) -> (u64, ReleaseRequest) {
        match self.asked().await {
            (sequence, Asked::Release(asked)) => (sequence, asked),
            other => panic!("{other:?}"),
        }
    }

    /// An error means that the client has gone.
    pub(super) fn answer(&self, sequence: u64, result: Outcome) {
        let _ = self.answers.send(Ok(SessionResponse { sequence, result: Some(result) }));
    }

    pub(super) fn grant(&self, sequence: u64, asked: AcquireRequest, fencing_token: u64) {
        let outcome = Some(Acquired::Lease(lease(asked, fencing_token)));
        self.answer(sequence, Outcome::Acquired(AcquireResponse { outcome }));
    }

    pub(super) fn end(self, status: Status) {
        let _ = self.answers.send(Err(status));
    }
}

/// As long as it was asked for.
pub(super) fn lease(asked: AcquireRequest, fencing_token: u64) -> Lease {
    let AcquireRequest { resource, lease_id, ttl, .. } = asked;
    let ttl = ttl.or_else(|| wire(BOUND, "ttl").ok());
    let served_in = Some(prost_types::Duration::default());
    let (valid_for, votes, masters) = (ttl, 3, 3);
    Lease { resource, lease_id, fencing_token, ttl, valid_for, votes, masters, served_in }
}

/// What happens to a server, and what it does by itself.
struct Scripted {
    sessions: mpsc::UnboundedSender<Session>,
    refuses: Arc<Mutex<Option<Status>>>,
    refused: Arc<AtomicU64>,
    unary: Arc<AtomicU64>,
}

/// A server that listens.
pub(super) struct Scene {
    pub(super) client: Client,
    sessions: mpsc::UnboundedReceiver<Session>,
    refuses: Arc<Mutex<Option<Status>>>,
    refused: Arc<AtomicU64>,
    unary: Arc<AtomicU64>,
}

impl Scene {
    pub(super) async fn start() -> Self {
        let (opened, sessions) = mpsc::unbounded_channel();
        let (refuses, refused, unary) = <(Arc<Mutex<_>>, Arc<AtomicU64>, Arc<_>)>::default();
        let scripted = Scripted {
            sessions: opened,
            refuses: Arc::clone(&refuses),
            refused: Arc::clone(&refused),
            unary: Arc::clone(&unary),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = LockServiceServer::new(scripted);
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        let client = Client::new(format!("http://{address}")).expect("a client");
        Self { client, sessions, refuses, refused, unary }
    }

    /// From here on no session is opened.
    pub(super) fn refuse(&self, status: Status) {
        *self.refuses.lock().expect("nobody panics") = Some(status);
    }

    /// The next stream that the client opens.
    pub(super) async fn session(&mut self) -> Session {
        let opened = tokio::time::timeout(BOUND, self.sessions.recv()).await;
        opened.expect("a session").expect("a server")
    }

    pub(super) fn has_another_session(&mut self) -> bool {
        self.sessions.try_recv().is_ok()
    }

    /// How many sessions were refused, and how many unary calls it answered.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.refused.load(Ordering::SeqCst), self.unary.load(Ordering::SeqCst))
    }
}

#[tonic::async_trait]
impl LockService for Scripted {
    type SessionStream = Answers<SessionResponse>;
    type KeepAliveStream = Answers<KeepAliveResponse>;
    type HoldStream = Answers<HoldResponse>;
    type WatchLeaderStream = Answers<WatchLeaderResponse>;

    async fn session(
        &self,
        asked: Request<Streaming<SessionRequest>>,
    ) -> Answered<Self::SessionStream> {
        if let Some(status) = &*self.refuses.lock().expect("nobody panics") {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(status.clone());
        }
        let (answers, answered) = mpsc::unbounded_channel();
        let _ = self.sessions.send(Session { asked: asked.into_inner(), answers });
        Ok(Response::new(UnboundedReceiverStream::new(answered).boxed()))
    }

    async fn acquire(&self, asked: Request<AcquireRequest>) -> Answered<AcquireResponse> {
        let token = self.unary.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = Some(Acquired::Lease(lease(asked.into_inner(), token)));
        Ok(Response::new(AcquireResponse { outcome }))
    }

    async fn release(&self, _: Request<ReleaseRequest>) -> Answered<ReleaseResponse> {
        self.unary.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(ReleaseResponse { outcome: 1 }))
    }

    async fn extend(&self, _: Request<ExtendRequest>) -> Answered<ExtendResponse> {
        Err(Status::unimplemented("not in these tests"))
    }

    async fn keep_alive(
        &self,
        _: Request<Streaming<KeepAliveRequest>>,
    ) -> Answered<Self::KeepAliveStream> {
        Err(Status::unimplemented("not in these tests"))
    }

    async fn hold(&self, _: Request<Streaming<HoldRequest>>) -> Answered<Self::HoldStream> {
        Err(Status::unimplemented("not in these tests"))
    }

    async fn watch_leader(
        &self,
        _: Request<WatchLeaderRequest>,
    ) -> Answered<Self::WatchLeaderStream> {
        Err(Status::unimplemented("not in these tests"))
    }

    async fn check_fencing_token(
        &self,
        _: Request<CheckFencingTokenRequest>,
    ) -> Answered<CheckFencingTokenResponse> {
        Err(Status::unimplemented("not in these tests"))
    }
}
