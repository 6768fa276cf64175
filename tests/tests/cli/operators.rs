//! What operators ask: `ls`, `describe`, `why`, `force-release`, `status`, `doctor`.

use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::describe_lock_response::State;
use holdfast_tests::cli::Cli;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use serde_json::Value;

use crate::{BOUND, cluster, eventually, options, wait_waiters};

const TTL: Duration = Duration::from_secs(60);
/// For what is free: one try is too few on a machine that stands still in it for a second.
const WAIT: Duration = Duration::from_secs(30);

/// Another Redlock library locks the resource.
async fn plant_foreign(cluster: &Cluster, resource: &str) {
    for master in &cluster.masters {
        let key = format!("redlock:{resource}");
        let () = master.command(&["SET", &key, "theirs", "PX", "60000"]).await.expect("a key");
    }
}

async fn why(cli: &Cli, resource: &str) -> Value {
    cli.run(&["why", resource, "--output", "json"]).await.with(0).json()
}

#[tokio::test]
async fn ls_lists_what_begins_with_a_prefix() {
    let (cluster, cli) = cluster().await;
    assert_eq!(cli.run(&["ls", "--output", "json"]).await.with(0).stdout, "{\"locks\":[]}\n");
    for resource in ["a/2", "a/1", "b"] {
        cluster.acquire(0, resource, "x", TTL, WAIT).await.unwrap().lease();
    }
    plant_foreign(&cluster, "a/3").await;
    let locks = cli.run(&["ls", "a/", "--output", "json"]).await.with(0).json();
    let locks = locks["locks"].as_array().unwrap();
    let resources: Vec<_> = locks.iter().map(|lock| lock["resource"].as_str().unwrap()).collect();
    assert_eq!(resources, ["a/1", "a/2", "a/3"]);
    assert_eq!(locks[0]["holder"], "holder of x");
    assert!(locks[0]["fencing_token"].is_u64() && locks[0]["remaining_ms"].is_u64(), "{locks:?}");
    assert_eq!((&locks[2]["foreign"], &locks[2]["fencing_token"]), (&true.into(), &0.into()));

    let text = cli.run(&["ls"]).await.with(0).stdout;
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("RESOURCE  HOLDER"), "{text}");
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[3].contains("(foreign)") && lines[4].starts_with("b "), "{text}");
}

#[tokio::test]
async fn describe_and_why_show_holder_masters_and_waiters_in_order() {
    let (cluster, cli) = cluster().await;
    assert_eq!(why(&cli, "r").await["verdict"], "free");
    let lease = cluster.acquire(0, "r", "x", TTL, WAIT).await.unwrap().lease();
    // All of them, not only those that made the quorum.
    eventually(async || {
        let described = cluster.replicas[0].describe("r").await.unwrap();
        described.masters.iter().all(|master| master.fencing_token == lease.fencing_token)
    })
    .await;
    let mut waiters = Vec::new();
    for (index, holder) in ["one", "two"].iter().enumerate() {
        let args = ["acquire", "r", "--wait", "50s", "--holder", holder];
        waiters.push(cli.start(args));
        wait_waiters(&cluster.replicas[0], index as u32 + 1).await;
    }
    let described = cli.run(&["describe", "r", "--output", "json"]).await.with(0).json();
    assert_eq!(described["leader"]["fencing_token"], lease.fencing_token);
    assert_eq!(described["waiter_count"], 2);
    assert_eq!(described["waiters"][0]["holder"], "one");
    assert_eq!(described["waiters"][1]["position"], 2);
    assert!(described["waiters"][0]["wait_remaining_ms"].is_u64());
    for (index, master) in described["masters"].as_array().unwrap().iter().enumerate() {
        assert_eq!(master["name"], format!("m{index}"));
        assert_eq!(master["state"], "VOTING");
        assert_eq!(master["fencing_token"], lease.fencing_token);
    }
    let text = cli.run(&["describe", "r"]).await.with(0).stdout;
    assert!(text.starts_with("r: held by holder of x with token"), "{text}");
    assert!(text.contains("m2      VOTING") && text.contains("2 waiting"), "{text}");

    let because = why(&cli, "r").await;
    assert_eq!(because["verdict"], "held");
    assert_eq!(because["leader"]["holder"], "holder of x");
    let text = cli.run(&["why", "r"]).await.with(0).stdout;
    assert!(text.starts_with("r: It is held by holder of x"), "{text}");
    let one = text.find(" one ").expect("a waiter");
    assert!(one < text.find(" two ").expect("another one"), "{text}");
}

