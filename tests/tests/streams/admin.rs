//! What operators do: they list the locks of the masters, take one back from its holder, and look at what
//! a replica is doing.
//!
//! Deliberately absent: DescribeLock and the masters' part of GetClusterStatus (`locks`, `outages`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{
    ForceReleaseOutcome, ForceReleaseRequest, ForceReleaseResponse, GetClusterStatusResponse,
    LeaseLostReason, LockInfo, ReleaseOutcome,
};
use holdfast_tests::calls::{Acquired, Lease, error_metadata, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::contest::wait_everywhere;
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::streams::{by_connection, start};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

/// Longer than any test here takes: what is free is so by no expiry.
const LONG: Duration = Duration::from_secs(600);
/// Of leases that are to run out, when enough has been done to them.
const SHORT: Duration = Duration::from_secs(10);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(40);
/// How often a state that tells no event is read again.
const LOOK: Duration = Duration::from_millis(20);
/// How many locks are taken at the same time.
const AT_ONCE: usize = 64;
/// `first` of a lease that was revoked.
const REVOKED: u64 = (1 << 53) - 1;

async fn cluster(replicas: usize) -> Arc<Cluster> {
    cluster_with(replicas, "2s").await
}

/// For masters that are frozen: they are given up soon.
async fn impatient_cluster() -> Arc<Cluster> {
    cluster_with(2, "300ms").await
}

async fn cluster_with(replicas: usize, command_timeout: &str) -> Arc<Cluster> {
    Arc::new(Cluster::start(3, replicas, options(command_timeout)).await.expect("a cluster"))
}

fn options(command_timeout: &str) -> ClusterOptions {
    ClusterOptions {
        args: ["--max-ttl", "600s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec![format!("command_timeout = {command_timeout:?}")],
        ..ClusterOptions::default()
    }
}

/// What an acquire that waits comes to, and when.
type Waiting = JoinHandle<(Result<Acquired, Status>, Instant)>;

/// Waits for a lock through this replica, in the background; returns once it is in the queue.
async fn wait_for(cluster: &Arc<Cluster>, replica: usize, resource: &str) -> Waiting {
    let (shared, resource) = (Arc::clone(cluster), resource.to_owned());
    let waiting = tokio::spawn(async move {
        (shared.acquire(replica, &resource, "waiter", LONG, BOUND).await, Instant::now())
    });
    let queued = |status: &GetClusterStatusResponse| status.waiters == 1;
    cluster.replicas[replica].wait_status(BOUND, queued).await.expect("a waiter");
    waiting
}

async fn got(waiting: Waiting) -> (Lease, Instant) {
    let (acquired, at) = timeout(BOUND * 2, waiting).await.expect("in time").expect("no panic");
    (acquired.expect("an answer").lease(), at)
}

fn assert_lost(error: &Status, why: &str) {
    assert_eq!(reason(error).as_deref(), Some("LEASE_LOST"), "{error:?}");
    assert_eq!(error_metadata(error).get("lost_reason").map(String::as_str), Some(why));
}

fn assert_no_quorum(error: &Status) {
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    assert_eq!(reason(error).as_deref(), Some("NO_QUORUM"), "{error:?}");
}

fn assert_bad(error: &Status, field: &str) {
    assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
    assert_eq!(reason(error).as_deref(), Some("INVALID_ARGUMENT"), "{error:?}");
    assert!(error.message().contains(field), "{error:?}");
}

// ListLocks.

/// Reads all pages, each from the next replica in turn, and returns their locks by resource: none may
/// come twice.
async fn all_pages(
    replicas: &[Holdfastd],
    prefix: &str,
    page_size: u32,
) -> BTreeMap<String, LockInfo> {
    let (mut locks, mut page_token) = (BTreeMap::new(), String::new());
    for page in 0.. {
        let replica = &replicas[page % replicas.len()];
        let response = replica.list(prefix, page_size, &page_token).await.expect("a page");
        let about = if page_size == 0 { 100 } else { page_size.min(1_000) };
        assert!(response.locks.len() <= about as usize + 100, "{}", response.locks.len());
        for lock in response.locks {
            let twice = locks.insert(lock.resource.clone(), lock);
            assert!(twice.is_none(), "{twice:?}");
        }
        page_token = response.next_page_token;
        if page_token.is_empty() {
            break;
        }
        assert!(page < 10_000, "there is no end");
    }
    locks
}

#[tokio::test]
async fn every_lock_is_listed_once_on_pages_of_any_size() {
    const LOCKS: usize = 1_234;
    let cluster = cluster(2).await;
    let taking = (0..LOCKS).map(|number| {
        let cluster = Arc::clone(&cluster);
        async move {
            let resource = format!("many/{number}");
            cluster.acquire(0, &resource, "a", LONG, BOUND).await.expect("an answer").lease()
        }
    });
    let leases: Vec<Lease> = stream::iter(taking).buffered(AT_ONCE).collect().await;
    for beside in ["many", "manyX", "other", "xmany/1", "many*"] {
        cluster.acquire(0, beside, "a", LONG, ONCE).await.unwrap().lease();
    }
    // Not every master has to have a lock for it to be listed.
    for lease in &leases[..100] {
        let (key, master) = (format!("redlock:{}", lease.resource), lease.fencing_token % 3);
        let master = &cluster.masters[master as usize];
        assert_eq!(master.command::<u64>(&["DEL", &key]).await.unwrap(), 1);
    }

    for page_size in [100, 1_000, 5_000] {
        let listed = all_pages(&cluster.replicas, "many/", page_size).await;
        assert_eq!(listed.len(), LOCKS, "pages of {page_size}");
        for (number, lease) in leases.iter().enumerate() {
            let lock = &listed[&lease.resource];
            assert_eq!(lock.fencing_token, lease.fencing_token, "{lock:?}");
            assert_eq!(lock.votes, if number < 100 { 2 } else { 3 }, "{lock:?}");
            assert_eq!((lock.holder.as_str(), lock.foreign), ("holder of a", false), "{lock:?}");
            let remaining = Duration::try_from(lock.remaining.expect("it expires")).unwrap();
            assert!(remaining <= LONG && remaining > Duration::ZERO, "{lock:?}");
        }
    }
    assert_eq!(all_pages(&cluster.replicas, "many*", 10).await.len(), 1, "a prefix, no pattern");
    assert_eq!(all_pages(&cluster.replicas, "", 0).await.len(), LOCKS + 5, "all there are");
    assert_eq!(all_pages(&cluster.replicas, "nobody has", 0).await.len(), 0);
}

#[tokio::test]
async fn a_list_shows_what_kind_of_lock_it_is() {
    let cluster = cluster(2).await;
    let held = cluster.acquire(0, "held", "a", LONG, ONCE).await.unwrap().lease();
    let waiting = wait_for(&cluster, 1, "held").await;
    for master in &cluster.masters {
        let () = master.command(&["SET", "redlock:foreign/ever", "x"]).await.unwrap();
        let () = master.command(&["SET", "redlock:foreign/px", "x", "PX", "60000"]).await.unwrap();
        // No lock: not under the key_format.
        let () = master.command(&["SET", "elsewhere:held", "x"]).await.unwrap();
    }
    // The remains of an attempt, say: on a minority, so held by nobody, and not on the first master.
    let remains = cluster.acquire(0, "remains", "a", LONG, ONCE).await.unwrap().lease();
    wait_everywhere(&cluster.replicas[0], &remains).await;
    for master in &cluster.masters[..2] {
        assert_eq!(master.command::<u64>(&["DEL", "redlock:remains"]).await.unwrap(), 1);
    }

    // Only the replica where it waits knows of a waiter.
    for (replica, waiters) in [(0, 0), (1, 1)] {
        let locks = all_pages(&cluster.replicas[replica..=replica], "", 2).await;
        let names: Vec<&str> = locks.keys().map(String::as_str).collect();
        assert_eq!(names, ["foreign/ever", "foreign/px", "held", "remains"]);
        let lock = &locks["held"];
        assert_eq!((lock.fencing_token, lock.votes), (held.fencing_token, 3), "{lock:?}");
        assert_eq!((lock.waiters, lock.foreign), (waiters, false), "{lock:?}");
        let lock = &locks["remains"];
        assert_eq!((lock.fencing_token, lock.votes), (remains.fencing_token, 1), "{lock:?}");
        for (resource, expires) in [("foreign/ever", false), ("foreign/px", true)] {
            let lock = &locks[resource];
            assert!(lock.foreign && lock.holder.is_empty() && lock.fencing_token == 0, "{lock:?}");
            assert_eq!((lock.votes, lock.remaining.is_some()), (3, expires), "{lock:?}");
        }
    }
    waiting.abort();
}

#[tokio::test]
async fn a_page_token_is_nobodys_but_the_servers() {
    let cluster = cluster(2).await;
    for number in 0..20 {
        let resource = format!("r/{number}");
        cluster.acquire(0, &resource, "a", LONG, ONCE).await.unwrap().lease();
    }
    let replica = &cluster.replicas[1];
    let token = replica.list("r/", 5, "").await.unwrap().next_page_token;
    assert!(!token.is_empty());
    replica.list("r/", 5, &token).await.unwrap();
    // Another digit, or none, or one more, at any place.
    for place in 0..token.len() {
        let other = if token.as_bytes()[place] == b'1' { "2" } else { "1" };
        for tampered in [
            format!("{}{other}{}", &token[..place], &token[place + 1..]),
            format!("{}{}", &token[..place], &token[place + 1..]),
            format!("{}{other}{}", &token[..place], &token[place..]),
        ] {
            let error = replica.list("r/", 5, &tampered).await.unwrap_err();
            assert_bad(&error, "page_token");
        }
    }
    assert_bad(&replica.list("r", 5, &token).await.unwrap_err(), "page_token");
    assert_bad(&replica.list("", 5, &token).await.unwrap_err(), "page_token");
    replica.list("r/", 5, &token).await.unwrap();
}

#[tokio::test]
async fn a_list_needs_a_quorum_and_no_more() {
    let cluster = impatient_cluster().await;
    for number in 0..20 {
        let resource = format!("r/{number}");
        cluster.acquire(0, &resource, "a", LONG, ONCE).await.unwrap().lease();
    }
    cluster.masters[0].freeze().unwrap();
    let listed = all_pages(&cluster.replicas, "r/", 7).await;
    assert_eq!(listed.len(), 20);
    assert!(listed.values().all(|lock| lock.votes >= 2), "{listed:?}");
    let token = cluster.replicas[0].list("r/", 7, "").await.unwrap().next_page_token;

    cluster.masters[1].freeze().unwrap();
    for page_token in ["", &token] {
        assert_no_quorum(&cluster.replicas[0].list("r/", 7, page_token).await.unwrap_err());
    }
    // Also if there was nothing to be read.
    assert_no_quorum(&cluster.replicas[0].list("nobody has", 7, "").await.unwrap_err());
    for master in &cluster.masters[..2] {
        master.thaw().unwrap();
    }
    cluster.wait_voting(3).await.unwrap();
    assert_eq!(all_pages(&cluster.replicas, "r/", 7).await.len(), 20);
}

// ForceRelease.

fn remaining(forced: &ForceReleaseResponse) -> Option<Duration> {
    forced.remaining.and_then(|remaining| remaining.try_into().ok())
}

#[tokio::test]
async fn a_revoked_lease_is_lost_to_its_holder_and_to_nobody_else_before_it_expires() {
    let cluster = cluster(3).await;
    let sent = Instant::now();
    let lease = cluster.acquire(0, "r", "a", SHORT, ONCE).await.unwrap().lease();
    // Its holder may rely on it until then; it is measured here a little too early, never too late.
    let deadline = sent + lease.valid_for;
    let waiting = wait_for(&cluster, 2, "r").await;

    let forced = cluster.replicas[1].force("r", lease.fencing_token, false).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::Revoked, "{forced:?}");
    assert_eq!((forced.fencing_token, forced.masters_changed), (lease.fencing_token, 3));
    let free_within = remaining(&forced).expect("REVOKED says when it is free");
    assert!(free_within <= SHORT && free_within > Duration::ZERO, "{forced:?}");
    let described = cluster.replicas[2].describe("r").await.unwrap();
    assert!(described.masters.iter().all(|master| master.first == REVOKED), "{described:#?}");

    // No renewal, through whatever replica; and the same lease_id is somebody else.
    for replica in 0..3 {
        assert_lost(&cluster.extend(replica, &lease, SHORT).await.unwrap_err(), "REVOKED");
    }
    let held = cluster.acquire(0, "r", "a", SHORT, ONCE).await.unwrap().held();
    assert_eq!(held.fencing_token, lease.fencing_token);
    // It may be said again.
    let again = cluster.replicas[0].force("r", lease.fencing_token, false).await.unwrap();
    assert_eq!(again.outcome(), ForceReleaseOutcome::Revoked, "{again:?}");
    assert!(remaining(&again) <= Some(free_within), "{again:?}");

    let (next, at) = got(waiting).await;
    assert!(at >= deadline, "{:?} before the holder's deadline", deadline - at);
    assert!(next.fencing_token > lease.fencing_token, "{next:?}");
    assert_lost(&cluster.extend(0, &lease, SHORT).await.unwrap_err(), "TAKEN");
    // A new lease is not revoked.
    cluster.extend(1, &next, LONG).await.unwrap();
}

/// A revoked lease may be given back by its holder before it expires.
#[tokio::test]
async fn a_holder_may_release_what_was_revoked() {
    let cluster = cluster(2).await;
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    let waiting = wait_for(&cluster, 1, "r").await;
    let forced = cluster.replicas[0].force("r", lease.fencing_token, false).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::Revoked, "{forced:?}");
    assert_eq!(cluster.release(0, &lease).await.unwrap(), ReleaseOutcome::Released);
    let (next, _) = got(waiting).await;
    assert!(next.fencing_token > lease.fencing_token);
}

