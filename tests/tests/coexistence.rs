//! Living beside other libraries on the same masters, under the default key format: each excludes the other,
//! in both directions, and neither touches what is the other's. What docs/migration says is what this shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use holdfast_proto::v1::watch_leader_response::State;
use holdfast_proto::v1::{ReleaseOutcome, UnknownReason, WatchLeaderResponse};
use holdfast_tests::calls::Lease;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::redis_server::RedisServer;
use holdfast_tests::redlock::{Library, RedlockClient};
use holdfast_tests::streams::{is_vacant, term};
use redis::RedisResult;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const KEY: &str = "redlock:r";
/// Longer than any test here holds a lock, however slow the machine.
const TTL: Duration = Duration::from_secs(30);
/// For locks that are to run out.
const SHORT_TTL: Duration = Duration::from_secs(1);
const ONCE: Duration = Duration::ZERO;
/// For waits that are to end with the lock.
const PATIENT: Duration = Duration::from_secs(40);
/// For what happens by itself, sooner or later.
const BOUND: Duration = Duration::from_secs(20);
/// How often a state that tells no event is read again.
const LOOK: Duration = Duration::from_millis(20);

macro_rules! with_every_library {
    ($($case:ident)+) => {
        mod redlock_net {
            $(#[tokio::test] async fn $case() { super::$case(super::Library::RedLockNet).await; })+
        }
        mod redsync {
            $(#[tokio::test] async fn $case() { super::$case(super::Library::Redsync).await; })+
        }
        mod node_redlock {
            $(#[tokio::test] async fn $case() { super::$case(super::Library::NodeRedlock).await; })+
        }
    };
}

with_every_library! {
    what_it_holds_is_held_until_it_gives_it_back
    what_it_holds_is_held_until_it_expires
    what_it_holds_is_left_alone
    what_we_hold_it_cannot_have_until_we_give_it_back
    its_late_steps_do_not_touch_ours
    a_watch_says_that_somebody_else_holds_it
    a_counter_misses_nobody
}

/// Long leases, and masters that may take their time: nothing here is about timeouts.
async fn cluster() -> Arc<Cluster> {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    };
    Arc::new(Cluster::start(3, 2, options).await.expect("a cluster"))
}

/// A client on these masters; the test that gets none ends there.
macro_rules! client {
    ($library:ident, $masters:expr) => {
        match $library.client($masters).await.expect("a client") {
            Some(client) => client,
            None => return,
        }
    };
}

/// With patience, although it is free: redsync gives a master a twentieth of the ttl to answer.
async fn take(client: &mut RedlockClient, ttl: Duration) {
    assert!(client.acquire(KEY, ttl, PATIENT).await.expect("an answer"), "it is free");
}

async fn refused(client: &mut RedlockClient) {
    assert!(!client.acquire(KEY, TTL, ONCE).await.expect("an answer"), "it is ours");
}

/// Takes it, and extends it until every master has it: where theirs was a moment longer than on a
/// quorum, the repair that follows an extend brings it.
async fn ours_everywhere(cluster: &Cluster, wait: Duration) -> Lease {
    let lease = cluster.acquire(0, "r", "a", TTL, wait).await.expect("an answer").lease();
    let deadline = Instant::now() + BOUND;
    while !values(&cluster.masters).await.iter().all(|value| value.starts_with(b"HF1")) {
        assert!(Instant::now() < deadline, "every master has it");
        cluster.extend(0, &lease, TTL).await.expect("it is still there");
        sleep(LOOK).await;
    }
    lease
}

/// Gives it back, and waits until no master has it.
async fn give_back_everywhere(cluster: &Cluster, lease: &Lease) {
    cluster.release(0, lease).await.expect("it is still there");
    wait_everywhere(cluster, <[u8]>::is_empty).await;
}

async fn wait_everywhere(cluster: &Cluster, is: impl Fn(&[u8]) -> bool) {
    let deadline = Instant::now() + BOUND;
    while !values(&cluster.masters).await.iter().all(|value| is(value)) {
        assert!(Instant::now() < deadline, "a quorum was quicker, the others follow");
        sleep(LOOK).await;
    }
}

/// What is stored, byte for byte; nothing where nothing is.
async fn values(masters: &[RedisServer]) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for master in masters {
        let value: Option<Vec<u8>> = master.command(&["GET", KEY]).await.expect("GET");
        values.push(value.unwrap_or_default());
    }
    values
}

/// Whose lock each shows: a record of ours up to its lease. What follows changes with every extend, and the
/// last master may get one later than the quorum.
async fn leases(masters: &[RedisServer]) -> Vec<Vec<u8>> {
    let mut values = values(masters).await;
    values.iter_mut().for_each(|value| value.truncate(35));
    values
}

async fn wait_waiter(cluster: &Cluster) {
    cluster.replicas[0].wait_status(BOUND, |status| status.waiters == 1).await.expect("a waiter");
}

// They hold.

async fn what_it_holds_is_held_until_it_gives_it_back(library: Library) {
    let cluster = cluster().await;
    let mut client = client!(library, &cluster.masters);
    take(&mut client, TTL).await;
    for replica in 0..2 {
        let held = cluster.acquire(replica, "r", "a", TTL, ONCE).await.expect("an answer").held();
        assert_eq!((held.holder.as_str(), held.fencing_token), ("", 0));
        let remaining = Duration::try_from(held.remaining.expect("it expires")).expect("positive");
        assert!(remaining <= TTL && remaining > TTL / 2, "{remaining:?}");
    }
    let waiter = cluster.spawn_acquire(0, "r", "a", TTL, PATIENT);
    wait_waiter(&cluster).await;
    assert!(client.extend().await.expect("an answer"), "it is still there");
    assert!(client.release().await.expect("an answer"), "it is still there");
    waiter.await.expect("no panic").expect("an answer").lease();
}

async fn what_it_holds_is_held_until_it_expires(library: Library) {
    let cluster = cluster().await;
    let mut client = client!(library, &cluster.masters);
    let before = Instant::now();
    take(&mut client, SHORT_TTL).await;
    cluster.acquire(0, "r", "a", TTL, PATIENT).await.expect("an answer").lease();
    // Redis counts in whole milliseconds.
    assert!(before.elapsed() >= SHORT_TTL - Duration::from_millis(1));
}

/// By the repair that follows an extend, and by the cleanup after a failed acquire.
async fn what_it_holds_is_left_alone(library: Library) {
    let cluster = cluster().await;
    let mut minority = client!(library, &cluster.masters[2..]);
    take(&mut minority, TTL).await;
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.expect("an answer").lease();
    for _ in 0..3 {
        assert_eq!(cluster.extend(0, &lease, TTL).await.expect("an answer").votes, 2);
    }
    assert!(minority.extend().await.expect("an answer"), "it is still there");
    let outcome = cluster.release(0, &lease).await.expect("an answer");
    assert_eq!(outcome, ReleaseOutcome::Released);
    assert!(minority.release().await.expect("an answer"), "it is still there");

    let mut majority = client!(library, &cluster.masters[1..]);
    take(&mut majority, TTL).await;
    let theirs = values(&cluster.masters[1..]).await;
    for replica in [0, 1, 0] {
        cluster.acquire(replica, "r", "a", TTL, ONCE).await.expect("an answer").held();
    }
    assert_eq!(values(&cluster.masters[1..]).await, theirs);
    assert!(majority.release().await.expect("an answer"), "it is still there");
    // What our attempts had on the third master, they took back.
    let lease = ours_everywhere(&cluster, PATIENT).await;
    give_back_everywhere(&cluster, &lease).await;

    // Two that refuse are enough to give up; the third one is told to clean up, whatever it has.
    let mut all = client!(library, &cluster.masters);
    take(&mut all, TTL).await;
    wait_everywhere(&cluster, |value| !value.is_empty()).await;
    let theirs = values(&cluster.masters).await;
    for turn in 0..10 {
        cluster.acquire(turn % 2, "r", "a", TTL, ONCE).await.expect("an answer").held();
    }
    assert_eq!(values(&cluster.masters).await, theirs);
    assert!(all.release().await.expect("an answer"), "it is still there");
}

async fn a_watch_says_that_somebody_else_holds_it(library: Library) {
    fn is_foreign(seen: &WatchLeaderResponse) -> bool {
        let foreign = UnknownReason::ForeignHolder;
        matches!(&seen.state, Some(State::Unknown(why)) if why.reason() == foreign)
    }

    let cluster = cluster().await;
    let mut client = client!(library, &cluster.masters);
    let mut watch = cluster.replicas[1].watch("r").await.expect("a watch");
    assert!(is_vacant(&watch.next().await));
    take(&mut client, TTL).await;
    watch.until(is_foreign).await;
    assert!(client.release().await.expect("an answer"), "it is still there");
    watch.until(is_vacant).await;
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.expect("an answer").lease();
    watch.until(|seen| term(seen) == Some(lease.fencing_token)).await;
}

// We hold.

async fn what_we_hold_it_cannot_have_until_we_give_it_back(library: Library) {
    let cluster = cluster().await;
    let mut client = client!(library, &cluster.masters);
    let lease = ours_everywhere(&cluster, ONCE).await;
    let ours = leases(&cluster.masters).await;
    refused(&mut client).await;
    assert_eq!(leases(&cluster.masters).await, ours);
    let lease = cluster.extend(0, &lease, TTL).await.expect("it is still there");
    cluster.release(0, &lease).await.expect("it is still there");
    // Whatever was left on a master that answered late is gone a moment later.
    assert!(client.acquire(KEY, TTL, PATIENT).await.expect("an answer"), "it is free");
}

/// A client that was away comes back with a lock that has expired, and is ours.
async fn its_late_steps_do_not_touch_ours(library: Library) {
    let cluster = cluster().await;
    let mut client = client!(library, &cluster.masters);
    take(&mut client, SHORT_TTL).await;
    let lease = ours_everywhere(&cluster, PATIENT).await;
    let ours = leases(&cluster.masters).await;
    assert!(!client.extend().await.expect("an answer"), "it is ours");
    assert!(!client.release().await.expect("an answer"), "it is ours");
    assert_eq!(leases(&cluster.masters).await, ours);
    for master in &cluster.masters {
        let left: i64 = master.command(&["PTTL", KEY]).await.expect("PTTL");
        assert!(left > SHORT_TTL.as_millis() as i64, "{left} ms");
    }
    cluster.extend(1, &lease, TTL).await.expect("it is still there");
}

/// A number that each adds to by reading it, and writing it a little later.
#[derive(Default)]
struct Counter {
    taken: AtomicBool,
    value: AtomicUsize,
}

impl Counter {
    /// False if somebody else was at it.
    async fn add_one(&self) -> bool {
        let alone = !self.taken.swap(true, Ordering::SeqCst);
        let value = self.value.load(Ordering::SeqCst);
        sleep(Duration::from_millis(1)).await;
        self.value.store(value + 1, Ordering::SeqCst);
        self.taken.store(false, Ordering::SeqCst);
        alone
    }
}

async fn a_counter_misses_nobody(library: Library) {
    const CLIENTS_OF_EACH: usize = 3;
    const TURNS: usize = 8;

    let cluster = cluster().await;
    let counter = Arc::new(Counter::default());
    let mut workers = JoinSet::new();
    for number in 0..CLIENTS_OF_EACH {
        let mut client = client!(library, &cluster.masters);
        let theirs = Arc::clone(&counter);
        workers.spawn(async move {
            for _ in 0..TURNS {
                while !client.acquire(KEY, TTL, PATIENT).await.expect("an answer") {}
                assert!(theirs.add_one().await, "two holders");
                assert!(client.release().await.expect("an answer"), "it is still there");
            }
        });
        let (cluster, ours) = (Arc::clone(&cluster), Arc::clone(&counter));
        workers.spawn(async move {
            for turn in 0..TURNS {
                let (replica, id) = (number % 2, format!("{number} {turn}"));
                let lease = cluster.acquire(replica, "r", &id, TTL, PATIENT).await;
                let lease = lease.expect("an answer").lease();
                assert!(ours.add_one().await, "two holders");
                cluster.release(replica, &lease).await.expect("it is still there");
            }
        });
    }
    let all = async {
        while let Some(done) = workers.join_next().await {
            done.expect("no panic");
        }
    };
    timeout(3 * PATIENT, all).await.expect("everybody has his turn");
    assert_eq!(counter.value.load(Ordering::SeqCst), 2 * CLIENTS_OF_EACH * TURNS);
}

/// The control: a counter tells.
#[tokio::test]
async fn without_a_lock_a_counter_misses_somebody() {
    let counter = Counter::default();
    let (one, other) = tokio::join!(counter.add_one(), counter.add_one());
    assert!(!(one && other));
    assert_eq!(counter.value.load(Ordering::SeqCst), 1);
}

/// The control: it is the key that they have in common, and nothing else.
#[tokio::test]
async fn under_another_key_they_do_not_meet() {
    let cluster = cluster().await;
    let mut client = Library::RedLockNet.client(&cluster.masters).await.unwrap().unwrap();
    ours_everywhere(&cluster, ONCE).await;
    assert!(client.acquire("r", TTL, ONCE).await.unwrap());
}

/// RedLock.net sets a key that is gone when it extends: what it lost and nobody has, it has again.
#[tokio::test]
async fn redlock_net_takes_a_lock_again_that_it_lost_by_extending_it() {
    let cluster = cluster().await;
    let mut client = Library::RedLockNet.client(&cluster.masters).await.unwrap().unwrap();
    take(&mut client, TTL).await;
    for master in &cluster.masters {
        assert_eq!(master.command::<i64>(&["DEL", KEY]).await.unwrap(), 1);
    }
    let lease = ours_everywhere(&cluster, ONCE).await;
    give_back_everywhere(&cluster, &lease).await;
    assert!(client.extend().await.unwrap());
    cluster.acquire(0, "r", "b", TTL, ONCE).await.unwrap().held();
}

// Recipes whose keys are of another kind.

/// Runs a script on a master about the key.
async fn eval<T: redis::FromRedisValue>(
    master: &RedisServer,
    script: &str,
    arguments: &[&str],
) -> RedisResult<T> {
    master.command(&[&["EVAL", script, "1", KEY], arguments].concat()).await
}

/// Is it refused with an error that says this?
fn is_refused(answer: RedisResult<redis::Value>, saying: &str) -> bool {
    answer.is_err_and(|error| error.to_string().contains(saying))
}

/// An RLock of Redisson is a hash under its name, with a field for the thread that holds it.
#[tokio::test]
async fn a_lock_of_redisson_excludes_ours_and_fails_on_ours() {
    const LOCK: &str = "if redis.call('exists', KEYS[1]) == 0 \
          or redis.call('hexists', KEYS[1], ARGV[2]) == 1 then \
        redis.call('hincrby', KEYS[1], ARGV[2], 1) \
        redis.call('pexpire', KEYS[1], ARGV[1]) return nil end \
        return redis.call('pttl', KEYS[1])";
    const UNLOCK: &str = "if redis.call('hexists', KEYS[1], ARGV[1]) == 0 then return nil end \
        if redis.call('hincrby', KEYS[1], ARGV[1], -1) > 0 then return 0 end \
        redis.call('del', KEYS[1]) return 1";

    let cluster = cluster().await;
    for master in &cluster.masters {
        let taken: Option<i64> = eval(master, LOCK, &["30000", "thread"]).await.unwrap();
        assert_eq!(taken, None);
    }
    let held = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().held();
    assert_eq!((held.holder.as_str(), held.fencing_token), ("", 0));
    assert!(held.remaining.is_some());
    for master in &cluster.masters {
        assert_eq!(eval::<i64>(master, UNLOCK, &["thread"]).await.unwrap(), 1);
    }
    ours_everywhere(&cluster, ONCE).await;
    let ours = leases(&cluster.masters).await;
    for master in &cluster.masters {
        for (script, arguments) in [(LOCK, ["30000", "thread"]), (UNLOCK, ["thread", ""])] {
            assert!(is_refused(eval(master, script, &arguments).await, "WRONGTYPE"));
        }
    }
    assert_eq!(leases(&cluster.masters).await, ours);
}

/// INCR is the lock of whoever gets 1.
#[tokio::test]
async fn a_counter_as_a_lock_excludes_ours_and_fails_on_ours() {
    let cluster = cluster().await;
    for master in &cluster.masters {
        assert_eq!(master.command::<i64>(&["INCR", KEY]).await.unwrap(), 1);
    }
    // Its owner has died before it set the expiry.
    let held = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().held();
    assert_eq!((held.holder.as_str(), held.remaining), ("", None));
    for master in &cluster.masters {
        assert_eq!(master.command::<i64>(&["EXPIRE", KEY, "30"]).await.unwrap(), 1);
    }
    let held = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().held();
    assert!(held.remaining.is_some());
    for master in &cluster.masters {
        assert_eq!(master.command::<i64>(&["DEL", KEY]).await.unwrap(), 1);
    }
    ours_everywhere(&cluster, ONCE).await;
    let ours = leases(&cluster.masters).await;
    for master in &cluster.masters {
        assert!(is_refused(master.command(&["INCR", KEY]).await, "not an integer"));
        let taken: i64 = master.command(&["SETNX", KEY, "1"]).await.unwrap();
        assert_eq!(taken, 0);
    }
    assert_eq!(leases(&cluster.masters).await, ours);
}
