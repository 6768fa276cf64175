//! Streams: one span for as long as they are open, and the rounds below it as they come.

use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{
    HoldHeartbeat, HoldRelease, HoldRequest, HoldResponse, HoldStart, KeepAliveRequest,
    WatchLeaderRequest, hold_request, keep_alive_response,
};
use holdfast_tests::otlp::Exported;
use holdfast_tests::streams::outgoing_stream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Streaming;

use crate::traced::{
    ALL_OK, BOUND, CALLER, ONCE, Traced, acquire, answers, asks, cluster, extends, has_rounds,
    releases, rounds, rpc,
};

#[tokio::test]
async fn a_hold_is_one_span_and_its_rounds_are_told_while_it_lasts() {
    let (collector, cluster) = cluster().await;
    let traced = Traced::new();
    let mut client = traced.client(&cluster.replicas[0]);
    let (requests, outgoing) = mpsc::unbounded_channel();
    let say = |message| {
        requests.send(HoldRequest { message: Some(message) }).expect("an open stream");
    };
    let start = HoldStart { acquire: Some(asks("r", "held", ONCE)), ..HoldStart::default() };
    say(hold_request::Message::Start(start));
    let mut responses =
        client.hold(outgoing_stream(outgoing)).await.expect("a stream").into_inner();
    let next = async |responses: &mut Streaming<HoldResponse>| {
        let message = timeout(BOUND, responses.message()).await.expect("in time");
        message.expect("no error").expect("a message").event.expect("an event")
    };
    assert!(matches!(next(&mut responses).await, Event::Granted(_)));
    const RENEWALS: usize = 20;
    for sequence in 1..=RENEWALS as u64 {
        say(hold_request::Message::Heartbeat(HoldHeartbeat { sequence }));
        assert!(matches!(next(&mut responses).await, Event::Renewed(_)));
    }
    let renewals = |spans: &[Exported]| {
        let ended = spans.iter().filter(|span| span.get("holdfast.quorum_reached") == "true");
        ended.filter(|span| span.name == "extend").count() == RENEWALS
    };
    let early = collector.wait(&traced.id, renewals).await.expect("the rounds of the renewals");
    assert!(rpc(&early, "Hold").is_none(), "the stream is still open");

    say(hold_request::Message::Release(HoldRelease {}));
    assert!(matches!(next(&mut responses).await, Event::Released(_)));
    drop(requests);
    assert!(responses.message().await.expect("no error").is_none());
    let there = |spans: &[Exported]| has_rounds(spans, "Hold", "release", 1);
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "Hold").expect("the span of the stream");
    assert_eq!((call.parent.as_str(), call.get("holdfast.resource")), (CALLER, "r"));
    let ended = (call.get("rpc.grpc.status_code"), call.get("holdfast.outcome"));
    assert_eq!(ended, ("0", "released"), "{call:#?}");
    assert!(call.said <= 8 && call.events.is_empty(), "it does not grow: {call:#?}");
    assert_eq!(rounds(&spans, call, "acquire").len(), 1);
    assert_eq!(rounds(&spans, call, "extend").len(), RENEWALS);
    assert_eq!(answers(&spans, rounds(&spans, call, "extend")[0]), ALL_OK);
}

#[tokio::test]
async fn streams_about_many_resources_and_shared_readings_have_their_rounds_too() {
    let (collector, cluster) = cluster().await;
    let replica = &cluster.replicas[0];
    let mut others = Traced::not_sampled().client(replica);
    let leases = [
        acquire(&mut others, asks("r1", "one", ONCE)).await,
        acquire(&mut others, asks("r2", "two", ONCE)).await,
    ];
    let traced = Traced::new();
    let (requests, outgoing) = mpsc::unbounded_channel();
    for (sequence, lease) in (1..).zip(&leases) {
        let extend = Some(extends(lease));
        requests.send(KeepAliveRequest { extend, sequence }).expect("an open stream");
    }
    let mut renewed = traced
        .client(replica)
        .keep_alive(outgoing_stream(outgoing))
        .await
        .expect("a stream")
        .into_inner();
    for _ in &leases {
        let message = timeout(BOUND, renewed.message()).await.expect("in time").expect("no error");
        let result = message.expect("a message").result;
        assert!(matches!(result, Some(keep_alive_response::Result::Lease(_))), "{result:?}");
    }
    drop(requests);
    assert!(renewed.message().await.expect("no error").is_none());
    let there = |spans: &[Exported]| has_rounds(spans, "KeepAlive", "extend", 2);
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "KeepAlive").expect("the span of the stream");
    assert_eq!(call.get("holdfast.resource"), "", "it is about many");
    let about: Vec<_> =
        rounds(&spans, call, "extend").iter().map(|r| r.get("holdfast.resource")).collect();
    assert!(about.contains(&"r1") && about.contains(&"r2"), "{about:?}");

    let traced = Traced::new();
    let request = WatchLeaderRequest { resource: "r1".to_owned(), ..WatchLeaderRequest::default() };
    let mut views = traced.client(replica).watch_leader(request).await.expect("a stream");
    let first = timeout(BOUND, views.get_mut().message()).await.expect("in time");
    assert!(first.expect("no error").is_some());
    others.release(releases(&leases[0])).await.expect("released");
    let second = timeout(BOUND, views.get_mut().message()).await.expect("in time");
    assert!(second.expect("no error").is_some());
    drop(views);
    let there = |spans: &[Exported]| has_rounds(spans, "WatchLeader", "read", 2);
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "WatchLeader").expect("the span of the stream");
    assert_eq!(call.get("rpc.grpc.status_code"), "1", "its client has gone: {call:#?}");
    assert_eq!(answers(&spans, rounds(&spans, call, "read")[0]), ALL_OK);
}