#[tokio::test]
async fn a_hold_whose_lease_is_revoked_is_told_so() {
    let cluster = cluster(2).await;
    let mut by_itself =
        cluster.replicas[0].hold(by_connection(start("one", "a", SHORT))).await.unwrap();
    let lease = by_itself.granted().await;
    let forced = cluster.replicas[1].force("one", lease.fencing_token, false).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::Revoked, "{forced:?}");
    let Event::Lost(lost) = by_itself.until(|event| matches!(event, Event::Lost(_))).await else {
        unreachable!("that is what was asked for")
    };
    assert_eq!(lost.reason(), LeaseLostReason::Revoked);
    assert_eq!(by_itself.message().await.unwrap(), None, "the last message");

    let mut by_heartbeat = cluster.replicas[0].hold(start("two", "a", LONG)).await.unwrap();
    let lease = by_heartbeat.granted().await;
    by_heartbeat.heartbeat(1);
    by_heartbeat.until(|event| matches!(event, Event::Renewed(_))).await;
    let forced = cluster.replicas[1].force("two", lease.fencing_token, false).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::Revoked, "{forced:?}");
    by_heartbeat.heartbeat(2);
    let Event::Lost(lost) = by_heartbeat.until(|event| matches!(event, Event::Lost(_))).await
    else {
        unreachable!("that is what was asked for")
    };
    assert_eq!(lost.reason(), LeaseLostReason::Revoked);
    assert_eq!(by_heartbeat.message().await.unwrap(), None, "the last message");
}

