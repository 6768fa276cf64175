//! What a lock promises while nothing fails: exclusion, tokens that rise, queues, and what becomes of a
//! lease that is over. Every replica is a process of its own, and calls go through several of them.
//!
//! Deliberately absent: faults of any kind; `outages`, `restarts` and `clocks` have them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use holdfast_proto::v1::{
    DescribeLockResponse, MasterState, ReleaseOutcome, TokenStanding, UnknownReason,
    describe_lock_response::State,
};
use holdfast_tests::calls::{Acquired, Lease, error_metadata, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::proxy::Proxy;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

/// Longer than any test here holds a lock, however slow the machine.
const TTL: Duration = Duration::from_secs(30);
/// For leases that are to run out.
const SHORT_TTL: Duration = Duration::from_millis(500);
const ONCE: Duration = Duration::ZERO;
/// For waits that are to end with the lock.
const PATIENT: Duration = Duration::from_secs(40);
/// For what happens by itself, sooner or later.
const BOUND: Duration = Duration::from_secs(20);
/// How often the head of a queue asks again when it hears nothing: between 0.8 and 1.2 of this.
const POLL: Duration = Duration::from_secs(1);
/// How often a state that tells no event is read again.
const LOOK: Duration = Duration::from_millis(20);

/// Long leases, and masters that may take their time: nothing here is about timeouts.
async fn cluster(masters: usize, replicas: usize) -> Arc<Cluster> {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    };
    Arc::new(Cluster::start(masters, replicas, options).await.expect("a cluster"))
}

async fn finished(call: JoinHandle<Result<Acquired, Status>>) -> Result<Acquired, Status> {
    timeout(PATIENT + BOUND, call).await.expect("an answer").expect("a call that does not panic")
}

/// Waits until so many acquires are queued on a replica.
async fn wait_waiters(replica: &Holdfastd, waiters: u32) {
    replica.wait_status(BOUND, |status| status.waiters == waiters).await.expect("waiters");
}

/// Waits until nobody holds the resource.
async fn wait_vacant(replica: &Holdfastd, resource: &str) {
    wait_described(replica, resource, |lock| matches!(lock.state, Some(State::Vacant(_)))).await;
}

async fn wait_described(
    replica: &Holdfastd,
    resource: &str,
    wanted: impl Fn(&DescribeLockResponse) -> bool,
) -> DescribeLockResponse {
    let deadline = Instant::now() + BOUND;
    loop {
        let described = replica.describe(resource).await.expect("DescribeLock");
        if wanted(&described) {
            return described;
        }
        assert!(Instant::now() < deadline, "{described:#?}");
        sleep(LOOK).await;
    }
}

fn lost_reason(status: &Status) -> String {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert_eq!(reason(status).as_deref(), Some("LEASE_LOST"), "{status:?}");
    error_metadata(status).remove("lost_reason").unwrap_or_default()
}

