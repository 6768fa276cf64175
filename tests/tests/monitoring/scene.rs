//! A deployment with something of everything to see: locks that are taken, waited for, renewed, given back and
//! lost, streams, and a master that went away and came back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::streams::{by_connection, start};
use holdfast_tests::tools;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::prometheus::Prometheus;

const TTL: Duration = Duration::from_secs(5);
const ONCE: Duration = Duration::ZERO;
/// For the turn of those who wait.
const WAIT: Duration = Duration::from_secs(20);
/// So that a scene does not take the machine for itself.
const PAUSE: Duration = Duration::from_millis(20);

/// The deployment, who uses it, and who watches. Dropped, all of it ends.
pub(crate) struct Scene {
    pub(crate) prometheus: Prometheus,
    _users: JoinSet<()>,
    _cluster: Arc<Cluster>,
}

impl Scene {
    /// `None` without a Prometheus on this machine.
    pub(crate) async fn start() -> Option<Scene> {
        let program: PathBuf = tools::find("prometheus")?;
        let options = ClusterOptions {
            master_settings: vec!["command_timeout = \"500ms\"".to_owned()],
            ..ClusterOptions::default()
        };
        let mut cluster = Cluster::start(3, 2, options).await.expect("a cluster");
        let replicas: Vec<_> = cluster.replicas.iter().map(|it| it.admin_address()).collect();
        let prometheus = Prometheus::start(&program, &replicas).await.expect("a Prometheus");
        cluster.masters[2].kill().expect("killed");
        let cluster = Arc::new(cluster);
        let mut users = JoinSet::new();
        for user in 0..2 {
            users.spawn(use_it(Arc::clone(&cluster), user));
        }
        Some(Scene { prometheus, _users: users, _cluster: cluster })
    }
}

/// Over and over, until the scene ends. A round that a slow machine breaks is followed by another.
async fn use_it(cluster: Arc<Cluster>, user: usize) {
    for round in 0_u64.. {
        let broken = tokio::spawn(go_round(Arc::clone(&cluster), user, round)).await.is_err();
        if broken {
            sleep(TTL).await;
        }
    }
}

async fn go_round(cluster: Arc<Cluster>, user: usize, round: u64) {
    let replica = &cluster.replicas[user % cluster.replicas.len()];
    let id = |what: &str| format!("{what} of {user} in {round}");
    let own = format!("own/{user}");
    // What was hung up in the round before is given back soon.
    let lease = replica.acquire(&own, &id("own"), TTL, WAIT).await.expect("granted").lease();
    replica.acquire(&own, &id("late"), TTL, ONCE).await.expect("an answer").held();
    let renewed = replica.extend(&lease, TTL).await.expect("renewed");

    // Another waits for it, here.
    let hold = start(&own, &id("hold"), TTL);
    let mut hold = replica.hold(by_connection(hold)).await.expect("a stream");
    replica.release(&renewed).await.expect("given back");
    hold.granted().await;
    replica.extend(&lease, TTL).await.expect_err("it is lost");
    // Its client gives it back, or goes away.
    if round.is_multiple_of(2) {
        hold.release();
        hold.event().await;
    }
    drop(hold);

    // The same for all users.
    let shared = replica.acquire("shared", &id("shared"), TTL, WAIT).await;
    let shared = shared.expect("an answer").lease();
    sleep(PAUSE).await;
    replica.release(&shared).await.expect("given back");
}