#[tokio::test]
async fn an_immediate_release_frees_the_lock_at_once() {
    let cluster = cluster(3).await;
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    // Also after it was revoked.
    cluster.replicas[1].force("r", lease.fencing_token, false).await.unwrap();
    let waiting = wait_for(&cluster, 2, "r").await;
    let forced = cluster.replicas[1].force("r", lease.fencing_token, true).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::Deleted, "{forced:?}");
    assert_eq!((forced.fencing_token, remaining(&forced)), (lease.fencing_token, None));
    assert_eq!(forced.masters_changed, 3, "{forced:?}");
    // Within the ttl, which is longer than this waits.
    let (next, _) = got(waiting).await;
    assert!(next.fencing_token > lease.fencing_token, "{next:?}");
    assert_lost(&cluster.extend(0, &lease, LONG).await.unwrap_err(), "TAKEN");

    // Said again, of a lease that has gone, it does not touch the one that followed.
    let again = cluster.replicas[1].force("r", lease.fencing_token, true).await.unwrap();
    assert_eq!(again.outcome(), ForceReleaseOutcome::TokenMismatch, "{again:?}");
    cluster.extend(0, &next, LONG).await.unwrap();
}

#[tokio::test]
async fn another_token_touches_nothing() {
    let cluster = cluster(2).await;
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    let (replica, token) = (&cluster.replicas[1], lease.fencing_token);
    for immediate in [false, true] {
        for other in [1, token - 1, token + 1] {
            let forced = replica.force("r", other, immediate).await.unwrap();
            assert_eq!(forced.outcome(), ForceReleaseOutcome::TokenMismatch, "{forced:?}");
            assert_eq!((forced.fencing_token, forced.masters_changed), (token, 0), "{forced:?}");
            cluster.extend(0, &lease, LONG).await.unwrap();
        }
        let forced = replica.force("nobody's", token, immediate).await.unwrap();
        assert_eq!(forced.outcome(), ForceReleaseOutcome::NotHeld, "{forced:?}");
        assert_eq!((forced.fencing_token, forced.masters_changed), (0, 0), "{forced:?}");
    }
    // An extend is another ballot, and the same token still.
    let forced = replica.force("r", token, true).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::Deleted, "{forced:?}");
    let forced = replica.force("r", token, true).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::NotHeld, "{forced:?}");
}

