//! What makes a master unfit or doubtful, found at the start and while running: in GetClusterStatus, in the log, and by
//! `holdfast doctor`, each with what to do. The others serve on.
//!
//! Deliberately absent: connections that fail (connections.rs), permissions that are missing one by one (setups.rs), and what
//! clocks do to locks (clocks.rs).

use std::net::SocketAddr;
use std::time::Duration;

use holdfast_proto::v1::{GetClusterStatusResponse, MasterState, MasterStatus, ReleaseOutcome};
use holdfast_tests::calls::reason;
use holdfast_tests::cli::Cli;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::docs;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions, MasterConfig};
use holdfast_tests::ports;
use holdfast_tests::proxy::Proxy;
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Long enough for a machine that stands still for a second.
const TTL: Duration = Duration::from_secs(6);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(50);
const ARGS: [&str; 4] = ["--max-ttl", "6s", "--clock-skew", "1s"];

fn options() -> ClusterOptions {
    ClusterOptions {
        args: ARGS.map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"300ms\"".to_owned()],
        ..ClusterOptions::default()
    }
}

/// Three masters and a replica, which all vote.
async fn cluster() -> Cluster {
    Cluster::start(3, 1, options()).await.expect("a cluster")
}

async fn wait_master(
    replica: &Holdfastd,
    master: usize,
    state: MasterState,
    phrase: &str,
) -> MasterStatus {
    let wanted = |status: &GetClusterStatusResponse| {
        let master = &status.masters[master];
        master.state() == state && master.detail.contains(phrase)
    };
    let mut status = replica.wait_status(BOUND, wanted).await.expect(phrase);
    status.masters.swap_remove(master)
}

/// Status, log, doctor and the operator's page tell of it, and the others serve.
async fn is_told(replica: &Holdfastd, master: usize, state: MasterState, phrase: &str) {
    let told = wait_master(replica, master, state, phrase).await;
    let name = state.as_str_name().trim_start_matches("MASTER_STATE_");
    assert!(docs::explains(name, phrase), "masters.md does not explain {name} {phrase:?}");
    replica.process().wait_for_line(phrase, BOUND).await.expect("a line in the log");
    let cli = Cli::at([format!("http://{}", replica.grpc_address())]);
    let done = cli.run(&["doctor", "--output", "json"]).await.with(1).json();
    let findings = done["findings"].as_array().expect("findings");
    let about = |it: &&Value| {
        let problem = it["problem"].as_str().expect("text");
        problem.contains(&format!("master {}", told.name)) && problem.contains(phrase)
    };
    let finding = findings.iter().find(about).unwrap_or_else(|| panic!("{phrase:?}: {done:#}"));
    assert!(finding["advice"].as_str().is_some_and(|it| !it.is_empty()), "{finding}");
    replica.wait_voting(2).await.expect("the others vote");
    lock_works(replica).await;
}

async fn lock_works(replica: &Holdfastd) {
    let lease = replica.acquire("r", "a", TTL, TTL).await.expect("an answer").lease();
    replica.acquire("r", "b", TTL, ONCE).await.expect("an answer").held();
    assert_eq!(replica.release(&lease).await.expect("an answer"), ReleaseOutcome::Released);
}

/// A replica whose first master is another than theirs.
async fn replica_with(cluster: &Cluster, url: String) -> Holdfastd {
    let mut options = cluster.replica_options();
    options.masters[0].url = url;
    Holdfastd::start(options).await.expect("it starts all the same")
}

const MISCONFIGURED: MasterState = MasterState::Misconfigured;

#[tokio::test]
async fn a_server_in_cluster_mode() {
    let mut cluster = cluster().await;
    // Without it, its bus takes a port that may be anybody's.
    let bus = || format!("cluster-port {}", ports::free());
    let config = || vec!["cluster-enabled yes".to_owned(), bus()];
    let redis = || RedisOptions { config: config(), ..RedisOptions::default() };
    let other = RedisServer::start(redis()).await.unwrap();
    let late = replica_with(&cluster, other.url()).await;
    is_told(&late, 0, MISCONFIGURED, "cluster mode").await;

    // In its place while the replica runs.
    let port = cluster.masters[0].port();
    cluster.masters[0].kill().unwrap();
    let port = RedisOptions { port: Some(port), ..redis() };
    let _changed = RedisServer::start(port).await.unwrap();
    is_told(&cluster.replicas[0], 0, MISCONFIGURED, "cluster mode").await;
}

