//! DNS round robin: one name, the address of every replica behind it, and clients that know the name alone.
//!
//! A process gets an /etc/hosts of its own: what it asks is the resolver of the system, as ever.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use holdfast_tests::cli::Cli;
use holdfast_tests::ports;
use holdfast_tests::process::Process;
use holdfast_tests::proxy::Proxy;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::*;

const NAME: &str = "locks.test";
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
/// How often something is looked at that tells nobody of its changes.
const LOOK: Duration = Duration::from_millis(20);

/// Two replicas, and the networks to them at the addresses of the name.
struct Scene {
    cluster: Cluster,
    networks: Vec<Proxy>,
    directory: TempDir,
}

impl Scene {
    /// `None`: no process may have files of its own here.
    async fn start() -> Option<Scene> {
        let may = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
        let may = may.is_ok_and(|status| status.success());
        let excused = std::env::var("CI").as_deref() != Ok("true");
        assert!(may || excused, "unshare (util-linux) is not allowed to make a mount namespace");
        if !may {
            return None;
        }
        let cluster = cluster(2).await;
        let port = ports::free();
        let networks = ADDRESSES.iter().zip(&cluster.replicas).map(|(address, replica)| {
            let address = SocketAddr::from((*address, port));
            Proxy::start_at(address, replica.grpc_address()).expect("a network")
        });
        let networks = networks.collect();
        let directory = TempDir::with_prefix("holdfast-names-").expect("a directory");
        let hosts = ADDRESSES.map(|address| format!("{address} {NAME}\n")).concat();
        fs::write(directory.path().join("hosts"), hosts).expect("a file");
        Some(Scene { cluster, networks, directory })
    }

    /// The command line, which is given the name.
    fn holdfast(&self, args: &[&str]) -> Process {
        let server = format!("http://{NAME}:{}", self.networks[0].address().port());
        let process = Process::spawn("holdfast", "unshare", |command| {
            command.args(["--map-root-user", "--mount", "sh", "-c"]);
            command.arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"");
            command.arg(self.directory.path().join("hosts")).arg(Cli::program()).args(args);
            command.args(["--server", &server]);
        });
        process.expect("a process")
    }

    /// Which of the two it went to.
    fn used(&self) -> usize {
        let used = self.networks.iter().position(|network| network.accepted() > 0);
        used.expect("one of them")
    }

    async fn wait_used(&self, index: usize) {
        let deadline = Instant::now() + BOUND;
        while self.networks[index].accepted() == 0 {
            assert!(Instant::now() < deadline, "the other address is not used");
            sleep(LOOK).await;
        }
    }
}

const LEADER: [&str; 6] = ["elect", "r", "--ttl", "60s", "--holder", "leader"];

#[tokio::test]
async fn when_the_address_in_use_falls_silent_the_next_one_is_used_and_no_lock_is_lost() {
    let Some(scene) = Scene::start().await else { return };
    let mut leader = scene.holdfast(&LEADER);
    leader.wait_for_line("elected", BOUND).await.expect("a line");
    let used = scene.used();
    scene.networks[used].hang();
    let other = &scene.cluster.replicas[1 - used];
    other.wait_status(BOUND, |status| status.streams > 0).await.expect("a status");
    // The same leader, in the same term: one that had lost it would have ended.
    assert!(!leader.has_ended(), "{}", leader.quote());
    let held = other.acquire("r", "b", SHORT, Duration::ZERO).await.expect("an answer").held();
    assert_eq!(held.holder, "leader");
    leader.kill().expect("a signal");
}

#[tokio::test]
async fn when_the_address_in_use_is_gone_the_next_one_is_used() {
    let Some(mut scene) = Scene::start().await else { return };
    let watch = scene.holdfast(&["watch", "r"]);
    watch.wait_for_line("free", BOUND).await.expect("a line");
    let used = scene.used();
    scene.networks[used].cut().await;
    scene.wait_used(1 - used).await;
    let replica = &scene.cluster.replicas[used];
    replica.acquire("r", "a", LONG, Duration::ZERO).await.expect("an answer").lease();
    watch.wait_for_line("holder of a", BOUND).await.expect("a line");
}

#[tokio::test]
async fn clients_of_a_name_are_spread_over_its_addresses() {
    let Some(scene) = Scene::start().await else { return };
    // Each begins with one of them at random: both, unless it is heads a hundred times.
    for _ in 0..100 {
        let mut status = scene.holdfast(&["status"]);
        assert!(status.wait_exit(BOUND).await.unwrap().success(), "{}", status.quote());
        if scene.networks.iter().all(|network| network.accepted() > 0) {
            return;
        }
    }
    panic!("all of them went to one address");
}
