//! Elections, and who observes them.

use std::time::Duration;

use holdfast_client::{LeaderState, Observation, UnknownReason, Watch, WatchReason};
use tokio::time::timeout;

use crate::{BOUND, LONG, client, cluster};

/// Reads until a state of this kind.
async fn until(watch: &mut Watch, kind: impl Fn(&Observation) -> bool) -> Observation {
    let wanted = async {
        loop {
            let seen = watch.next().await.expect("a watch");
            if kind(&seen) {
                return seen;
            }
        }
    };
    timeout(BOUND, wanted).await.expect("a state of this kind")
}

async fn led_by(watch: &mut Watch, holder: &str) -> Observation {
    let led =
        |seen: &Observation| seen.state.leader().is_some_and(|leader| leader.holder == holder);
    until(watch, led).await
}

#[tokio::test]
async fn a_leader_publishes_resigns_and_is_followed() {
    let cluster = cluster(3, 2).await;
    let election = |replica, holder| client(&cluster, [replica], holder).election("e").ttl(LONG);
    let mut watch = election(1, "observer").observe();
    let first = watch.next().await.unwrap();
    assert_eq!(first.reason, WatchReason::Snapshot);
    assert!(matches!(first.state, LeaderState::Vacant { .. }));

    let one = election(0, "one").value("address", "a:1").campaign().await.unwrap();
    let seen = led_by(&mut watch, "one").await;
    let leader = seen.state.leader().unwrap();
    assert_eq!((leader.term, leader.metadata["address"].as_str()), (one.term(), "a:1"));

    let two = election(1, "two");
    let two = tokio::spawn(async move { two.campaign().await });
    cluster.replicas[1].wait_status(BOUND, |status| status.waiters == 1).await.unwrap();

    one.proclaim([("address", "a:2")]).await.unwrap();
    let seen = until(&mut watch, |seen| seen.reason == WatchReason::Updated).await;
    assert_eq!(seen.state.leader().unwrap().metadata["address"], "a:2");

    let term = one.term();
    one.resign().await.unwrap();
    let two = two.await.unwrap().unwrap();
    assert!(two.term() > term && two.is_valid());
    led_by(&mut watch, "two").await;
}

#[tokio::test]
async fn a_watch_goes_on_through_another_replica() {
    let mut cluster = cluster(3, 2).await;
    let one = client(&cluster, [1], "one").election("e").ttl(LONG);
    let leadership = one.campaign().await.unwrap();
    let mut watch = client(&cluster, [0, 1], "observer").watch("e");
    led_by(&mut watch, "one").await;
    cluster.replicas[0].kill().unwrap();
    let gap = LeaderState::Unknown(UnknownReason::Unreachable);
    until(&mut watch, |seen| seen.state == gap).await;
    led_by(&mut watch, "one").await;
    leadership.resign().await.unwrap();
    until(&mut watch, |seen| seen.reason == WatchReason::Released).await;
}

#[tokio::test]
async fn a_watch_says_when_nothing_can_be_read() {
    let mut cluster = cluster(3, 1).await;
    let mut watch = client(&cluster, [0], "observer").watch("e");
    let mut watch_from = client(&cluster, [0], "observer").watch("e").after_term(7);
    watch.next().await.unwrap();
    let seen = watch_from.next().await.unwrap();
    // Nobody can have forgotten a term that was seen; so what is read is not the newest.
    assert_eq!(seen.state, LeaderState::Unknown(UnknownReason::StaleView));
    let one = client(&cluster, [0], "one").election("e").ttl(LONG);
    let leadership = one.campaign().await.unwrap();
    led_by(&mut watch, "one").await;
    for master in &cluster.masters {
        master.freeze().unwrap();
    }
    let bookmarks = client(&cluster, [0], "observer").watch("e");
    let mut bookmarks = bookmarks.bookmark_interval(Duration::from_millis(100));
    let blind = LeaderState::Unknown(UnknownReason::NoQuorum);
    until(&mut bookmarks, |seen| seen.state == blind).await;
    for master in &mut cluster.masters {
        master.thaw().unwrap();
    }
    led_by(&mut bookmarks, "one").await;
    drop(leadership);
}

#[tokio::test]
async fn what_is_no_resource_cannot_be_watched() {
    let cluster = cluster(3, 1).await;
    let error = client(&cluster, [0], "observer").watch("").next().await.unwrap_err();
    assert!(error.to_string().contains("resource"), "{error}");
}