/// A server whose INFO says that it is older, by as many bytes.
async fn aged(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = TcpStream::connect(server).await.expect("the server");
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let requests = tokio::io::copy(&mut from_client, &mut to_server);
                let replies = async {
                    let mut chunk = vec![0; 64 * 1024];
                    while let Ok(read @ 1..) = from_server.read(&mut chunk).await {
                        older(&mut chunk[..read]);
                        if to_client.write_all(&chunk[..read]).await.is_err() {
                            return;
                        }
                    }
                };
                let _ = tokio::join!(requests, replies);
            });
        }
    });
    address
}

fn older(reply: &mut [u8]) {
    const FIELD: &[u8] = b"redis_version:";
    let Some(found) = reply.windows(FIELD.len()).position(|part| part == FIELD) else { return };
    let version = &mut reply[found + FIELD.len()..];
    let end = version.iter().position(|byte| *byte == b'\r').expect("the end of a line");
    version[..4].copy_from_slice(b"5.0.");
    version[4..end].fill(b'9');
}

#[tokio::test]
async fn a_server_that_is_too_old() {
    let cluster = cluster().await;
    let old = aged(cluster.masters[0].address()).await;
    let replica = replica_with(&cluster, format!("redis://{old}")).await;
    is_told(&replica, 0, MISCONFIGURED, "is too old").await;
}

#[tokio::test]
async fn a_replica_of_a_listed_master() {
    let cluster = cluster().await;
    let [zero, one] = [&cluster.masters[0], &cluster.masters[1]];
    zero.follow(one.address()).await.unwrap();
    is_told(&cluster.replicas[0], 0, MISCONFIGURED, "role is slave").await;
    let late = Holdfastd::start(cluster.replica_options()).await.unwrap();
    is_told(&late, 0, MISCONFIGURED, "role is slave").await;

    // What it has of the other one makes it no voter: it is asked anew.
    zero.wait_following().await.unwrap();
    zero.promote().await.unwrap();
    wait_master(&late, 0, MasterState::Quarantined, "").await;
    late.wait_voting(3).await.unwrap();
}

#[tokio::test]
async fn a_primary_with_a_replica_that_nobody_was_told_of() {
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    let follower = RedisServer::start(RedisOptions::default()).await.unwrap();
    follower.follow(cluster.masters[0].address()).await.unwrap();
    let phrase = "a replica follows it";
    is_told(replica, 0, MasterState::Voting, phrase).await;
    let late = Holdfastd::start(cluster.replica_options()).await.unwrap();
    is_told(&late, 0, MasterState::Voting, phrase).await;

    follower.promote().await.unwrap();
    let gone = |status: &GetClusterStatusResponse| status.masters[0].detail.is_empty();
    replica.wait_status(BOUND, gone).await.unwrap();
    // Said once, however often it was seen.
    let lines = replica.process().lines();
    assert_eq!(lines.iter().filter(|line| line.contains(phrase)).count(), 1, "{lines:#?}");
}

#[tokio::test]
async fn a_policy_that_evicts() {
    let cluster = cluster().await;
    let policy = ["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"];
    let () = cluster.masters[0].command(&policy).await.unwrap();
    is_told(&cluster.replicas[0], 0, MISCONFIGURED, "maxmemory-policy is").await;
    let late = Holdfastd::start(cluster.replica_options()).await.unwrap();
    is_told(&late, 0, MISCONFIGURED, "maxmemory-policy is").await;
}

