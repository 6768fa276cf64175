//! `run` when one of its own two processes is killed or frozen: the other one sees to it that nothing of
//! CMD lives when somebody else may have the lock.

use std::fs;

use holdfast_tests::cli::{Cli, events};
use holdfast_tests::lateness;
use holdfast_tests::process::Process;
use rustix::process::{Pid, Signal, kill_process};

use crate::run_losses::{MARGIN, began, deadline, lasting_run, next, stubborn_run};
use crate::stubborn::{Stubborn, since_1970};
use crate::{BOUND, cluster, eventually, wait_waiters};

/// The process that renews the lock: the child that is the same program.
fn keeper(run: &Process) -> Pid {
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    let children = fs::read_to_string(children).expect("a process");
    let mut children = children.split_whitespace();
    let is_keeper = |pid: &&str| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split('\0').nth(1) == Some("keep")
    };
    let keeper = children.find(is_keeper).and_then(|pid| pid.parse().ok());
    Pid::from_raw(keeper.expect("a keeper")).expect("a process")
}

#[tokio::test]
async fn when_run_is_killed_the_command_dies_before_the_lock_is_free() {
    let (cluster, cli) = cluster().await;
    let (mut run, stubborn) = stubborn_run(&cli).await;
    let next = next(&cli);
    wait_waiters(&cluster.replicas[0], 1).await;
    let killed = since_1970();
    run.kill().unwrap();
    // The keeper's end and that of the whole group: they have its pipes.
    run.wait_exit(BOUND).await.unwrap();
    assert!(began(&next).await > stubborn.last_sign());
    assert!(stubborn.last_sign() < deadline(&run), "killed at {killed:?}{}", run.quote());
    assert!(!stubborn.was_asked(), "there is no time to ask");
}

#[tokio::test]
async fn when_the_keeper_is_killed_the_command_dies_before_the_lock_is_free() {
    let (cluster, cli) = cluster().await;
    let (mut run, stubborn) = stubborn_run(&cli).await;
    let next = next(&cli);
    wait_waiters(&cluster.replicas[0], 1).await;
    kill_process(keeper(&run), Signal::KILL).unwrap();
    assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(76), "{}", run.quote());
    assert!(stubborn.last_sign() < deadline(&run), "{}", run.quote());
    assert!(began(&next).await > stubborn.last_sign());
}

#[tokio::test]
async fn when_the_keeper_is_frozen_the_command_dies_before_the_validity_ends() {
    let (cluster, cli) = cluster().await;
    let (mut run, stubborn) = stubborn_run(&cli).await;
    let next = next(&cli);
    wait_waiters(&cluster.replicas[0], 1).await;
    let awake = lateness::begin();
    kill_process(keeper(&run), Signal::STOP).unwrap();
    assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(76), "{}", run.quote());
    let slept = lateness::longest_since(awake) >= MARGIN;
    assert!(stubborn.last_sign() < deadline(&run) || slept, "{}", run.quote());
    assert!(began(&next).await > stubborn.last_sign());
}

#[tokio::test]
async fn when_run_is_frozen_the_lock_is_kept() {
    let (cluster, cli) = cluster().await;
    let (run, stubborn) = lasting_run(&cli).await;
    run.freeze().unwrap();
    let frozen = since_1970();
    // Beyond what the last renewal before it was good for.
    let until = deadline(&run);
    eventually(async || since_1970() > until && stubborn.last_sign() > until).await;
    let token = events(&run, "granted")[0]["fencing_token"].as_u64();
    let described = cluster.replicas[0].describe("r").await.unwrap();
    assert_eq!(Some(described.masters[0].fencing_token), token, "since {frozen:?}");
    run.thaw().unwrap();
    run.wait_for_line("renewed", BOUND).await.unwrap();
}

#[tokio::test]
async fn when_run_is_frozen_as_the_lock_is_lost_the_command_dies_all_the_same() {
    let (cluster, cli) = cluster().await;
    let (mut run, stubborn) = stubborn_run(&cli).await;
    let next = next(&cli);
    wait_waiters(&cluster.replicas[0], 1).await;
    run.freeze().unwrap();
    let token = events(&run, "granted")[0]["fencing_token"].as_u64().unwrap();
    cluster.replicas[0].force("r", token, false).await.unwrap();
    // The waiter is not told by the frozen one.
    assert!(began(&next).await > stubborn.last_sign());
    run.thaw().unwrap();
    assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(76), "{}", run.quote());
    assert!(began(&next).await > stubborn.last_sign());
}

