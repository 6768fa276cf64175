//! Masters and replicas that are gone for a while: a minority is not noticed, a majority is told to the
//! caller, and everything heals by itself.
//!
//! Deliberately absent: what a master may do that comes back without its memory (`restarts`).

use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::errors::RETRY_AFTER_TRAILER;
use holdfast_proto::v1::{
    GetClusterStatusResponse, MasterState, ReleaseOutcome, TokenStanding, UnknownReason,
    describe_lock_response::State,
};
use holdfast_tests::calls::{Lease, error_metadata, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, voting};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

/// Longer than any test here takes, so that a lock left behind is noticed.
const TTL: Duration = Duration::from_secs(60);
const ONCE: Duration = Duration::ZERO;
const PATIENT: Duration = Duration::from_secs(30);
const BOUND: Duration = Duration::from_secs(30);
/// How often a state that tells no event is read again.
const LOOK: Duration = Duration::from_millis(20);
/// How long a call that finds no quorum goes on trying.
const GIVE_UP: Duration = Duration::from_millis(800);
/// Higher than the default, for machines that are slow.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(300);

fn options() -> ClusterOptions {
    ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec![format!("command_timeout = \"{}ms\"", COMMAND_TIMEOUT.as_millis())],
        ..ClusterOptions::default()
    }
}

/// For masters that are restarted: the quarantine takes about three seconds.
fn short_quarantine() -> ClusterOptions {
    ClusterOptions {
        args: ["--max-ttl", "2s", "--clock-skew", "1s"].map(str::to_owned).to_vec(),
        ..options()
    }
}

async fn wait_waiters(replica: &Holdfastd, waiters: u32) {
    replica.wait_status(BOUND, |status| status.waiters == waiters).await.expect("waiters");
}

