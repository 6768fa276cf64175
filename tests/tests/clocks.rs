//! Wall clocks that jump: of a master, whose keys then expire at the wrong time, and of a replica, whose
//! tokens would be times of another day.
//!
//! A clock that is wrong from the start and by little cannot be told from one that is right: that is what
//! `clock_skew` is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_proto::v1::{GetClusterStatusResponse, MasterState, ReleaseOutcome};
use holdfast_tests::calls::{Acquired, Lease, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::contest::{contend, keep_up, wait_everywhere};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::redis_server::RedisServer;
use holdfast_tests::wall_clock::WallClock;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(80);
/// How often a state that tells no event is read again.
const LOOK: Duration = Duration::from_millis(20);
const HOUR_MS: i64 = 3_600_000;

/// `max_ttl`, `clock_skew` and the quarantine that follows from them, in seconds.
#[derive(Debug, Clone, Copy)]
struct Timing(u64, u64, u64);

/// Steps that a test makes are beyond the skew. A machine may stand still for most of `max_ttl`.
const STRICT: Timing = Timing(5, 1, 6);
/// A step of six seconds is longer than `max_ttl`, and leaves a clock within half the skew, so that a
/// replica still trusts its own; twice the skew makes the quarantine.
const LENIENT: Timing = Timing(5, 14, 29);

impl Timing {
    fn max_ttl(self) -> Duration {
        Duration::from_secs(self.0)
    }

    fn quarantine(self) -> Duration {
        Duration::from_secs(self.2)
    }

    async fn cluster(self, masters: usize, replicas: usize) -> Cluster {
        let args = ["--max-ttl", &format!("{}s", self.0), "--clock-skew", &format!("{}s", self.1)];
        let options = ClusterOptions {
            args: args.map(str::to_owned).to_vec(),
            master_settings: vec!["command_timeout = \"300ms\"".to_owned()],
            wall_clocks: true,
            ..ClusterOptions::default()
        };
        Cluster::start(masters, replicas, options).await.expect("a cluster")
    }
}

fn step(master: &RedisServer, millis: i64) {
    master.wall_clock().expect("a clock of its own").offset_ms(millis).expect("a step");
}

async fn wait_state(
    replicas: &[Holdfastd],
    master: usize,
    state: MasterState,
) -> GetClusterStatusResponse {
    let mut last = None;
    for replica in replicas {
        let wanted = |status: &GetClusterStatusResponse| status.masters[master].state() == state;
        last = Some(replica.wait_status(BOUND, wanted).await.expect("a state"));
    }
    last.expect("at least one replica")
}

/// A lease that is extended all the time, while another client wants the lock all the time. The first
/// must keep it and the second must never get it.
struct Contest {
    lease: Lease,
    stop: Arc<AtomicBool>,
    holder: JoinHandle<u32>,
    contender: JoinHandle<u32>,
}

impl Contest {
    async fn begin(replicas: &Arc<Vec<Holdfastd>>, ttl: Duration) -> Contest {
        let lease = replicas[0].acquire("r", "kept", ttl, ONCE).await.expect("an answer").lease();
        let stop = Arc::new(AtomicBool::new(false));
        let holder = {
            let (replicas, lease, stop) = (Arc::clone(replicas), lease.clone(), Arc::clone(&stop));
            tokio::spawn(async move { keep_up(&replicas, lease, ttl, &stop).await })
        };
        let contender = {
            let (replicas, stop) = (Arc::clone(replicas), Arc::clone(&stop));
            tokio::spawn(async move { contend(&replicas, "r", ttl, &stop).await })
        };
        Contest { lease, stop, holder, contender }
    }

    /// Runs `events` and fails as soon as the lease is lost or a second holder appears.
    async fn watch(&mut self, events: impl Future<Output = ()>) {
        tokio::select! {
            () = events => {}
            ended = &mut self.holder => panic!("the holder: {ended:?}"),
            ended = &mut self.contender => panic!("the contender: {ended:?}"),
        }
    }

    async fn end(self, replicas: &[Holdfastd]) {
        self.stop.store(true, Ordering::SeqCst);
        let extends = timeout(BOUND, self.holder).await.expect("an end").expect("no panic");
        let refused = timeout(BOUND, self.contender).await.expect("an end").expect("no panic");
        assert!(extends > 5 && refused > 5, "{extends} {refused}");
        let outcome = replicas[0].release(&self.lease).await.expect("an answer");
        assert_eq!(outcome, ReleaseOutcome::Released);
    }
}

// Masters.

/// Beyond the skew. The first clock is right again before the quarantine is over, the second after.
async fn clocks_of_masters_jump(offsets_ms: [i64; 2]) {
    let Cluster { replicas, masters, .. } = STRICT.cluster(3, 2).await;
    let replicas = Arc::new(replicas);
    let mut contest = Contest::begin(&replicas, STRICT.max_ttl()).await;
    let lease = contest.lease.clone();
    let events = async {
        for (index, offset_ms) in offsets_ms.into_iter().enumerate() {
            wait_everywhere(&replicas[0], &lease).await;
            let mut stepped = Instant::now();
            step(&masters[index], offset_ms);
            let status = wait_state(&replicas, index, MasterState::Misconfigured).await;
            let seen = &status.masters[index];
            assert!(seen.detail.contains("clock"), "{seen:?}");
            let offset = seen.clock_offset.expect("a measured clock");
            let off_by = (offset.seconds * 1_000 - offset_ms).abs();
            assert!(off_by < 5_000, "{offset:?} {offset_ms}");
            if index > 0 && offset_ms > 0 {
                // The incident is over, and the clock is still wrong: right again, it steps.
                wait_no_incident(&masters[index]).await;
                wait_state(&replicas, index, MasterState::Misconfigured).await;
                stepped = Instant::now();
            } else if index > 0 {
                // A clock that is behind takes no adoption; that nothing happens is no event.
                sleep_until(stepped + STRICT.quarantine() + Duration::from_secs(1)).await;
                wait_state(&replicas, index, MasterState::Misconfigured).await;
            }

            step(&masters[index], 0);
            wait_state(&replicas, index, MasterState::Voting).await;
            assert!(stepped.elapsed() >= STRICT.quarantine(), "{:?}", stepped.elapsed());
        }
        wait_everywhere(&replicas[0], &lease).await;
    };
    contest.watch(events).await;
    contest.end(&replicas).await;
}

/// Waits until no incident is on record on a master.
async fn wait_no_incident(master: &RedisServer) {
    let deadline = Instant::now() + BOUND;
    let has_incident = async || {
        let exists: u64 = master.command(&["HEXISTS", "holdfast:st", "q"]).await.expect("HEXISTS");
        exists == 1
    };
    while has_incident().await {
        assert!(Instant::now() < deadline, "the incident lasts");
        sleep(LOOK).await;
    }
}

#[tokio::test]
async fn a_lock_is_kept_when_clocks_of_masters_jump_ahead() {
    clocks_of_masters_jump([30_000, 120_000]).await;
}

#[tokio::test]
async fn a_lock_is_kept_when_clocks_of_masters_jump_back() {
    clocks_of_masters_jump([-30_000, -120_000]).await;
}

/// A step that leaves the clock within the skew: it counts again when its quarantine is over, wherever
/// its clock is by then.
async fn clock_of_a_master_steps_by_little(offset_ms: i64) {
    let Cluster { replicas, masters, .. } = LENIENT.cluster(3, 2).await;
    let replicas = Arc::new(replicas);
    let mut contest = Contest::begin(&replicas, LENIENT.max_ttl()).await;
    let lease = contest.lease.clone();
    let events = async {
        wait_everywhere(&replicas[0], &lease).await;
        let stepped = Instant::now();
        step(&masters[0], offset_ms);
        wait_state(&replicas, 0, MasterState::Quarantined).await;
        wait_state(&replicas, 0, MasterState::Voting).await;
        assert!(stepped.elapsed() >= LENIENT.quarantine(), "{:?}", stepped.elapsed());
        wait_everywhere(&replicas[0], &lease).await;
    };
    contest.watch(events).await;
    contest.end(&replicas).await;

    // Its vote counts: one of the others goes.
    masters[1].freeze().expect("a frozen master");
    let ttl = LENIENT.max_ttl();
    replicas[1].acquire("other", "a", ttl, BOUND).await.expect("an answer").lease();
}

#[tokio::test]
async fn a_lock_is_kept_when_the_clock_of_a_master_steps_ahead_by_little() {
    clock_of_a_master_steps_by_little(6_000).await;
}

#[tokio::test]
async fn a_lock_is_kept_when_the_clock_of_a_master_steps_back_by_little() {
    clock_of_a_master_steps_by_little(-6_000).await;
}

#[tokio::test]
async fn a_master_whose_clock_stepped_does_not_vote_before_its_quarantine_is_over() {
    let cluster = LENIENT.cluster(3, 2).await;
    let ttl = LENIENT.max_ttl();
    let first = cluster.acquire(0, "r", "a", ttl, ONCE).await.unwrap().lease();
    let stepped = Instant::now();
    // Every key it has is over, while the others keep theirs.
    step(&cluster.masters[0], 6_000);
    cluster.masters[1].freeze().unwrap();
    let mut refused = 0;
    let next = loop {
        match cluster.acquire(refused % 2, "r", "b", ttl, ONCE).await {
            Ok(Acquired::Lease(lease)) => break lease,
            Ok(Acquired::Held(_)) => {}
            Err(error) => assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"), "{error:?}"),
        }
        refused += 1;
        assert!(stepped.elapsed() < LENIENT.quarantine() + BOUND, "it never votes again");
    };
    assert!(stepped.elapsed() >= LENIENT.quarantine(), "{:?}", stepped.elapsed());
    assert!(next.fencing_token > first.fencing_token);
}

// Replicas.

/// Its clock is wrong: it says so, and leaves no trace on the masters.
async fn proposes_nothing(cluster: &Cluster, replica: &Holdfastd) {
    let ttl = STRICT.max_ttl();
    replica.wait_readyz(503, "clock").await.expect("/readyz");
    for wait in [ONCE, ttl] {
        let error = replica.acquire("wrong", "a", ttl, wait).await.expect_err("no quorum");
        assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"), "{error:?}");
        assert!(error.message().contains("clock"), "{error:?}");
    }
    for master in &cluster.masters {
        let exists: u64 = master.command(&["EXISTS", "redlock:wrong"]).await.expect("EXISTS");
        assert_eq!(exists, 0);
    }
}

#[tokio::test]
async fn a_replica_that_is_an_hour_off_proposes_nothing() {
    let cluster = STRICT.cluster(3, 1).await;
    let ttl = STRICT.max_ttl();
    for offset_ms in [-HOUR_MS, HOUR_MS] {
        let clock = WallClock::new().unwrap();
        clock.offset_ms(offset_ms).unwrap();
        let options =
            HoldfastdOptions { wall_clock: Some(clock.clone()), ..cluster.replica_options() };
        let wrong = Holdfastd::start(options).await.unwrap();
        proposes_nothing(&cluster, &wrong).await;

        // The others work, and their tokens are times of today.
        let lease = cluster.acquire(0, "r", "a", ttl, ONCE).await.unwrap().lease();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        assert!(lease.fencing_token.abs_diff(now) < BOUND.as_micros() as u64, "{lease:?}");
        let error = wrong.extend(&lease, ttl).await.unwrap_err();
        // Nor is a token from the future that comes from a replica whose clock is right.
        assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"), "{error:?}");
        cluster.extend(0, &lease, ttl).await.unwrap();
        assert_eq!(cluster.release(0, &lease).await.unwrap(), ReleaseOutcome::Released);

        // Once its clock is right, so is everything.
        clock.offset_ms(0).unwrap();
        wrong.wait_readyz(200, "").await.unwrap();
        wrong.wait_voting(3).await.unwrap();
        let lease = wrong.acquire("r", "b", ttl, ttl).await.unwrap().lease();
        assert_eq!(wrong.release(&lease).await.unwrap(), ReleaseOutcome::Released);
    }
}

#[tokio::test]
async fn a_replica_whose_clock_jumps_stops_and_comes_back() {
    let cluster = STRICT.cluster(3, 2).await;
    let ttl = STRICT.max_ttl();
    let (wrong, right) = (&cluster.replicas[0], &cluster.replicas[1]);
    for offset_ms in [-HOUR_MS, HOUR_MS] {
        wrong.wall_clock().unwrap().offset_ms(offset_ms).unwrap();
        proposes_nothing(&cluster, wrong).await;
        let lease = right.acquire("r", "a", ttl, ttl).await.unwrap().lease();
        right.extend(&lease, ttl).await.unwrap();
        assert_eq!(right.release(&lease).await.unwrap(), ReleaseOutcome::Released);

        wrong.wall_clock().unwrap().offset_ms(0).unwrap();
        wrong.wait_readyz(200, "").await.unwrap();
        wrong.wait_voting(3).await.unwrap();
        let next = wrong.acquire("r", "b", ttl, ttl).await.unwrap().lease();
        assert!(next.fencing_token > lease.fencing_token);
        assert_eq!(wrong.release(&next).await.unwrap(), ReleaseOutcome::Released);
    }
}

#[tokio::test]
async fn tokens_rise_across_replicas_whose_clocks_differ() {
    const TURNS: usize = 30;
    let cluster = LENIENT.cluster(3, 3).await;
    // All within half the skew, and further apart than a turn takes.
    for (replica, offset_ms) in cluster.replicas.iter().zip([1_500, 0, -1_500]) {
        replica.wall_clock().unwrap().offset_ms(offset_ms).unwrap();
    }
    let ttl = LENIENT.max_ttl();
    let mut last = 0;
    for turn in 0..TURNS {
        let replica = &cluster.replicas[turn % 3];
        let lease = replica.acquire("r", &turn.to_string(), ttl, BOUND).await.unwrap().lease();
        assert!(lease.fencing_token > last, "turn {turn}: {lease:?}");
        last = lease.fencing_token;
        // Through one whose clock is behind the token.
        let behind = &cluster.replicas[(turn + 1) % 3];
        assert_eq!(behind.extend(&lease, ttl).await.unwrap().fencing_token, last);
        assert_eq!(behind.release(&lease).await.unwrap(), ReleaseOutcome::Released);
    }
}
