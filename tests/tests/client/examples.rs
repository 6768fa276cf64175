//! The examples of the client crate, as they stand there, each an own process.
//!
//! Here: many instances of one service, a job that must run once a day, a leader that is killed, and one
//! that wakes up too late; and the short examples. The other scenarios have a file each.

mod fenced_writes;
mod file_writer;
mod inventory;
mod status_detail;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use holdfast_proto::v1::WatchLeaderResponse;
use holdfast_proto::v1::watch_leader_response::State;
use holdfast_tests::binaries;
use holdfast_tests::cluster::Cluster;
use holdfast_tests::process::Process;
use holdfast_tests::secured::Secured;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{BOUND, LOOK, cluster, url};

fn example(cluster: &Cluster, example: &str, name: &str, args: &[&str]) -> Process {
    let program = binaries::built(&format!("examples/{example}")).expect("an example");
    Process::spawn(name, program, |command| {
        command.args(args);
        command.args(cluster.replicas.iter().map(|replica| url(replica.grpc_address())));
    })
    .expect("an instance")
}

fn instance(cluster: &Cluster, name: &str, store: &Path) -> Process {
    example(cluster, "daily_job", name, &[name, store.to_str().expect("a path")])
}

/// What the store has: the token and the writer of each day.
fn rows(store: &Path) -> BTreeMap<usize, (u64, String)> {
    let mut rows = BTreeMap::new();
    for row in fs::read_to_string(store).unwrap_or_default().lines() {
        let [day, token, name] = row.split(' ').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let written = (token.parse().expect("a token"), name.to_owned());
        let before = rows.insert(day.parse().expect("a day"), written);
        assert!(before.is_none(), "day {day} was written twice");
    }
    rows
}

async fn wait_days(store: &Path, days: usize) -> BTreeMap<usize, (u64, String)> {
    let deadline = Instant::now() + BOUND;
    loop {
        let rows = rows(store);
        if rows.len() >= days {
            return rows;
        }
        assert!(Instant::now() < deadline, "no day {days}: {rows:?}");
        sleep(LOOK).await;
    }
}

/// How often a process has said this.
fn said(instance: &Process, text: &str) -> usize {
    instance.lines().iter().filter(|line| line.contains(text)).count()
}

fn leader(rows: &BTreeMap<usize, (u64, String)>) -> String {
    rows.last_key_value().expect("a day").1.1.clone()
}

#[tokio::test]
async fn the_daily_job_is_run_once_a_day_whatever_becomes_of_its_leader() {
    let cluster = cluster(3, 2).await;
    let directory = TempDir::with_prefix("holdfast-daily-job-").unwrap();
    let store = directory.path().join("store");
    let names = ["a", "b", "c", "d", "e"];
    let mut instances: BTreeMap<_, _> =
        names.into_iter().map(|name| (name.to_owned(), instance(&cluster, name, &store))).collect();

    // One of them leads, and all see who.
    let first = leader(&wait_days(&store, 2).await);
    for (name, instance) in &instances {
        let seen = format!("{name}: the leader is {first}");
        instance.wait_for_line(&seen, BOUND).await.unwrap();
    }

    // Killed: exactly one other takes over.
    let mut killed = instances.remove(&first).unwrap();
    killed.kill().unwrap();
    let days = rows(&store).len();
    let second = leader(&wait_days(&store, days + 2).await);
    assert_ne!(first, second);
    let elected = instances.values().map(|instance| said(instance, "elected")).sum::<usize>();
    assert_eq!(elected, 1);

    // Frozen in the middle of its job: another one takes over, and the store refuses it when it wakes up.
    let frozen = instances.remove(&second).unwrap();
    freeze_at_work(&frozen, &store).await;
    let days = rows(&store).len();
    let third = leader(&wait_days(&store, days + 1).await);
    assert_ne!(second, third);
    frozen.thaw().unwrap();
    frozen.wait_for_line("refused by the store", BOUND).await.unwrap();
    frozen.wait_for_line("no longer the leader", BOUND).await.unwrap();

    // `rows` has seen that no day was written twice. Tokens never went down.
    let rows = rows(&store);
    let tokens: Vec<_> = rows.values().map(|(token, _)| *token).collect();
    assert!(tokens.is_sorted(), "{rows:?}");
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), (1..=rows.len()).collect::<Vec<_>>());
}

