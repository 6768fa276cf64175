//! Locks that are held on a stream.

use std::time::Duration;

use holdfast_client::{Client, Guard, LossReason, Queued, ReleaseOutcome};
use holdfast_tests::proxy::Proxy;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{BOUND, KEPT, LONG, client, cluster, expect_busy, renewed, url};

#[tokio::test]
async fn a_hold_waits_in_the_queue_and_says_so() {
    let cluster = cluster(3, 1).await;
    let (one, two) = (client(&cluster, [0], "one"), client(&cluster, [0], "two"));
    let first = one.lock("r").ttl(LONG).hold().await.unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let lock = two.lock("r").ttl(LONG).wait(LONG).on_queued(move |queued: &Queued| {
        tell.send(queued.clone()).unwrap();
    });
    let waiting = tokio::spawn(lock.hold());
    let queued = timeout(BOUND, told.recv()).await.unwrap().unwrap();
    assert_eq!(queued.position, 1);
    assert_eq!(queued.held.unwrap().holder, "one");
    let token = first.fencing_token();
    assert_eq!(first.release().await.unwrap(), ReleaseOutcome::Released);
    let second = waiting.await.unwrap().unwrap();
    assert!(second.fencing_token() > token);
    expect_busy(one.lock("r"), "two").await;
}

#[tokio::test]
async fn a_hold_outlives_its_ttl() {
    let cluster = cluster(3, 1).await;
    let guard = client(&cluster, [0], "one").lock("r").ttl(KEPT).hold().await.unwrap();
    renewed_often(&guard, 4).await;
    expect_busy(client(&cluster, [0], "two").lock("r"), "one").await;
}

/// A way for a replica to go away, and none of them is a reason to lose a lock.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Killed,
    Frozen,
    Drained,
}

async fn renewed_often(guard: &Guard, times: usize) {
    for _ in 0..times {
        renewed(guard).await;
    }
}

async fn survives(fate: Fate) {
    let mut cluster = cluster(3, 3).await;
    let one = client(&cluster, [0, 1], "one");
    // Nothing tells a replica that dies from a network that breaks.
    let grace = if let Fate::Killed = fate { LONG } else { Duration::ZERO };
    let by_stream = one.lock("stream").ttl(LONG).grace(grace).hold().await.expect("a lock");
    let by_calls = one.lock("calls").ttl(KEPT).acquire().await.expect("a lock");
    let tokens = [by_stream.fencing_token(), by_calls.fencing_token()];
    match fate {
        Fate::Killed => cluster.replicas[0].kill().expect("a killed replica"),
        Fate::Frozen => cluster.replicas[0].freeze().expect("a frozen replica"),
        Fate::Drained => {
            assert!(cluster.replicas[0].terminate().await.expect("a drained replica").success())
        }
    }
    // For longer than the one's ttl, and than the other's connection to a frozen replica lasts.
    tokio::join!(renewed_often(&by_stream, 4), renewed_often(&by_calls, 5));
    assert_eq!([by_stream.fencing_token(), by_calls.fencing_token()], tokens);
    if let Fate::Frozen = fate {
        // It wakes up with a stream that its client has left. That stream's end takes nothing back.
        cluster.replicas[0].thaw().expect("a replica that goes on");
        renewed_often(&by_stream, 2).await;
    }
    let two = client(&cluster, [2], "two");
    expect_busy(two.lock("stream"), "one").await;
    expect_busy(two.lock("calls"), "one").await;
    assert_eq!(by_stream.release().await.expect("an outcome"), ReleaseOutcome::Released);
    assert_eq!(by_calls.release().await.expect("an outcome"), ReleaseOutcome::Released);
    let _ = two.lock("stream").ttl(LONG).acquire().await.expect("a lock");
}

#[tokio::test]
async fn a_killed_replica_costs_no_lock() {
    survives(Fate::Killed).await;
}

#[tokio::test]
async fn a_frozen_replica_costs_no_lock() {
    survives(Fate::Frozen).await;
}

#[tokio::test]
async fn a_drained_replica_costs_no_lock() {
    survives(Fate::Drained).await;
}

#[tokio::test]
async fn a_broken_connection_gives_the_lock_back_at_once() {
    let cluster = cluster(3, 1).await;
    let mut network = Proxy::start(cluster.replicas[0].grpc_address()).unwrap();
    let one = Client::new(url(network.address())).unwrap();
    let guard = one.lock("r").ttl(LONG).hold().await.unwrap();
    let two = client(&cluster, [0], "two");
    let next = tokio::spawn(two.lock("r").ttl(LONG).wait(LONG).hold());
    cluster.replicas[0].wait_status(BOUND, |status| status.waiters == 1).await.unwrap();
    network.cut().await;
    let _next = next.await.unwrap().unwrap();
    assert_eq!(timeout(BOUND, guard.lost()).await.unwrap(), LossReason::Disconnected);
}

#[tokio::test]
async fn with_grace_a_client_comes_back_to_its_lock() {
    let cluster = cluster(3, 1).await;
    let mut network = Proxy::start(cluster.replicas[0].grpc_address()).unwrap();
    let one = Client::builder().address(url(network.address())).holder("one").build().unwrap();
    let guard = one.lock("r").ttl(KEPT).grace(KEPT).hold().await.unwrap();
    network.cut().await;
    network.resume().unwrap();
    for _ in 0..2 {
        renewed(&guard).await;
    }
    expect_busy(client(&cluster, [0], "two").lock("r"), "one").await;
    assert_eq!(guard.release().await.unwrap(), ReleaseOutcome::Released);
}
