//! Tests: the streams of LockService as their clients meet them.

use super::*;
use crate::driver::Closed;
use crate::grpc::convert::wire;
use crate::masters::{Connection, Event as LinkEvent, Link};
use axum::body::HttpBody;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdfast_engine::{Ask, Down, Reply, Resource};
use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::keep_alive_response::Result as Renewal;
use holdfast_proto::v1::watch_leader_response::State;
use holdfast_proto::v1::{
    AtRiskReason, HoldHeartbeat, HoldRelease, HoldRequest, HoldResponse, HoldStart,
    KeepAliveRequest, KeepAliveResponse, LeaseLostReason, UnknownReason, WatchLeaderRequest,
    WatchLeaderResponse, WatchReason,
};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

const RESOURCE: &str = "orders/42";

/// Both directions of one stream.
struct Talk<Q, R> {
    /// `None`: half-closed.
    say: Option<UnboundedSender<Q>>,
    heard: Streaming<R>,
}

impl<Q, R> Talk<Q, R> {
    fn say(&self, message: impl Into<Q>) {
        self.say.as_ref().unwrap().send(message.into()).unwrap();
    }

    async fn next(&mut self) -> Result<Option<R>, Status> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.heard.message());
        next.await.expect("an answer in time")
    }

    async fn hear(&mut self) -> R {
        self.next().await.unwrap().expect("one more message")
    }

    async fn refusal(&mut self) -> Status {
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
    async fn event(&mut self) -> Event {
        self.hear().await.event.expect("an event")
    }

    async fn granted(&mut self) -> Lease {
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
    async fn hold(&self) -> Talk<HoldRequest, HoldResponse> {
        let (say, said) = unbounded_channel();
        let heard = self.locks().hold(UnboundedReceiverStream::new(said)).await.unwrap();
        Talk { say: Some(say), heard: heard.into_inner() }
    }

    async fn keep_alive(&self) -> Talk<KeepAliveRequest, KeepAliveResponse> {
        let (say, said) = unbounded_channel();
        let heard = self.locks().keep_alive(UnboundedReceiverStream::new(said)).await.unwrap();
        Talk { say: Some(say), heard: heard.into_inner() }
    }

    async fn watch(&self, request: WatchLeaderRequest) -> Streaming<WatchLeaderResponse> {
        self.locks().watch_leader(request).await.unwrap().into_inner()
    }
}

fn said(message: Message) -> HoldRequest {
    HoldRequest { message: Some(message) }
}

fn heartbeat(sequence: u64) -> HoldRequest {
    said(Message::Heartbeat(HoldHeartbeat { sequence }))
}

fn release() -> HoldRequest {
    said(Message::Release(HoldRelease {}))
}

fn starting(lease_id: &str, wait: Duration) -> HoldStart {
    let acquire = AcquireRequest {
        resource: RESOURCE.to_owned(),
        lease_id: lease_id.to_owned(),
        wait: wire(wait),
        ..AcquireRequest::default()
    };
    HoldStart { acquire: Some(acquire), ..HoldStart::default() }
}

fn start(lease_id: &str, wait: Duration) -> HoldRequest {
    said(Message::Start(starting(lease_id, wait)))
}

fn extend(lease_id: &str, fencing_token: u64) -> ExtendRequest {
    let (resource, lease_id) = (RESOURCE.to_owned(), lease_id.to_owned());
    ExtendRequest { resource, lease_id, fencing_token, ..ExtendRequest::default() }
}

fn watching() -> WatchLeaderRequest {
    WatchLeaderRequest { resource: RESOURCE.to_owned(), ..WatchLeaderRequest::default() }
}

fn fields_of(status: &Status) -> Vec<String> {
    let listed = status.get_details_bad_request().unwrap().field_violations;
    listed.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn each_renewal_has_its_own_answer() {
    let served = served().await;
    let token = served.lease("one").await.fencing_token;
    let mut talk = served.keep_alive().await;
    let says = [
        (1, Some(extend("one", token))),
        (2, Some(extend("two", token))),
        (3, Some(extend("", token))),
        (4, None),
    ];
    for (sequence, extend) in says {
        talk.say(KeepAliveRequest { extend, sequence });
    }
    talk.say = None;

    let mut answers = BTreeMap::new();
    while let Some(answer) = talk.next().await.unwrap() {
        assert_eq!(answer.resource.is_empty(), answer.sequence == 4);
        answers.insert(answer.sequence, answer.result.unwrap());
    }

    let Renewal::Lease(lease) = &answers[&1] else { panic!("{answers:?}") };
    assert_eq!((lease.fencing_token, lease.lease_id.as_str()), (token, "one"));
    let Renewal::Lost(lost) = &answers[&2] else { panic!("{answers:?}") };
    assert_eq!(lost.reason(), LeaseLostReason::Taken);
    for (sequence, field) in [(3, "lease_id"), (4, "extend")] {
        let Renewal::Error(error) = &answers[&sequence] else { panic!("{answers:?}") };
        assert_eq!((error.code, error.reason.as_str()), (3, reason::INVALID_ARGUMENT));
        assert!(error.message.contains(field) && error.retry_after.is_none(), "{error:?}");
    }
    assert_eq!(answers.len(), 4);
}

#[tokio::test]
async fn more_renewals_than_may_be_in_flight_are_all_answered() {
    let served = served().await;
    let token = served.lease("one").await.fencing_token;
    let mut talk = served.keep_alive().await;
    for sequence in 0..3_000 {
        talk.say(KeepAliveRequest { extend: Some(extend("one", token)), sequence });
    }
    talk.say = None;
    let mut leases = 0;
    while let Some(answer) = talk.next().await.unwrap() {
        leases += usize::from(matches!(answer.result, Some(Renewal::Lease(_))));
    }
    assert_eq!(leases, 3_000);
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
        for method in ["Hold", "KeepAlive"] {
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
async fn a_hold_lives_its_life() {
    let served = served().await;
    let mut talk = served.hold().await;
    talk.say(start("one", Duration::ZERO));
    let granted = talk.granted().await;
    assert_eq!((granted.lease_id.as_str(), granted.masters), ("one", 3));

    for sequence in [7, 9] {
        talk.say(heartbeat(sequence));
        let renewed = talk.hear().await;
        let Some(Event::Renewed(lease)) = renewed.event else { panic!("{renewed:?}") };
        assert_eq!((renewed.sequence, lease.fencing_token), (sequence, granted.fencing_token));
    }

    talk.say(release());
    // The answer to a release comes to whoever stops talking behind it, too.
    talk.say = None;
    let released = talk.event().await;
    assert_eq!(released, Event::Released(ReleaseOutcome::Released.into()));
    assert_eq!(talk.next().await.unwrap(), None);
    assert!(matches!(served.acquire("two", Duration::ZERO).await, Ok(Outcome::Lease(_))));
}

#[tokio::test]
async fn a_hold_waits_and_half_closing_gives_it_back() {
    let served = served().await;
    let mut first = served.hold().await;
    first.say(start("one", Duration::ZERO));
    let token = first.granted().await.fencing_token;

    let mut once = served.hold().await;
    once.say(start("two", Duration::ZERO));
    let Event::Contended(held) = once.event().await else { panic!("granted twice") };
    assert_eq!(held.fencing_token, token);
    assert_eq!(once.next().await.unwrap(), None);

    let mut second = served.hold().await;
    second.say(start("three", Duration::from_secs(3_600)));
    let Event::Queued(queued) = second.event().await else { panic!("it must wait") };
    assert_eq!(queued.position, 1);
    assert_eq!(queued.heartbeat_interval, wire(Duration::from_secs(10) / 3));

    first.say = None;
    assert_eq!(first.next().await.unwrap(), None);
    assert!(second.granted().await.fencing_token > token);
}

#[tokio::test]
async fn a_lease_is_found_again_within_its_grace() {
    let served = served().await;
    let mut talk = served.hold().await;
    let grace = wire(Duration::from_secs(5));
    talk.say(said(Message::Start(HoldStart { grace, ..starting("one", Duration::ZERO) })));
    let token = talk.granted().await.fencing_token;
    drop(talk);

    let mut again = served.hold().await;
    let reattach = HoldStart { fencing_token: token, ..starting("one", Duration::ZERO) };
    again.say(said(Message::Start(reattach.clone())));
    assert_eq!(again.granted().await.fencing_token, token);
    again.say(release());
    assert_eq!(again.event().await, Event::Released(ReleaseOutcome::Released.into()));

    let mut late = served.hold().await;
    late.say(said(Message::Start(reattach)));
    let Event::Lost(lost) = late.event().await else { panic!("acquired anew") };
    assert_eq!(lost.reason(), LeaseLostReason::Expired);
    assert_eq!(late.next().await.unwrap(), None);
}

#[tokio::test]
async fn what_a_hold_must_not_say_ends_it() {
    let served = served().await;
    let nothing = || HoldRequest { message: None };
    let open = || start("one", Duration::ZERO);
    let incomplete = said(Message::Start(HoldStart { liveness: 9, ..HoldStart::default() }));
    for (says, fields) in [
        (vec![heartbeat(1)], &["start"][..]),
        (vec![release()], &["start"]),
        (vec![], &["start"]),
        (vec![nothing()], &["message"]),
        (vec![incomplete], &["acquire", "liveness"]),
        (vec![start("\n", Duration::ZERO)], &["acquire.lease_id"]),
        (vec![open(), open()], &["start"]),
        (vec![open(), nothing()], &["message"]),
        (vec![open(), heartbeat(0)], &["heartbeat.sequence"]),
        (vec![open(), heartbeat(2), heartbeat(2)], &["heartbeat.sequence"]),
    ] {
        let mut talk = served.hold().await;
        says.iter().for_each(|message| talk.say(message.clone()));
        if says.is_empty() {
            talk.say = None;
        }
        let status = talk.refusal().await;
        let (code, what) = (Code::InvalidArgument, format!("{says:?}"));
        assert_speaks_the_contract(&status, code, reason::INVALID_ARGUMENT, &what);
        assert_eq!(fields_of(&status), fields, "{what}");
    }
}

#[tokio::test]
async fn a_watch_tells_every_change() {
    let served = served().await;
    let mut watch = served.watch(watching()).await;
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.reason(), WatchReason::Snapshot);
    assert!(matches!(first.state, Some(State::Vacant(_))) && first.age.is_some(), "{first:?}");

    let lease = served.lease("one").await;
    let elected = watch.message().await.unwrap().unwrap();
    assert_eq!(elected.reason(), WatchReason::Elected);
    let Some(State::Leader(leader)) = elected.state else { panic!("{elected:?}") };
    assert_eq!((leader.holder.as_str(), leader.fencing_token), ("ONE", lease.fencing_token));

    let metadata: BTreeMap<_, _> = [("address".to_owned(), "here".to_owned())].into();
    let proclaim = extend("one", lease.fencing_token);
    let proclaim = ExtendRequest { metadata: metadata.clone(), ..proclaim };
    served.locks().extend(proclaim).await.unwrap();
    let updated = watch.message().await.unwrap().unwrap();
    assert_eq!(updated.reason(), WatchReason::Updated);
    assert!(matches!(updated.state, Some(State::Leader(leader)) if leader.metadata == metadata));

    let release = ReleaseRequest {
        resource: RESOURCE.to_owned(),
        lease_id: "one".to_owned(),
        fencing_token: lease.fencing_token,
    };
    served.locks().release(release).await.unwrap();
    let released = watch.message().await.unwrap().unwrap();
    assert_eq!(released.reason(), WatchReason::Released);
    let Some(State::Vacant(vacant)) = released.state else { panic!("{released:?}") };
    assert_eq!(vacant.last_fencing_token, lease.fencing_token);
}

#[tokio::test]
async fn a_watch_confirms_and_never_shows_a_lower_term() {
    let served = served().await;
    let token = served.lease("one").await.fencing_token;
    let request = WatchLeaderRequest {
        after_fencing_token: token + 1,
        bookmark_interval: wire(Duration::from_millis(100)),
        ..watching()
    };
    let mut watch = served.watch(request).await;
    for reason in [WatchReason::Snapshot, WatchReason::Bookmark, WatchReason::Bookmark] {
        let response = watch.message().await.unwrap().unwrap();
        assert_eq!(response.reason(), reason);
        let Some(State::Unknown(unknown)) = response.state else { panic!("{response:?}") };
        assert_eq!(unknown.reason(), UnknownReason::StaleView);
    }

    let bad = WatchLeaderRequest { after_fencing_token: u64::MAX, ..WatchLeaderRequest::default() };
    let status = served.locks().watch_leader(bad).await.unwrap_err();
    assert_eq!(fields_of(&status), ["resource", "after_fencing_token"]);
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
    let header = ("grpc-timeout", "100m");
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
    let drain = tokio::spawn(async move { driver.drain(Duration::from_millis(300)).await });
    let warned = hold.event().await;
    let Event::AtRisk(risk) = warned else { panic!("{warned:?}") };
    assert_eq!(risk.reason(), AtRiskReason::ServerDraining);
    hold.say(heartbeat(1));
    let renewed = hold.event().await;
    assert!(matches!(&renewed, Event::Renewed(lease) if lease.fencing_token == token));

    for (what, status) in [
        ("KeepAlive", keep_alive.refusal().await),
        ("WatchLeader", watch.message().await.unwrap_err()),
        ("Hold", hold.refusal().await),
    ] {
        assert_speaks_the_contract(&status, Code::Unavailable, reason::SERVER_DRAINING, what);
    }
    drain.await.unwrap();
}

/// A master whose way in blocks the driver's thread, once it is told to.
struct Stalling(MemoryConnector, Arc<AtomicBool>);

struct StallingLink(Box<dyn Link>, Arc<AtomicBool>);

const STALL: Duration = Duration::from_secs(1);

impl Connector for Stalling {
    fn connect(
        &mut self,
        events: UnboundedSender<LinkEvent>,
    ) -> BoxFuture<'_, Result<Connection, Down>> {
        let stall = Arc::clone(&self.1);
        let connecting = self.0.connect(events);
        async move {
            let Connection { session, link } = connecting.await?;
            Ok(Connection { session, link: Box::new(StallingLink(link, stall)) })
        }
        .boxed()
    }
}

impl Link for StallingLink {
    fn send(&mut self, asks: Vec<Ask>) -> BoxFuture<'static, Vec<Reply>> {
        if self.1.swap(false, Ordering::SeqCst) {
            std::thread::sleep(STALL);
        }
        self.0.send(asks)
    }

    fn subscribe(&mut self, resource: &Resource) {
        self.0.subscribe(resource);
    }

    fn unsubscribe(&mut self, resource: &Resource) {
        self.0.unsubscribe(resource);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_driver_cannot_hide_that_a_lease_is_lost() -> Result<(), Closed> {
    let stall = Arc::new(AtomicBool::new(false));
    let served = served_over(MAX_STREAMS, |master| Stalling(master, Arc::clone(&stall))).await;
    let mut talk = served.hold().await;
    let mut starting = starting("one", Duration::ZERO);
    starting.acquire.as_mut().unwrap().ttl = wire(Duration::from_millis(500));
    let sent = crate::clock::now().boot;
    talk.say(said(Message::Start(starting)));
    let granted = talk.granted().await;
    let valid_for = Duration::try_from(granted.valid_for.unwrap()).unwrap();

    stall.store(true, Ordering::SeqCst);
    talk.say(heartbeat(1));
    let lost = talk.event().await;
    let took = crate::clock::now().boot.since(sent);

    assert!(took < valid_for, "{took:?}, valid for {valid_for:?}");
    let Event::Lost(lost) = lost else { panic!("{lost:?}") };
    assert_eq!(lost.reason(), LeaseLostReason::Expired);
    assert_eq!(talk.next().await.unwrap(), None);
    // Nothing was given back that the client might still rely on: it ran out.
    served.driver.status().await?;
    assert!(matches!(served.acquire("two", Duration::ZERO).await, Ok(Outcome::Lease(_))));
    Ok(())
}