/// Freezes the leader between the beginning of a day and its write.
async fn freeze_at_work(leader: &Process, store: &Path) {
    loop {
        let day = rows(store).len() + 1;
        leader.wait_for_line(&format!("day {day} begins"), BOUND).await.expect("a day");
        leader.freeze().expect("a frozen leader");
        if rows(store).len() < day {
            return;
        }
        // Too late: it had written already.
        leader.thaw().expect("a leader that goes on");
    }
}

/// The term after which nobody leads; 0: somebody does, or nobody ever did.
fn vacant_after(seen: &WatchLeaderResponse) -> u64 {
    match &seen.state {
        Some(State::Vacant(vacant)) => vacant.last_fencing_token,
        _ => 0,
    }
}

#[tokio::test]
async fn the_first_example_takes_a_lock_and_gives_it_back() {
    let cluster = cluster(3, 1).await;
    let resource = "invoices/2026-11";
    let mut watch = cluster.replicas[0].watch(resource).await.unwrap();
    let mut lock = example(&cluster, "lock", "lock", &[]);
    assert!(lock.wait_exit(BOUND).await.unwrap().success(), "{}", lock.quote());
    // Somebody has had it.
    watch.until(|seen| vacant_after(seen) > 0).await;
    let described = cluster.replicas[0].describe(resource).await.unwrap();
    assert!(described.masters.iter().all(|master| master.fencing_token == 0), "{described:#?}");
}

/// Waits until the process does not die of this signal any more: it may have said something before that.
async fn wait_listening(process: &Process, signal: Signal) {
    let deadline = Instant::now() + BOUND;
    let caught = || {
        let status =
            fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a process");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask");
        let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask");
        caught & (1 << (signal.as_raw() - 1)) != 0
    };
    while !caught() {
        assert!(Instant::now() < deadline, "it does not listen{}", process.quote());
        sleep(LOOK).await;
    }
}

#[tokio::test]
async fn an_observer_sees_who_is_elected_and_resigns() {
    let cluster = cluster(3, 1).await;
    let observe = example(&cluster, "observe", "observe", &[]);
    observe.wait_for_line("nobody leads", BOUND).await.unwrap();
    let mut election = example(&cluster, "election", "election", &[]);
    let elected = election.wait_for_line("elected, term ", BOUND).await.unwrap();
    let term = elected.strip_prefix("elected, ").unwrap();
    let seen = observe.wait_for_line(" leads at 10.0.0.7:8080, ", BOUND).await.unwrap();
    assert!(seen.ends_with(term), "{seen}");
    wait_listening(&election, Signal::INT).await;
    election.signal(Signal::INT).unwrap();
    election.wait_for_line("resigned", BOUND).await.unwrap();
    assert!(election.wait_exit(BOUND).await.unwrap().success());
}

#[tokio::test]
async fn a_lock_is_held_by_a_stream_for_longer_than_its_ttl() {
    let cluster = cluster(3, 1).await;
    let mut first = example(&cluster, "hold", "first", &[]);
    let held = first.wait_for_line("held with token ", BOUND).await.unwrap();
    let second = example(&cluster, "hold", "second", &[]);
    second.wait_for_line("1 before us", BOUND).await.unwrap();
    first.wait_for_line("Released", BOUND).await.unwrap();
    assert!(first.wait_exit(BOUND).await.unwrap().success());
    let next = second.wait_for_line("held with token ", BOUND).await.unwrap();
    assert!(next.split(' ').nth(3) > held.split(' ').nth(3), "{next} {held}");
}

#[tokio::test]
async fn a_client_with_a_token_comes_in_by_tls() {
    let secured = Secured::start().await.expect("a replica");
    let secure = |token: &Path| {
        let program = binaries::built("examples/secure").expect("an example");
        Process::spawn("secure", program, |command| {
            command.arg(secured.certificates.ca()).arg(token);
            command.arg(format!("https://{}", secured.address()));
        })
        .expect("a client")
    };
    secure(&secured.token_file).wait_for_line("held with token ", BOUND).await.unwrap();
    let folder = TempDir::new().unwrap();
    let unknown = folder.path().join("token");
    fs::write(&unknown, "hft_of-somebody-else").unwrap();
    secure(&unknown).wait_for_line("who is this? ", BOUND).await.unwrap();
}