#[tokio::test]
async fn a_lock_of_another_library_is_never_removed() {
    let cluster = cluster(1).await;
    for master in &cluster.masters {
        let () = master.command(&["SET", "redlock:r", "x", "PX", "60000"]).await.unwrap();
    }
    let token = cluster.acquire(0, "other", "a", LONG, ONCE).await.unwrap().lease().fencing_token;
    for immediate in [false, true] {
        let forced = cluster.replicas[0].force("r", token, immediate).await.unwrap();
        assert_eq!(forced.outcome(), ForceReleaseOutcome::ForeignHolder, "{forced:?}");
        assert_eq!((forced.fencing_token, forced.masters_changed), (0, 0), "{forced:?}");
    }
    for master in &cluster.masters {
        let value: String = master.command(&["GET", "redlock:r"]).await.unwrap();
        assert_eq!(value, "x");
    }
}

#[tokio::test]
async fn without_a_quorum_it_is_unconfirmed_and_may_be_said_again() {
    let cluster = impatient_cluster().await;
    let one = cluster.acquire(0, "one", "a", LONG, ONCE).await.unwrap().lease();
    let two = cluster.acquire(0, "two", "a", LONG, ONCE).await.unwrap().lease();
    for master in &cluster.masters[..2] {
        master.freeze().unwrap();
    }
    for (lease, immediate) in [(&one, false), (&two, true)] {
        let forced = cluster.replicas[1].force(&lease.resource, lease.fencing_token, immediate);
        let forced = forced.await.unwrap();
        assert_eq!(forced.outcome(), ForceReleaseOutcome::Unconfirmed, "{forced:?}");
        assert_eq!(remaining(&forced), None, "{forced:?}");
    }
    for master in &cluster.masters[..2] {
        master.thaw().unwrap();
    }
    cluster.wait_voting(3).await.unwrap();
    let again = cluster.replicas[1].force("one", one.fencing_token, false).await.unwrap();
    assert_eq!(again.outcome(), ForceReleaseOutcome::Revoked, "{again:?}");
    assert_lost(&cluster.extend(0, &one, LONG).await.unwrap_err(), "REVOKED");
    let again = cluster.replicas[1].force("two", two.fencing_token, true).await.unwrap();
    assert_eq!(again.outcome(), ForceReleaseOutcome::Deleted, "{again:?}");
    cluster.acquire(0, "two", "b", LONG, BOUND).await.unwrap().lease();
}

