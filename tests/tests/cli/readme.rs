//! The lines of README.md that begin with `holdfast`, run as they stand there by a shell.

use std::path::Path;

use holdfast_tests::cli::Cli;
use holdfast_tests::cluster::Cluster;
use holdfast_tests::process::Process;
use rustix::process::Signal;

use crate::{BOUND, cluster};

const README: &str = include_str!("../../../README.md");

/// The lines in the order in which a reader meets them.
fn lines() -> Vec<&'static str> {
    README.lines().filter(|line| line.starts_with("holdfast ")).collect()
}

/// The one line that begins like this.
fn line(beginning: &str) -> &'static str {
    let found: Vec<_> = lines().into_iter().filter(|line| line.starts_with(beginning)).collect();
    assert_eq!(found.len(), 1, "{beginning}: {found:?}");
    found[0]
}

/// A shell that runs a line, in which `holdfast` stands for the binary beside the test.
fn shell(cluster: &Cluster, line: &str) -> Process {
    let directory = Path::new(&Cli::program()).parent().expect("a directory").to_owned();
    let path = std::env::var("PATH").expect("a PATH");
    let process = Process::spawn("bash", "bash", |command| {
        // The shell makes way for the command, so that signals reach that.
        command.args(["-c", &format!("exec {line}")]);
        command.env("PATH", format!("{}:{path}", directory.display()));
        let server = cluster.replicas[0].grpc_address();
        command.env("HOLDFAST_SERVER", format!("http://{server}"));
    });
    process.expect("bash")
}

async fn code(mut process: Process) -> Option<i32> {
    process.wait_exit(BOUND).await.expect("an end").code()
}

#[tokio::test]
async fn the_quick_start_takes_locks() {
    let (cluster, _) = cluster().await;
    let lease = shell(&cluster, line("holdfast acquire hello --holder me"));
    lease.wait_for_line("fencing_token", BOUND).await.unwrap();
    assert_eq!(code(lease).await, Some(0));
    let busy = shell(&cluster, line("holdfast acquire hello --holder you"));
    busy.wait_for_line("held by me", BOUND).await.unwrap();
    assert_eq!(code(busy).await, Some(75));
    let backup = shell(&cluster, line("holdfast run backup -- "));
    backup.wait_for_line("token 1", BOUND).await.unwrap();
    assert_eq!(code(backup).await, Some(0));
}

#[tokio::test]
async fn the_election_goes_from_one_to_two() {
    let (cluster, _) = cluster().await;
    let watch = shell(&cluster, line("holdfast watch daily-report"));
    watch.wait_for_line("free", BOUND).await.unwrap();
    let mut one = shell(&cluster, line("holdfast elect daily-report --holder one"));
    one.wait_for_line("elected", BOUND).await.unwrap();
    watch.wait_for_line("held by one", BOUND).await.unwrap();
    let two = shell(&cluster, line("holdfast elect daily-report --holder two"));
    two.wait_for_line("queued", BOUND).await.unwrap();
    one.kill().unwrap();
    two.wait_for_line("elected", BOUND).await.unwrap();
    watch.wait_for_line("held by two", BOUND).await.unwrap();

    // Frozen, it is replaced, and says so when it wakes up.
    two.freeze().unwrap();
    let three = line("holdfast elect daily-report --holder two").replace("two", "three");
    let mut three = shell(&cluster, &three);
    three.wait_for_line("elected", BOUND).await.unwrap();
    two.thaw().unwrap();
    two.wait_for_line("is lost", BOUND).await.unwrap();
    assert_eq!(code(two).await, Some(76));
    three.signal(Signal::INT).unwrap();
    three.wait_for_line("resigned", BOUND).await.unwrap();
    assert!(three.wait_exit(BOUND).await.unwrap().success());
}

#[test]
fn every_line_is_run_by_one_of_these() {
    assert_eq!(lines().len(), 6, "{:?}", lines());
}
