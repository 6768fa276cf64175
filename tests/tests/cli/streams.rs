//! `watch` and `elect`: a line for whatever happens.

use std::time::Duration;

use holdfast_tests::cli::{Cli, events, json};
use holdfast_tests::process::Process;
use rustix::process::Signal;
use serde_json::Value;

use crate::{BOUND, cluster, eventually, wait_waiters};

/// Waits for a line of JSON that fits.
async fn line(process: &Process, fits: impl Fn(&Value) -> bool) -> Value {
    let found = || process.lines().iter().filter_map(|line| json(line)).find(&fits);
    eventually(async || found().is_some() || process.has_ended()).await;
    found().unwrap_or_else(|| panic!("it ended without{}", process.quote()))
}

async fn ended(mut process: Process, signal: Signal) -> i32 {
    process.signal(signal).expect("a process");
    process.wait_exit(BOUND).await.expect("an end").code().expect("a code")
}

#[tokio::test]
async fn watch_shows_every_change_until_it_is_interrupted() {
    let (_cluster, cli) = cluster().await;
    let watch = cli.start(["watch", "r", "--output", "json"]);
    let text = cli.start(["watch", "r"]);
    let free = line(&watch, |it| it["vacant"].is_object()).await;
    assert_eq!(free["reason"], "SNAPSHOT");
    text.wait_for_line("snapshot  free", BOUND).await.unwrap();

    let args = ["acquire", "r", "--ttl", "60s", "--holder", "me", "--metadata", "at=here"];
    let lease = cli.run(&[&args[..], &["--output", "json"]].concat()).await.with(0).json();
    let led = line(&watch, |it| it["reason"] == "ELECTED").await;
    assert_eq!(led["leader"]["fencing_token"], lease["fencing_token"]);
    assert_eq!(
        (&led["leader"]["holder"], &led["leader"]["metadata"]["at"]),
        (&"me".into(), &"here".into())
    );
    assert!(led["age_ms"].is_u64() && led["leader"]["remaining_ms"].is_u64(), "{led}");
    text.wait_for_line("elected   held by me with token", BOUND).await.unwrap();

    cli.run(&["release", "r", "--lease-id", lease["lease_id"].as_str().unwrap()]).await.with(0);
    let vacant = line(&watch, |it| it["reason"] == "RELEASED").await;
    assert_eq!(vacant["vacant"]["last_fencing_token"], lease["fencing_token"]);
    text.wait_for_line("released  free", BOUND).await.unwrap();
    assert_eq!(ended(watch, Signal::INT).await, 0);
    assert_eq!(ended(text, Signal::TERM).await, 0);
}

#[tokio::test]
async fn watch_confirms_as_often_as_it_is_asked_to() {
    let (_cluster, cli) = cluster().await;
    let watch = cli.start(["watch", "r", "--bookmark", "100ms", "--output", "json"]);
    line(&watch, |it| it["reason"] == "BOOKMARK").await;
    assert_eq!(ended(watch, Signal::INT).await, 0);
}

#[tokio::test]
async fn watch_goes_on_through_an_outage() {
    let (mut cluster, cli) = cluster().await;
    let watch = cli.start(["watch", "r", "--output", "json"]);
    line(&watch, |it| it["vacant"].is_object()).await;
    cluster.replicas[0].restart().await.unwrap();
    line(&watch, |it| it["unknown"]["reason"] == "UNREACHABLE").await;
    cluster.wait_voting(3).await.unwrap();
    cli.run(&["acquire", "r", "--ttl", "60s"]).await.with(0);
    line(&watch, |it| it["leader"].is_object()).await;
}

#[tokio::test]
async fn one_is_elected_and_the_next_one_when_it_resigns() {
    let (cluster, cli) = cluster().await;
    let elect = |holder: &str| {
        let at = format!("at={holder}");
        let args = ["elect", "r", "--ttl", "10s", "--holder", holder, "--metadata", &at];
        cli.start([&args[..], &["--output", "json"]].concat())
    };
    let first = elect("first");
    let term = line(&first, |it| it["event"] == "elected").await["fencing_token"].clone();
    assert!(term.is_u64());
    let second = elect("second");
    let queued = line(&second, |it| it["event"] == "queued").await;
    assert_eq!((&queued["position"], &queued["held"]["holder"]), (&1.into(), &"first".into()));
    assert_eq!(queued["held"]["metadata"]["at"], "first");
    let text = cli.start(["elect", "r"]);
    text.wait_for_line("queued    place 2, behind first", BOUND).await.unwrap();
    wait_waiters(&cluster.replicas[0], 2).await;
    assert_eq!(ended(text, Signal::TERM).await, 0);

    assert_eq!(ended(first, Signal::INT).await, 0);
    let elected = line(&second, |it| it["event"] == "elected").await;
    assert!(elected["fencing_token"].as_u64() > term.as_u64(), "{elected}");
    cli.run(&["elect", "r", "--wait", "0s"]).await.with(75);
    // It is kept.
    cluster.replicas[0].wait_status(BOUND, |status| status.locks == 1).await.unwrap();
    second.signal(Signal::TERM).unwrap();
    line(&second, |it| it["event"] == "resigned").await;
    cli.run(&["elect", "s", "--wait", "0s", "--timeout", "1s", "--ttl", "x"]).await.with(64);
}

#[tokio::test]
async fn a_leader_says_that_it_is_at_risk_safe_again_and_lost() {
    let (cluster, cli) = cluster().await;
    let mut elect = cli.start(["elect", "r", "--ttl", "15s", "--output", "json"]);
    line(&elect, |it| it["event"] == "elected").await;
    let gone = || cluster.masters[1..].iter();
    gone().for_each(|master| master.freeze().unwrap());
    let risk = line(&elect, |it| it["event"] == "at_risk").await;
    assert!(risk["valid_for_ms"].is_u64() && risk["reason"].is_string(), "{risk}");
    gone().for_each(|master| master.thaw().unwrap());
    line(&elect, |it| it["event"] == "safe").await;
    gone().for_each(|master| master.freeze().unwrap());
    assert_eq!(elect.wait_exit(BOUND).await.unwrap().code(), Some(76));
    let lost = elect.lines().iter().filter_map(|line| json(line)).next_back().unwrap();
    assert_eq!(lost["error"]["kind"], "lost");
    assert!(events(&elect, "at_risk").len() >= 2);
}

#[tokio::test]
async fn a_leadership_that_is_taken_back_is_lost() {
    let (cluster, cli) = cluster().await;
    let mut elect = cli.start(["elect", "r", "--ttl", "15s"]);
    let elected = elect.wait_for_line("elected   term ", BOUND).await.unwrap();
    let term = elected.trim_start_matches("elected   term ").parse().unwrap();
    cluster.replicas[0].force("r", term, false).await.unwrap();
    assert_eq!(elect.wait_exit(BOUND).await.unwrap().code(), Some(76));
    elect.wait_for_line("holdfast: the leadership of r is lost", Duration::ZERO).await.unwrap();
    let cli = Cli::of(&cluster);
    cli.run(&["elect", "r", "--wait", "0s", "--metadata", "a"]).await.with(64);
}
