//! How a Hold ends by the client's will, by the server's limits, and by mistakes: with which last message
//! or error, and what becomes of the lock.

use std::time::Duration;

use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{HoldHeartbeat, HoldRequest, HoldStart, LeaseLostReason, ReleaseOutcome};
use holdfast_tests::calls::{error_metadata, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::streams::{by_connection, hold_for, hold_over, re_attach, start};
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use crate::holder::{
    BOUND, Holder, LONG, ONCE, SHORT, assert_held, cluster, options, wait_streams,
};

#[derive(Debug, Clone, Copy)]
enum Way {
    HalfClose,
    Cancel,
    Release,
    /// Whoever asked before gets the answer.
    ReleaseAndHalfClose,
}

/// Ends it, and says until when it could have been relied on.
async fn ends(mut holder: Holder, way: Way) -> Instant {
    let deadline = holder.deadline();
    match way {
        Way::HalfClose => {
            holder.stream.close();
            holder.stop_beating();
            let last = holder.ended().await.ok();
            assert!(matches!(last, Event::Granted(_)), "nothing is said to it: {last:?}");
        }
        Way::Cancel => drop(holder),
        Way::Release | Way::ReleaseAndHalfClose => {
            holder.stream.release();
            if matches!(way, Way::ReleaseAndHalfClose) {
                holder.stream.close();
            }
            let released = Event::Released(ReleaseOutcome::Released.into());
            assert_eq!(holder.ended().await.ok(), released);
        }
    }
    deadline
}

#[tokio::test]
async fn whoever_ends_it_gives_the_lock_back_at_once() {
    let cluster = cluster(2).await;
    let ways = [Way::HalfClose, Way::Cancel, Way::Release, Way::ReleaseAndHalfClose];
    for (turn, way) in ways.into_iter().enumerate() {
        for waiting in [0, 1] {
            let resource = format!("{turn} {waiting}");
            let [here, there] = [&cluster.replicas[0], &cluster.replicas[waiting]];
            let holder = Holder::granted(here, start(&resource, "a", LONG)).await;
            let token = holder.lease().fencing_token;
            let mut waiter = Holder::waiter(there, &resource, "waiter", 1).await;
            let deadline = ends(holder, way).await;
            waiter.wait_granted().await;
            assert!(waiter.granted_at() < deadline, "{way:?}: it ran out");
            assert!(waiter.lease().fencing_token > token);
        }
    }
}

#[tokio::test]
async fn a_lease_that_was_given_back_elsewhere_is_lost() {
    let cluster = cluster(2).await;
    let mut holder = Holder::granted(&cluster.replicas[0], start("r", "a", LONG)).await;
    let lease = holder.lease().clone();
    let outcome = cluster.release(1, &lease).await.unwrap();
    assert_eq!(outcome, ReleaseOutcome::Released);
    holder.beat();
    assert_eq!(lost(&holder.ended().await.ok()), LeaseLostReason::Expired);

    let mut holder = Holder::granted(&cluster.replicas[0], start("r", "a", LONG)).await;
    let outcome = cluster.release(1, holder.lease()).await.unwrap();
    assert_eq!(outcome, ReleaseOutcome::Released);
    let next = Holder::granted(&cluster.replicas[1], start("r", "b", LONG)).await;
    holder.beat();
    assert_eq!(lost(&holder.ended().await.ok()), LeaseLostReason::Taken);
    assert_held(&cluster.replicas[0], "r", next.lease().fencing_token).await;
}

#[tokio::test]
async fn max_hold_is_the_end_of_it() {
    const MAX_HOLD: Duration = Duration::from_secs(8);
    let config = "[lease]\nmax_hold = \"8s\"".to_owned();
    let cluster = Cluster::start(3, 2, ClusterOptions { config, ..options() }).await.unwrap();
    for (resource, by_itself) in [("connected", true), ("beating", false)] {
        let request = start(resource, "a", SHORT);
        let request = if by_itself { by_connection(request) } else { request };
        let mut holder = Holder::granted(&cluster.replicas[0], request).await;
        let mut waiter = Holder::waiter(&cluster.replicas[1], resource, "waiter", 1).await;
        assert_eq!(lost(&holder.ended().await.ok()), LeaseLostReason::MaxHold);
        // Renewed, and never beyond it. Who sends no heartbeats counts from when a renewal is read.
        assert!(holder.renewals() > 0, "{:#?}", holder.log);
        let late = if by_itself { SHORT / 2 } else { ONCE };
        let latest = holder.granted_at() + MAX_HOLD + late;
        assert!(holder.latest_deadline() <= latest, "{:#?}", holder.log);
        waiter.wait_granted().await;
        assert!(waiter.granted_at() + late >= holder.deadline());
    }
}

// Errors.

/// The error that ends a call that begins with these messages.
async fn refused(cluster: &Cluster, messages: Vec<Option<Message>>) -> Status {
    let mut stream = hold_over(cluster.replicas[0].channel()).await.expect("an open stream");
    for message in messages {
        stream.send(HoldRequest { message });
    }
    let reading = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended with OK"),
                Err(status) => return status,
            }
        }
    };
    timeout(BOUND, reading).await.expect("an end in time")
}

