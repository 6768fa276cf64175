//! Waiters of one replica: first come, first served, each knows its place, and whoever leaves is not
//! waited for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_proto::v1::ReleaseOutcome;
use holdfast_proto::v1::hold_response::Event;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::streams::{by_connection, start, wire};
use tokio::time::Instant;

use crate::grpcurl::Grpcurl;
use crate::holder::{Heard, Holder, LONG, ONCE, cluster, options};

#[tokio::test]
async fn a_hundred_waiters_have_it_in_the_order_they_came() {
    const WAITERS: u32 = 100;
    let cluster = cluster(1).await;
    let replica = &cluster.replicas[0];
    let holder = Holder::granted(replica, by_connection(start("r", "first", LONG))).await;
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for position in 1..=WAITERS {
        let mut waiter =
            Holder::waiter(replica, "r", &format!("waiter {position}"), position).await;
        let served = Arc::clone(&served);
        tasks.push(tokio::spawn(async move {
            waiter.wait_granted().await;
            served.lock().unwrap().push((position, waiter.lease().fencing_token));
            waiter.stream.release();
            let released = Event::Released(ReleaseOutcome::Released.into());
            assert_eq!(waiter.ended().await.ok(), released);
            let place = |event: &Event| match event {
                Event::Queued(queued) => Some(queued.position),
                _ => None,
            };
            waiter.log.iter().filter_map(|heard| place(&heard.event)).collect::<Vec<_>>()
        }));
    }
    assert_eq!(replica.status().await.unwrap().waiters, WAITERS);
    let last = holder.lease().fencing_token;
    holder.vanish();
    for (position, task) in (1..).zip(tasks) {
        let places = task.await.unwrap();
        assert_eq!(places[0], position);
        assert!(places.is_sorted_by(|a, b| a > b), "{places:?}");
    }
    let served = served.lock().unwrap();
    let order: Vec<u32> = served.iter().map(|(position, _)| *position).collect();
    assert!(order.into_iter().eq(1..=WAITERS), "{served:?}");
    let tokens = [last].into_iter().chain(served.iter().map(|(_, token)| *token));
    assert!(tokens.is_sorted_by(|a, b| a < b), "{served:?}");
}

#[tokio::test]
async fn whoever_leaves_the_queue_is_not_waited_for() {
    let cluster = cluster(1).await;
    let replica = &cluster.replicas[0];
    let holder = Holder::granted(replica, start("r", "first", LONG)).await;
    let json = r#"{"acquire": {"resource": "r", "ttl": "30s", "wait": "60s", "lease_id": "c"}}"#;
    let mut curl = Grpcurl::hold(replica, json);
    assert_eq!(curl.message("queued").await["position"], "1");
    let second = Holder::waiter(replica, "r", "second", 2).await;
    let mut third = Holder::waiter(replica, "r", "third", 3).await;
    let mut fourth = Holder::waiter(replica, "r", "fourth", 4).await;
    let mut fifth = Holder::waiter(replica, "r", "fifth", 5).await;

    // From the middle, and from the head.
    drop(second);
    tokio::join!(third.wait_position(2), fourth.wait_position(3));
    curl.kill();
    tokio::join!(third.wait_position(1), fourth.wait_position(2));
    // By its own word, and by closing its side.
    third.stream.release();
    let released = Event::Released(ReleaseOutcome::NotHeld.into());
    assert_eq!(third.ended().await.ok(), released);
    tokio::join!(fourth.wait_position(1), fifth.wait_position(2));
    fourth.stream.close();
    assert!(matches!(fourth.ended().await.ok(), Event::Queued(_)), "{:?}", fourth.log);
    fifth.wait_position(1).await;

    let deadline = holder.vanish();
    fifth.wait_granted().await;
    assert!(fifth.granted_at() < deadline, "it ran out");
}

/// Its end is not noticed before the lock is free: it is granted, and that is taken back.
#[tokio::test]
async fn a_head_that_leaves_as_its_turn_comes_is_not_waited_for() {
    let cluster = cluster(2).await;
    for turn in 0..20 {
        let resource = format!("resource {turn}");
        let holder = Holder::granted(&cluster.replicas[0], start(&resource, "a", LONG)).await;
        let head = Holder::waiter(&cluster.replicas[0], &resource, "head", 1).await;
        let mut here = Holder::waiter(&cluster.replicas[0], &resource, "here", 2).await;
        let mut there = Holder::waiter(&cluster.replicas[1], &resource, "there", 1).await;
        let deadline = holder.vanish();
        drop(head);
        let (next, mut last) = tokio::select! {
            () = here.wait_granted() => (here, there),
            () = there.wait_granted() => (there, here),
        };
        next.vanish();
        last.wait_granted().await;
        assert!(last.granted_at() < deadline, "a lock ran out");
    }
}

#[tokio::test]
async fn trying_once_or_waiting_in_vain_ends_with_who_holds_it() {
    // Which is not for Hold.
    let config = "[lease]\nmax_wait = \"100ms\"".to_owned();
    let cluster = Cluster::start(3, 2, ClusterOptions { config, ..options() }).await.unwrap();
    let mut holder = Holder::granted(&cluster.replicas[0], start("r", "a", LONG)).await;
    let token = holder.lease().fencing_token;
    for replica in &cluster.replicas {
        for wait in [ONCE, Duration::from_millis(500)] {
            let mut request = start("r", "b", LONG);
            request.acquire.as_mut().unwrap().wait = Some(wire(wait));
            let asked = Instant::now();
            let mut vain = Holder::open(replica, request).await;
            let Event::Contended(held) = vain.ended().await.ok() else {
                panic!("expected another holder, was told {:?}", vain.log)
            };
            assert_eq!((held.holder.as_str(), held.fencing_token), ("holder of a", token));
            assert!(asked.elapsed() >= wait, "{:?}", asked.elapsed());
            let queued = |heard: &Heard| matches!(heard.event, Event::Queued(_));
            assert_eq!(vain.log.iter().any(queued), wait > ONCE, "{:?}", vain.log);
        }
    }
    holder.wait_renewed().await;
}
