//! Replicas that come and go behind the only address that clients know.

use holdfast_client::{LossReason, RetryPolicy};
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{AcquireRequest, AtRiskReason};
use holdfast_tests::calls::reason;
use holdfast_tests::edge::Kind;
use holdfast_tests::streams::{hold_with, re_attach, start, watch_over, wire};
use tonic::{Code, Status};

use super::*;

with_both! {
    a_rolling_restart_costs_nothing
    a_draining_replica_tells_generated_clients
    a_killed_replica_is_no_reason_to_lose_a_lock_with_grace
    a_killed_replica_costs_a_lock_without_grace_and_the_holder_is_told
    a_killed_replica_is_an_end_without_a_reason
    a_frozen_replica_costs_nothing
    a_proxy_that_dies_is_no_reason_to_lose_a_lock_with_grace
}

/// Every replica in turn, as a deployment does it.
async fn a_rolling_restart_costs_nothing(kind: Kind) {
    let mut cluster = cluster(3).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let one = client(&edge, "one");
    let by_stream = one.lock("stream").ttl(KEPT).hold().await.expect("a lock");
    let by_calls = one.lock("calls").ttl(KEPT).acquire().await.expect("a lock");
    let terms = [by_stream.fencing_token(), by_calls.fencing_token()];
    let mut watch = one.watch("stream");
    led(&mut watch, terms[0]).await;
    for index in 0..3 {
        assert!(cluster.replicas[index].terminate().await.expect("a drain").success());
        cluster.replicas[index].restart().await.expect("up again");
        cluster.replicas[index].wait_readyz(200, "").await.expect("ready");
        tokio::join!(renewed(&by_stream, 1), renewed(&by_calls, 1));
    }
    assert_eq!([by_stream.fencing_token(), by_calls.fencing_token()], terms);
    by_stream.publish([("at", "10.0.0.1")]).await.expect("it is still there");
    loop {
        match observed(&mut watch).await.state {
            LeaderState::Led(leader) if !leader.metadata.is_empty() => {
                assert_eq!(leader.term, terms[0]);
                break;
            }
            LeaderState::Led(leader) => assert_eq!(leader.term, terms[0]),
            LeaderState::Unknown(_) => {}
            other => panic!("it is led all the time: {other:?}"),
        }
    }
    expect_busy(client(&edge, "two").lock("stream"), "one").await;
    expect_busy(client(&edge, "two").lock("calls"), "one").await;
}

/// Which replica has this stream.
async fn serving(cluster: &Cluster) -> usize {
    for (index, replica) in cluster.replicas.iter().enumerate() {
        if replica.status().await.expect("a status").streams > 0 {
            return index;
        }
    }
    panic!("no replica has a stream");
}

async fn a_draining_replica_tells_generated_clients(kind: Kind) {
    let config = "[grpc]\ndrain_timeout = \"2s\"".to_owned();
    let mut cluster = cluster_with(2, ClusterOptions { config, ..options() }).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let channel = edge.channel().expect("a channel");
    let request = start("r", "a", LONG);
    let mut hold = hold_with(channel.clone(), request.clone()).await.expect("a stream");
    let lease = hold.granted().await;
    let index = serving(&cluster).await;
    let draining = cluster.replicas[index].terminate();
    let told = async {
        let at_risk = hold.until(|event| matches!(event, Event::AtRisk(_))).await;
        let Event::AtRisk(risk) = at_risk else { unreachable!() };
        assert_eq!(risk.reason(), AtRiskReason::ServerDraining);
        // It stays until the drain is over.
        hold.message().await.expect_err("the end")
    };
    let (drained, end) = tokio::join!(draining, told);
    assert!(drained.expect("a drain").success());
    assert_eq!((end.code(), reason(&end).as_deref()), (Code::Unavailable, Some("SERVER_DRAINING")));
    let again = re_attach(request, lease.fencing_token);
    let mut again = hold_with(channel, again).await.expect("a stream");
    assert_eq!(again.granted().await.fencing_token, lease.fencing_token);
}

async fn a_killed_replica_is_no_reason_to_lose_a_lock_with_grace(kind: Kind) {
    let mut cluster = cluster(2).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let guard = client(&edge, "one").lock("r").ttl(LONG).grace(LONG).hold().await.expect("a lock");
    let index = serving(&cluster).await;
    cluster.replicas[index].kill().expect("a signal");
    renewed(&guard, 3).await;
    expect_busy(client(&edge, "two").lock("r"), "one").await;
}

