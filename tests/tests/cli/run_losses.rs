//! `run` when its lock is lost: nothing of CMD lives when the validity ends, and nobody else's CMD begins
//! before that.

use std::time::Duration;

use holdfast_tests::cli::{Cli, events};
use holdfast_tests::lateness;
use holdfast_tests::process::Process;
use tokio::time::Instant;

use crate::stubborn::Stubborn;
use crate::{BOUND, cluster};

/// For leases that are to run out.
const SHORT: &str = "10s";
/// So long before their end nothing of CMD lives: a twentieth.
pub(crate) const MARGIN: Duration = Duration::from_millis(500);
/// For leases that are to be kept, on a machine that stands still for seconds.
const LONG: &str = "15s";

/// A stubborn command that runs under a lock that is to run out.
pub(crate) async fn stubborn_run(cli: &Cli) -> (Process, Stubborn) {
    stubborn_run_with(cli, SHORT).await
}

/// A stubborn command that runs under a lock that is to be kept.
pub(crate) async fn lasting_run(cli: &Cli) -> (Process, Stubborn) {
    stubborn_run_with(cli, LONG).await
}

async fn stubborn_run_with(cli: &Cli, ttl: &str) -> (Process, Stubborn) {
    let stubborn = Stubborn::new();
    let command = stubborn.command();
    let args = ["run", "r", "--ttl", ttl, "--output", "json", "--"].map(str::to_owned);
    let run = cli.start(args.iter().chain(&command));
    stubborn.wait_running().await;
    // It is told beside the command's start; a `run` that is frozen tells nothing any more.
    run.wait_for_line("granted", BOUND).await.expect("a grant");
    (run, stubborn)
}

/// Somebody who waits for the same lock, and says when its command began.
pub(crate) fn next(cli: &Cli) -> Process {
    cli.start(["run", "r", "--", "bash", "-c", "echo began $EPOCHREALTIME"])
}

/// When the next one's command began.
pub(crate) async fn began(next: &Process) -> Duration {
    let line = next.wait_for_line("began ", BOUND).await.expect("its turn");
    Duration::from_secs_f64(line.trim_start_matches("began ").parse().expect("a time"))
}

/// The latest end of the validity that a `run` knew of, since 1970.
pub(crate) fn deadline(run: &Process) -> Duration {
    let told = [events(run, "granted"), events(run, "renewed")].concat();
    let deadlines = told.iter().map(|event| event["deadline_ms"].as_u64().expect("a deadline"));
    Duration::from_millis(deadlines.max().expect("a grant"))
}

/// It ended with 76, and its command before the validity did. If the machine was awake before that.
async fn ended_in_time(mut run: Process, stubborn: &Stubborn, awake: Instant) {
    // Its pipes are closed when all of them are dead.
    let ended = run.wait_exit(BOUND).await.expect("an end");
    assert_eq!(ended.code(), Some(76), "{}", run.quote());
    let (last, deadline) = (stubborn.last_sign(), deadline(&run));
    let slept = lateness::longest_since(awake) >= MARGIN;
    assert!(last < deadline || slept, "{:?} late{}", last - deadline, run.quote());
    assert!(stubborn.was_asked() || slept, "SIGTERM comes first");
    assert_eq!(events(&run, "terminated").len(), 1, "{}", run.quote());
    let error =
        run.lines().iter().rev().find_map(|line| {
            holdfast_tests::cli::json(line).filter(|line| line["error"].is_object())
        });
    assert_eq!(error.expect("an error")["error"]["kind"], "lost");
}

#[tokio::test]
async fn when_the_masters_are_gone_the_command_is_dead_before_the_validity_ends() {
    let (cluster, cli) = cluster().await;
    let (run, stubborn) = stubborn_run(&cli).await;
    let awake = lateness::begin();
    let next = next(&cli);
    crate::wait_waiters(&cluster.replicas[0], 1).await;
    cluster.masters[1..].iter().for_each(|master| master.freeze().unwrap());
    ended_in_time(run, &stubborn, awake).await;
    cluster.masters[1..].iter().for_each(|master| master.thaw().unwrap());
    assert!(began(&next).await > stubborn.last_sign());
}

#[tokio::test]
async fn when_the_replica_is_gone_the_command_is_dead_before_the_validity_ends() {
    let (cluster, cli) = cluster().await;
    let (run, stubborn) = stubborn_run(&cli).await;
    let awake = lateness::begin();
    cluster.replicas[0].freeze().unwrap();
    ended_in_time(run, &stubborn, awake).await;
    cluster.replicas[0].thaw().unwrap();
    assert!(began(&next(&cli)).await > stubborn.last_sign());
}

#[tokio::test]
async fn when_the_lock_is_taken_back_the_command_is_stopped() {
    let (cluster, cli) = cluster().await;
    let (run, stubborn) = stubborn_run(&cli).await;
    let awake = lateness::begin();
    let next = next(&cli);
    crate::wait_waiters(&cluster.replicas[0], 1).await;
    let token = events(&run, "granted")[0]["fencing_token"].to_string();
    let args = ["force-release", "r", "--token", &token, "--reason", "a test", "--yes"];
    cli.run(&args).await.with(0);
    run.wait_for_line("an administrator took it back", BOUND).await.unwrap();
    ended_in_time(run, &stubborn, awake).await;
    assert!(began(&next).await > stubborn.last_sign());
}

#[tokio::test]
async fn a_command_that_obeys_is_only_asked() {
    let (cluster, cli) = cluster().await;
    let script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let args = ["run", "r", "--ttl", "10s", "--output", "json", "--", "bash", "-c", script];
    let mut run = cli.start(args);
    run.wait_for_line("ready", BOUND).await.unwrap();
    cluster.masters[1..].iter().for_each(|master| master.freeze().unwrap());
    assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(76), "{}", run.quote());
    assert!(run.lines().contains(&"bye".to_owned()), "{}", run.quote());
    assert_eq!(events(&run, "killed").len(), 0, "{}", run.quote());
}

#[tokio::test]
async fn a_command_runs_on_while_a_minority_is_gone() {
    let (cluster, cli) = cluster().await;
    let (run, _stubborn) = lasting_run(&cli).await;
    cluster.masters[0].freeze().unwrap();
    let renewed = events(&run, "renewed").len();
    crate::eventually(async || events(&run, "renewed").len() >= renewed + 2).await;
    assert_eq!(events(&run, "terminated").len(), 0, "{}", run.quote());
}
