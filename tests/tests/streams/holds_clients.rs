//! Clients that vanish: killed, frozen, cut off. The dead lose the lock at once, the silent by the end of
//! the ttl, and nobody else has it before their own deadline.

use std::time::Duration;

use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{AtRiskReason, LeaseLostReason};
use holdfast_tests::proxy::Proxy;
use holdfast_tests::streams::{by_connection, start};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::grpcurl::Grpcurl;
use crate::holder::{Holder, LONG, SHORT, SLACK, assert_held, cluster};

/// A HoldStart in JSON.
fn json(resource: &str, ttl: Duration, liveness: &str) -> String {
    let ttl = ttl.as_secs();
    let acquire =
        format!(r#"{{"resource": "{resource}", "ttl": "{ttl}s", "wait": "60s", "lease_id": "c"}}"#);
    format!(r#"{{"acquire": {acquire}, "liveness": "LIVENESS_{liveness}"}}"#)
}

fn through(proxy: &Proxy) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", proxy.address())).expect("a URL");
    endpoint.connect_lazy()
}

// Killed.

async fn a_killed_client_loses_at_once(liveness: &str) {
    let cluster = cluster(2).await;
    for (resource, waiting) in [("same", 0), ("other", 1)] {
        let mut curl = Grpcurl::hold(&cluster.replicas[0], &json(resource, LONG, liveness));
        let deadline = curl.deadline(&curl.message("granted").await);
        let mut waiter = Holder::waiter(&cluster.replicas[waiting], resource, "waiter", 1).await;
        curl.kill();
        waiter.wait_granted().await;
        assert!(waiter.granted_at() < deadline, "it ran out");
    }
}

#[tokio::test]
async fn a_killed_client_with_heartbeats_loses_at_once() {
    a_killed_client_loses_at_once("HEARTBEAT").await;
}

#[tokio::test]
async fn a_killed_client_without_heartbeats_loses_at_once() {
    a_killed_client_loses_at_once("CONNECTION").await;
}

#[tokio::test]
async fn grpcurl_holds_renews_and_releases() {
    let cluster = cluster(1).await;
    let mut curl = Grpcurl::hold(&cluster.replicas[0], &json("r", LONG, "HEARTBEAT"));
    let granted = curl.message("granted").await;
    let mut waiter = Holder::waiter(&cluster.replicas[0], "r", "waiter", 1).await;
    for _ in 0..3 {
        curl.beat();
        let renewed = curl.renewed().await;
        assert_eq!(renewed["fencingToken"], granted["fencingToken"]);
    }
    curl.release();
    let released = curl.message("released").await;
    assert_eq!(released["released"], "RELEASE_OUTCOME_RELEASED");
    assert!(curl.exit().await.success());
    waiter.wait_granted().await;
}

#[tokio::test]
async fn the_last_of_many_heartbeats_is_answered() {
    let cluster = cluster(1).await;
    let mut holder = Holder::granted(&cluster.replicas[0], start("r", "a", LONG)).await;
    holder.stop_beating();
    for _ in 0..10 {
        for _ in 0..100 {
            holder.beat();
        }
        holder.wait_renewed().await;
    }
    let numbers: Vec<u64> = holder.log.iter().map(|heard| heard.sequence).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

// Frozen.

#[tokio::test]
async fn a_frozen_client_loses_at_the_end_of_its_ttl() {
    let cluster = cluster(2).await;
    let mut curl = Grpcurl::hold(&cluster.replicas[0], &json("r", SHORT, "UNSPECIFIED"));
    let granted = curl.message("granted").await;
    let mut here = Holder::waiter(&cluster.replicas[0], "r", "here", 1).await;
    let mut there = Holder::waiter(&cluster.replicas[1], "r", "there", 1).await;
    curl.beat();
    let deadline = curl.deadline(&curl.renewed().await);
    curl.freeze();
    let frozen = Instant::now();
    // What it would have sent waits with it.
    curl.beat();
    let next = tokio::select! {
        () = here.wait_granted() => here,
        () = there.wait_granted() => there,
    };
    assert!(next.granted_at() >= deadline, "{:?} early", deadline - next.granted_at());
    assert!(next.granted_at() < frozen + SHORT + SLACK, "{:?}", next.granted_at() - frozen);
    assert!(next.lease().fencing_token > granted["fencingToken"].parse().unwrap());

    curl.thaw();
    let lost = curl.message("lost").await;
    let why = lost["reason"].trim_start_matches("LEASE_LOST_REASON_");
    assert!(["CLIENT_SILENT", "EXPIRED"].contains(&why), "{why}");
    assert!(curl.messages().last().unwrap().contains_key("lost"));
    assert!(curl.exit().await.success());
    assert_held(&cluster.replicas[1], "r", next.lease().fencing_token).await;
}

#[tokio::test]
async fn a_client_without_heartbeats_is_warned_and_told_before_its_deadline() {
    let cluster = cluster(1).await;
    // It is told a twentieth of the ttl before: more than a machine stands still.
    let mut holder = Holder::granted(&cluster.replicas[0], start("r", "a", LONG)).await;
    let mut waiter = Holder::waiter(&cluster.replicas[0], "r", "waiter", 1).await;
    holder.wait_renewed().await;
    let deadline = holder.deadline();
    holder.stop_beating();
    let why = lost(holder.ended().await.ok());
    let told = holder.log.last().unwrap().at;
    assert!(told < deadline, "{:?} late", told - deadline);
    // A replica that is too slow to know why says that it is over all the same.
    let known = [LeaseLostReason::ClientSilent, LeaseLostReason::Expired];
    assert!(known.contains(&why), "{why:?}");
    assert_eq!(holder.deadline(), deadline);
    assert_eq!(holder.risks(), [AtRiskReason::RenewalLate]);
    // Until its deadline it may rely on it all the same.
    waiter.wait_granted().await;
    assert!(waiter.granted_at() >= deadline, "{:?} early", deadline - waiter.granted_at());
}

// Cut off.

/// A client that lives on beyond a network that has gone silent: neither side is told.
async fn a_client_that_is_cut_off_keeps_it_to_its_deadline(ttl: Duration) {
    let cluster = cluster(2).await;
    let mut network = Proxy::start(cluster.replicas[0].grpc_address()).expect("a proxy");
    let holder = Holder::over(through(&network), start("r", "a", ttl)).await;
    let mut holder = holder.expect("an open stream");
    holder.wait_granted().await;
    let mut here = Holder::waiter(&cluster.replicas[0], "r", "here", 1).await;
    let mut there = Holder::waiter(&cluster.replicas[1], "r", "there", 1).await;
    // However slow it was: that makes deadlines early, never late.
    network.delay(Duration::from_millis(200));
    holder.wait_renewed().await;
    let deadline = holder.deadline();
    network.hang();
    let cut = Instant::now();

    let next = tokio::select! {
        () = here.wait_granted() => here,
        () = there.wait_granted() => there,
        // It sends heartbeats all the time, and hears nothing.
        end = holder.ended() => panic!("{end:?}"),
    };
    assert!(next.granted_at() >= deadline, "{:?} early", deadline - next.granted_at());
    assert!(next.granted_at() < cut + ttl + SLACK, "{:?}", next.granted_at() - cut);

    // What arrives when the network is back revives nothing.
    network.resume().expect("a network");
    let end = holder.ended().await;
    assert_eq!(holder.latest_deadline(), deadline, "{:#?}", holder.log);
    match end.last {
        Some(Event::Lost(_)) => end.status.expect("the end, with OK"),
        // The replica gave the connection up, and what was to be said with it.
        other => assert!(end.status.is_err(), "{other:?}"),
    }
    assert_held(&cluster.replicas[1], "r", next.lease().fencing_token).await;
}

#[tokio::test]
async fn a_client_that_is_cut_off_keeps_a_short_lease_to_its_deadline() {
    a_client_that_is_cut_off_keeps_it_to_its_deadline(SHORT).await;
}

/// Longer than the replica waits for a peer that does not answer.
#[tokio::test]
async fn a_client_that_is_cut_off_keeps_a_long_lease_to_its_deadline() {
    a_client_that_is_cut_off_keeps_it_to_its_deadline(Duration::from_secs(45)).await;
}

#[tokio::test]
async fn a_connection_that_breaks_gives_the_lock_back() {
    let cluster = cluster(2).await;
    let mut network = Proxy::start(cluster.replicas[0].grpc_address()).unwrap();
    let request = by_connection(start("r", "a", LONG));
    let mut holder = Holder::over(through(&network), request).await.unwrap();
    holder.wait_granted().await;
    let mut waiter = Holder::waiter(&cluster.replicas[1], "r", "waiter", 1).await;
    network.cut().await;
    waiter.wait_granted().await;
    assert!(waiter.granted_at() < holder.deadline(), "it ran out");
    holder.ended().await.error();
}

fn lost(event: Event) -> LeaseLostReason {
    match event {
        Event::Lost(lost) => lost.reason(),
        other => panic!("expected that it is lost, was told {other:?}"),
    }
}
