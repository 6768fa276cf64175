//! Replicas that go away under a Hold: killed, drained, frozen. The lease goes on elsewhere with its token,
//! and is given back by whoever has it last.

use std::time::Duration;

use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{AtRiskReason, KeepAliveRequest};
use holdfast_tests::calls::reason;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::streams::{re_attach, start, wire};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Code;

use crate::holder::{
    Holder, LONG, SHORT, SLACK, assert_held, cluster, never_free_while, options, wait_streams,
};

/// Waits for the lock, which must be given back and not run out.
async fn assert_given_back(mut waiter: Holder, deadline: Instant) {
    waiter.wait_granted().await;
    assert!(waiter.granted_at() < deadline, "it ran out");
    waiter.vanish();
}

// Killed.

#[tokio::test]
async fn a_lease_goes_on_elsewhere_when_its_replica_is_killed() {
    let mut cluster = cluster(3).await;
    let holder = Holder::granted(&cluster.replicas[0], start("r", "a", LONG)).await;
    let waiter = Holder::waiter(&cluster.replicas[2], "r", "waiter", 1).await;
    let Cluster { replicas, .. } = &mut cluster;
    let [first, second, third] = &mut replicas[..] else { unreachable!() };
    let again = never_free_while(third, "r", async {
        first.kill().unwrap();
        holder.re_attached(second).await
    });
    let mut again = again.await;
    again.live_while(first.restart()).await.unwrap();
    again.wait_renewed().await;
    assert_held(third, "r", holder.lease().fencing_token).await;
    let deadline = again.vanish();
    assert_given_back(waiter, deadline).await;
}

/// The client's own deadline says when it is too late.
#[tokio::test]
async fn a_re_attach_after_the_end_of_the_lease_is_lost() {
    let mut cluster = cluster(2).await;
    let holder = Holder::granted(&cluster.replicas[0], start("r", "a", SHORT)).await;
    let mut waiter = Holder::waiter(&cluster.replicas[1], "r", "waiter", 1).await;
    cluster.replicas[0].kill().unwrap();
    waiter.wait_granted().await;
    assert!(waiter.granted_at() >= holder.deadline());
    let request = re_attach(start("r", "a", SHORT), holder.lease().fencing_token);
    let mut late = Holder::open(&cluster.replicas[1], request).await;
    assert!(matches!(late.ended().await.ok(), Event::Lost(_)), "{:?}", late.log);
    assert_eq!(late.log.len(), 1);
    assert_held(&cluster.replicas[1], "r", waiter.lease().fencing_token).await;
}

// Alive, and left behind.

#[tokio::test]
async fn after_a_re_attach_only_the_end_of_the_second_stream_counts() {
    let cluster = cluster(3).await;
    let first = Holder::granted(&cluster.replicas[0], start("r", "a", LONG)).await;
    let token = first.lease().fencing_token;
    let waiter = Holder::waiter(&cluster.replicas[2], "r", "waiter", 1).await;
    let mut second = first.re_attached(&cluster.replicas[1]).await;
    wait_streams(&cluster.replicas[0], 1).await;
    first.vanish();
    wait_streams(&cluster.replicas[0], 0).await;
    for _ in 0..3 {
        second.wait_renewed().await;
        assert_held(&cluster.replicas[2], "r", token).await;
    }
    let deadline = second.vanish();
    assert_given_back(waiter, deadline).await;
}

#[tokio::test]
async fn a_lease_outlives_its_stream_for_its_grace() {
    const GRACE: Duration = Duration::from_secs(5);
    let cluster = cluster(3).await;
    let mut request = start("r", "a", LONG);
    request.grace = Some(wire(GRACE));

    // Nobody comes back.
    let holder = Holder::granted(&cluster.replicas[0], request.clone()).await;
    let mut waiter = Holder::waiter(&cluster.replicas[1], "r", "waiter", 1).await;
    let gone = Instant::now();
    let deadline = holder.vanish();
    waiter.wait_granted().await;
    assert!(waiter.granted_at() >= gone + GRACE, "{:?}", waiter.granted_at() - gone);
    assert!(waiter.granted_at() < deadline, "it ran out");
    waiter.vanish();

    // The client comes back, to the same replica and to another one.
    for back in [0, 1] {
        let holder = Holder::granted(&cluster.replicas[0], request.clone()).await;
        let waiter = Holder::waiter(&cluster.replicas[2], "r", "waiter", 1).await;
        let re_attach = re_attach(start("r", "a", LONG), holder.lease().fencing_token);
        let again = never_free_while(&cluster.replicas[2], "r", async {
            holder.vanish();
            let gone = Instant::now();
            wait_streams(&cluster.replicas[0], 0).await;
            let mut again = Holder::granted(&cluster.replicas[back], re_attach).await;
            again.live_while(sleep_until(gone + GRACE + GRACE / 2)).await;
            again.wait_renewed().await;
            again
        });
        let deadline = again.await.vanish();
        assert_given_back(waiter, deadline).await;
    }
}

