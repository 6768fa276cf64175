//! Replicated units: the primary is found and refound, and a failover that forgets locks leads neither to
//! two holders nor to a token that goes down.
//!
//! There is one master in each test, so that the vote of an old primary would be a quorum.

mod guard;

use std::time::Duration;

use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{AcquireRequest, MasterState, MasterStatus, ReleaseOutcome};
use holdfast_tests::calls::{Acquired, Lease};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions, MasterConfig};
use holdfast_tests::proxy::Proxy;
use holdfast_tests::redis_server::RedisServer;
use holdfast_tests::sentinel::{Sentinel, UNIT};
use holdfast_tests::unit::{MAX_LAG, options, options_of, pair, pair_with};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic::transport::Channel;

const TTL: Duration = Duration::from_secs(2);
/// Short, so that none of its leases outlives a change of roles.
const BUSY_TTL: Duration = Duration::from_millis(300);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(20);
/// Of a unit with these [`ARGS`] and [`MAX_LAG`].
const QUARANTINE: Duration = Duration::from_millis(15_020);
const ARGS: [&str; 4] = ["--max-ttl", "2s", "--clock-skew", "1s"];

fn unit(servers: &[&RedisServer]) -> MasterConfig {
    let max_lag = MAX_LAG.as_secs();
    MasterConfig::unit("u", servers)
        .with(format!("max_lag = \"{max_lag}s\""))
        .with("command_timeout = \"300ms\"")
}

fn with(master: MasterConfig) -> HoldfastdOptions {
    let args = ARGS.map(str::to_owned).to_vec();
    HoldfastdOptions { masters: vec![master], args, ..HoldfastdOptions::default() }
}

/// For controls: nothing is demanded of a unit, nothing waits.
fn trusting(mut options: HoldfastdOptions) -> HoldfastdOptions {
    options.args.extend(["--restart-policy", "trust"].map(str::to_owned));
    options
}

/// A replica of a unit that votes.
async fn bootstrapped(options: HoldfastdOptions) -> Holdfastd {
    let done = Holdfastd::run("bootstrap", &options).await.expect("bootstrap");
    assert!(done.status.success(), "{done:#?}");
    let replica = Holdfastd::start(options).await.expect("a replica");
    replica.wait_voting(1).await.expect("a vote");
    replica
}

async fn wait_state(replica: &Holdfastd, state: MasterState) -> MasterStatus {
    let mut status =
        replica.wait_status(BOUND, |it| it.masters[0].state() == state).await.expect("a state");
    status.masters.swap_remove(0)
}

/// The same, for this reason.
async fn wait_said(replica: &Holdfastd, state: MasterState, why: &str) {
    let wanted = |master: &MasterStatus| master.state() == state && master.detail.contains(why);
    replica.wait_status(BOUND, |it| wanted(&it.masters[0])).await.expect("a reason");
}

/// Wants the lock again and again until it gets it: who got it, and when.
async fn insist(replica: &Holdfastd, holder: &str) -> (Lease, Instant) {
    let deadline = Instant::now() + BOUND;
    loop {
        if let Ok(Acquired::Lease(lease)) = replica.acquire("r", holder, TTL, ONCE).await {
            return (lease, Instant::now());
        }
        assert!(Instant::now() < deadline, "{:#?}", replica.status().await);
        sleep(LOOK).await;
    }
}

/// Wants the lock over and over, until it is told that there is no quorum.
struct Busy(JoinHandle<Vec<(u64, Instant)>>);

impl Busy {
    /// Has had it once when this returns.
    async fn start(replica: &Holdfastd) -> Busy {
        let first =
            Self::acquire(replica.lock_client()).await.expect("an answer").expect("a lease");
        let client = replica.lock_client();
        Busy(tokio::spawn(async move {
            let mut held = vec![first];
            while let Ok(lease) = Self::acquire(client.clone()).await {
                held.extend(lease);
                sleep(LOOK).await;
            }
            held
        }))
    }

    /// The token, and until when it may be relied on at the latest.
    async fn acquire(
        mut client: LockServiceClient<Channel>,
    ) -> Result<Option<(u64, Instant)>, Status> {
        let asked = Instant::now();
        let request = AcquireRequest {
            resource: "r".to_owned(),
            ttl: Some(BUSY_TTL.try_into().expect("a duration")),
            ..AcquireRequest::default()
        };
        Ok(match client.acquire(request).await?.into_inner().outcome {
            Some(Outcome::Lease(lease)) => Some((lease.fencing_token, asked + BUSY_TTL)),
            _ => None,
        })
    }

