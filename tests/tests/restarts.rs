//! Masters that lose their memory: restarted empty, from an old dump, with all they had, or flushed. None
//! of them votes before everything it may have forgotten is over, and a lease that is kept up survives
//! the restart of all of them, one by one.
//!
//! Deliberately absent: masters that are merely gone for a while (`outages`), and what a setup must look
//! like for a master to vote at all (`setups`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_proto::v1::{GetClusterStatusResponse, MasterState, ReleaseOutcome, TokenStanding};
use holdfast_tests::calls::{Acquired, Lease, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::contest::{contend, keep_up, wait_everywhere};
use holdfast_tests::holdfastd::voting;
use holdfast_tests::redis_server::RedisOptions;
use tokio::time::{Instant, sleep, timeout};

const ONCE: Duration = Duration::ZERO;
/// Longer than anything here takes beside a quarantine.
const BOUND: Duration = Duration::from_secs(40);
/// How often a state that tells no event is read again.
const LOOK: Duration = Duration::from_millis(20);

/// A deployment whose quarantine is known.
#[derive(Debug, Clone, Copy)]
struct Timing {
    max_ttl: Duration,
    clock_skew: Duration,
    quarantine: Duration,
}

/// Long enough for a machine that stands still for some seconds: a lease that is kept outlasts that, and a
/// quarantine is seen.
const SHORT: Timing = Timing {
    max_ttl: Duration::from_secs(5),
    clock_skew: Duration::from_secs(1),
    quarantine: Duration::from_millis(6_050),
};
const DEFAULT: Timing = Timing {
    max_ttl: Duration::from_secs(60),
    clock_skew: Duration::from_secs(10),
    quarantine: Duration::from_millis(61_600),
};

impl Timing {
    fn options(self) -> ClusterOptions {
        let seconds = |duration: Duration| format!("{}s", duration.as_secs());
        let (max_ttl, clock_skew) = (seconds(self.max_ttl), seconds(self.clock_skew));
        ClusterOptions {
            args: vec!["--max-ttl".into(), max_ttl, "--clock-skew".into(), clock_skew],
            master_settings: vec!["command_timeout = \"300ms\"".to_owned()],
            ..ClusterOptions::default()
        }
    }
}

fn state(status: &GetClusterStatusResponse, master: usize) -> MasterState {
    status.masters[master].state()
}

/// Acquires as a client does that goes on until it has the lock.
async fn acquire_sometime(
    cluster: &Cluster,
    replica: usize,
    resource: &str,
    lease_id: &str,
    ttl: Duration,
) -> Lease {
    let deadline = Instant::now() + BOUND;
    loop {
        match cluster.acquire(replica, resource, lease_id, ttl, ONCE).await {
            Ok(Acquired::Lease(lease)) => return lease,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
        sleep(LOOK).await;
    }
}

// A master that has forgotten.

#[derive(Debug, Clone, Copy, PartialEq)]
enum Loss {
    Restarted,
    RestartedFromOldDump,
    /// With an append-only file: it has everything, and nobody can know that.
    RestartedWithEverything,
    Flushed,
}

/// One of three masters forgets, and its vote is needed: another one is frozen.
async fn does_not_vote_before_its_quarantine_is_over(loss: Loss, timing: Timing) {
    let append_only = loss == Loss::RestartedWithEverything;
    let redis = RedisOptions { append_only, ..RedisOptions::default() };
    let options = ClusterOptions { redis, ..timing.options() };
    let mut cluster = Cluster::start(3, 2, options).await.expect("a cluster");
    let old_dump = cluster.masters[0].save_dump().await.expect("a dump");
    cluster.masters[1].freeze().expect("a frozen master");
    let ttl = timing.max_ttl;
    let first = acquire_sometime(&cluster, 0, "held", "a", ttl).await;
    let run_id = cluster.replicas[0].status().await.expect("a status").masters[0].run_id.clone();

    let lost = Instant::now();
    let forgetful = &mut cluster.masters[0];
    match loss {
        Loss::Restarted => forgetful.restart().await,
        Loss::RestartedFromOldDump => forgetful.restart_with_dump(&old_dump).await,
        Loss::RestartedWithEverything => forgetful.restart_from_disk().await,
        Loss::Flushed => forgetful.flush().await.map_err(Into::into),
    }
    .expect("a loss");

    // What the status says.
    for replica in &cluster.replicas {
        let quarantined = |status: &GetClusterStatusResponse| {
            state(status, 0) == MasterState::Quarantined
                && state(status, 1) == MasterState::Unreachable
                && status.masters[0].quarantine_remaining.is_some()
        };
        let status = replica.wait_status(BOUND, quarantined).await.expect("quarantined");
        assert!(!status.has_quorum, "{status:#?}");
        let remaining = status.masters[0].quarantine_remaining.expect("a duration");
        let remaining = Duration::try_from(remaining).expect("a duration");
        assert!(remaining <= timing.quarantine, "{remaining:?}");
        assert_eq!(status.masters[0].run_id == run_id, loss == Loss::Flushed, "{status:#?}");
    }

    // What it does: it grants neither a lock it has forgotten nor one that nobody ever held.
    let deadline = lost + timing.quarantine + BOUND;
    let mut refused = 0;
    let (held, fresh) = loop {
        let held = cluster.acquire(0, "held", "b", ttl, ONCE).await;
        let fresh = cluster.acquire(1, &format!("fresh {refused}"), "c", ttl, ONCE).await;
        match (held, fresh) {
            (Ok(Acquired::Lease(held)), Ok(Acquired::Lease(fresh))) => break (held, fresh),
            (held, fresh) => {
                for tried in [held, fresh] {
                    match tried {
                        Ok(Acquired::Lease(_)) => assert!(lost.elapsed() >= timing.quarantine),
                        // The frozen one is silent: that it is held cannot be told either.
                        Ok(Acquired::Held(_)) => {}
                        Err(error) => assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM")),
                    }
                }
                refused += 1;
            }
        }
        assert!(Instant::now() < deadline, "it never votes again");
    };
    assert!(lost.elapsed() >= timing.quarantine, "{:?}", lost.elapsed());
    assert!(refused > 0);
    assert!(held.fencing_token > first.fencing_token && fresh.fencing_token > first.fencing_token);
    let status = cluster.replicas[0].wait_voting(2).await.expect("two of three");
    assert_eq!(state(&status, 0), MasterState::Voting);
}

/// First in the alphabet, so that the others run beside it: it takes longer than all of them.
#[tokio::test]
async fn a_default_quarantine_lasts_as_long_as_the_longest_lease() {
    does_not_vote_before_its_quarantine_is_over(Loss::Restarted, DEFAULT).await;
}

#[tokio::test]
async fn a_master_restarted_empty_is_quarantined() {
    does_not_vote_before_its_quarantine_is_over(Loss::Restarted, SHORT).await;
}

#[tokio::test]
async fn a_master_restarted_from_an_old_dump_is_quarantined() {
    does_not_vote_before_its_quarantine_is_over(Loss::RestartedFromOldDump, SHORT).await;
}

#[tokio::test]
async fn a_master_restarted_with_everything_is_quarantined() {
    does_not_vote_before_its_quarantine_is_over(Loss::RestartedWithEverything, SHORT).await;
}

#[tokio::test]
async fn a_flushed_master_is_quarantined() {
    does_not_vote_before_its_quarantine_is_over(Loss::Flushed, SHORT).await;
}

#[tokio::test]
async fn another_loss_in_the_quarantine_begins_it_anew() {
    let mut cluster = Cluster::start(1, 1, SHORT.options()).await.unwrap();
    let in_the_middle = |status: &GetClusterStatusResponse| {
        let remaining = status.masters[0].quarantine_remaining;
        let remaining = remaining.and_then(|remaining| Duration::try_from(remaining).ok());
        remaining.is_some_and(|remaining| remaining < SHORT.quarantine / 2)
    };
    cluster.masters[0].restart().await.unwrap();
    cluster.replicas[0].wait_status(BOUND, in_the_middle).await.unwrap();
    let flushed = Instant::now();
    cluster.masters[0].flush().await.unwrap();
    acquire_sometime(&cluster, 0, "r", "a", SHORT.max_ttl).await;
    assert!(flushed.elapsed() >= SHORT.quarantine, "{:?}", flushed.elapsed());

    cluster.masters[0].restart().await.unwrap();
    cluster.replicas[0].wait_status(BOUND, in_the_middle).await.unwrap();
    let restarted = Instant::now();
    cluster.masters[0].restart().await.unwrap();
    acquire_sometime(&cluster, 0, "r", "b", SHORT.max_ttl).await;
    assert!(restarted.elapsed() >= SHORT.quarantine, "{:?}", restarted.elapsed());
}

#[tokio::test]
async fn a_replica_that_starts_later_does_not_shorten_the_quarantine() {
    let mut cluster = Cluster::start(3, 1, SHORT.options()).await.unwrap();
    let lost = Instant::now();
    for master in &mut cluster.masters {
        master.restart().await.unwrap();
    }
    let newcomer = cluster.add_replica().await.unwrap();
    cluster.replicas[0].restart().await.unwrap();
    acquire_sometime(&cluster, newcomer, "r", "a", SHORT.max_ttl).await;
    assert!(lost.elapsed() >= SHORT.quarantine, "{:?}", lost.elapsed());
    cluster.wait_voting(3).await.unwrap();
}

#[tokio::test]
async fn tokens_rise_even_when_all_masters_have_forgotten_them() {
    let mut cluster = Cluster::start(3, 2, SHORT.options()).await.unwrap();
    let first = acquire_sometime(&cluster, 0, "r", "a", SHORT.max_ttl).await;
    let acquired = Instant::now();
    for master in &mut cluster.masters {
        master.restart().await.unwrap();
    }
    let second = acquire_sometime(&cluster, 1, "r", "b", SHORT.max_ttl).await;
    assert!(second.fencing_token > first.fencing_token);
    // Whatever the masters know: the first one has not been relied on for long.
    assert!(acquired.elapsed() > first.valid_for);
    let lost = cluster.extend(0, &first, SHORT.max_ttl).await.unwrap_err();
    assert_eq!(reason(&lost).as_deref(), Some("LEASE_LOST"));
    let standing = cluster.replicas[0].check_token("r", first.fencing_token).await.unwrap();
    assert_eq!(standing.standing(), TokenStanding::Superseded);
}

#[tokio::test]
async fn under_trust_a_master_votes_at_once() {
    let mut options = SHORT.options();
    options.args.extend(["--restart-policy".to_owned(), "trust".to_owned()]);
    let mut cluster = Cluster::start(3, 1, options).await.unwrap();
    let warned = |line: &String| line.contains("WARN") && line.contains("trust");
    let lines = cluster.replicas[0].process().lines();
    assert!(lines.iter().any(warned), "{lines:#?}");
    for master in &mut cluster.masters {
        master.restart().await.unwrap();
    }
    let restarted = Instant::now();
    let quarantined = |status: &GetClusterStatusResponse| {
        status.masters.iter().any(|master| {
            let remaining = master.quarantine_remaining.unwrap_or_default();
            remaining != prost_types::Duration::default()
        })
    };
    loop {
        let status = cluster.replicas[0].status().await.unwrap();
        assert!(!quarantined(&status), "{status:#?}");
        if voting(&status) == 3 {
            break;
        }
        assert!(restarted.elapsed() < BOUND, "{status:#?}");
        sleep(LOOK).await;
    }
    acquire_sometime(&cluster, 0, "r", "a", SHORT.max_ttl).await;
}

// Replicas come and go.

#[tokio::test]
async fn a_lease_outlives_the_replica_that_granted_it() {
    let options =
        ClusterOptions { args: vec!["--max-ttl".into(), "30s".into()], ..SHORT.options() };
    let mut cluster = Cluster::start(3, 2, options).await.unwrap();
    let ttl = Duration::from_secs(30);
    let lease = acquire_sometime(&cluster, 0, "r", "a", ttl).await;
    cluster.replicas[0].kill().unwrap();
    cluster.acquire(1, "r", "b", ttl, ONCE).await.unwrap().held();
    cluster.extend(1, &lease, ttl).await.unwrap();
    cluster.replicas[0].restart().await.unwrap();
    cluster.replicas[0].wait_voting(3).await.unwrap();
    cluster.acquire(0, "r", "b", ttl, ONCE).await.unwrap().held();
    cluster.extend(0, &lease, ttl).await.unwrap();
    assert_eq!(cluster.release(0, &lease).await.unwrap(), ReleaseOutcome::Released);
}

// All masters, one by one.

#[tokio::test]
async fn a_lease_that_is_extended_survives_the_restart_of_every_master() {
    let cluster = Cluster::start(5, 3, SHORT.options()).await.unwrap();
    let Cluster { replicas, mut masters, .. } = cluster;
    let replicas = Arc::new(replicas);
    let ttl = SHORT.max_ttl;
    let lease = replicas[0].acquire("r", "kept", ttl, ONCE).await.unwrap().lease();
    let stop = Arc::new(AtomicBool::new(false));
    let mut holder = {
        let (replicas, lease, stop) = (Arc::clone(&replicas), lease.clone(), Arc::clone(&stop));
        tokio::spawn(async move { keep_up(&replicas, lease, ttl, &stop).await })
    };
    let mut contender = {
        let (replicas, stop) = (Arc::clone(&replicas), Arc::clone(&stop));
        tokio::spawn(async move { contend(&replicas, "r", ttl, &stop).await })
    };

    let restarts = async {
        for (index, master) in masters.iter_mut().enumerate() {
            wait_everywhere(&replicas[0], &lease).await;
            let run_id = replicas[0].status().await.unwrap().masters[index].run_id.clone();
            master.restart().await.unwrap();
            // Seen as another process and then voting: it went through its quarantine.
            for replica in replicas.iter() {
                let back = |status: &GetClusterStatusResponse| {
                    let seen = &status.masters[index];
                    seen.run_id != run_id && seen.state() == MasterState::Voting
                };
                replica.wait_status(BOUND, back).await.unwrap();
            }
        }
        wait_everywhere(&replicas[0], &lease).await;
    };
    tokio::select! {
        () = restarts => {}
        ended = &mut holder => panic!("the holder: {ended:?}"),
        ended = &mut contender => panic!("the contender: {ended:?}"),
    }
    stop.store(true, Ordering::SeqCst);
    let extends = timeout(BOUND, holder).await.unwrap().unwrap();
    let refused = timeout(BOUND, contender).await.unwrap().unwrap();
    assert!(extends > 10 && refused > 10, "{extends} {refused}");
    let standing = replicas[1].check_token("r", lease.fencing_token).await.unwrap();
    assert_eq!(standing.standing(), TokenStanding::Current);
    assert_eq!(replicas[2].release(&lease).await.unwrap(), ReleaseOutcome::Released);
}
