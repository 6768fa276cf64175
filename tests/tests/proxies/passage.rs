//! Everything passes as it is: messages, ends, errors with their details, and more of it than the proxies allow by
//! themselves.

use std::collections::BTreeMap;

use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::admin_service_client::AdminServiceClient;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::keep_alive_response::Result as Kept;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::session_request::Request;
use holdfast_proto::v1::session_response::Result as Said;
use holdfast_proto::v1::{
    AcquireRequest, CheckFencingTokenRequest, ExtendRequest, GetClusterStatusRequest,
    KeepAliveRequest, Lease, ReleaseOutcome, ReleaseRequest, SessionAcquire, SessionPing,
    SessionRequest, TokenStanding, WatchReason,
};
use holdfast_tests::calls::{error_metadata, reason};
use holdfast_tests::edge::Kind;
use holdfast_tests::streams::{
    Duplex, HoldStream, hold_with, is_vacant, keep_alive_with, session_with, start, term,
    watch_over,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::*;

with_both! {
    every_rpc_passes
    errors_pass_with_their_reasons_and_details
    the_end_of_a_stream_gives_its_lock_back_at_once
    a_stream_may_say_more_than_a_megabyte
    a_client_may_have_more_than_a_thousand_streams
}

fn extend(lease: &Lease) -> ExtendRequest {
    ExtendRequest {
        resource: lease.resource.clone(),
        lease_id: lease.lease_id.clone(),
        fencing_token: lease.fencing_token,
        ..ExtendRequest::default()
    }
}

fn release(lease: &Lease) -> ReleaseRequest {
    let (resource, lease_id) = (lease.resource.clone(), lease.lease_id.clone());
    ReleaseRequest { resource, lease_id, fencing_token: lease.fencing_token }
}

async fn next<Out, In>(stream: &mut Duplex<Out, In>) -> In {
    stream.message().await.expect("a message").expect("a message, not the end")
}

async fn every_rpc_passes(kind: Kind) {
    let cluster = cluster(3).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let channel = edge.channel().expect("a channel");
    let mut stub = LockServiceClient::new(channel.clone());

    let mut watch = watch_over(channel.clone(), watch_of("r")).await.expect("a stream");
    assert!(is_vacant(&watch.next().await));
    let acquired = stub.acquire(once("r", "a")).await.expect("an answer").into_inner();
    let Some(Outcome::Lease(lease)) = acquired.outcome else { panic!("it is free: {acquired:?}") };
    let elected = watch.until(|seen| term(seen) == Some(lease.fencing_token)).await;
    assert_eq!(elected.reason(), WatchReason::Elected);
    let other = stub.acquire(once("r", "b")).await.expect("an answer").into_inner();
    assert!(matches!(other.outcome, Some(Outcome::Held(_))), "{other:?}");
    stub.extend(extend(&lease)).await.expect("it is still there");
    let (resource, fencing_token) = ("r".to_owned(), lease.fencing_token);
    let check = CheckFencingTokenRequest { resource, fencing_token };
    let checked = stub.check_fencing_token(check).await.expect("an answer").into_inner();
    assert_eq!(checked.standing(), TokenStanding::Current);

    let first = KeepAliveRequest { extend: Some(extend(&lease)), sequence: 1 };
    let mut keeping = keep_alive_with(channel.clone(), first.clone()).await.expect("a stream");
    for sequence in 1..4 {
        let kept = next(&mut keeping).await;
        assert_eq!(kept.sequence, sequence);
        assert!(matches!(kept.result, Some(Kept::Lease(_))), "{kept:?}");
        keeping.send(KeepAliveRequest { sequence: sequence + 1, ..first.clone() });
    }
    let released = stub.release(release(&lease)).await.expect("an answer").into_inner();
    assert_eq!(released.outcome(), ReleaseOutcome::Released);
    assert_eq!(watch.until(is_vacant).await.reason(), WatchReason::Released);

    let mut hold = hold_with(channel.clone(), start("r", "c", LONG)).await.expect("a stream");
    let granted = hold.granted().await;
    watch.until(|seen| term(seen) == Some(granted.fencing_token)).await;
    hold.heartbeat(1);
    hold.until(|event| matches!(event, Event::Renewed(_))).await;
    hold.release();
    let released = hold.until(|event| matches!(event, Event::Released(_))).await;
    assert_eq!(released, Event::Released(ReleaseOutcome::Released.into()));
    assert!(hold.message().await.expect("no error").is_none(), "the end, with OK");

    let ping = Some(Request::Ping(SessionPing {}));
    let first = SessionRequest { sequence: 1, request: ping, timeout: None };
    let mut session = session_with(channel.clone(), first).await.expect("a stream");
    assert!(matches!(next(&mut session).await.result, Some(Said::Pong(_))));
    let acquire = SessionAcquire { acquire: Some(once("s", "a")), grace: None };
    let acquire = Some(Request::Acquire(acquire));
    session.send(SessionRequest { sequence: 2, request: acquire, timeout: None });
    let answer = next(&mut session).await;
    assert!(matches!(answer.result, Some(Said::Acquired(_))), "{answer:?}");

    let mut admin = AdminServiceClient::new(channel);
    let status =
        admin.get_cluster_status(GetClusterStatusRequest {}).await.expect("an answer").into_inner();
    assert!(status.has_quorum, "{status:?}");
}

fn assert_refused(status: &Status, code: Code, why: &str) {
    assert_eq!((status.code(), reason(status).as_deref()), (code, Some(why)), "{status:?}");
}

async fn errors_pass_with_their_reasons_and_details(kind: Kind) {
    let cluster = cluster(1).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let channel = edge.channel().expect("a channel");
    let mut stub = LockServiceClient::new(channel.clone());
    // Instead of a response.
    let bad = stub.acquire(AcquireRequest::default()).await.expect_err("an error");
    assert_refused(&bad, Code::InvalidArgument, "INVALID_ARGUMENT");
    let violations = bad.get_details_bad_request().expect("details").field_violations;
    assert_eq!(violations[0].field, "resource");
    let never = Lease { lease_id: "a".into(), ..Lease::default() };
    let never = Lease { resource: "r".into(), fencing_token: 1, ..never };
    let lost = stub.extend(extend(&never)).await.expect_err("an error");
    assert_refused(&lost, Code::FailedPrecondition, "LEASE_LOST");
    assert!(error_metadata(&lost).contains_key("lost_reason"), "{lost:?}");
    // After responses.
    let mut hold = hold_with(channel.clone(), start("r", "a", LONG)).await.expect("a stream");
    hold.granted().await;
    hold.heartbeat(0);
    assert_refused(
        &hold.message().await.expect_err("an error"),
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
    );
    // Too few masters: with what each of them did.
    for master in &cluster.masters[..2] {
        master.freeze().expect("a signal");
    }
    let outage = stub.acquire(once("s", "a")).await.expect_err("an error");
    assert_refused(&outage, Code::Unavailable, "NO_QUORUM");
    assert_eq!(error_metadata(&outage).len(), 3, "{outage:?}");
    assert!(outage.get_details_retry_info().is_some(), "{outage:?}");
}

async fn the_end_of_a_stream_gives_its_lock_back_at_once(kind: Kind) {
    let cluster = cluster(2).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let ends: [fn(HoldStream) -> Option<HoldStream>; 2] = [
        |mut half_closed| {
            half_closed.close();
            Some(half_closed)
        },
        |cancelled| {
            drop(cancelled);
            None
        },
    ];
    for (turn, end) in ends.into_iter().enumerate() {
        let resource = turn.to_string();
        let request = start(&resource, "a", LONG);
        let mut hold =
            hold_with(edge.channel().expect("a channel"), request).await.expect("a stream");
        hold.granted().await;
        let request = start(&resource, "b", LONG);
        let mut waiter =
            hold_with(edge.channel().expect("a channel"), request).await.expect("a stream");
        waiter.until(|event| matches!(event, Event::Queued(_))).await;
        let _kept = end(hold);
        // Long before the lease would have run out.
        waiter.granted().await;
    }
}

async fn a_stream_may_say_more_than_a_megabyte(kind: Kind) {
    let cluster = cluster(1).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    assert_eq!(said(&edge).await.expect("no end"), MESSAGES);
}

const MESSAGES: u64 = 600;

/// How many large messages are answered.
async fn said(edge: &Edge) -> Result<u64, Status> {
    let metadata = BTreeMap::from([("key".to_owned(), "v".repeat(4_000))]);
    let extend = ExtendRequest {
        resource: "r".into(),
        lease_id: "a".into(),
        fencing_token: 1,
        metadata,
        ..ExtendRequest::default()
    };
    let request = |sequence| KeepAliveRequest { extend: Some(extend.clone()), sequence };
    let mut stream = keep_alive_with(edge.channel().expect("a channel"), request(1)).await?;
    for sequence in 1..=MESSAGES {
        let answer = stream.message().await?;
        assert_eq!(answer.expect("no end").sequence, sequence);
        stream.send(request(sequence + 1));
    }
    Ok(MESSAGES)
}

/// The control: what `client_max_body_size` is for.
#[tokio::test]
async fn nginx_by_itself_ends_a_stream_after_a_megabyte() {
    let cluster = cluster(1).await;
    let changes = [("client_max_body_size 0;", "")];
    let edge = edge!(Edge::start_with(Kind::Nginx, &addresses(&cluster), &changes));
    let cut = said(&edge).await.expect_err("an error");
    assert_eq!((cut.code(), reason(&cut)), (Code::Internal, None), "{cut:?}");
}

async fn a_client_may_have_more_than_a_thousand_streams(kind: Kind) {
    let cluster = cluster(1).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let channel = edge.channel().expect("a channel");
    let mut watches = Vec::new();
    for _ in 0..1_100 {
        let mut watch = watch_over(channel.clone(), watch_of("r")).await.expect("a stream");
        watch.next().await;
        watches.push(watch);
    }
    // And all of them hear.
    let taken =
        cluster.acquire(0, "r", "a", LONG, Duration::ZERO).await.expect("an answer").lease();
    for watch in &mut watches {
        watch.until(|seen| term(seen) == Some(taken.fencing_token)).await;
    }
}

/// The control: what `max_requests` is for, here with a smaller number than Envoy's own 1024.
#[tokio::test]
async fn envoy_refuses_streams_above_the_requests_of_a_cluster() {
    let cluster = cluster(1).await;
    let changes = [("max_requests: 100000", "max_requests: 2")];
    let edge = edge!(Edge::start_with(Kind::Envoy, &addresses(&cluster), &changes));
    let channel = edge.channel().expect("a channel");
    let mut watches = Vec::new();
    for _ in 0..2 {
        let mut watch = watch_over(channel.clone(), watch_of("r")).await.expect("a stream");
        watch.next().await;
        watches.push(watch);
    }
    let refused = watch_over(channel, watch_of("r")).await.expect_err("an error");
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, None), "{refused:?}");
    assert!(refused.message().contains("overflow"), "{refused:?}");
}