/// One of three masters is silent: a quorum revokes, and the silent one is told when it is back.
#[tokio::test]
async fn a_silent_minority_does_not_keep_a_revoked_lease() {
    let cluster = impatient_cluster().await;
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    cluster.masters[2].freeze().unwrap();
    let forced = cluster.replicas[1].force("r", lease.fencing_token, false).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::Revoked, "{forced:?}");
    assert_eq!(forced.masters_changed, 2, "{forced:?}");
    assert_lost(&cluster.extend(0, &lease, LONG).await.unwrap_err(), "REVOKED");
    cluster.masters[2].thaw().unwrap();
    let deadline = Instant::now() + BOUND;
    loop {
        let described = cluster.replicas[0].describe("r").await.unwrap();
        if described.masters.iter().all(|master| master.first == REVOKED) {
            break;
        }
        assert!(Instant::now() < deadline, "{described:#?}");
        sleep(LOOK).await;
    }
    assert_lost(&cluster.extend(0, &lease, LONG).await.unwrap_err(), "REVOKED");
}

#[tokio::test]
async fn every_attempt_is_in_the_audit_log() {
    // Only faults are logged, and what operators do.
    let config = "[log]\nfilter = \"error\"\nformat = \"json\"\n".to_owned();
    let options = ClusterOptions { config, ..options("2s") };
    let cluster = Cluster::start(3, 1, options).await.unwrap();
    let replica = &cluster.replicas[0];
    let lease = cluster.acquire(0, "orders/42", "secret-of-a", LONG, ONCE).await.unwrap().lease();
    let token = lease.fencing_token;
    let force = async |fencing_token: u64, reason: &str, immediate: bool| {
        let (resource, reason) = ("orders/42".to_owned(), reason.to_owned());
        let request = ForceReleaseRequest { resource, fencing_token, reason, immediate };
        replica.admin_client().force_release(request).await
    };
    force(token - 1, "mistaken", false).await.unwrap();
    force(token, "stuck for hours", false).await.unwrap();
    force(token, "cannot wait", true).await.unwrap();
    force(0, "no token", true).await.unwrap_err();
    for (why, token, immediate, outcome) in [
        ("mistaken", token - 1, false, "TOKEN_MISMATCH"),
        ("stuck for hours", token, false, "REVOKED"),
        ("cannot wait", token, true, "DELETED"),
        ("no token", 0, true, "INVALID_ARGUMENT"),
    ] {
        let line = replica.process().wait_for_line(why, BOUND).await.unwrap();
        for part in [
            "\"target\":\"holdfast::audit\"".to_owned(),
            "\"resource\":\"orders/42\"".to_owned(),
            format!("\"reason\":\"{why}\""),
            format!("\"fencing_token\":{token}"),
            format!("\"immediate\":{immediate}"),
            format!("\"outcome\":\"{outcome}\""),
            "\"peer\":\"127.0.0.1:".to_owned(),
        ] {
            assert!(line.contains(&part), "no {part} in {line}");
        }
    }
    let lines = replica.process().lines();
    let audited = lines.iter().filter(|line| line.contains("holdfast::audit")).count();
    assert_eq!(audited, 4, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("secret-of-a")), "{lines:#?}");
}