fn assert_refused(status: &Status, code: Code, why: &str) {
    assert_eq!((status.code(), reason(status).as_deref()), (code, Some(why)), "{status:?}");
}

#[tokio::test]
async fn what_breaks_the_rules_is_told_with_a_reason() {
    let cluster = cluster(1).await;
    let opening = |resource: &str| start(resource, "a", LONG);
    let heartbeat = |sequence| Message::Heartbeat(HoldHeartbeat { sequence });
    let nameless = |mut start: HoldStart| {
        start.acquire.as_mut().expect("an acquire").lease_id.clear();
        start
    };
    let soon = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap() + LONG;
    let future = soon.as_micros() as u64;
    let cases = [
        ("no start", vec![heartbeat(1)]),
        ("release first", vec![Message::Release(Default::default())]),
        ("a second start", vec![Message::Start(opening("a")), Message::Start(opening("a"))]),
        ("sequence 0", vec![Message::Start(opening("b")), heartbeat(0)]),
        ("the same sequence", vec![Message::Start(opening("c")), heartbeat(2), heartbeat(2)]),
        ("no acquire", vec![Message::Start(HoldStart::default())]),
        ("unknown liveness", vec![Message::Start(HoldStart { liveness: 9, ..opening("d") })]),
        ("re-attach to no lease", vec![Message::Start(re_attach(nameless(opening("e")), 1))]),
        ("a token from the future", vec![Message::Start(re_attach(opening("f"), future))]),
        ("a token beyond all", vec![Message::Start(re_attach(opening("f"), u64::MAX))]),
    ];
    for (what, messages) in cases {
        let status = refused(&cluster, messages.into_iter().map(Some).collect()).await;
        let told = (status.code(), reason(&status));
        let expected = (Code::InvalidArgument, Some("INVALID_ARGUMENT".to_owned()));
        assert_eq!(told, expected, "{what}: {status:?}");
    }
    let status = refused(&cluster, vec![None]).await;
    assert_refused(&status, Code::InvalidArgument, "INVALID_ARGUMENT");
    wait_streams(&cluster.replicas[0], 0).await;
}

/// The client may still rely on what it has, and goes on with it.
async fn assert_kept(cluster: &Cluster, mut holder: Holder, code: Code, why: &str) {
    let mut waiter = Holder::waiter(&cluster.replicas[1], "r", "waiter", 1).await;
    let error = holder.ended().await.error();
    assert_refused(&error, code, why);
    assert_held(&cluster.replicas[1], "r", holder.lease().fencing_token).await;
    let deadline = holder.re_attached(&cluster.replicas[0]).await.vanish();
    waiter.wait_granted().await;
    assert!(waiter.granted_at() < deadline, "it ran out");
}

#[tokio::test]
async fn a_mistake_after_the_grant_leaves_the_lease() {
    let cluster = cluster(2).await;
    let holder = Holder::granted(&cluster.replicas[0], start("r", "a", LONG)).await;
    holder.stream.heartbeat(0);
    assert_kept(&cluster, holder, Code::InvalidArgument, "INVALID_ARGUMENT").await;
}