#[tokio::test]
async fn why_knows_foreign_locks_remains_and_revocations() {
    let (cluster, cli) = cluster().await;
    plant_foreign(&cluster, "theirs").await;
    assert_eq!(why(&cli, "theirs").await["verdict"], "foreign");
    let text = cli.run(&["why", "theirs"]).await.with(0).stdout;
    assert!(text.contains("Another Redlock library holds it"), "{text}");

    let lease = cluster.acquire(0, "r", "x", TTL, WAIT).await.unwrap().lease();
    eventually(async || {
        let described = cluster.replicas[0].describe("r").await.unwrap();
        described.masters.iter().all(|master| master.fencing_token == lease.fencing_token)
    })
    .await;
    cluster.replicas[0].force("r", lease.fencing_token, false).await.unwrap();
    let revoked = why(&cli, "r").await;
    assert_eq!(revoked["verdict"], "revoked", "{revoked}");
    for master in &cluster.masters[1..] {
        let () = master.command(&["DEL", "redlock:r"]).await.unwrap();
    }
    let remains = why(&cli, "r").await;
    assert_eq!(remains["verdict"], "remains", "{remains}");
    assert!(remains["explanation"].as_str().unwrap().starts_with("Nobody holds it."), "{remains}");
}

#[tokio::test]
async fn force_release_takes_back_what_is_meant_and_nothing_else() {
    let (cluster, cli) = cluster().await;
    let lease = cluster.acquire(0, "r", "x", TTL, WAIT).await.unwrap().lease();
    let token = lease.fencing_token.to_string();
    let args = ["force-release", "r", "--reason", "a test", "--output", "json", "--token"];
    let args = |token: &'static str, more: &[&'static str]| [&args[..], &[token], more].concat();
    let token: &'static str = token.leak();

    // Nobody can be asked.
    let unasked = cli.run(&args(token, &[])).await.with(64).error();
    assert_eq!(unasked["violations"][0]["field"], "--yes");
    let other = cli.run(&args("5", &["--yes"])).await.with(70).error();
    assert_eq!(other["reason"], "TOKEN_MISMATCH");
    assert!(other["message"].as_str().unwrap().contains(token), "{other}");
    let would = cli.run(&args(token, &["--dry-run"])).await.with(0).json();
    assert_eq!((&would["dry_run"], &would["outcome"]), (&true.into(), &"REVOKED".into()));
    assert_eq!(
        cli.run(&args("5", &["--dry-run"])).await.with(70).error()["reason"],
        "TOKEN_MISMATCH"
    );
    assert!(matches!(
        cluster.replicas[0].describe("r").await.unwrap().state,
        Some(State::Leader(_))
    ));
    cluster.extend(0, &lease, TTL).await.expect("it was not touched");

    let taken = cli.run(&args(token, &["--yes"])).await.with(0).json();
    assert_eq!(taken["outcome"], "REVOKED");
    assert!(taken["remaining_ms"].is_u64() && taken["masters_changed"].as_u64() >= Some(2));
    cluster.extend(0, &lease, TTL).await.expect_err("it cannot be extended any more");
    let deleted = cli.run(&args(token, &["--yes", "--immediate"])).await.with(0);
    assert_eq!(deleted.json()["outcome"], "DELETED");
    assert!(deleted.stderr.contains("unsafe unless"), "{deleted:?}");
    cli.run(&["acquire", "r", "--lease-id", "y"]).await.with(0);
    cli.run(&["release", "r", "--lease-id", "y"]).await.with(0);
    assert_eq!(cli.run(&args(token, &["--yes"])).await.with(70).error()["reason"], "NOT_HELD");
    let would = cli.run(&args(token, &["--dry-run"])).await.with(70);
    assert_eq!(would.error()["reason"], "NOT_HELD");
}