/// Waits until every master shows the lease.
async fn wait_everywhere(replica: &Holdfastd, lease: &Lease) {
    let deadline = Instant::now() + BOUND;
    loop {
        let described = replica.describe(&lease.resource).await.expect("DescribeLock");
        if described.masters.iter().all(|master| master.fencing_token == lease.fencing_token) {
            return;
        }
        assert!(Instant::now() < deadline, "{described:#?}");
        sleep(LOOK).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outage {
    Killed,
    Frozen,
}

impl Outage {
    fn befall(self, cluster: &mut Cluster, masters: impl IntoIterator<Item = usize>) {
        for index in masters {
            let master = &mut cluster.masters[index];
            match self {
                Outage::Killed => master.kill().expect("a killed master"),
                Outage::Frozen => master.freeze().expect("a frozen master"),
            }
        }
    }
}

// A minority.

async fn is_not_noticed(masters: usize, gone: usize, outage: Outage) {
    const CYCLES: usize = 100;
    let mut cluster = Cluster::start(masters, 3, options()).await.expect("a cluster");
    let before = cluster.acquire(0, "before", "a", TTL, ONCE).await.expect("an answer").lease();
    outage.befall(&mut cluster, 0..gone);

    let began = Instant::now();
    let mut token = 0;
    for cycle in 0..CYCLES {
        let replica = |offset: usize| &cluster.replicas[(cycle + offset) % 3];
        let lease_id = format!("lease {cycle}");
        let lease = replica(0).acquire("r", &lease_id, TTL, ONCE).await.expect("an answer").lease();
        assert!(lease.fencing_token > token, "{lease:?}");
        token = lease.fencing_token;
        replica(1).extend(&lease, TTL).await.expect("an extend");
        // The holder is known, although not all masters can be asked.
        let held = replica(2).acquire("r", "other", TTL, ONCE).await.expect("an answer").held();
        assert_eq!(held.fencing_token, lease.fencing_token);
        let outcome = replica(1).release(&lease).await.expect("an answer");
        assert_eq!(outcome, ReleaseOutcome::Released);
    }
    // Each call that waited for a master that is gone would have cost a timeout.
    let waited_for = CYCLES as u32 * 4 * COMMAND_TIMEOUT;
    assert!(began.elapsed() < waited_for / 3, "{:?}", began.elapsed());
    cluster.extend(1, &before, TTL).await.expect("an extend");

    for replica in &cluster.replicas {
        let seen = |status: &GetClusterStatusResponse| {
            let states = status.masters.iter().map(|master| master.state());
            states.take(gone).all(|state| state == MasterState::Unreachable)
        };
        let status = replica.wait_status(BOUND, seen).await.expect("a status");
        assert!(status.has_quorum && voting(&status) == masters - gone, "{status:#?}");
        assert!(!status.masters[0].detail.is_empty(), "{status:#?}");
    }
}

#[tokio::test]
async fn two_of_five_masters_killed_are_not_noticed() {
    is_not_noticed(5, 2, Outage::Killed).await;
}

#[tokio::test]
async fn two_of_five_masters_frozen_are_not_noticed() {
    is_not_noticed(5, 2, Outage::Frozen).await;
}

#[tokio::test]
async fn one_of_three_masters_killed_is_not_noticed() {
    is_not_noticed(3, 1, Outage::Killed).await;
}

#[tokio::test]
async fn one_of_three_masters_frozen_is_not_noticed() {
    is_not_noticed(3, 1, Outage::Frozen).await;
}

#[tokio::test]
async fn a_waiter_gets_its_lock_while_a_minority_comes_and_goes() {
    let cluster = Arc::new(Cluster::start(5, 2, options()).await.unwrap());
    let mut lease = cluster.acquire(0, "r", "first", TTL, ONCE).await.unwrap().lease();
    for turn in 0..10 {
        let waiter = cluster.spawn_acquire(1, "r", &turn.to_string(), TTL, PATIENT);
        wait_waiters(&cluster.replicas[1], 1).await;
        for master in [turn % 5, (turn + 1) % 5] {
            cluster.masters[master].freeze().unwrap();
        }
        // An extend in between: more than one round of trouble for those who look on.
        cluster.extend(0, &lease, TTL).await.unwrap();
        let outcome = cluster.release(0, &lease).await.unwrap();
        assert_eq!(outcome, ReleaseOutcome::Released);
        let next = timeout(BOUND, waiter).await.unwrap().unwrap().unwrap().lease();
        assert!(next.fencing_token > lease.fencing_token);
        lease = next;
        for master in [turn % 5, (turn + 1) % 5] {
            cluster.masters[master].thaw().unwrap();
        }
        // Those that were away must be back, and have the lease, before others go: three masters have
        // it, and of three, two may not go.
        cluster.wait_voting(5).await.unwrap();
        cluster.extend(1, &lease, TTL).await.unwrap();
        wait_everywhere(&cluster.replicas[1], &lease).await;
    }
}

// A majority.

/// Checks everything the contract says of this answer.
fn assert_no_quorum(error: &Status, masters: usize) {
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    assert_eq!(reason(error).as_deref(), Some("NO_QUORUM"), "{error:?}");
    let answers = error_metadata(error);
    let names: Vec<String> = (0..masters).map(|index| format!("m{index}")).collect();
    for name in &names {
        let answer = answers.get(name).unwrap_or_else(|| panic!("{name} in {answers:?}"));
        assert!(!answer.is_empty(), "{answers:?}");
        // By name, not by endpoint.
        assert!(!answer.contains("127.0.0.1"), "{answers:?}");
    }
    assert_eq!(answers.len(), masters, "{answers:?}");
    let retry = error.get_details_retry_info().and_then(|info| info.retry_delay);
    let retry = retry.expect("RetryInfo").as_millis().to_string();
    let trailer = error.metadata().get(RETRY_AFTER_TRAILER).expect("a trailer");
    assert_eq!(trailer.to_str().ok(), Some(retry.as_str()));
}

/// What every call says while two of three masters are gone.
async fn every_call_says_so(replica: &Holdfastd, lease: &Lease) {
    for wait in [ONCE, PATIENT] {
        let asked = Instant::now();
        let error = replica.acquire("fresh", "b", lease.ttl, wait).await.expect_err("no quorum");
        assert_no_quorum(&error, 3);
        assert!(asked.elapsed() < GIVE_UP + BOUND / 2, "{:?}", asked.elapsed());
    }
    assert_no_quorum(&replica.extend(lease, lease.ttl).await.expect_err("no quorum"), 3);
    let error = replica.check_token(&lease.resource, lease.fencing_token).await;
    assert_no_quorum(&error.expect_err("no quorum"), 3);
    let elsewhere = Lease { resource: "elsewhere".to_owned(), ..lease.clone() };
    let outcome = replica.release(&elsewhere).await.expect("an outcome, not an error");
    assert_eq!(outcome, ReleaseOutcome::Unconfirmed);

    let described = replica.describe(&lease.resource).await.expect("an answer");
    let no_quorum = UnknownReason::NoQuorum;
    assert!(
        matches!(&described.state, Some(State::Unknown(why)) if why.reason() == no_quorum),
        "{described:#?}"
    );

    // An outage of the masters must not empty the load balancer.
    for path in ["/healthz", "/readyz"] {
        assert_eq!(replica.http_get(path).await.expect(path).status, 200, "{path}");
    }
    wait_health(replica, "", ServingStatus::Serving).await;
    wait_health(replica, "holdfast.v1.LockService", ServingStatus::NotServing).await;
    let status = replica.status().await.expect("needs no master");
    assert!(!status.has_quorum && voting(&status) < 2, "{status:#?}");
}

async fn wait_health(replica: &Holdfastd, service: &str, wanted: ServingStatus) {
    let mut client = HealthClient::new(replica.channel());
    let deadline = Instant::now() + BOUND;
    loop {
        let request = HealthCheckRequest { service: service.to_owned() };
        let response = client.check(request).await.expect("grpc.health.v1").into_inner();
        if response.status() == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{service:?}: {response:?}");
        sleep(LOOK).await;
    }
}

#[tokio::test]
async fn a_frozen_majority_is_told_and_heals_by_itself() {
    let mut cluster = Cluster::start(3, 2, options()).await.unwrap();
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    Outage::Frozen.befall(&mut cluster, [0, 1]);
    for replica in &cluster.replicas {
        every_call_says_so(replica, &lease).await;
    }
    for master in &cluster.masters[..2] {
        master.thaw().unwrap();
    }
    // The same processes: no quarantine, and the lease is still there.
    cluster.wait_voting(3).await.unwrap();
    for replica in &cluster.replicas {
        replica.extend(&lease, TTL).await.unwrap();
        replica.acquire("r", "b", TTL, ONCE).await.unwrap().held();
        wait_health(replica, "holdfast.v1.LockService", ServingStatus::Serving).await;
    }
    assert_eq!(cluster.release(0, &lease).await.unwrap(), ReleaseOutcome::Released);
    // Nothing of what was tried meanwhile is in the way.
    cluster.acquire(1, "fresh", "c", TTL, PATIENT).await.unwrap().lease();
}

#[tokio::test]
async fn a_killed_majority_is_told_and_heals_after_the_quarantine() {
    let mut cluster = Cluster::start(3, 2, short_quarantine()).await.unwrap();
    let ttl = Duration::from_secs(2);
    let lease = cluster.acquire(0, "r", "a", ttl, ONCE).await.unwrap().lease();
    Outage::Killed.befall(&mut cluster, [1, 2]);
    for replica in &cluster.replicas {
        every_call_says_so(replica, &lease).await;
    }
    for master in &mut cluster.masters[1..] {
        master.restart().await.unwrap();
    }
    cluster.wait_voting(3).await.unwrap();
    let mut asked = Instant::now();
    for replica in &cluster.replicas {
        asked = Instant::now();
        let next = replica.acquire("r", "b", ttl, ONCE).await.unwrap().lease();
        assert!(next.fencing_token > lease.fencing_token);
    }
    let standing = cluster.replicas[0].check_token("r", lease.fencing_token).await.unwrap();
    let standing = standing.standing();
    // A machine that stood still meanwhile has let it run out.
    let ran_out = standing == TokenStanding::NotHeld && asked.elapsed() >= ttl;
    assert!(standing == TokenStanding::Superseded || ran_out, "{standing:?}");
}

#[tokio::test]
async fn without_any_master_a_replica_starts_and_says_so() {
    let mut cluster = Cluster::start(3, 0, options()).await.unwrap();
    Outage::Killed.befall(&mut cluster, 0..3);
    let replica = Holdfastd::start(cluster.replica_options()).await.unwrap();
    let error = replica.acquire("r", "a", TTL, ONCE).await.unwrap_err();
    assert_no_quorum(&error, 3);
}

/// A late SET after the DEL: what a frozen master was sent is carried out when it is thawed.
#[tokio::test]
async fn what_arrives_late_leaves_no_lock_behind() {
    const RESOURCES: usize = 10;
    let mut cluster = Cluster::start(3, 2, options()).await.unwrap();
    for turn in 0..RESOURCES {
        let began = Instant::now();
        Outage::Frozen.befall(&mut cluster, [0, 1]);
        let resource = format!("resource {turn}");
        let error = cluster.acquire(0, &resource, "late", TTL, ONCE).await.unwrap_err();
        assert_no_quorum(&error, 3);
        for master in &cluster.masters[..2] {
            master.thaw().unwrap();
        }
        let lease = cluster.acquire(1, &resource, "next", TTL, PATIENT).await.unwrap().lease();
        cluster.wait_voting(3).await.unwrap();
        // And nothing that arrives later still takes it away.
        cluster.extend(1, &lease, TTL).await.unwrap();
        assert!(began.elapsed() < TTL, "{:?}: a lock ran out", began.elapsed());
    }
}

#[tokio::test]
async fn replies_that_are_lost_leave_no_lock_behind() {
    let options = ClusterOptions { proxied: true, ..options() };
    let mut cluster = Cluster::start(3, 2, options).await.unwrap();
    let began = Instant::now();
    for link in &cluster.links[0][..2] {
        link.hang_replies();
    }
    // The masters voted for it, and the replica cannot know.
    let error = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap_err();
    assert_no_quorum(&error, 3);
    for link in &mut cluster.links[0][..2] {
        link.cut().await;
        link.resume().unwrap();
    }
    let lease = cluster.acquire(1, "r", "b", TTL, PATIENT).await.unwrap().lease();
    assert!(began.elapsed() < TTL, "{:?}: the lock ran out", began.elapsed());
    cluster.wait_voting(3).await.unwrap();
    cluster.extend(0, &lease, TTL).await.unwrap();
}

#[tokio::test]
async fn the_same_lease_id_tells_what_became_of_a_call_without_an_answer() {
    let options = ClusterOptions { proxied: true, ..options() };
    let mut cluster = Cluster::start(3, 2, options).await.unwrap();
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    for link in &cluster.links[0] {
        link.hang_replies();
    }
    let error = cluster.extend(0, &lease, TTL).await.unwrap_err();
    assert_no_quorum(&error, 3);
    // A failed extend must not unlock.
    cluster.acquire(1, "r", "b", TTL, ONCE).await.unwrap().held();
    cluster.extend(1, &lease, TTL).await.unwrap();
    for link in &mut cluster.links[0] {
        link.resume().unwrap();
    }
    cluster.replicas[0].wait_voting(3).await.unwrap();
    let again = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    assert!(again.fencing_token >= lease.fencing_token);
}

// Replicas.

#[tokio::test]
async fn a_replica_that_drains_tells_its_waiters_and_keeps_the_leases() {
    let mut cluster = Cluster::start(3, 2, options()).await.unwrap();
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let mut waiters = Vec::new();
    for number in 0..3 {
        let mut client = cluster.replicas[0].lock_client();
        waiters.push(tokio::spawn(async move {
            let request = holdfast_proto::v1::AcquireRequest {
                resource: "r".to_owned(),
                lease_id: format!("waiter {number}"),
                wait: Some(PATIENT.try_into().expect("a short wait")),
                ..Default::default()
            };
            client.acquire(request).await
        }));
    }
    wait_waiters(&cluster.replicas[0], 3).await;

    let asked = Instant::now();
    let status = cluster.replicas[0].terminate().await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    for waiter in waiters {
        let error = timeout(BOUND, waiter).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error:?}");
        assert_eq!(reason(&error).as_deref(), Some("SERVER_DRAINING"), "{error:?}");
    }

    cluster.acquire(1, "r", "b", TTL, ONCE).await.unwrap().held();
    cluster.extend(1, &lease, TTL).await.unwrap();
    // Nor did its waiters leave anything.
    assert_eq!(cluster.release(1, &lease).await.unwrap(), ReleaseOutcome::Released);
    cluster.acquire(1, "r", "b", TTL, ONCE).await.unwrap().lease();
}

#[tokio::test]
async fn a_replica_that_dies_takes_nobody_with_it() {
    let mut cluster = Cluster::start(3, 3, options()).await.unwrap();
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let mut waiters = Vec::new();
    for (index, replica) in cluster.replicas[..2].iter().enumerate() {
        let mut client = replica.lock_client();
        waiters.push(tokio::spawn(async move {
            let request = holdfast_proto::v1::AcquireRequest {
                resource: "r".to_owned(),
                lease_id: format!("waiter {index}"),
                wait: Some(PATIENT.try_into().expect("a short wait")),
                ..Default::default()
            };
            client.acquire(request).await
        }));
        wait_waiters(replica, 1).await;
    }
    cluster.replicas[0].kill().unwrap();
    let second = waiters.pop().unwrap();
    assert!(timeout(BOUND, waiters.pop().unwrap()).await.unwrap().unwrap().is_err());
    assert_eq!(cluster.release(2, &lease).await.unwrap(), ReleaseOutcome::Released);
    let began = Instant::now();
    let response = timeout(BOUND, second).await.unwrap().unwrap().unwrap().into_inner();
    assert!(response.outcome.is_some());
    assert!(began.elapsed() < TTL / 2, "{:?}", began.elapsed());
}

/// A holder that was paused for longer than its ttl does not know; storage does.
#[tokio::test]
async fn the_token_of_a_holder_that_slept_is_superseded() {
    let cluster = Cluster::start(3, 2, options()).await.unwrap();
    let ttl = Duration::from_millis(300);
    let sleeper = cluster.acquire(0, "r", "sleeper", ttl, ONCE).await.unwrap().lease();
    let next = cluster.acquire(1, "r", "next", TTL, PATIENT).await.unwrap().lease();
    let standing = cluster.replicas[0].check_token("r", sleeper.fencing_token).await.unwrap();
    assert_eq!(standing.standing(), TokenStanding::Superseded);
    assert_eq!(standing.newest_fencing_token, next.fencing_token);
    let error = cluster.extend(0, &sleeper, ttl).await.unwrap_err();
    assert_eq!(reason(&error).as_deref(), Some("LEASE_LOST"));
}
