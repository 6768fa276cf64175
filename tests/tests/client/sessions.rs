//! What the calls of a client have to do with the one stream that they go over, and what not.

use holdfast_client::{Client, Lock, ReleaseOutcome, RetryPolicy};
use holdfast_tests::proxy::Proxy;

use crate::{BOUND, KEPT, LONG, client, cluster, expect_busy, renewed, url};

#[tokio::test]
async fn many_locks_of_a_client_go_over_one_stream() {
    const LOCKS: usize = 200;
    let cluster = cluster(3, 1).await;
    let replica = &cluster.replicas[0];
    let network = Proxy::start(replica.grpc_address()).unwrap();
    // One that is slow is not left for another connection.
    let retry = RetryPolicy { attempt_timeout: BOUND, ..RetryPolicy::default() };
    let one = Client::builder().address(url(network.address())).retry(retry).build().unwrap();
    let taken: Vec<_> = (0..LOCKS)
        .map(|number| tokio::spawn(one.lock(format!("r{number}")).ttl(LONG).acquire()))
        .collect();
    let mut guards = Vec::new();
    for taken in taken {
        guards.push(taken.await.unwrap().unwrap());
    }
    let status = replica.status().await.unwrap();
    assert_eq!((status.locks as usize, status.streams), (LOCKS, 1));
    assert_eq!(network.accepted(), 1);
    for guard in guards {
        assert_eq!(guard.release().await.unwrap(), ReleaseOutcome::Released);
    }
    // Its stream ends with the client.
    drop(one);
    replica.wait_status(BOUND, |status| status.streams == 0).await.unwrap();
}

async fn take_and_give_back(lock: Lock) -> u64 {
    let guard = lock.acquire().await.expect("a lock");
    let token = guard.fencing_token();
    assert_eq!(guard.release().await.expect("an answer"), ReleaseOutcome::Released);
    token
}

/// Whether they were answered is not known; asked again, each is the same call.
#[tokio::test]
async fn calls_under_way_outlast_a_broken_connection() {
    const WAITING: usize = 20;
    let cluster = cluster(3, 1).await;
    let replica = &cluster.replicas[0];
    let mut network = Proxy::start(replica.grpc_address()).unwrap();
    let one = client(&cluster, [0], "one");
    let two = Client::new(url(network.address())).unwrap();
    let guard = one.lock("r").ttl(LONG).acquire().await.unwrap();
    let waiting: Vec<_> = (0..WAITING)
        .map(|_| tokio::spawn(take_and_give_back(two.lock("r").ttl(LONG).wait(LONG))))
        .collect();
    replica.wait_status(BOUND, |status| status.waiters as usize == WAITING).await.unwrap();

    assert_eq!(network.cut().await, 1);
    replica.wait_status(BOUND, |status| status.waiters == 0).await.unwrap();
    network.resume().unwrap();
    guard.release().await.unwrap();
    let mut tokens = Vec::new();
    for waiting in waiting {
        tokens.push(waiting.await.unwrap());
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), WAITING);
    // None of them has a second lease.
    assert!(one.lock("r").ttl(LONG).acquire().await.unwrap().is_valid());
}

#[tokio::test]
async fn a_broken_connection_costs_no_lock_that_is_renewed_by_calls() {
    let cluster = cluster(3, 1).await;
    let mut network = Proxy::start(cluster.replicas[0].grpc_address()).unwrap();
    let one = Client::builder().address(url(network.address())).holder("one").build().unwrap();
    let guard = one.lock("r").ttl(KEPT).acquire().await.unwrap();
    let token = guard.fencing_token();
    assert_eq!(network.cut().await, 1);
    cluster.replicas[0].wait_status(BOUND, |status| status.streams == 0).await.unwrap();
    let two = client(&cluster, [0], "two");
    expect_busy(two.lock("r"), "one").await;
    network.resume().unwrap();
    // Longer than the ttl, by renewals over another session.
    for _ in 0..4 {
        renewed(&guard).await;
    }
    assert_eq!(guard.fencing_token(), token);
    assert_eq!(guard.release().await.unwrap(), ReleaseOutcome::Released);
}