    /// Every lease it had.
    async fn ended(self) -> Vec<(u64, Instant)> {
        timeout(BOUND, self.0).await.expect("it ends").expect("no panic")
    }
}

#[tokio::test]
async fn the_primary_votes_wherever_it_is_listed() {
    let (primary, replica) = pair().await.unwrap();
    let server = bootstrapped(with(unit(&[&replica, &primary]))).await;
    let lease = server.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    server.acquire("r", "b", TTL, ONCE).await.unwrap().held();
    server.extend(&lease, TTL).await.unwrap();
    server.release(&lease).await.unwrap();
    let master = wait_state(&server, MasterState::Voting).await;
    assert!(master.run_id.contains('+'), "{master:?}");
}

#[tokio::test]
async fn a_unit_that_is_not_fenced_says_what_it_lacks() {
    let (primary, replica) = pair().await.unwrap();
    let set = async |name: &str, value: &str| {
        let () = primary.command(&["CONFIG", "SET", name, value]).await.expect("CONFIG SET");
    };
    let server = bootstrapped(with(unit(&[&primary, &replica]))).await;
    for (name, wrong, right, said) in [
        ("min-replicas-to-write", "0", "1", "set min-replicas-to-write 1"),
        ("min-replicas-max-lag", "6", "5", "min-replicas-max-lag is 6"),
    ] {
        set(name, wrong).await;
        wait_said(&server, MasterState::Misconfigured, said).await;
        let master = wait_state(&server, MasterState::Misconfigured).await;
        assert!(master.detail.contains("unfenced unit"), "{master:?}");
        set(name, right).await;
        wait_state(&server, MasterState::Voting).await;
    }
}

#[tokio::test]
async fn a_unit_with_two_replicas_votes_while_both_follow() {
    let primary = RedisServer::start(options_of(2, None)).await.unwrap();
    let follower = || RedisServer::start(options_of(2, Some(primary.address())));
    let (one, two) = (follower().await.unwrap(), follower().await.unwrap());
    primary.wait_followed_by(2).await.unwrap();
    let server = bootstrapped(with(unit(&[&one, &two, &primary]))).await;
    server.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    drop(two);
    wait_said(&server, MasterState::Unreachable, "1 of 2 replicas follow").await;
}

/// A memory that is full passes by itself, and costs no quarantine.
#[tokio::test]
async fn a_unit_whose_memory_is_full_gives_locks_back_and_votes_when_there_is_room() {
    let (primary, replica) = pair().await.unwrap();
    let server = bootstrapped(with(unit(&[&primary, &replica]))).await;
    let lease = server.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    let limit = async |bytes: &str| {
        let () = primary.command(&["CONFIG", "SET", "maxmemory", bytes]).await.expect("CONFIG SET");
    };
    limit("1").await;
    assert_eq!(server.release(&lease).await.unwrap(), ReleaseOutcome::Released);
    server.acquire("r", "b", TTL, ONCE).await.unwrap_err();
    sleep(MAX_LAG + MAX_LAG / 2).await;
    limit("0").await;
    server.acquire("r", "c", TTL, ONCE).await.unwrap().lease();
}

/// As a managed Redis is: CONFIG is not for its users.
#[tokio::test]
async fn where_settings_cannot_be_seen_one_replica_is_enough() {
    let users = ["managed on >secret ~* &* +@all -config".to_owned()];
    let (primary, replica) = pair_with(&users).await.unwrap();
    let master =
        unit(&[&primary, &replica]).with("username = \"managed\"").with("password = \"secret\"");
    let server = bootstrapped(with(master)).await;
    server.acquire("r", "a", TTL, ONCE).await.unwrap().lease();

    let config = options(Some(primary.address()));
    let second = RedisServer::start(config).await.unwrap();
    wait_said(&server, MasterState::Misconfigured, "CONFIG GET is not allowed").await;
    drop(second);
    wait_state(&server, MasterState::Voting).await;
}