#[tokio::test]
async fn a_permission_that_is_taken_away() {
    let users = vec![format!("holdfast on >secret {}", docs::acl_rule().join(" "))];
    let redis = RedisOptions { users, ..RedisOptions::default() };
    let cluster = Cluster::start(3, 0, ClusterOptions { redis, ..options() }).await.unwrap();
    let replica = replica_with(&cluster, cluster.masters[0].url_as("holdfast", "secret")).await;
    replica.wait_voting(3).await.unwrap();
    let set = async |rule: &str| {
        let () = cluster.masters[0].command(&["ACL", "SETUSER", "holdfast", rule]).await.unwrap();
    };
    for (command, phrase) in [
        ("set", "self-test: SET: "),
        ("evalsha", "no permissions to run the 'evalsha' command"),
        ("info", "no permissions to run the 'info' command"),
    ] {
        set(&format!("-{command}")).await;
        wait_master(&replica, 0, MISCONFIGURED, phrase).await;
        set(&format!("+{command}")).await;
        replica.wait_voting(3).await.unwrap();
    }
    set("-get").await;
    is_told(&replica, 0, MISCONFIGURED, "self-test:").await;
}

/// How often the self-test has run: nothing else scans, as nobody here lists locks.
async fn self_tests(master: &RedisServer) -> u64 {
    let counted: String = master.command(&["INFO", "commandstats"]).await.expect("INFO");
    let line = counted.lines().find(|line| line.starts_with("cmdstat_scan:")).expect("a count");
    let calls = line.split_once("calls=").and_then(|(_, rest)| rest.split(',').next());
    calls.and_then(|calls| calls.parse().ok()).expect("a number")
}

