//! A master whose scripts or permissions change under a live connection: found out by the error, and
//! answered by a new handshake, never by a silent reload.

use holdfast_proto::v1::MasterState;
use holdfast_tests::calls::reason;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::redis_server::RedisOptions;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than any test here takes.
const TTL: Duration = Duration::from_secs(30);
const BOUND: Duration = Duration::from_secs(20);

/// Long leases, and masters that may take their time: nothing here is about timeouts.
fn options() -> ClusterOptions {
    ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    }
}

#[tokio::test]
async fn flushed_scripts_come_back_with_a_handshake() {
    let cluster = Cluster::start(3, 1, options()).await.unwrap();
    let lease = cluster.acquire(0, "r", "a", TTL, Duration::ZERO).await.unwrap().lease();
    for master in &cluster.masters {
        master.command::<String>(&["SCRIPT", "FLUSH"]).await.unwrap();
    }
    // On a machine that is too slow for the handshakes within a call: it is made again.
    let deadline = Instant::now() + BOUND;
    while let Err(error) = cluster.extend(0, &lease, TTL).await {
        assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"), "{error:?}");
        assert!(Instant::now() < deadline, "{error:?}");
    }
    cluster.acquire(0, "other", "b", TTL, Duration::ZERO).await.unwrap().lease();
    cluster.wait_voting(3).await.unwrap();
}

#[tokio::test]
async fn a_permission_taken_away_is_named() {
    let users = vec!["default on nopass ~* &* +@all".to_owned()];
    let redis = RedisOptions { users, ..RedisOptions::default() };
    let options = ClusterOptions { redis, ..options() };
    let cluster = Cluster::start(3, 1, options).await.unwrap();
    let master = &cluster.masters[0];
    master.command::<String>(&["ACL", "SETUSER", "default", "-pttl"]).await.unwrap();
    // The command a script needs only now and then is missed at the next handshake at the latest.
    master.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await.unwrap();
    let named = |status: &holdfast_proto::v1::GetClusterStatusResponse| {
        let master = &status.masters[0];
        master.state() == MasterState::Misconfigured && master.detail.contains("PTTL")
    };
    cluster.replicas[0].wait_status(BOUND, named).await.unwrap();
    cluster.acquire(0, "r", "a", TTL, Duration::ZERO).await.unwrap().lease();

    master.command::<String>(&["ACL", "SETUSER", "default", "+pttl"]).await.unwrap();
    cluster.wait_voting(3).await.unwrap();
}