/// A pair between which there is a network, so that a write can be lost on its way to the replica.
async fn apart() -> (RedisServer, RedisServer, Proxy) {
    let (primary, replica) = pair().await.expect("a unit");
    let network = between(&primary, &replica).await;
    (primary, replica, network)
}

/// The way on which the replica follows from now on.
async fn between(primary: &RedisServer, replica: &RedisServer) -> Proxy {
    let network = Proxy::start(primary.address()).expect("a network");
    replica.follow(network.address()).await.expect("follows");
    replica.wait_following().await.expect("following");
    primary.wait_followed().await.expect("followed");
    network
}

async fn has_lock(server: &RedisServer) -> bool {
    server.command::<u64>(&["EXISTS", "redlock:r"]).await.expect("an answer") == 1
}

/// Nobody gets the lock before the lease is over, nor before a quarantine is, nor with a lower token.
async fn nobody_gets_it_too_early(server: &Holdfastd, lease: &Lease, granted: Instant) {
    let (next, when) = insist(server, "b").await;
    assert!(when >= granted + lease.valid_for, "two holders");
    assert!(next.fencing_token > lease.fencing_token, "{next:?} after {lease:?}");
    assert!(when - granted >= QUARANTINE, "it was luck: {:?}", when - granted);
}

/// The write of the lock never reaches the replica that is promoted.
#[tokio::test]
async fn a_lock_that_the_failover_forgot_is_nobodys_before_it_has_expired() {
    let (mut old, new, mut network) = apart().await;
    let server = bootstrapped(with(unit(&[&old, &new]))).await;
    network.hang();
    let lease = server.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    let granted = Instant::now();
    old.kill().unwrap();
    network.cut().await;
    new.promote().await.unwrap();
    assert!(!has_lock(&new).await, "it is forgotten");
    old.restart().await.unwrap();
    old.follow(new.address()).await.unwrap();
    nobody_gets_it_too_early(&server, &lease, granted).await;
}

/// A replica that knows the old primary alone, and one that finds the new one.
struct SplitView {
    old: RedisServer,
    new: RedisServer,
    /// Follows the new one, so that it takes writes.
    third: RedisServer,
    behind: Holdfastd,
    ahead: Holdfastd,
}

impl SplitView {
    async fn start(options_of: impl Fn(MasterConfig) -> HoldfastdOptions) -> SplitView {
        let (old, new) = pair().await.expect("a unit");
        let third = RedisServer::start(options(None)).await.expect("a server");
        let behind = bootstrapped(options_of(unit(&[&old]))).await;
        let ahead = Holdfastd::start(options_of(unit(&[&old, &new]))).await.expect("a replica");
        ahead.wait_voting(1).await.expect("a vote");
        SplitView { old, new, third, behind, ahead }
    }

    /// The same with a network between the two, which can be cut.
    async fn start_apart() -> (SplitView, Proxy) {
        let split = Self::start(with).await;
        let network = between(&split.old, &split.new).await;
        wait_state(&split.behind, MasterState::Voting).await;
        (split, network)
    }

    async fn fail_over(&self) {
        self.new.promote().await.expect("promoted");
        self.third.follow(self.new.address()).await.expect("follows");
        self.new.wait_followed().await.expect("followed");
    }
}

#[tokio::test]
async fn an_old_primary_that_was_frozen_does_not_vote_when_it_goes_on() {
    let split = SplitView::start(with).await;
    let busy = Busy::start(&split.behind).await;
    split.old.freeze().unwrap();
    split.fail_over().await;
    let held = busy.ended().await;
    let (lease, when) = insist(&split.ahead, "b").await;
    assert!(held.iter().all(|(token, until)| *token < lease.fencing_token && *until <= when));

    split.old.thaw().unwrap();
    nobody_gets_it_beside(&split, &lease).await;
}

/// The holder holds on, and the old primary is asked all the while.
async fn nobody_gets_it_beside(split: &SplitView, lease: &Lease) {
    let until = Instant::now() + 3 * MAX_LAG;
    let mut held = true;
    while held && Instant::now() < until {
        let asked = split.behind.acquire("r", "c", TTL, ONCE).await;
        // On a machine that stood still for a ttl it may have lost it.
        held = split.ahead.extend(lease, TTL).await.is_ok();
        let both = held && matches!(asked, Ok(Acquired::Lease(_)));
        assert!(!both, "two holders: {asked:?}");
    }
}

