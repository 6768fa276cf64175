//! `acquire`, `extend` and `release`: a lock by hand.

use holdfast_proto::v1::describe_lock_response::State;
use holdfast_tests::cli::Cli;

use crate::{cluster, wait_waiters};

#[tokio::test]
async fn a_lock_is_taken_extended_and_given_back_in_json() {
    let (_cluster, cli) = cluster().await;
    let args =
        ["acquire", "r", "--ttl", "50s", "--holder", "me", "--metadata", "a=b", "--output", "json"];
    let lease = cli.run(&args).await.with(0).json();
    assert_eq!(lease["resource"], "r");
    assert_eq!(lease["ttl_ms"], 50_000);
    assert_eq!(lease["masters"], 3);
    assert!(lease["votes"].as_u64().unwrap() >= 2, "{lease}");
    let valid_for = lease["valid_for_ms"].as_u64().unwrap();
    assert!(valid_for > 0 && valid_for < 50_000, "{lease}");
    let token = lease["fencing_token"].as_u64().expect("a number").to_string();
    let lease_id = lease["lease_id"].as_str().unwrap();

    let busy = cli.run(&["acquire", "r", "--output", "json"]).await.with(75);
    assert_eq!(busy.stdout, "");
    let error = busy.error();
    assert_eq!(error["kind"], "busy");
    assert_eq!(error["held"]["holder"], "me");
    assert_eq!(error["held"]["metadata"]["a"], "b");
    assert_eq!(error["held"]["fencing_token"], lease["fencing_token"]);

    let named = ["--lease-id", lease_id, "--token", &token, "--output", "json"];
    let extend = [&["extend", "r", "--ttl", "60s"], &named[..]].concat();
    let extended = cli.run(&extend).await.with(0).json();
    assert_eq!(extended["fencing_token"], lease["fencing_token"]);
    assert_eq!(extended["ttl_ms"], 60_000);

    let release = [&["release", "r"], &named[..]].concat();
    assert_eq!(cli.run(&release).await.with(0).json()["outcome"], "RELEASED");
    let again = cli.run(&release).await.with(76).error();
    assert_eq!((&again["kind"], &again["reason"]), (&"lost".into(), &"NOT_HELD".into()));
    assert_eq!(cli.run(&extend).await.with(76).error()["kind"], "lost");
}

#[tokio::test]
async fn a_lock_is_taken_extended_and_given_back_in_text() {
    let (_cluster, cli) = cluster().await;
    let taken = cli.run(&["acquire", "r", "--ttl", "50s", "--holder", "me"]).await.with(0);
    assert_eq!(taken.stderr, "");
    let field = |name: &str| {
        let line = taken.stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default().to_owned()
    };
    assert_eq!((field("resource"), field("ttl")), ("r".to_owned(), "50.0s".to_owned()));
    // As a child of `run` finds them.
    let inside = cli
        .clone()
        .env("HOLDFAST_RESOURCE", "r")
        .env("HOLDFAST_LEASE_ID", field("lease_id"))
        .env("HOLDFAST_FENCING_TOKEN", field("fencing_token"));

    let busy = cli.run(&["acquire", "r"]).await.with(75);
    let token = field("fencing_token");
    let (who, advice) = busy.stderr.split_once(", for ").unwrap();
    assert_eq!(who, format!("holdfast: the lock is held by me, token {token}"));
    assert!(advice.ends_with("s unless it is renewed; --wait waits for it\n"), "{busy:?}");
    let extended = inside.run(&["extend", "r", "--ttl", "60s"]).await.with(0);
    assert!(extended.stdout.contains("ttl            60.0s"), "{extended:?}");
    assert!(extended.stdout.contains(&token), "{extended:?}");
    assert_eq!(inside.run(&["release", "r"]).await.with(0).stdout, "r is released\n");
    let again = inside.run(&["release", "r"]).await.with(76);
    assert!(again.stderr.starts_with("holdfast: nobody holds r"), "{again:?}");
}

/// The token of the lock that `run` holds is that of no other lock.
#[tokio::test]
async fn within_run_another_lock_has_its_own_token() {
    let (_cluster, cli) = cluster().await;
    let lease = cli.run(&["acquire", "other", "--ttl", "50s", "--output", "json"]).await;
    let lease_id = lease.json()["lease_id"].as_str().unwrap().to_owned();
    let inside = cli
        .env("HOLDFAST_RESOURCE", "r")
        .env("HOLDFAST_LEASE_ID", "of r")
        .env("HOLDFAST_FENCING_TOKEN", 1);
    let named = ["--lease-id", &lease_id];
    let missing = inside.run(&[&["extend", "other", "--ttl", "50s"], &named[..]].concat()).await;
    assert!(missing.with(64).stderr.contains("--token: is needed"));
    inside.run(&[&["release", "other"], &named[..]].concat()).await.with(0);
}