#[tokio::test]
async fn five_thousand_tokens_rise_and_exclude() {
    const TASKS: usize = 16;
    const ACQUISITIONS: usize = 5_000;
    /// The first two are fought over, the others hardly ever.
    const RESOURCES: usize = 8;

    #[derive(Default)]
    struct Resource {
        tokens: Mutex<Vec<u64>>,
        taken: AtomicBool,
    }

    let cluster = cluster(5, 3).await;
    let resources: Arc<Vec<Resource>> =
        Arc::new((0..RESOURCES).map(|_| Resource::default()).collect());
    let left = Arc::new(AtomicUsize::new(ACQUISITIONS));
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (cluster, resources, left) =
            (Arc::clone(&cluster), Arc::clone(&resources), Arc::clone(&left));
        tasks.push(tokio::spawn(async move {
            let one_less = |left: usize| left.checked_sub(1);
            for turn in 0.. {
                if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
                    return;
                }
                // Every other turn is for a contended one.
                let index = if turn % 2 == 0 { task % 2 } else { (task + turn) % RESOURCES };
                let (name, resource) = (format!("resource {index}"), &resources[index]);
                let replica = (task + turn) % cluster.replicas.len();
                let lease_id = format!("{task} {turn}");
                let lease = cluster.acquire(replica, &name, &lease_id, TTL, PATIENT).await;
                let lease = lease.expect("an answer").lease();
                assert!(!resource.taken.swap(true, Ordering::SeqCst), "two holders of {name}");
                resource.tokens.lock().expect("unpoisoned").push(lease.fencing_token);
                tokio::task::yield_now().await;
                assert!(resource.taken.swap(false, Ordering::SeqCst));
                let other = (replica + turn) % cluster.replicas.len();
                // On a machine that is too slow for its masters: it is told again.
                let mut unconfirmed = false;
                let outcome = loop {
                    match cluster.release(other, &lease).await.expect("an answer") {
                        ReleaseOutcome::Unconfirmed => unconfirmed = true,
                        outcome => break outcome,
                    }
                };
                let released = outcome == ReleaseOutcome::Released;
                assert!(released || unconfirmed, "{outcome:?} {lease:?}");
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }

    let mut total = 0;
    for (index, resource) in resources.iter().enumerate() {
        let tokens = resource.tokens.lock().unwrap();
        assert!(tokens.is_sorted_by(|a, b| a < b), "resource {index}: {tokens:?}");
        assert!(tokens.iter().all(|token| *token < 1 << 53), "too high for JavaScript");
        total += tokens.len();
    }
    assert_eq!(total, ACQUISITIONS);
}

#[tokio::test]
async fn any_number_of_masters_works() {
    for masters in [1, 2, 3, 4, 5] {
        basic_cycle(masters).await;
    }
}

async fn basic_cycle(masters: usize) {
    let cluster = cluster(masters, 2).await;
    let quorum = masters / 2 + 1;
    let status = cluster.replicas[0].status().await.expect("an answer");
    assert_eq!((status.master_count, status.quorum), (masters as u32, quorum as u32));

    let first = cluster.acquire(0, "r", "a", TTL, ONCE).await.expect("an answer").lease();
    assert_eq!((first.ttl, first.masters as usize), (TTL, masters));
    assert!((quorum..=masters).contains(&(first.votes as usize)), "{first:?}");
    assert!(first.valid_for < TTL && first.valid_for > TTL / 2, "{first:?}");

    let held = cluster.acquire(1, "r", "b", TTL, ONCE).await.expect("an answer").held();
    assert_eq!((held.holder.as_str(), held.fencing_token), ("holder of a", first.fencing_token));
    let remaining = Duration::try_from(held.remaining.expect("an answer")).expect("an answer");
    assert!(remaining <= TTL && remaining > TTL / 2, "{remaining:?}");

    let renewed = cluster.extend(1, &first, TTL).await.expect("an answer");
    assert_eq!(renewed.fencing_token, first.fencing_token);
    assert_eq!(cluster.release(1, &first).await.expect("an answer"), ReleaseOutcome::Released);
    let second = cluster.acquire(1, "r", "b", TTL, ONCE).await.expect("an answer").lease();
    assert!(second.fencing_token > first.fencing_token);
}

#[tokio::test]
async fn an_even_number_of_masters_is_warned_about() {
    let cluster = cluster(4, 1).await;
    let check = Holdfastd::run("check", &cluster.replica_options()).await.unwrap();
    assert!(check.status.success(), "{check:#?}");
    let what = "4 masters: an even number";
    let warns = |line: &String| line.to_lowercase().contains("warn") && line.contains(what);
    assert!(check.lines.iter().any(warns), "{check:#?}");
    let said = cluster.replicas[0].process().wait_for_line(what, BOUND).await.unwrap();
    assert!(warns(&said), "{said}");
}

#[tokio::test]
async fn without_a_lease_id_the_server_makes_one() {
    let cluster = cluster(1, 1).await;
    let first = cluster.acquire(0, "r", "", TTL, ONCE).await.unwrap().lease();
    assert_eq!(first.lease_id.len(), 32);
    let other = cluster.acquire(0, "other", "", TTL, ONCE).await.unwrap().lease();
    assert_ne!(first.lease_id, other.lease_id);
    cluster.extend(0, &first, TTL).await.unwrap();
    assert_eq!(cluster.release(0, &first).await.unwrap(), ReleaseOutcome::Released);
}

// The same lease_id again.

#[tokio::test]
async fn a_retry_through_another_replica_is_the_same_lock() {
    let cluster = cluster(3, 3).await;
    let first = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let second = cluster.acquire(1, "r", "a", TTL, ONCE).await.unwrap().lease();
    assert!(second.fencing_token >= first.fencing_token, "{first:?} {second:?}");
    for lease in [&first, &second, &first] {
        let renewed = cluster.extend(2, lease, TTL).await.unwrap();
        assert_eq!(renewed.fencing_token, lease.fencing_token);
    }
    cluster.acquire(2, "r", "b", TTL, ONCE).await.unwrap().held();

    assert_eq!(cluster.release(0, &second).await.unwrap(), ReleaseOutcome::Released);
    let next = cluster.acquire(2, "r", "b", TTL, ONCE).await.unwrap().lease();
    assert!(next.fencing_token > second.fencing_token);
}

#[tokio::test]
async fn the_holder_does_not_queue_behind_those_who_wait_for_it() {
    let cluster = cluster(3, 2).await;
    let first = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let waiters = [
        cluster.spawn_acquire(0, "r", "b", TTL, PATIENT),
        cluster.spawn_acquire(1, "r", "c", TTL, PATIENT),
    ];
    for replica in &cluster.replicas {
        wait_waiters(replica, 1).await;
    }

    // Were it queued, it would wait for itself: until the ttl is over.
    for (replica, wait) in [(0, ONCE), (0, PATIENT), (1, ONCE), (1, PATIENT)] {
        let asked = Instant::now();
        let again = cluster.acquire(replica, "r", "a", TTL, wait).await.unwrap().lease();
        assert!(again.fencing_token >= first.fencing_token);
        assert!(asked.elapsed() < TTL / 2, "{:?}", asked.elapsed());
    }
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    for waiter in waiters {
        waiter.abort();
    }
}

#[tokio::test]
async fn a_retry_takes_the_place_of_the_call_it_repeats() {
    let cluster = cluster(3, 1).await;
    let holder = cluster.acquire(0, "r", "holder", TTL, ONCE).await.unwrap().lease();
    let older = cluster.spawn_acquire(0, "r", "a", TTL, PATIENT);
    wait_waiters(&cluster.replicas[0], 1).await;
    let behind = cluster.spawn_acquire(0, "r", "b", TTL, PATIENT);
    wait_waiters(&cluster.replicas[0], 2).await;
    let newer = cluster.spawn_acquire(0, "r", "a", TTL, PATIENT);

    let superseded = finished(older).await.unwrap_err();
    assert_eq!(superseded.code(), Code::Aborted);
    assert_eq!(reason(&superseded).as_deref(), Some("SUPERSEDED"));

    // Its place, not the end of the queue.
    cluster.release(0, &holder).await.unwrap();
    let lease = finished(newer).await.unwrap().lease();
    assert!(!behind.is_finished());
    cluster.release(0, &lease).await.unwrap();
    assert!(finished(behind).await.unwrap().lease().fencing_token > lease.fencing_token);
}

// Queues.

#[tokio::test]
async fn waiters_of_a_replica_are_served_in_order_and_nobody_overtakes() {
    const WAITERS: u32 = 30;
    let cluster = cluster(3, 1).await;
    let holder = cluster.acquire(0, "r", "holder", TTL, ONCE).await.unwrap().lease();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiters = Vec::new();
    for number in 0..WAITERS {
        let (cluster2, order) = (Arc::clone(&cluster), Arc::clone(&order));
        waiters.push(tokio::spawn(async move {
            let lease_id = number.to_string();
            let lease = cluster2.acquire(0, "r", &lease_id, TTL, PATIENT).await;
            let lease = lease.expect("an answer").lease();
            order.lock().expect("unpoisoned").push(number);
            cluster2.release(0, &lease).await.expect("an answer");
            lease.fencing_token
        }));
        wait_waiters(&cluster.replicas[0], number + 1).await;
    }

    // Somebody who never waits tries all the time, from before the first handover to after the last.
    let hurried = {
        let cluster = Arc::clone(&cluster);
        tokio::spawn(async move {
            let mut refused = 0;
            loop {
                let tried = cluster.acquire(0, "r", "hurried", TTL, ONCE).await;
                match tried.expect("an answer") {
                    Acquired::Held(_) => refused += 1,
                    Acquired::Lease(lease) => return (refused, lease.fencing_token),
                }
            }
        })
    };
    cluster.release(0, &holder).await.unwrap();

    let mut tokens = Vec::new();
    for waiter in waiters {
        tokens.push(timeout(BOUND, waiter).await.unwrap().unwrap());
    }
    assert_eq!(*order.lock().unwrap(), (0..WAITERS).collect::<Vec<_>>());
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
    let (refused, token) = timeout(BOUND, hurried).await.unwrap().unwrap();
    assert!(refused > 0 && token > *tokens.last().unwrap(), "{refused} {token} {tokens:?}");
}

#[tokio::test]
async fn the_queue_and_its_order_can_be_seen() {
    let cluster = cluster(3, 1).await;
    cluster.acquire(0, "r", "holder", TTL, ONCE).await.unwrap().lease();
    let mut waiters = Vec::new();
    for number in 0..3 {
        waiters.push(cluster.spawn_acquire(0, "r", &format!("waiter {number}"), TTL, PATIENT));
        wait_waiters(&cluster.replicas[0], number + 1).await;
    }
    let described = cluster.replicas[0].describe("r").await.unwrap();
    let queue: Vec<_> =
        described.waiters.iter().map(|waiter| (waiter.position, waiter.holder.as_str())).collect();
    assert_eq!(
        queue,
        [(1, "holder of waiter 0"), (2, "holder of waiter 1"), (3, "holder of waiter 2")]
    );
    assert_eq!(described.waiter_count, 3);
    for waiter in &described.waiters {
        let left = Duration::try_from(waiter.wait_remaining.unwrap()).unwrap();
        assert!(waiter.waited.is_some() && left <= PATIENT, "{waiter:?}");
    }
    let held = cluster.acquire(0, "r", "other", TTL, ONCE).await.unwrap().held();
    assert_eq!(held.waiters, 3);
    for waiter in waiters {
        waiter.abort();
    }
    wait_waiters(&cluster.replicas[0], 0).await;
}

#[tokio::test]
async fn the_next_one_is_served_when_the_first_in_the_queue_goes_away() {
    let cluster = cluster(3, 1).await;
    let holder = cluster.acquire(0, "r", "holder", TTL, ONCE).await.unwrap().lease();
    // One cancels its call; of the other, the connection breaks.
    let cancelled = cluster.spawn_acquire(0, "r", "cancelled", TTL, PATIENT);
    wait_waiters(&cluster.replicas[0], 1).await;
    let mut wire = Proxy::start(cluster.replicas[0].grpc_address()).unwrap();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", wire.address()));
    let mut client = holdfast_proto::v1::lock_service_client::LockServiceClient::new(
        channel.unwrap().connect_lazy(),
    );
    let cut_off = tokio::spawn(async move {
        let request = holdfast_proto::v1::AcquireRequest {
            resource: "r".to_owned(),
            lease_id: "cut off".to_owned(),
            wait: Some(PATIENT.try_into().expect("a short wait")),
            ttl: Some(TTL.try_into().expect("a short ttl")),
            ..Default::default()
        };
        client.acquire(request).await
    });
    wait_waiters(&cluster.replicas[0], 2).await;
    let patient = cluster.spawn_acquire(0, "r", "patient", TTL, PATIENT);
    wait_waiters(&cluster.replicas[0], 3).await;

    cancelled.abort();
    wait_waiters(&cluster.replicas[0], 2).await;
    wire.cut().await;
    wait_waiters(&cluster.replicas[0], 1).await;
    assert!(timeout(BOUND, cut_off).await.unwrap().unwrap().is_err());

    cluster.release(0, &holder).await.unwrap();
    let released = Instant::now();
    let lease = finished(patient).await.unwrap().lease();
    assert!(lease.fencing_token > holder.fencing_token);
    assert!(released.elapsed() < TTL / 2, "{:?}", released.elapsed());
}

#[tokio::test]
async fn a_waiter_that_goes_away_as_its_turn_comes_leaves_no_lock() {
    const TURNS: u32 = 20;
    let cluster = cluster(3, 2).await;
    let mut last = cluster.acquire(0, "r", "first", TTL, ONCE).await.unwrap().lease();
    for turn in 0..TURNS {
        let began = Instant::now();
        let name = format!("leaving {turn}");
        let leaving = cluster.spawn_acquire(0, "r", &name, TTL, PATIENT);
        wait_waiters(&cluster.replicas[0], 1).await;
        let other = (turn % 2) as usize;
        let staying = cluster.spawn_acquire(other, "r", &format!("staying {turn}"), TTL, PATIENT);
        wait_waiters(&cluster.replicas[other], 1 + u32::from(other == 0)).await;

        if turn < TURNS / 2 {
            // The server learns of the cancellation right before it learns of the release.
            leaving.abort();
            assert!(leaving.await.unwrap_err().is_cancelled());
            cluster.release(0, &last).await.unwrap();
        } else {
            // The grant may be on its way to a client that has gone: only the client can know that
            // it knows nothing, and gives back what it may have.
            let release = {
                let (cluster, last) = (Arc::clone(&cluster), last.clone());
                tokio::spawn(async move { cluster.release(0, &last).await })
            };
            for _ in 0..turn {
                tokio::task::yield_now().await;
            }
            leaving.abort();
            drop(leaving.await);
            release.await.unwrap().unwrap();
            let perhaps = Lease { lease_id: name, fencing_token: 0, ..last.clone() };
            cluster.release(0, &perhaps).await.unwrap();
        }
        last = finished(staying).await.unwrap().lease();
        // A lock left behind would have cost its ttl.
        assert!(began.elapsed() < TTL, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_release_wakes_the_waiters_of_other_replicas() {
    const HANDOVERS: usize = 50;
    let cluster = cluster(3, 2).await;
    let mut lease = cluster.acquire(0, "r", "first", TTL, ONCE).await.unwrap().lease();
    let mut waited = Vec::new();
    for handover in 0..HANDOVERS {
        let waiting = (handover + 1) % 2;
        let waiter = cluster.spawn_acquire(waiting, "r", &handover.to_string(), TTL, PATIENT);
        wait_waiters(&cluster.replicas[waiting], 1).await;
        assert!(!waiter.is_finished());
        let released = Instant::now();
        let outcome = cluster.release(handover % 2, &lease).await.unwrap();
        assert_eq!(outcome, ReleaseOutcome::Released);
        let next = finished(waiter).await.unwrap().lease();
        waited.push(released.elapsed());
        assert!(next.fencing_token > lease.fencing_token);
        lease = next;
    }
    // Most of them: a machine may stand still now and then.
    waited.sort_unstable();
    assert!(waited[HANDOVERS / 2] < POLL * 4 / 10, "{waited:?}: woken by the poll?");
}

#[tokio::test]
async fn an_expiry_ends_the_wait_of_other_replicas() {
    let cluster = cluster(3, 2).await;
    let first = cluster.acquire(0, "r", "a", SHORT_TTL, ONCE).await.unwrap().lease();
    let second = cluster.acquire(1, "r", "b", TTL, PATIENT).await.unwrap().lease();
    assert!(second.fencing_token > first.fencing_token);
    assert_eq!(lost_reason(&cluster.extend(0, &first, TTL).await.unwrap_err()), "TAKEN");
}

#[tokio::test]
async fn waiting_in_vain_ends_with_the_holder() {
    let cluster = cluster(3, 1).await;
    let holder = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let wait = Duration::from_millis(300);
    let asked = Instant::now();
    let held = cluster.acquire(0, "r", "b", TTL, wait).await.unwrap().held();
    assert!(asked.elapsed() >= wait && asked.elapsed() < TTL / 2, "{:?}", asked.elapsed());
    assert_eq!((held.holder.as_str(), held.fencing_token), ("holder of a", holder.fencing_token));
}

// Leases that are over, and strangers.

#[tokio::test]
async fn an_expired_lease_is_never_revived() {
    let cluster = cluster(5, 2).await;
    let expired = cluster.acquire(0, "r", "a", SHORT_TTL, ONCE).await.unwrap().lease();
    wait_vacant(&cluster.replicas[1], "r").await;
    for replica in 0..2 {
        let error = cluster.extend(replica, &expired, TTL).await.unwrap_err();
        assert_eq!(lost_reason(&error), "EXPIRED");
    }
    let described = cluster.replicas[0].describe("r").await.unwrap();
    assert!(matches!(described.state, Some(State::Vacant(_))), "{described:#?}");
    let next = cluster.acquire(0, "r", "b", TTL, ONCE).await.unwrap().lease();
    let error = cluster.extend(1, &expired, TTL).await.unwrap_err();
    assert_eq!(lost_reason(&error), "TAKEN");
    cluster.extend(1, &next, TTL).await.unwrap();
}

#[tokio::test]
async fn strangers_neither_extend_nor_release() {
    let cluster = cluster(3, 2).await;
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let stranger = Lease { lease_id: "b".to_owned(), ..lease.clone() };
    // One that never learned a token, and one that guesses a later one.
    let tokenless = Lease { fencing_token: 0, ..stranger.clone() };
    let forged = Lease { fencing_token: lease.fencing_token + 1, ..stranger.clone() };
    for replica in 0..2 {
        for lease in [&stranger, &forged] {
            let error = cluster.extend(replica, lease, TTL).await.unwrap_err();
            assert_eq!(lost_reason(&error), "TAKEN");
        }
        for lease in [&stranger, &forged, &tokenless] {
            let outcome = cluster.release(replica, lease).await.unwrap();
            assert_eq!(outcome, ReleaseOutcome::HeldByAnother);
        }
    }
    cluster.acquire(1, "r", "b", TTL, ONCE).await.unwrap().held();
    cluster.extend(1, &lease, TTL).await.unwrap();
    // The same lease_id on another resource is another lease.
    let elsewhere = Lease { resource: "elsewhere".to_owned(), ..lease.clone() };
    assert_eq!(lost_reason(&cluster.extend(0, &elsewhere, TTL).await.unwrap_err()), "EXPIRED");
    assert_eq!(cluster.release(0, &elsewhere).await.unwrap(), ReleaseOutcome::NotHeld);
    assert_eq!(cluster.release(0, &lease).await.unwrap(), ReleaseOutcome::Released);
}

#[tokio::test]
async fn a_lease_id_used_again_is_a_new_lease() {
    let cluster = cluster(3, 2).await;
    let first = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    assert_eq!(cluster.release(0, &first).await.unwrap(), ReleaseOutcome::Released);
    for replica in [0, 1] {
        assert_eq!(cluster.release(replica, &first).await.unwrap(), ReleaseOutcome::NotHeld);
    }
    let second = cluster.acquire(1, "r", "a", TTL, ONCE).await.unwrap().lease();
    assert!(second.fencing_token > first.fencing_token);

    // Late messages of the first cannot touch the second: neither renew it nor give it back.
    for replica in [0, 1] {
        let error = cluster.extend(replica, &first, TTL).await.unwrap_err();
        assert_eq!(lost_reason(&error), "EXPIRED");
        let outcome = cluster.release(replica, &first).await.unwrap();
        assert_eq!(outcome, ReleaseOutcome::HeldByAnother);
    }
    cluster.extend(0, &second, TTL).await.unwrap();
    cluster.acquire(0, "r", "b", TTL, ONCE).await.unwrap().held();

    // Whoever never learned the token gives back what there is.
    let tokenless = Lease { fencing_token: 0, ..second };
    assert_eq!(cluster.release(0, &tokenless).await.unwrap(), ReleaseOutcome::Released);
}

#[tokio::test]
async fn a_shorter_ttl_does_not_end_the_lease_earlier() {
    let cluster = cluster(3, 1).await;
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let renewed = cluster.extend(0, &lease, SHORT_TTL).await.unwrap();
    assert!(renewed.valid_for <= SHORT_TTL, "{renewed:?}");
    for master in cluster.replicas[0].describe("r").await.unwrap().masters {
        let remaining = Duration::try_from(master.remaining.unwrap()).unwrap();
        assert!(remaining > TTL / 2, "{master:?}");
    }
}

// Other Redlock libraries on the same masters.

/// What a Redlock library does to take a lock: true where it was set.
async fn foreign_lock(cluster: &Cluster, resource: &str, ttl: Duration) -> Vec<bool> {
    let mut votes = Vec::new();
    for master in &cluster.masters {
        let (key, millis) = (format!("redlock:{resource}"), ttl.as_millis().to_string());
        let command = ["SET", &key, "of another library", "NX", "PX", &millis];
        let set: Option<String> = master.command(&command).await.expect("SET");
        votes.push(set.is_some());
    }
    votes
}

async fn command_everywhere(cluster: &Cluster, command: &[&str]) {
    for master in &cluster.masters {
        let _: redis::Value = master.command(command).await.expect("a command of Redis");
    }
}

#[tokio::test]
async fn the_lock_of_another_library_excludes() {
    let cluster = cluster(3, 2).await;
    assert_eq!(foreign_lock(&cluster, "r", TTL).await, [true; 3]);
    for replica in 0..2 {
        let held = cluster.acquire(replica, "r", "a", TTL, ONCE).await.unwrap().held();
        assert_eq!((held.holder.as_str(), held.fencing_token), ("", 0));
        let remaining = Duration::try_from(held.remaining.unwrap()).unwrap();
        assert!(remaining <= TTL && remaining > TTL / 2, "{remaining:?}");
    }
    let described = cluster.replicas[0].describe("r").await.unwrap();
    let foreign = UnknownReason::ForeignHolder;
    assert!(
        matches!(&described.state, Some(State::Unknown(why)) if why.reason() == foreign),
        "{described:#?}"
    );
    assert!(described.masters.iter().all(|master| master.foreign && master.fencing_token == 0));

    // Its release or expiry is noticed, and its value was never touched.
    let waiter = cluster.spawn_acquire(0, "r", "a", TTL, PATIENT);
    wait_waiters(&cluster.replicas[0], 1).await;
    for master in &cluster.masters {
        let value: String = master.command(&["GET", "redlock:r"]).await.unwrap();
        assert_eq!(value, "of another library");
    }
    command_everywhere(&cluster, &["DEL", "redlock:r"]).await;
    finished(waiter).await.unwrap().lease();
}

#[tokio::test]
async fn another_library_is_excluded() {
    let cluster = cluster(3, 1).await;
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    // A quorum has it at once, the last vote may still be under way.
    wait_described(&cluster.replicas[0], "r", |lock| {
        lock.masters.iter().all(|master| master.fencing_token == lease.fencing_token)
    })
    .await;
    assert_eq!(foreign_lock(&cluster, "r", TTL).await, [false; 3]);
    cluster.release(0, &lease).await.unwrap();
    wait_described(&cluster.replicas[0], "r", |lock| {
        lock.masters.iter().all(|master| master.fencing_token == 0)
    })
    .await;
    assert_eq!(foreign_lock(&cluster, "r", TTL).await, [true; 3]);
}

#[tokio::test]
async fn a_foreign_value_is_never_overwritten() {
    let cluster = cluster(3, 1).await;
    command_everywhere(&cluster, &["SET", "redlock:eternal", "x"]).await;
    command_everywhere(&cluster, &["HSET", "redlock:hash", "owner", "1"]).await;
    command_everywhere(&cluster, &["RPUSH", "redlock:list", "x"]).await;
    // The magic of our own, and nothing behind it.
    command_everywhere(&cluster, &["SET", "redlock:short", "HF1"]).await;
    for resource in ["eternal", "hash", "list", "short"] {
        let held = cluster.acquire(0, resource, "a", TTL, ONCE).await.unwrap().held();
        assert_eq!((held.holder.as_str(), held.fencing_token), ("", 0), "{resource}");
        assert_eq!(held.remaining, None, "{resource} never expires");
        let stranger = Lease {
            resource: resource.to_owned(),
            lease_id: "a".to_owned(),
            fencing_token: 1,
            ttl: TTL,
            valid_for: TTL,
            votes: 0,
            masters: 3,
            served_in: Duration::ZERO,
        };
        assert_eq!(lost_reason(&cluster.extend(0, &stranger, TTL).await.unwrap_err()), "TAKEN");
        let outcome = cluster.release(0, &stranger).await.unwrap();
        assert_eq!(outcome, ReleaseOutcome::HeldByAnother, "{resource}");
    }
    for master in &cluster.masters {
        assert_eq!(master.command::<String>(&["GET", "redlock:eternal"]).await.unwrap(), "x");
        assert_eq!(master.command::<String>(&["GET", "redlock:short"]).await.unwrap(), "HF1");
        assert_eq!(master.command::<i64>(&["PTTL", "redlock:eternal"]).await.unwrap(), -1);
        assert_eq!(master.command::<u64>(&["HLEN", "redlock:hash"]).await.unwrap(), 1);
        assert_eq!(master.command::<u64>(&["LLEN", "redlock:list"]).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_foreign_lock_on_a_minority_is_left_alone() {
    let cluster = cluster(3, 1).await;
    let _: redis::Value =
        cluster.masters[2].command(&["SET", "redlock:r", "x", "PX", "30000"]).await.unwrap();
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    assert_eq!(lease.votes, 2);
    // The repair that follows an extend must not take it either.
    for _ in 0..3 {
        assert_eq!(cluster.extend(0, &lease, TTL).await.unwrap().votes, 2);
    }
    assert_eq!(cluster.release(0, &lease).await.unwrap(), ReleaseOutcome::Released);
    let value: String = cluster.masters[2].command(&["GET", "redlock:r"]).await.unwrap();
    assert_eq!(value, "x");
}

// Looking.

#[tokio::test]
async fn tokens_are_told_apart() {
    let cluster = cluster(3, 2).await;
    let standing = async |replica: usize, token| {
        let response = cluster.replicas[replica].check_token("r", token).await.expect("an answer");
        (response.standing(), response.newest_fencing_token)
    };
    assert_eq!(standing(0, 1).await.0, TokenStanding::NotHeld);

    let first = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease().fencing_token;
    for replica in 0..2 {
        assert_eq!(standing(replica, first).await, (TokenStanding::Current, first));
        assert_eq!(standing(replica, first - 1).await, (TokenStanding::Superseded, first));
    }
    assert_eq!(standing(0, 0).await.0, TokenStanding::Superseded);

    // A retry has a higher token; both stand for the same unbroken lease.
    let retried = cluster.acquire(1, "r", "a", TTL, ONCE).await.unwrap().lease();
    for token in [first, retried.fencing_token] {
        assert_eq!(standing(0, token).await.0, TokenStanding::Current);
    }
    cluster.release(0, &retried).await.unwrap();
    assert_eq!(standing(0, first).await.0, TokenStanding::NotHeld);

    let second = cluster.acquire(1, "r", "b", TTL, ONCE).await.unwrap().lease().fencing_token;
    assert_eq!(standing(0, first).await, (TokenStanding::Superseded, second));
    assert_eq!(standing(1, second).await.0, TokenStanding::Current);

    for master in &cluster.masters[1..] {
        master.freeze().unwrap();
    }
    let error = cluster.replicas[0].check_token("r", second).await.unwrap_err();
    assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"));
}

#[tokio::test]
async fn a_lock_can_be_described_without_giving_it_away() {
    let cluster = cluster(3, 1).await;
    let capability = "4f9d3c1be0a84a0c9d0e7a5b6c7d8e9f";
    let lease = cluster.acquire(0, "r", capability, TTL, ONCE).await.unwrap().lease();
    let other = cluster.acquire(0, "other", "b", TTL, ONCE).await.unwrap().lease();
    let all_show = |lock: &DescribeLockResponse| {
        lock.masters.iter().all(|master| master.votes && !master.lease_fingerprint.is_empty())
    };
    let described = wait_described(&cluster.replicas[0], "r", all_show).await;
    let Some(State::Leader(leader)) = &described.state else { panic!("{described:#?}") };
    assert_eq!(leader.fencing_token, lease.fencing_token);
    assert_eq!(leader.holder, format!("holder of {capability}"));
    let names: Vec<_> = described.masters.iter().map(|master| master.name.as_str()).collect();
    assert_eq!(names, ["m0", "m1", "m2"]);
    let mut fingerprints = BTreeSet::new();
    for master in &described.masters {
        fingerprints.insert(master.lease_fingerprint.clone());
        assert_eq!(master.state(), MasterState::Voting);
        assert_eq!(master.first, lease.fencing_token);
        assert_eq!(master.ballot, lease.fencing_token);
        assert_eq!(master.fencing_token, lease.fencing_token);
        assert!(!master.foreign && master.detail.is_empty(), "{master:?}");
        assert!(Duration::try_from(master.remaining.unwrap()).unwrap() <= TTL);
        // The holder's name is the caller's own words.
        assert!(!master.lease_fingerprint.contains(capability), "{master:?}");
        assert!(!capability.contains(&master.lease_fingerprint), "{master:?}");
    }
    assert_eq!(fingerprints.len(), 1);
    let described = wait_described(&cluster.replicas[0], "other", all_show).await;
    assert!(!fingerprints.contains(&described.masters[0].lease_fingerprint));
    assert_eq!(described.masters[0].fencing_token, other.fencing_token);

    // Nothing on the masters gives it away either.
    for master in &cluster.masters {
        let value: Vec<u8> = master.command(&["GET", "redlock:other"]).await.unwrap();
        let value = String::from_utf8_lossy(&value).into_owned();
        assert!(value.starts_with("HF1"), "{value}");
        let value: Vec<u8> = master.command(&["GET", "redlock:r"]).await.unwrap();
        let value = String::from_utf8_lossy(&value).replace("holder of", "");
        // Once, in the holder's name.
        assert_eq!(value.matches(capability).count(), 1, "{value}");
    }
}

#[tokio::test]
async fn the_status_says_how_masters_and_replica_fare() {
    let cluster = cluster(3, 1).await;
    let replica = &cluster.replicas[0];
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let waiter = cluster.spawn_acquire(0, "r", "b", TTL, PATIENT);
    wait_waiters(replica, 1).await;

    let status = replica.wait_voting(3).await.unwrap();
    assert!(status.has_quorum && !status.version.is_empty(), "{status:#?}");
    assert_eq!((status.quorum, status.master_count, status.streams), (2, 3, 0));
    let mut run_ids = BTreeMap::new();
    for (index, master) in status.masters.iter().enumerate() {
        assert_eq!(master.name, format!("m{index}"));
        assert_eq!(master.state(), MasterState::Voting);
        assert_eq!(master.detail, "");
        let info: String = cluster.masters[index].command(&["INFO", "server"]).await.unwrap();
        assert!(info.contains(&format!("run_id:{}", master.run_id)), "{master:?} {info}");
        assert!(info.contains(&format!("redis_version:{}", master.version)), "{master:?} {info}");
        run_ids.insert(master.run_id.clone(), index);
        let offset = master.clock_offset.unwrap();
        assert!(offset.seconds.abs() < 2, "{master:?}");
        let round_trip = Duration::try_from(master.round_trip.unwrap()).unwrap();
        assert!(round_trip < Duration::from_secs(1), "{master:?}");
    }
    assert_eq!(run_ids.len(), 3);

    cluster.release(0, &lease).await.unwrap();
    finished(waiter).await.unwrap().lease();
    assert_eq!(replica.status().await.unwrap().waiters, 0);
    assert_eq!(replica.http_get("/healthz").await.unwrap().status, 200);
    replica.wait_readyz(200, "").await.unwrap();
}

#[tokio::test]
async fn a_development_server_keeps_the_same_promises() {
    let options =
        HoldfastdOptions { args: vec!["--dev".to_owned()], ..HoldfastdOptions::default() };
    let replica = Holdfastd::start(options).await.unwrap();
    replica.wait_voting(3).await.unwrap();
    let first = replica.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    replica.acquire("r", "b", TTL, ONCE).await.unwrap().held();
    assert_eq!(replica.release(&first).await.unwrap(), ReleaseOutcome::Released);
    let second = replica.acquire("r", "b", TTL, ONCE).await.unwrap().lease();
    assert!(second.fencing_token > first.fencing_token);
    assert_eq!(lost_reason(&replica.extend(&first, TTL).await.unwrap_err()), "TAKEN");
}
