//! Every server that may be a master: what a replica must understand of it beyond the answers of scripts,
//! which the conformance test holds it to. Its errors read differently, above all inside a script.
//!
//! Those that `tests/setup` installs are left out where they are missing.

use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1::{GetClusterStatusResponse, MasterState};
use holdfast_tests::calls::reason;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use holdfast_tests::tools;

/// Longer than any test here holds a lock, however slow the machine.
const TTL: Duration = Duration::from_secs(30);
const ONCE: Duration = Duration::ZERO;
const PATIENT: Duration = Duration::from_secs(20);
const BOUND: Duration = Duration::from_secs(20);

macro_rules! on_every_server {
    ($($case:ident)+) => {
        mod redis {
            $(#[tokio::test] async fn $case() { super::$case(Default::default()).await; })+
        }
        mod redis_6_2 {
            $(#[tokio::test] async fn $case() { super::on!("redis-server-6.2", $case); })+
        }
        mod valkey {
            $(#[tokio::test] async fn $case() { super::on!("valkey-server", $case); })+
        }
    };
}

macro_rules! on {
    ($program:literal, $case:ident) => {
        if let Some(program) = super::tools::find($program) {
            let program = Some(program);
            super::$case(super::RedisOptions { program, ..Default::default() }).await;
        }
    };
}
use on;

on_every_server! {
    a_lock_is_taken_extended_waited_for_and_given_back
    a_permission_that_a_script_lacks_is_named_at_once
    a_master_that_becomes_a_replica_is_no_master
    a_server_that_takes_no_writes_grants_nothing_and_keeps_what_it_has
}

/// Long leases, and masters that may take their time: nothing here is about timeouts.
async fn cluster(redis: RedisOptions) -> Cluster {
    let options = ClusterOptions {
        redis,
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    };
    Cluster::start(3, 2, options).await.expect("a cluster")
}

/// What the first master is blamed for, once it says so.
async fn wait_misconfigured(cluster: &Cluster, word: &str) {
    let named = |status: &GetClusterStatusResponse| {
        let master = &status.masters[0];
        master.state() == MasterState::Misconfigured && master.detail.contains(word)
    };
    cluster.replicas[0].wait_status(BOUND, named).await.expect("it is named");
}

async fn a_lock_is_taken_extended_waited_for_and_given_back(redis: RedisOptions) {
    let cluster = Arc::new(cluster(redis).await);
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.expect("an answer").lease();
    let held = cluster.acquire(1, "r", "b", TTL, ONCE).await.expect("an answer").held();
    assert_eq!(held.fencing_token, lease.fencing_token);
    let waiter = cluster.spawn_acquire(1, "r", "b", TTL, PATIENT);
    let waiting = |status: &GetClusterStatusResponse| status.waiters == 1;
    cluster.replicas[1].wait_status(BOUND, waiting).await.expect("a waiter");
    cluster.extend(0, &lease, TTL).await.expect("it is extended");
    cluster.release(0, &lease).await.expect("it is given back");
    let next = waiter.await.expect("no panic").expect("an answer").lease();
    assert!(next.fencing_token > lease.fencing_token);
}

async fn a_permission_that_a_script_lacks_is_named_at_once(redis: RedisOptions) {
    let users = vec!["default on nopass ~* &* +@all".to_owned()];
    let cluster = cluster(RedisOptions { users, ..redis }).await;
    let master = &cluster.masters[0];
    let denied = ["ACL", "SETUSER", "default", "-set"];
    let _: String = master.command(&denied).await.expect("an ACL");
    // The connections stay; it is the script's own error that tells.
    cluster.acquire(0, "r", "a", TTL, ONCE).await.expect("two others are a quorum").lease();
    wait_misconfigured(&cluster, "SET").await;
    let allowed = ["ACL", "SETUSER", "default", "+set"];
    let _: String = master.command(&allowed).await.expect("an ACL");
    cluster.wait_voting(3).await.expect("all masters vote");
}

async fn a_master_that_becomes_a_replica_is_no_master(redis: RedisOptions) {
    let cluster = cluster(redis.clone()).await;
    let other = RedisServer::start(redis).await.expect("another server");
    let port = other.port().to_string();
    let follow = ["REPLICAOF", "127.0.0.1", &port];
    let _: String = cluster.masters[0].command(&follow).await.expect("REPLICAOF");
    cluster.acquire(0, "r", "a", TTL, ONCE).await.expect("two others are a quorum").lease();
    wait_misconfigured(&cluster, "role is slave").await;
}

async fn a_server_that_takes_no_writes_grants_nothing_and_keeps_what_it_has(redis: RedisOptions) {
    let cluster = cluster(redis).await;
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.expect("an answer").lease();
    for refusal in [["maxmemory", "1"], ["min-replicas-to-write", "1"]] {
        for master in &cluster.masters {
            let set = ["CONFIG", "SET", refusal[0], refusal[1]];
            let _: String = master.command(&set).await.expect("CONFIG SET");
        }
        let refused = cluster.acquire(0, refusal[0], "b", TTL, ONCE).await;
        let refused = refused.expect_err("no master may write");
        assert_eq!(reason(&refused).as_deref(), Some("NO_QUORUM"));
        for master in &cluster.masters {
            let set = ["CONFIG", "SET", refusal[0], "0"];
            let _: String = master.command(&set).await.expect("CONFIG SET");
        }
        cluster.extend(0, &lease, TTL).await.expect("it is there");
    }
}