// Drained.

#[tokio::test]
async fn a_drained_replica_warns_serves_on_and_hands_its_leases_over() {
    let config = "[grpc]\ndrain_timeout = \"5s\"".to_owned();
    let mut cluster = Cluster::start(3, 3, ClusterOptions { config, ..options() }).await.unwrap();
    let Cluster { replicas, .. } = &mut cluster;
    let [drained, second, third] = &mut replicas[..] else { unreachable!() };
    let mut holder = Holder::granted(drained, start("r", "a", LONG)).await;
    let token = holder.lease().fencing_token;
    let mut waiter = Holder::waiter(drained, "r", "waiter", 1).await;
    let elsewhere = Holder::waiter(third, "r", "elsewhere", 1).await;
    let mut keep_alive = drained.keep_alive().await.unwrap();
    keep_alive.send(KeepAliveRequest { sequence: 1, ..KeepAliveRequest::default() });
    keep_alive.message().await.unwrap().unwrap();

    let draining = |status: &tonic::Status| {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert_eq!(reason(status).as_deref(), Some("SERVER_DRAINING"), "{status:?}");
    };
    let again = never_free_while(third, "r", async {
        drained.process().signal(Signal::TERM).unwrap();
        let terminated = Instant::now();
        let event = holder.until(|event| matches!(event, Event::AtRisk(_))).await;
        assert_eq!(holder.risks(), [AtRiskReason::ServerDraining], "{event:?}");
        draining(&waiter.ended().await.error());
        // Served to the end.
        holder.wait_renewed().await;
        draining(&holder.ended().await.error());
        assert!(terminated.elapsed() >= Duration::from_secs(5), "{:?}", terminated.elapsed());
        draining(&keep_alive.message().await.unwrap_err());
        assert!(drained.wait_exit(SLACK).await.unwrap().success());
        holder.re_attached(second).await
    });
    let mut again = again.await;
    assert_eq!(holder.risks(), [AtRiskReason::ServerDraining]);
    again.wait_renewed().await;
    assert_held(third, "r", token).await;
    let deadline = again.vanish();
    assert_given_back(elsewhere, deadline).await;
}

// Frozen.

/// What it wakes with is not said any more: another one has the lock by then.
#[tokio::test]
async fn a_replica_that_wakes_too_late_says_so_and_disturbs_nobody() {
    const LOCKS: usize = 8;
    let cluster = cluster(2).await;
    let [frozen, other] = &cluster.replicas[..] else { unreachable!() };
    let mut locks = Vec::new();
    for lock in 0..LOCKS {
        let resource = format!("resource {lock}");
        let mut holder = Holder::granted(frozen, start(&resource, "a", SHORT)).await;
        holder.wait_renewed().await;
        let next = Holder::queued(other, start(&resource, "next", SHORT), 1).await;
        locks.push((holder, next));
    }
    // Some rounds are under way, others have ended.
    for (holder, _) in &mut locks {
        holder.beat();
        sleep(Duration::from_micros(300)).await;
    }
    frozen.freeze().unwrap();
    let mut held = Vec::new();
    for (mut holder, mut next) in locks {
        held.push(tokio::spawn(async move {
            // It lives: its heartbeats wait at the frozen replica.
            tokio::select! {
                () = next.wait_granted() => {}
                ended = holder.ended() => panic!("{ended:?}"),
            }
            (holder, next)
        }));
    }
    let mut locks = Vec::new();
    for held in held {
        locks.push(held.await.unwrap());
    }
    frozen.thaw().unwrap();
    for (holder, next) in &mut locks {
        let end = next.live_while(holder.ended()).await;
        assert!(matches!(end.ok(), Event::Lost(_)), "{:#?}", holder.log);
        let (latest, taken) = (holder.latest_deadline(), next.granted_at());
        assert!(latest <= taken, "{:?} late: {:#?}", latest - taken, holder.log);
        assert!(next.lease().fencing_token > holder.lease().fencing_token);
    }
    wait_streams(frozen, 0).await;
    for (holder, next) in &mut locks {
        next.wait_renewed().await;
        let resource = next.lease().resource.clone();
        assert_held(frozen, &resource, next.lease().fencing_token).await;
        assert_eq!(holder.log.last().map(|heard| heard.deadline), Some(None));
    }
}