/// The control of the test above: without the rules of units, and what they demand of Redis, there are
/// two holders.
#[tokio::test]
async fn an_old_primary_that_is_trusted_makes_two_holders() {
    let split = SplitView::start(|master| trusting(with(master))).await;
    let () = split.old.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await.unwrap();
    split.old.freeze().unwrap();
    split.fail_over().await;
    let (mut lease, _) = insist(&split.ahead, "b").await;
    split.old.thaw().unwrap();
    let deadline = Instant::now() + BOUND;
    loop {
        let other = split.behind.acquire("r", "c", TTL, ONCE).await;
        let held = split.ahead.extend(&lease, TTL).await.is_ok();
        if held && matches!(other, Ok(Acquired::Lease(_))) {
            break;
        }
        assert!(Instant::now() < deadline, "{other:?} beside a lease that is held: {held}");
        if !held {
            // A machine that stood still for a ttl has lost it.
            lease = insist(&split.ahead, "b").await.0;
        }
    }
}

/// The old primary runs on without hearing of its replica, and some still reach it.
#[tokio::test]
async fn an_old_primary_that_is_cut_off_stops_before_the_new_one_begins() {
    let (split, network) = SplitView::start_apart().await;

    let busy = Busy::start(&split.behind).await;
    network.hang();
    split.fail_over().await;
    let held = busy.ended().await;
    let (lease, when) = insist(&split.ahead, "b").await;
    assert!(held.iter().all(|(token, until)| *token < lease.fencing_token && *until <= when));
    wait_state(&split.behind, MasterState::Unreachable).await;
}

/// A quarantine that began with the loss of the replica is no answer to what that one did meanwhile.
#[tokio::test]
async fn a_replica_that_has_voted_and_follows_again_begins_another_quarantine() {
    let (split, network) = SplitView::start_apart().await;
    network.hang();
    // The incident of that, which is measured from here on.
    wait_state(&split.behind, MasterState::Quarantined).await;

    split.fail_over().await;
    let (lease, _) = insist(&split.ahead, "b").await;
    let returned = Instant::now();
    split.new.follow(split.old.address()).await.unwrap();
    let (next, when) = insist(&split.behind, "c").await;
    assert!(when - returned >= QUARANTINE, "{:?}", when - returned);
    assert!(next.fencing_token > lease.fencing_token);
}

#[tokio::test]
async fn a_primary_that_was_a_replica_meanwhile_is_another_one() {
    let (one, two, mut network) = apart().await;
    // It never looks elsewhere.
    let server = bootstrapped(with(unit(&[&one]))).await;
    let before = wait_state(&server, MasterState::Voting).await.run_id;
    network.hang();
    let lease = server.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    let granted = Instant::now();
    network.cut().await;
    two.promote().await.unwrap();
    one.follow(two.address()).await.unwrap();
    one.wait_following().await.unwrap();
    assert!(!has_lock(&one).await, "it is forgotten");
    one.promote().await.unwrap();
    two.follow(one.address()).await.unwrap();
    one.wait_followed().await.unwrap();
    nobody_gets_it_too_early(&server, &lease, granted).await;

    let after = wait_state(&server, MasterState::Voting).await.run_id;
    let process = |id: &str| id.split('+').next().map(str::to_owned);
    assert_eq!(process(&before), process(&after), "the same process");
    assert_ne!(before, after);
}

#[tokio::test]
async fn sentinel_names_the_primary_before_and_after_its_failover() {
    let (mut old, _new) = pair().await.unwrap();
    let sentinel = Sentinel::start(old.address()).await.unwrap();
    sentinel.wait_for("+slave", BOUND).await.unwrap();
    let url = sentinel.url();
    let mut master = unit(&[]);
    master.settings[0] = format!("sentinel = {{ urls = [{url:?}], name = {UNIT:?} }}");
    let server = bootstrapped(with(master)).await;
    let lease = server.acquire("r", "a", TTL, ONCE).await.unwrap().lease();

    old.kill().unwrap();
    sentinel.wait_for("+switch-master", BOUND).await.unwrap();
    // Back again, Sentinel makes it a replica; without one the promoted process takes no writes.
    old.restart().await.unwrap();
    let (next, _) = insist(&server, "b").await;
    assert!(next.fencing_token > lease.fencing_token);
}
