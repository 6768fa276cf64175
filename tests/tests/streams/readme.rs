//! The lines of README.md about streams and operators' calls, and those of docs/migration, run as they stand
//! there by a shell, against a development server.
//!
//! Replaced are only the address, and what a reader fills in himself: `…`. Deliberately absent: the lines
//! that start servers.

use std::env;
use std::time::Duration;

use holdfast_tests::calls::Lease;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::process::Process;
use holdfast_tests::tools;

const README: &str = include_str!("../../../README.md");
/// The pages that have such lines.
const MIGRATION: [&str; 2] = [
    include_str!("../../../docs/migration/redlock-net.md"),
    include_str!("../../../docs/migration/redsync.md"),
];
const TTL: Duration = Duration::from_secs(60);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(30);

/// Runs a line in bash, in which `grpcurl` stands for the installed one.
fn shell(line: &str) -> Process {
    let path = env::var("PATH").unwrap_or_default();
    let process = Process::spawn("bash", "bash", |command| {
        command.args(["-c", line]).env("PATH", format!("{}:{path}", tools::folder().display()));
    });
    process.expect("bash")
}

/// The one line of the README that calls this rpc, for a server at another address.
fn line(rpc: &str, replica: &Holdfastd) -> String {
    let call = format!("127.0.0.1:7420 holdfast.v1.{rpc}");
    let mut lines = README.lines().filter(|line| line.ends_with(&call));
    let line = lines.next().unwrap_or_else(|| panic!("README.md has no line that calls {rpc}"));
    assert_eq!(lines.next(), None, "README.md has two lines that call {rpc}");
    line.replace("127.0.0.1:7420", &replica.grpc_address().to_string())
}

/// The same with the reader's own lease.
fn line_for(rpc: &str, replica: &Holdfastd, lease: &Lease) -> String {
    let line = line(rpc, replica)
        .replace("\"lease_id\":\"…\"", &format!("\"lease_id\":\"{}\"", lease.lease_id))
        .replace(
            "\"fencing_token\":\"…\"",
            &format!("\"fencing_token\":\"{}\"", lease.fencing_token),
        );
    assert!(!line.contains('…'), "{line}");
    line
}

/// Runs a line to its end, which must be a good one, and returns what it printed without any space.
async fn printed(line: &str) -> String {
    let mut process = shell(line);
    let status = process.wait_exit(BOUND).await.expect("an end");
    assert!(status.success(), "{line}: {status:?}{}", process.quote());
    process.lines().concat().replace(' ', "")
}

async fn dev() -> Option<Holdfastd> {
    tools::find("grpcurl")?;
    let args = vec!["--dev".to_owned()];
    let options = HoldfastdOptions { args, ..HoldfastdOptions::default() };
    let replica = Holdfastd::start(options).await.expect("a development server");
    replica.wait_voting(3).await.expect("masters that vote");
    Some(replica)
}

#[tokio::test]
async fn keep_alive_renews_and_says_so() {
    let Some(replica) = dev().await else { return };
    let lease = replica.acquire("hello", "mine", TTL, ONCE).await.unwrap().lease();
    let line = line_for("LockService/KeepAlive", &replica, &lease);
    let printed = printed(&line).await;
    let token = format!("\"fencingToken\":\"{}\"", lease.fencing_token);
    assert!(printed.contains("\"sequence\":\"1\"") && printed.contains(&token), "{printed}");
    assert!(printed.contains("\"ttl\":\"30s\""), "{printed}");
}

#[tokio::test]
async fn hold_holds_and_releases_and_a_watch_sees_it() {
    let Some(replica) = dev().await else { return };
    let watch = shell(&line("LockService/WatchLeader", &replica));
    watch.wait_for_line("WATCH_REASON_SNAPSHOT", BOUND).await.unwrap();

    let hold = line("LockService/Hold", &replica);
    let printed = printed(&hold).await;
    assert!(printed.contains("\"granted\":{") && printed.contains("\"renewed\":{"), "{printed}");
    assert!(printed.ends_with("{\"released\":\"RELEASE_OUTCOME_RELEASED\"}"), "{printed}");

    watch.wait_for_line("WATCH_REASON_RELEASED", BOUND).await.unwrap();
    let told = watch.lines().concat();
    assert!(told.contains("WATCH_REASON_ELECTED") && told.contains("\"holder\": \"me\""), "{told}");

    // A half-close ends it: the lock is free, with nothing released by the client.
    let cut = hold.replace("; echo '{\"release\":{}}'", "");
    assert_ne!(cut, hold);
    let cut = self::printed(&cut).await;
    assert!(cut.contains("\"granted\":{") && !cut.contains("released"), "{cut}");
    replica.acquire("job", "next", TTL, BOUND).await.unwrap().lease();
}

#[tokio::test]
async fn locks_are_listed_and_taken_back() {
    let Some(replica) = dev().await else { return };
    let lease = replica.acquire("hello", "mine", TTL, ONCE).await.unwrap().lease();
    replica.acquire("other", "mine", TTL, ONCE).await.unwrap().lease();
    let listed = printed(&line("AdminService/ListLocks", &replica)).await;
    let token = format!("\"fencingToken\":\"{}\"", lease.fencing_token);
    assert!(listed.contains("\"resource\":\"hello\"") && listed.contains(&token), "{listed}");
    assert!(!listed.contains("other"), "{listed}");

    let forced = printed(&line_for("AdminService/ForceRelease", &replica, &lease)).await;
    assert!(forced.contains("\"outcome\":\"FORCE_RELEASE_OUTCOME_REVOKED\""), "{forced}");
    assert!(forced.contains("\"remaining\":\""), "{forced}");
    replica.extend(&lease, TTL).await.unwrap_err();
    replica.process().wait_for_line("holdfast::audit", BOUND).await.unwrap();
}

#[tokio::test]
async fn who_migrates_is_granted_a_lock() {
    let Some(replica) = dev().await else { return };
    let address = replica.grpc_address().to_string();
    for page in MIGRATION {
        let mut lines = page.lines().filter(|line| line.contains("grpcurl -plaintext"));
        let line = lines.next().expect("a line").replace("127.0.0.1:7420", &address);
        let printed = printed(&line).await;
        assert!(printed.contains("\"fencingToken\":\""), "{printed}");
    }
}