/// A memory that is full passes by itself: its votes are none, and releases work.
#[tokio::test]
async fn a_memory_that_is_full_is_no_missing_permission() {
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    let lease = replica.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    for master in &cluster.masters {
        let () = master.command(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    }
    let error = replica.acquire("s", "a", TTL, ONCE).await.expect_err("no quorum");
    assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"), "{error:?}");
    assert_eq!(replica.release(&lease).await.unwrap(), ReleaseOutcome::Released);
    // It has been looked at twice since.
    let tests = self_tests(&cluster.masters[0]).await;
    let looked = async {
        while self_tests(&cluster.masters[0]).await < tests + 2 {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(BOUND, looked).await.expect("looks");
    let status = replica.status().await.unwrap();
    let misconfigured = |it: &MasterStatus| it.state() == MISCONFIGURED;
    assert!(!status.masters.iter().any(misconfigured), "{status:#?}");
}

#[tokio::test]
async fn one_process_under_two_names() {
    let cluster = cluster().await;
    let mut away = Proxy::start(cluster.masters[0].address()).unwrap();
    away.cut().await;
    let mut options = cluster.replica_options();
    options.masters[1].url = format!("redis://{}", away.address());
    let replica = Holdfastd::start(options.clone()).await.unwrap();
    replica.wait_voting(2).await.unwrap();
    wait_master(&replica, 1, MasterState::Unreachable, "").await;
    // It comes up, and is the first one.
    away.resume().unwrap();
    let twin = |status: &GetClusterStatusResponse| {
        status.masters.iter().position(|it| it.state() == MISCONFIGURED)
    };
    let status = replica.wait_status(BOUND, |it| twin(it).is_some()).await.unwrap();
    let phrase = "the same process as another listed master";
    is_told(&replica, twin(&status).unwrap(), MISCONFIGURED, phrase).await;
    let late = Holdfastd::start(options).await.unwrap();
    let status = late.wait_status(BOUND, |it| twin(it).is_some()).await.unwrap();
    is_told(&late, twin(&status).unwrap(), MISCONFIGURED, phrase).await;
}

#[tokio::test]
async fn two_replicas_with_different_lists_of_masters() {
    let cluster = cluster().await;
    let another = RedisServer::start(RedisOptions::default()).await.unwrap();
    let right = &cluster.replicas[0];
    for list in [vec![0, 1], vec![0, 1, 2, 3]] {
        let mut options = cluster.replica_options();
        options.masters.push(MasterConfig::new("m3", another.url()));
        options.masters =
            list.iter().map(|index: &usize| options.masters[*index].clone()).collect();
        let wrong = Holdfastd::start(options).await.unwrap();
        let body = wrong.wait_readyz(503, "masters: ").await.unwrap().body;
        assert!(body.contains("m0,m1,m2"), "{body}");
        wait_master(&wrong, 0, MISCONFIGURED, "configuration differs: masters").await;
        wrong.acquire("r", "a", TTL, ONCE).await.expect_err("no quorum");

        let addresses = [right, &wrong].map(|replica| format!("http://{}", replica.grpc_address()));
        let done = Cli::at(addresses).run(&["doctor"]).await.with(1);
        assert!(done.stdout.contains("replicas disagree on the masters"), "{done:?}");
        assert!(done.stdout.contains("docs/operations/changes.md"), "{done:?}");
        lock_works(right).await;
        right.wait_readyz(200, "").await.unwrap();
    }
    assert!(docs::explains("MISCONFIGURED", "configuration differs"));
    assert_eq!(another.command::<u64>(&["EXISTS", "redlock:r"]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_disk_that_cannot_be_written() {
    let cluster = cluster().await;
    let master = &cluster.masters[0];
    // A folder where the file should be, and something in it.
    let folder: Vec<String> = master.command(&["CONFIG", "GET", "dir"]).await.unwrap();
    std::fs::create_dir_all(format!("{}/dump.rdb/in-the-way", folder[1])).unwrap();
    let () = master.command(&["CONFIG", "SET", "save", "3600 1"]).await.unwrap();
    let _: String = master.command(&["BGSAVE"]).await.unwrap();
    is_told(&cluster.replicas[0], 0, MasterState::Voting, "it cannot save to its disk").await;
}

#[tokio::test]
async fn trust_in_a_master_that_keeps_nothing() {
    let mut options = options();
    options.args.extend(["--restart-policy", "trust"].map(str::to_owned));
    options.redis.append_only = true;
    let cluster = Cluster::start(3, 1, options).await.unwrap();
    let off = ["CONFIG", "SET", "appendonly", "no"];
    let () = cluster.masters[0].command(&off).await.unwrap();
    let replica = &cluster.replicas[0];
    is_told(replica, 0, MasterState::Voting, "it has no append-only file").await;
    let status = replica.status().await.unwrap();
    assert!(status.masters[1].detail.is_empty(), "it has one: {status:#?}");
}

/// Masters and a replica whose clocks can be set, and how another replica is started.
async fn with_clocks() -> (Cluster, HoldfastdOptions) {
    let options = ClusterOptions { wall_clocks: true, ..options() };
    let cluster = Cluster::start(3, 1, options).await.expect("a cluster");
    let options = cluster.replica_options();
    (cluster, options)
}

async fn metric(replica: &Holdfastd, line: &str) {
    let counted = async {
        while !replica.http_get("/metrics").await.is_ok_and(|it| it.body.contains(line)) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(BOUND, counted).await.expect(line);
}

#[tokio::test]
async fn a_clock_that_is_too_far_off() {
    let (cluster, options) = with_clocks().await;
    cluster.masters[0].wall_clock().unwrap().offset_ms(65_000).unwrap();
    let late = Holdfastd::start(options).await.unwrap();
    for replica in [&cluster.replicas[0], &late] {
        is_told(replica, 0, MISCONFIGURED, "clock is").await;
        metric(replica, "holdfast_master_state{master=\"m0\",state=\"misconfigured\"} 1").await;
        metric(replica, "holdfast_master_clock_offset_seconds{master=\"m0\"} 6").await;
    }
}

#[tokio::test]
async fn a_clock_that_jumps() {
    let mut options = ClusterOptions { wall_clocks: true, ..options() };
    options.args[3] = "5s".to_owned();
    let cluster = Cluster::start(3, 1, options).await.unwrap();
    let replica = &cluster.replicas[0];
    cluster.masters[0].wall_clock().unwrap().offset_ms(3_000).unwrap();
    let state = MasterState::Quarantined;
    wait_master(replica, 0, state, "restarted, new or suspected").await;
    metric(replica, "holdfast_master_state{master=\"m0\",state=\"quarantined\"} 1").await;
    metric(replica, "holdfast_master_clock_steps_total{master=\"m0\"} 1").await;
    replica.process().wait_for_line("its clock stepped", BOUND).await.unwrap();
    replica.process().wait_for_line("in quarantine", BOUND).await.unwrap();
    let cli = Cli::at([format!("http://{}", replica.grpc_address())]);
    let done = cli.run(&["doctor"]).await.with(1);
    assert!(done.stdout.contains("master m0 may not vote yet"), "{done:?}");
    assert!(docs::explains("QUARANTINED", "restarted, new or suspected"));
    lock_works(replica).await;
    replica.wait_voting(3).await.unwrap();
}
