//! Where nothing happens for long: waits, and streams that are quiet. Each control is the documented file with one setting
//! as short as the test can wait for.

use holdfast_client::WatchReason;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::keep_alive_response::Result as Kept;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::session_request::Request;
use holdfast_proto::v1::session_response::Result as Said;
use holdfast_proto::v1::{
    AcquireRequest, ExtendRequest, KeepAliveRequest, SessionPing, SessionRequest,
};
use holdfast_tests::calls::reason;
use holdfast_tests::edge::Kind;
use holdfast_tests::streams::{
    by_connection, hold_with, is_vacant, keep_alive_with, session_with, start, term, watch_over,
    wire,
};
use tonic::Code;

use super::*;

with_both! {
    a_wait_that_is_cut_ends_without_a_reason_and_is_taken_up_again
    a_quiet_watch_that_is_cut_is_resumed
    bookmarks_keep_a_watch
}

/// Longer than every default of 15 s and 60 s.
const QUIET: Duration = Duration::from_secs(65);

/// Both at once: it takes its time.
#[tokio::test]
async fn what_is_quiet_for_a_minute_is_left_alone() {
    tokio::join!(a_quiet_minute(Kind::Envoy), a_quiet_minute(Kind::Nginx));
}

async fn a_quiet_minute(kind: Kind) {
    let cluster = cluster(1).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let channel = edge.channel().expect("a channel");
    let mut stub = LockServiceClient::new(channel.clone());
    let holder =
        cluster.acquire(0, "taken", "a", LONG, Duration::ZERO).await.expect("an answer").lease();

    let mut watch = watch_over(channel.clone(), watch_of("r")).await.expect("a stream");
    watch.until(is_vacant).await;
    let nothing = KeepAliveRequest { extend: Some(ExtendRequest::default()), sequence: 1 };
    let mut keeping = keep_alive_with(channel.clone(), nothing.clone()).await.expect("a stream");
    keeping.message().await.expect("no error").expect("an answer");
    let ping = |sequence| {
        let request = Some(Request::Ping(SessionPing {}));
        SessionRequest { sequence, request, timeout: None }
    };
    let mut session = session_with(channel.clone(), ping(1)).await.expect("a stream");
    session.message().await.expect("no error").expect("an answer");
    // Its client says nothing, and hears something every third of the ttl.
    let request = by_connection(start("s", "a", LONG));
    let mut connected = hold_with(channel.clone(), request).await.expect("a stream");
    connected.granted().await;
    // Its client says something, and hears nothing.
    let mut request = start("taken", "b", LONG);
    request.acquire.as_mut().expect("an acquire").wait = Some(wire(3 * LONG));
    let mut waiter = hold_with(channel.clone(), request).await.expect("a stream");
    waiter.until(|event| matches!(event, Event::Queued(_))).await;
    let wait = AcquireRequest { wait: Some(wire(LONG)), ..once("s", "b") };
    let waiting = tokio::spawn(async move { stub.acquire(wait).await });

    let quiet = tokio::time::sleep(QUIET);
    tokio::pin!(quiet);
    let mut sequence = 0;
    loop {
        tokio::select! {
            () = &mut quiet => break,
            () = tokio::time::sleep(LONG / 6) => {
                sequence += 1;
                waiter.heartbeat(sequence);
                cluster.extend(0, &holder, LONG).await.expect("it is still there");
            }
        }
    }

    let held = waiting.await.expect("no panic").expect("an answer after a whole minute");
    assert!(held.into_inner().outcome.is_some());
    let taken =
        cluster.acquire(0, "r", "a", LONG, Duration::ZERO).await.expect("an answer").lease();
    watch.until(|seen| term(seen) == Some(taken.fencing_token)).await;
    keeping.send(KeepAliveRequest { sequence: 2, ..nothing });
    let kept = keeping.message().await.expect("no error").expect("no end");
    assert!(matches!(kept.result, Some(Kept::Error(_))), "{kept:?}");
    session.send(ping(2));
    let said = session.message().await.expect("no error").expect("no end");
    assert!(matches!(said.result, Some(Said::Pong(_))), "{said:?}");
    connected.heartbeat(1);
    connected.until(|event| matches!(event, Event::Renewed(_))).await;
    cluster.release(0, &holder).await.expect("it is still there");
    waiter.granted().await;
}

/// A second in place of Envoy's 15 and nginx' 60.
fn impatient(kind: Kind) -> [(&'static str, &'static str); 1] {
    match kind {
        Kind::Envoy => [(" timeout: 0s", " timeout: 1s")],
        Kind::Nginx => [("grpc_read_timeout 1d", "grpc_read_timeout 1s")],
    }
}

/// Enough for more than one of these.
const CUTS: Duration = Duration::from_secs(3);

