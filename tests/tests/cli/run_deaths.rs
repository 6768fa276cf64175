//! `run` when one of its own two processes is killed or frozen: the other one sees to it that nothing of
//! CMD lives when somebody else may have the lock.

use std::fs;

use holdfast_tests::process::Process;
use rustix::process::{Pid, Signal, kill_process};

use crate::run_losses::{began, deadline, next, stubborn_run};
use crate::stubborn::since_1970;
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
    kill_process(keeper(&run), Signal::STOP).unwrap();
    assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(76), "{}", run.quote());
    assert!(stubborn.last_sign() < deadline(&run), "{}", run.quote());
    assert!(began(&next).await > stubborn.last_sign());
}

#[tokio::test]
async fn when_run_is_frozen_the_lock_is_kept() {
    let (cluster, cli) = cluster().await;
    let (run, stubborn) = stubborn_run(&cli).await;
    run.freeze().unwrap();
    let frozen = since_1970();
    // Beyond what the last renewal before it was good for.
    let until = deadline(&run);
    eventually(async || since_1970() > until && stubborn.last_sign() > until).await;
    let token = holdfast_tests::cli::events(&run, "granted")[0]["fencing_token"].as_u64();
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
    let token = holdfast_tests::cli::events(&run, "granted")[0]["fencing_token"].as_u64().unwrap();
    cluster.replicas[0].force("r", token, false).await.unwrap();
    // The waiter is not told by the frozen one.
    assert!(began(&next).await > stubborn.last_sign());
    run.thaw().unwrap();
    assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(76), "{}", run.quote());
    assert!(began(&next).await > stubborn.last_sign());
}
