//! Tests: how to talk over the streams of LockService, and what they have in common.

use super::*;
use crate::grpc::convert::wire;
use axum::body::HttpBody;
use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{
    AtRiskReason, HoldHeartbeat, HoldRelease, HoldRequest, HoldResponse, HoldStart,
    KeepAliveRequest, KeepAliveResponse, WatchLeaderRequest, WatchLeaderResponse,
};
use std::future::poll_fn;
use std::pin::Pin;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

pub(super) const RESOURCE: &str = "orders/42";

/// Both directions of one stream.
pub(super) struct Talk<Q, R> {
    /// `None`: half-closed.
    pub(super) say: Option<UnboundedSender<Q>>,
    pub(super) heard: Streaming<R>,
}

impl<Q, R> Talk<Q, R> {
    pub(super) fn say(&self, message: impl Into<Q>) {
        self.say.as_ref().unwrap().send(message.into()).unwrap();
    }

    pub(super) async fn next(&mut self) -> Result<Option<R>, Status> {
        let next = tokio::time::timeout(BOUND, self.heard.message());
        next.await.expect("an answer in time")
    }

    pub(super) async fn hear(&mut self) -> R {
        self.next().await.unwrap().expect("one more message")
    }

    pub(super) async fn refusal(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended with OK"),
                Err(status) => return status,
            }
        }
    }
}

impl Talk<HoldRequest, HoldResponse> {
    pub(super) async fn event(&mut self) -> Event {
        self.hear().await.event.expect("an event")
    }

    pub(super) async fn granted(&mut self) -> Lease {
        loop {
            match self.event().await {
                Event::Granted(lease) => return lease,
                Event::Queued(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Served {
    pub(super) async fn hold(&self) -> Talk<HoldRequest, HoldResponse> {
        let (say, said) = unbounded_channel();
        let heard = self.locks().hold(UnboundedReceiverStream::new(said)).await.unwrap();
        Talk { say: Some(say), heard: heard.into_inner() }
    }

    pub(super) async fn keep_alive(&self) -> Talk<KeepAliveRequest, KeepAliveResponse> {
        let (say, said) = unbounded_channel();
        let heard = self.locks().keep_alive(UnboundedReceiverStream::new(said)).await.unwrap();
        Talk { say: Some(say), heard: heard.into_inner() }
    }

    pub(super) async fn watch(
        &self,
        request: WatchLeaderRequest,
    ) -> Streaming<WatchLeaderResponse> {
        self.locks().watch_leader(request).await.unwrap().into_inner()
    }
}

pub(super) fn said(message: Message) -> HoldRequest {
    HoldRequest { message: Some(message) }
}

pub(super) fn heartbeat(sequence: u64) -> HoldRequest {
    said(Message::Heartbeat(HoldHeartbeat { sequence }))
}

pub(super) fn release() -> HoldRequest {
    said(Message::Release(HoldRelease {}))
}

pub(super) fn starting(lease_id: &str, wait: Duration) -> HoldStart {
    let acquire = AcquireRequest {
        resource: RESOURCE.to_owned(),
        lease_id: lease_id.to_owned(),
        wait: wire(wait),
        ..AcquireRequest::default()
    };
    HoldStart { acquire: Some(acquire), ..HoldStart::default() }
}

pub(super) fn start(lease_id: &str, wait: Duration) -> HoldRequest {
    said(Message::Start(starting(lease_id, wait)))
}

pub(super) fn extend(lease_id: &str, fencing_token: u64) -> ExtendRequest {
    let (resource, lease_id) = (RESOURCE.to_owned(), lease_id.to_owned());
    ExtendRequest { resource, lease_id, fencing_token, ..ExtendRequest::default() }
}

pub(super) fn watching() -> WatchLeaderRequest {
    WatchLeaderRequest { resource: RESOURCE.to_owned(), ..WatchLeaderRequest::default() }
}

pub(super) fn fields_of(status: &Status) -> Vec<String> {
    let listed = status.get_details_bad_request().unwrap().field_violations;
    listed.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn streams_that_cannot_be_read_end_in_the_words_of_the_contract() {
    let served = served().await;
    for (what, body) in [
        ("half a frame header", vec![0, 0]),
        ("a flag that is none", frame(7, 3, b"abc")),
        ("a wrong wire type", whole(&[0x08, 1, 0x08])),
        ("a message too large", whole(&vec![0; 65_537])),
    ] {
        for method in ["Hold", "KeepAlive", "Session"] {
            let status = served.raw_stream(method, ("x-nothing", ""), body.clone()).await;
            let code = Code::InvalidArgument;
            assert_speaks_the_contract(&status, code, reason::MALFORMED_MESSAGE, what);
        }
    }
}

impl Served {
    /// The status in the trailers of a stream whose body is these bytes.
    async fn raw_stream(
        &self,
        method: &str,
        header: (&'static str, &str),
        body: Vec<u8>,
    ) -> Status {
        let request = Request::post(format!("http://localhost/holdfast.v1.LockService/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header(header.0, header.1)
            .body(Body::new(axum::body::Body::from(body)))
            .unwrap();
        let mut channel = self.channel.clone();
        let mut body = channel.ready().await.unwrap().call(request).await.unwrap().into_body();
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
            if let Some(trailers) = frame.trailers_ref() {
                return Status::from_header_map(trailers).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn too_many_streams_are_refused_until_one_ends() {
    let served = served_over(1, |connector| connector).await;
    let watch = served.watch(watching()).await;
    let status = served.locks().watch_leader(watching()).await.unwrap_err();
    let code = Code::ResourceExhausted;
    assert_speaks_the_contract(&status, code, reason::TOO_MANY_STREAMS, "WatchLeader");
    let refused = served.locks().hold(tokio_stream::empty()).await.unwrap_err();
    assert_speaks_the_contract(&refused, code, reason::TOO_MANY_STREAMS, "Hold");

    drop(watch);
    while served.locks().watch_leader(watching()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_stream_ends_at_the_deadline_of_its_client() {
    let served = served().await;
    let body = whole(b"\x0a\x01r");
    let header = ("grpc-timeout", "2S");
    let status = served.raw_stream("WatchLeader", header, body).await;
    let code = Code::DeadlineExceeded;
    assert_speaks_the_contract(&status, code, reason::DEADLINE_EXCEEDED, "WatchLeader");
}

#[tokio::test]
async fn draining_ends_streams_and_leaves_leases() {
    let served = served().await;
    let mut hold = served.hold().await;
    hold.say(start("one", Duration::ZERO));
    let token = hold.granted().await.fencing_token;
    let mut keep_alive = served.keep_alive().await;
    let mut watch = served.watch(watching()).await;
    assert!(watch.message().await.unwrap().is_some());

    let driver = served.driver.clone();
    let drain = tokio::spawn(async move { driver.begin_drain().await });
    let warned = hold.event().await;
    let Event::AtRisk(risk) = warned else { panic!("{warned:?}") };
    assert_eq!(risk.reason(), AtRiskReason::ServerDraining);
    hold.say(heartbeat(1));
    let renewed = hold.event().await;
    assert!(matches!(&renewed, Event::Renewed(lease) if lease.fencing_token == token));

    served.driver.close();
    for (what, status) in [
        ("KeepAlive", keep_alive.refusal().await),
        ("WatchLeader", watch.message().await.unwrap_err()),
        ("Hold", hold.refusal().await),
    ] {
        assert_speaks_the_contract(&status, Code::Unavailable, reason::SERVER_DRAINING, what);
    }
    drain.await.unwrap();
}