#[tokio::test]
async fn on_a_terminal_the_resource_must_be_typed() {
    let (cluster, cli) = cluster().await;
    let lease = cluster.acquire(0, "r", "x", TTL, WAIT).await.unwrap().lease();
    let token = lease.fencing_token.to_string();
    let args = ["force-release", "r", "--reason", "a test", "--token", &token];
    let other = cli.run_on_terminal(&args, "yes\n").await.with(70);
    assert!(other.stdout.contains("held by holder of x"), "{other:?}");
    assert!(other.stdout.contains("not confirmed: nothing was touched"), "{other:?}");
    cluster.extend(0, &lease, TTL).await.expect("it was not touched");
    let typed = cli.run_on_terminal(&args, "r\n").await.with(0);
    assert!(typed.stdout.contains("is taken back; it is free in"), "{typed:?}");
    cluster.extend(0, &lease, TTL).await.expect_err("it cannot be extended any more");
}

#[tokio::test]
async fn status_and_doctor_of_a_deployment_that_is_well() {
    let (mut cluster, _) = cluster().await;
    cluster.add_replica().await.unwrap();
    cluster.wait_voting(3).await.unwrap();
    let cli = Cli::of(&cluster);
    let status = cli.run(&["status", "--output", "json"]).await.with(0).json();
    let servers = status["servers"].as_array().unwrap();
    assert_eq!(servers.len(), 2);
    for server in servers {
        assert_eq!((&server["has_quorum"], &server["master_count"]), (&true.into(), &3.into()));
        let master = &server["masters"][2];
        assert_eq!((&master["name"], &master["state"]), (&"m2".into(), &"VOTING".into()));
        assert!(master["round_trip_ms"].is_f64() && master["clock_offset_ms"].is_f64());
    }
    let text = cli.run(&["status"]).await.with(0).stdout;
    assert_eq!(text.matches("quorum: 3 of 3 masters vote").count(), 2, "{text}");
    assert_eq!(
        cli.run(&["doctor"]).await.with(0).stdout,
        "all is well with 2 servers and their masters\n"
    );
    let findings = cli.run(&["doctor", "--output", "json"]).await.with(0).json();
    assert_eq!(findings["findings"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn doctor_finds_a_server_that_is_gone_and_masters_that_differ() {
    let (cluster, _) = cluster().await;
    let other =
        Cluster::start(2, 1, ClusterOptions { bootstrap: false, ..options() }).await.unwrap();
    let met = |status: &v1::GetClusterStatusResponse| {
        status.masters.iter().all(|master| master.state() == v1::MasterState::Quarantined)
    };
    other.replicas[0].wait_status(BOUND, met).await.unwrap();
    let dead = holdfast_tests::ports::loopback(holdfast_tests::ports::free());
    let address = |cluster: &Cluster| format!("http://{}", cluster.replicas[0].grpc_address());
    let dead = format!("http://{dead}");
    let cli = Cli::at([address(&cluster), address(&other), dead.clone()]);
    let done = cli.run(&["doctor", "--output", "json"]).await.with(1).json();
    let found = |server: &str, words: &str| {
        let findings = done["findings"].as_array().unwrap().iter();
        let fits =
            |it: &&Value| it["server"] == server && it["problem"].as_str().unwrap().contains(words);
        assert!(findings.filter(fits).count() >= 1, "{words:?} of {server:?}: {done:#}");
    };
    found(&dead, "no replica of Holdfast answers");
    found(&address(&other), "an even number");
    found(&address(&other), "may not vote yet");
    found(&address(&other), "no quorum");
    found("", "replicas disagree on the masters");
    let text = cli.run(&["doctor"]).await.with(1).stdout;
    assert!(text.contains("an even number\n    One more survives"), "{text}");
    // One that is gone is one block of the status.
    let status = cli.run(&["status", "--output", "json"]).await.with(69).json();
    assert_eq!(status["servers"][2]["error"]["kind"], "unreachable", "{status:#}");
}