// GetClusterStatus.

#[tokio::test]
async fn the_status_counts_streams_and_leases_of_this_replica() {
    let cluster = cluster(2).await;
    let replica = &cluster.replicas[0];
    let lease = cluster.acquire(0, "unary", "a", LONG, ONCE).await.unwrap().lease();
    let mut hold = replica.hold(by_connection(start("hold", "a", LONG))).await.unwrap();
    hold.granted().await;
    let mut watch = replica.watch("hold").await.unwrap();
    watch.next().await;
    let keep_alive = replica.keep_alive().await.unwrap();
    let counts = |status: &GetClusterStatusResponse| (status.streams, status.locks);
    let status = replica.status().await.unwrap();
    assert_eq!(counts(&status), (3, 2), "{status:#?}");
    let metrics = replica.http_get("/metrics").await.unwrap().body;
    for method in ["Hold", "KeepAlive", "WatchLeader"] {
        let open = format!("holdfast_streams{{method=\"{method}\"}} 1\n");
        assert!(metrics.contains(&open), "no {open} in {metrics}");
    }
    assert_eq!(counts(&cluster.replicas[1].status().await.unwrap()), (0, 0));

    // Whoever renewed it last counts it.
    cluster.extend(1, &lease, LONG).await.unwrap();
    assert_eq!(cluster.replicas[1].status().await.unwrap().locks, 1);
    hold.release();
    assert_eq!(hold.event().await, Event::Released(ReleaseOutcome::Released.into()));
    assert_eq!(hold.message().await.unwrap(), None);
    drop((watch, keep_alive));
    replica.wait_status(BOUND, |status| status.streams == 0).await.unwrap();
    cluster.release(1, &lease).await.unwrap();
    assert_eq!(cluster.replicas[1].status().await.unwrap().locks, 0);
}