async fn a_wait_that_is_cut_ends_without_a_reason_and_is_taken_up_again(kind: Kind) {
    let cluster = cluster(2).await;
    let edge = edge!(Edge::start_with(kind, &addresses(&cluster), &impatient(kind)));
    let holder =
        cluster.acquire(0, "r", "a", LONG, Duration::ZERO).await.expect("an answer").lease();
    let wait = AcquireRequest { wait: Some(wire(LONG)), ..once("r", "b") };
    let mut stub = LockServiceClient::new(edge.channel().expect("a channel"));
    let cut = stub.acquire(wait).await.expect_err("an error");
    // A library that reads the status of HTTP before the body of nginx says UNAVAILABLE too; tonic does not.
    let code = match kind {
        Kind::Envoy => Code::Unavailable,
        Kind::Nginx => Code::Internal,
    };
    assert_eq!((cut.code(), reason(&cut)), (code, None), "{cut:?}");

    // The Rust client goes on, on whichever way it waits.
    let by_calls = client(&edge, "calls").lock("r").ttl(LONG).wait(LONG);
    let by_calls = tokio::spawn(by_calls.acquire());
    cluster_waits(&cluster).await;
    tokio::time::sleep(CUTS).await;
    cluster.release(0, &holder).await.expect("it is still there");
    let guard =
        timeout(BOUND, by_calls).await.expect("in time").expect("no panic").expect("a lock");
    let by_stream = client(&edge, "stream").lock("r").ttl(LONG).wait(LONG);
    let by_stream = tokio::spawn(by_stream.hold());
    cluster_waits(&cluster).await;
    tokio::time::sleep(CUTS).await;
    guard.release().await.expect("it is still there");
    let _ = timeout(BOUND, by_stream).await.expect("in time").expect("no panic").expect("a lock");
}

/// Somebody waits, through either replica.
async fn cluster_waits(cluster: &Cluster) {
    let [one, other] =
        [0, 1].map(|index| cluster.replicas[index].wait_status(BOUND, |status| status.waiters > 0));
    tokio::select! {
        waits = one => drop(waits.expect("a waiter")),
        waits = other => drop(waits.expect("a waiter")),
    }
}

/// What ends a stream that says nothing for a while: one that nobody sends anything on.
fn idle(kind: Kind, seconds: &'static str) -> [(&'static str, String); 1] {
    match kind {
        Kind::Envoy => [("stream_idle_timeout: 0s", format!("stream_idle_timeout: {seconds}"))],
        Kind::Nginx => [("grpc_read_timeout 1d", format!("grpc_read_timeout {seconds}"))],
    }
}

async fn a_quiet_watch_that_is_cut_is_resumed(kind: Kind) {
    let cluster = cluster(2).await;
    let [(from, to)] = idle(kind, "1s");
    let edge = edge!(Edge::start_with(kind, &addresses(&cluster), &[(from, &to)]));
    let first =
        cluster.acquire(0, "r", "a", LONG, Duration::ZERO).await.expect("an answer").lease();

    let mut stub =
        watch_over(edge.channel().expect("a channel"), watch_of("r")).await.expect("a stream");
    assert_eq!(term(&stub.next().await), Some(first.fencing_token));
    let cut = stub.message().await.expect_err("an error");
    assert_eq!((cut.code(), reason(&cut)), (Code::Internal, None), "{cut:?}");

    let mut watch = client(&edge, "observer").watch("r");
    led(&mut watch, first.fencing_token).await;
    for _ in 0..3 {
        assert!(led(&mut watch, first.fencing_token).await > 0, "that it was cut is said");
    }
    cluster.release(0, &first).await.expect("it is still there");
    let second =
        cluster.acquire(1, "r", "b", LONG, Duration::ZERO).await.expect("an answer").lease();
    let highest = loop {
        match observed(&mut watch).await.state {
            LeaderState::Led(leader) if leader.term != first.fencing_token => break leader.term,
            _ => {}
        }
    };
    assert_eq!(highest, second.fencing_token);
}

async fn bookmarks_keep_a_watch(kind: Kind) {
    /// Of the proxy.
    const PATIENCE: Duration = Duration::from_secs(8);
    let cluster = cluster(1).await;
    let [(from, to)] = idle(kind, "8s");
    let edge = edge!(Edge::start_with(kind, &addresses(&cluster), &[(from, &to)]));
    let lease =
        cluster.acquire(0, "r", "a", LONG, Duration::ZERO).await.expect("an answer").lease();
    let mut watch = client(&edge, "observer").watch("r").bookmark_interval(PATIENCE / 16);
    led(&mut watch, lease.fencing_token).await;
    for _ in 0..24 {
        assert_eq!(observed(&mut watch).await.reason, WatchReason::Bookmark);
    }
}