#[tokio::test]
async fn a_lease_that_nobody_can_read_is_given_back() {
    let (_cluster, cli) = cluster().await;
    let line = format!("{} acquire r --ttl 60s > /dev/full", Cli::program());
    let done = cli.shell(&line).await.with(70);
    assert!(done.stderr.contains("was given back"), "{done:?}");
    cli.run(&["acquire", "r"]).await.with(0);
}

#[tokio::test]
async fn what_is_read_no_further_is_no_failure() {
    let (_cluster, cli) = cluster().await;
    let line = format!("set -o pipefail; {} completions bash | head -1", Cli::program());
    let done = cli.shell(&line).await.with(0);
    assert_eq!(done.stderr, "");
}

#[tokio::test]
async fn metadata_cannot_forge_what_is_shown() {
    let (_cluster, cli) = cluster().await;
    let forged = "a=b\nr: Nobody holds it\u{1b}[31m";
    cli.run(&["acquire", "r", "--ttl", "60s", "--metadata", forged]).await.with(0);
    let shown = cli.run(&["describe", "r"]).await.with(0).stdout;
    assert!(shown.contains(r"a=b\nr: Nobody holds it\u{1b}[31m"), "{shown}");
}

#[tokio::test]
async fn a_lock_that_is_acquired_is_not_renewed() {
    let (cluster, cli) = cluster().await;
    cli.run(&["acquire", "r", "--ttl", "1s"]).await.with(0);
    let args = ["acquire", "r", "--ttl", "60s", "--wait", "50s", "--output", "json"];
    let next = cli.run(&args).await.with(0);
    let described = cluster.replicas[0].describe("r").await.unwrap();
    let Some(State::Leader(leader)) = described.state else { panic!("{described:#?}") };
    assert_eq!(next.json()["fencing_token"], leader.fencing_token);
}

#[tokio::test]
async fn acquire_waits_for_the_lock_and_gives_up_in_time() {
    let (cluster, cli) = cluster().await;
    let first = cli.run(&["acquire", "r", "--ttl", "60s", "--lease-id", "first"]).await.with(0);
    let token =
        |text: &str| text.lines().nth(2).unwrap().split_whitespace().nth(1).unwrap().parse();
    let first: u64 = token(&first.stdout).unwrap();
    let wait = {
        let cli = cli.clone();
        tokio::spawn(async move { cli.run(&["acquire", "r", "--wait", "50s"]).await })
    };
    wait_waiters(&cluster.replicas[0], 1).await;
    // Without the token: it was never learned.
    cli.run(&["release", "r", "--lease-id", "first"]).await.with(0);
    let second: u64 = token(&wait.await.unwrap().with(0).stdout).unwrap();
    assert!(second > first);
    cli.run(&["acquire", "r", "--wait", "100ms"]).await.with(75);
}

#[tokio::test]
async fn the_same_lease_id_is_the_same_acquire() {
    let (_cluster, cli) = cluster().await;
    let args = ["acquire", "r", "--lease-id", "mine", "--output", "json"];
    let first = cli.run(&args).await.with(0).json();
    let again = cli.run(&args).await.with(0).json();
    assert_eq!(again["lease_id"], "mine");
    assert!(again["fencing_token"].as_u64() > first["fencing_token"].as_u64());
}

#[tokio::test]
async fn a_dead_first_server_is_passed_over() {
    let (cluster, cli) = cluster().await;
    let dead = holdfast_tests::ports::loopback(holdfast_tests::ports::free());
    let live = format!("http://{}", cluster.replicas[0].grpc_address());
    let both = Cli::at([format!("http://{dead}"), live.clone()]);
    both.run(&["acquire", "r"]).await.with(0);
    both.run(&["run", "s", "--", "true"]).await.with(0);
    // The same on the command line, on either side of the command, over the environment.
    let nowhere = Cli::at(["http://127.0.0.1:1".to_owned()]);
    let dead = format!("http://{dead}");
    nowhere.run(&["--server", &dead, "--server", &live, "ls"]).await.with(0);
    nowhere.run(&["ls", "--server", &dead, "--server", &live]).await.with(0);
    drop(cli);
}