#[tokio::test]
async fn the_deadline_of_the_call_ends_the_hold_as_its_client_wished() {
    let cluster = cluster(2).await;
    let channel = cluster.replicas[0].channel();
    let began = Instant::now();
    let timeout = Duration::from_secs(10);
    let stream = hold_for(channel, Some(timeout)).await.unwrap();
    let mut holder = Holder::begin(stream, start("r", "a", LONG));
    holder.wait_granted().await;
    let mut waiter = Holder::waiter(&cluster.replicas[1], "r", "waiter", 1).await;
    assert_refused(&holder.ended().await.error(), Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    waiter.wait_granted().await;
    assert!(waiter.granted_at() >= began + timeout, "not before the client's own deadline");
    assert!(waiter.granted_at() < holder.deadline(), "given back, not run out");
}

#[tokio::test]
async fn a_newer_call_with_the_same_lease_id_takes_its_place() {
    let cluster = cluster(1).await;
    let replica = &cluster.replicas[0];
    let superseded = |status: &Status| assert_refused(status, Code::Aborted, "SUPERSEDED");
    let mut first = Holder::granted(replica, start("r", "a", LONG)).await;
    let mut waiter = Holder::waiter(replica, "r", "b", 1).await;
    let last = Holder::waiter(replica, "r", "c", 2).await;

    // In the queue.
    let mut retry = Holder::waiter(replica, "r", "b", 1).await;
    superseded(&waiter.ended().await.error());
    // Holding: anew, with a higher token, and with the same one.
    let mut second = Holder::granted(replica, start("r", "a", LONG)).await;
    superseded(&first.ended().await.error());
    assert!(second.lease().fencing_token > first.lease().fencing_token);
    let third = second.re_attached(replica).await;
    superseded(&second.ended().await.error());
    // By an Acquire.
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    let mut third = third;
    superseded(&third.ended().await.error());
    assert_held(replica, "r", lease.fencing_token).await;

    cluster.release(0, &lease).await.unwrap();
    retry.wait_granted().await;
    drop(last);
}

#[tokio::test]
async fn the_limits_of_a_replica_are_told() {
    let config = "[limits]\nmax_streams = 3\nmax_waiters = 1".to_owned();
    let cluster = Cluster::start(3, 1, ClusterOptions { config, ..options() }).await.unwrap();
    let replica = &cluster.replicas[0];
    let holder = Holder::granted(replica, start("r", "a", LONG)).await;
    let mut waiter = Holder::waiter(replica, "r", "b", 1).await;
    let mut third = Holder::open(replica, start("r", "c", LONG)).await;
    let full = third.ended().await.error();
    assert_refused(&full, Code::ResourceExhausted, "QUEUE_FULL");

    // Another resource has another queue, and there is room for a third stream.
    let other = Holder::granted(replica, start("s", "a", LONG)).await;
    let many = match Holder::over(replica.channel(), start("t", "a", LONG)).await {
        Ok(mut fourth) => fourth.ended().await.error(),
        Err(status) => status,
    };
    assert_refused(&many, Code::ResourceExhausted, "TOO_MANY_STREAMS");
    // What ends makes room.
    other.vanish();
    wait_streams(replica, 2).await;
    Holder::granted(replica, start("t", "a", LONG)).await;
    // And the others never noticed.
    let deadline = holder.vanish();
    waiter.wait_granted().await;
    assert!(waiter.granted_at() < deadline, "it ran out");
}

#[tokio::test]
async fn without_a_quorum_nothing_is_granted() {
    let cluster = cluster(1).await;
    for master in &cluster.masters[..2] {
        master.freeze().unwrap();
    }
    let replica = &cluster.replicas[0];
    for request in [start("r", "a", LONG), by_connection(start("r", "b", LONG))] {
        let error = Holder::open(replica, request).await.ended().await.error();
        assert_refused(&error, Code::Unavailable, "NO_QUORUM");
        assert_eq!(error_metadata(&error).len(), 3, "{error:?}");
    }
    for master in &cluster.masters[..2] {
        master.thaw().unwrap();
    }
    cluster.wait_voting(3).await.unwrap();
    // Nothing of it is in the way.
    let asked = Instant::now();
    Holder::granted(replica, start("r", "c", LONG)).await;
    assert!(asked.elapsed() < LONG, "it ran out");
}

fn lost(event: &Event) -> LeaseLostReason {
    match event {
        Event::Lost(lost) => lost.reason(),
        other => panic!("expected that it is lost, was told {other:?}"),
    }
}