#[tokio::test]
async fn a_command_that_kills_run_at_once_does_not_run_beside_the_next() {
    let (cluster, cli) = cluster().await;
    let stubborn = Stubborn::new();
    let (holder, log) = (stubborn.path("holder"), stubborn.path("log"));
    // Somebody who keeps both others waiting until they are in the queue.
    let script = format!("until [ -e '{holder}' ]; do sleep 0.02; done");
    let _first = cli.start(["run", "r", "--", "bash", "-c", &script]);
    eventually(async || {
        cluster.replicas[0].describe("r").await.unwrap().masters[0].fencing_token > 0
    })
    .await;
    let killer =
        format!("kill -KILL $PPID; while :; do echo root alive $EPOCHREALTIME >> '{log}'; done");
    let mut killed = cli.start(["run", "r", "--", "bash", "-c", &killer]);
    wait_waiters(&cluster.replicas[0], 1).await;
    let next = next(&cli);
    wait_waiters(&cluster.replicas[0], 2).await;
    fs::write(holder, "").unwrap();
    killed.wait_exit(BOUND).await.unwrap();
    let began = began(&next).await;
    // It may have died before it wrote anything.
    assert!(stubborn.signs().all(|sign| sign < began));
}

#[tokio::test]
async fn what_stops_the_keeper_by_the_way_does_not_stop_the_command() {
    let (_cluster, cli) = cluster().await;
    let (run, _stubborn) = lasting_run(&cli).await;
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
        kill_process(keeper(&run), signal).unwrap();
    }
    let renewed = events(&run, "renewed").len();
    eventually(async || events(&run, "renewed").len() > renewed).await;
    assert!(events(&run, "terminated").is_empty(), "{}", run.quote());
}

#[tokio::test]
async fn run_that_is_frozen_while_it_waits_does_not_keep_the_lock() {
    let (cluster, cli) = cluster().await;
    let args = ["run", "r", "--", "sh", "-c", "echo ready; exec sleep 1000"];
    let mut first = cli.start(args);
    first.wait_for_line("ready", BOUND).await.unwrap();
    let mut frozen = cli.start(["run", "r", "--ttl", "3s", "--", "echo", "never"]);
    wait_waiters(&cluster.replicas[0], 1).await;
    frozen.freeze().unwrap();
    let next = next(&cli);
    wait_waiters(&cluster.replicas[0], 2).await;
    first.signal(Signal::TERM).unwrap();
    first.wait_exit(BOUND).await.unwrap();
    began(&next).await;
    frozen.thaw().unwrap();
    assert_eq!(frozen.wait_exit(BOUND).await.unwrap().code(), Some(76), "{}", frozen.quote());
    assert!(!frozen.lines().contains(&"never".to_owned()), "{}", frozen.quote());
}

#[tokio::test]
async fn when_nobody_reads_its_notes_the_command_dies_all_the_same() {
    let (cluster, cli) = cluster().await;
    let stubborn = Stubborn::new();
    let fifo = stubborn.path("stderr");
    // A pipe that is full, and that nobody reads.
    let script = format!(
        "mkfifo '{fifo}'; exec 3<>'{fifo}'; dd if=/dev/zero of=/dev/fd/3 oflag=nonblock bs=1 \
         2>/dev/null; exec \"$0\" run r --ttl 15s --output json -- {} 2>&3",
        stubborn.command().join(" ")
    );
    let mut run = Process::spawn("holdfast run", "bash", |command| {
        command.args(["-c", &script, &Cli::program()]);
        let server = format!("http://{}", cluster.replicas[0].grpc_address());
        command.env("HOLDFAST_SERVER", server);
    })
    .unwrap();
    stubborn.wait_running().await;
    let next = next(&cli);
    wait_waiters(&cluster.replicas[0], 1).await;
    kill_process(keeper(&run), Signal::KILL).unwrap();
    assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(76));
    assert!(began(&next).await > stubborn.last_sign());
}

#[tokio::test]
async fn when_the_keeper_is_frozen_as_the_command_ends_the_lock_is_given_back_without_it() {
    let (_cluster, cli) = cluster().await;
    let stubborn = Stubborn::new();
    let end = stubborn.path("end");
    let script = format!("echo ready; until [ -e '{end}' ]; do sleep 0.02; done; exit 5");
    let args = ["run", "r", "--ttl", "60s", "--output", "json", "--", "bash", "-c", &script];
    let mut run = cli.start(args);
    run.wait_for_line("ready", BOUND).await.unwrap();
    kill_process(keeper(&run), Signal::STOP).unwrap();
    fs::write(end, "").unwrap();
    assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(5), "{}", run.quote());
    assert_eq!(events(&run, "released")[0]["outcome"], "RELEASED", "{}", run.quote());
}