/// Nothing tells a replica that died from one that sees a broken connection and gives the lock back.
async fn a_killed_replica_costs_a_lock_without_grace_and_the_holder_is_told(kind: Kind) {
    let mut cluster = cluster(2).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let guard = client(&edge, "one").lock("r").ttl(KEPT).hold().await.expect("a lock");
    let index = serving(&cluster).await;
    cluster.replicas[index].kill().expect("a signal");
    assert_eq!(
        timeout(BOUND, guard.lost()).await.expect("a loss in time"),
        LossReason::Disconnected
    );
    // It is free when the lease that nobody gave back has run out.
    let next = client(&edge, "two").lock("r").ttl(SHORT).wait(LONG).hold().await.expect("a lock");
    assert!(next.fencing_token() > guard.fencing_token());
}

async fn a_killed_replica_is_an_end_without_a_reason(kind: Kind) {
    let mut cluster = cluster(1).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let channel = edge.channel().expect("a channel");
    let mut hold = hold_with(channel.clone(), start("r", "a", LONG)).await.expect("a stream");
    hold.granted().await;
    let mut watch = watch_over(channel.clone(), watch_of("r")).await.expect("a stream");
    watch.next().await;
    let mut stub = LockServiceClient::new(channel);
    let wait = AcquireRequest { wait: Some(wire(LONG)), ..once("r", "b") };
    let waiting = tokio::spawn(async move { (stub.acquire(wait).await, stub) });
    cluster.replicas[0].wait_status(BOUND, |status| status.waiters == 1).await.expect("a status");
    cluster.replicas[0].kill().expect("a signal");
    let told = |status: Status| (status.code(), reason(&status));
    // What had begun is reset; what had not is refused as HTTP refuses, and tonic reads the page of nginx.
    let refused = match kind {
        Kind::Envoy => Code::Unavailable,
        Kind::Nginx => Code::Internal,
    };
    assert_eq!(told(hold.message().await.expect_err("an error")), (Code::Internal, None));
    assert_eq!(told(watch.message().await.expect_err("an error")), (Code::Internal, None));
    let (waited, mut stub) = waiting.await.expect("no panic");
    assert_eq!(told(waited.expect_err("an error")), (refused, None));
    assert_eq!(told(stub.acquire(once("r", "c")).await.expect_err("an error")), (refused, None));
    // The Rust client calls all of it by one name.
    let tls = edge.certificates.grpc_client_anonymous().expect("an authority");
    let hasty = Client::builder().address(edge.url()).tls(tls).retry(RetryPolicy::none());
    let failed = hasty.build().expect("a client").lock("r").acquire().await.expect_err("an error");
    assert!(matches!(failed, Error::Unreachable(_)), "{failed:?}");
}

async fn a_frozen_replica_costs_nothing(kind: Kind) {
    let cluster = cluster(2).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let one = client(&edge, "one");
    let guard = one.lock("r").ttl(LONG).hold().await.expect("a lock");
    let index = serving(&cluster).await;
    cluster.replicas[index].freeze().expect("a signal");
    renewed(&guard, 2).await;
    // It wakes up with a stream that its client has left, whose end takes nothing back.
    cluster.replicas[index].thaw().expect("a signal");
    renewed(&guard, 1).await;
    expect_busy(client(&edge, "two").lock("r"), "one").await;
}

async fn a_proxy_that_dies_is_no_reason_to_lose_a_lock_with_grace(kind: Kind) {
    let cluster = cluster(2).await;
    let mut edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let one = client(&edge, "one");
    let guard = one.lock("r").ttl(LONG).grace(LONG).hold().await.expect("a lock");
    let mut watch = one.watch("r");
    led(&mut watch, guard.fencing_token()).await;
    let mut stub = hold_with(edge.channel().expect("a channel"), start("s", "a", LONG))
        .await
        .expect("a stream");
    stub.granted().await;
    edge.restart().await.expect("up again");
    let end = stub.message().await.expect_err("an error");
    assert_eq!(reason(&end), None, "{end:?}");
    renewed(&guard, 2).await;
    guard.publish([("at", "10.0.0.1")]).await.expect("it is still there");
    assert!(led(&mut watch, guard.fencing_token()).await > 0, "that it was cut is said");
    expect_busy(client(&edge, "two").lock("r"), "one").await;
    // Nobody gave it a grace: it was given back at once.
    let _next = client(&edge, "two").lock("s").wait(LONG / 2).acquire().await.expect("a lock");
}
