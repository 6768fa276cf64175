//! Minutes of churn: clients come, hold, wait, watch and vanish in every way, masters and a replica fail,
//! and afterwards nothing is left of it: no stream, task, timer, subscription, connection or key.
//!
//! `HOLDFAST_CHURN_SECONDS` says how long, `HOLDFAST_CHURN_SEED` which choices. What clients see meanwhile
//! is judged by an [`oracle`]. Deliberately absent: what one fault does to one client, which is the other
//! tests'.

mod calling;
mod faults;
mod holder;
mod holding;
mod idle;
mod oracle;
mod plan;
mod scene;
mod watching;

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::proxy::Proxy;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use plan::{Dice, Plan};
use scene::Scene;

const CLIENTS: u64 = 20;
/// Longer than any episode is that gets its answers.
const EPISODE: Duration = Duration::from_secs(60);

/// What must have happened, or the run proves nothing.
const EXERCISED: [&str; 44] = [
    "acquire cancelled",
    "acquire granted",
    "acquire held",
    "connection opened",
    "connections dropped unused",
    "error LEASE_LOST",
    "error of a connection",
    "extended with metadata",
    "fault EmptyMaster",
    "fault FreezeMaster",
    "fault KillReplica",
    "force FORCE_RELEASE_OUTCOME_DELETED",
    "force FORCE_RELEASE_OUTCOME_REVOKED",
    "hold by LIVENESS_CONNECTION",
    "hold by LIVENESS_HEARTBEAT",
    "hold contended",
    "hold ended by Cut",
    "hold ended by Grace",
    "hold ended by HalfClose",
    "hold ended by Hang",
    "hold ended by Release",
    "hold ended by Reset",
    "hold ended by Silence",
    "hold granted",
    "hold lost LEASE_LOST_REASON_REVOKED",
    "hold queued",
    "hold re-attached elsewhere",
    "hold released RELEASE_OUTCOME_RELEASED",
    "hold renewed",
    "keep-alive dropped",
    "keep-alive ended by half-close",
    "keep-alive error INVALID_ARGUMENT",
    "keep-alive renewed",
    "keep-alive told of a loss",
    "release RELEASE_OUTCOME_RELEASED",
    "silence was told",
    "waiter of Acquire vanished",
    "waiter of Hold vanished",
    "watch WATCH_REASON_BOOKMARK",
    "watch WATCH_REASON_ELECTED",
    "watch WATCH_REASON_RELEASED",
    "watch WATCH_REASON_SNAPSHOT",
    "watch dropped",
    "watch read late",
];

/// Expiry and quarantine are over soon.
fn options() -> ClusterOptions {
    ClusterOptions {
        args: ["--max-ttl", "3s", "--clock-skew", "1s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"300ms\"".to_owned()],
        ..ClusterOptions::default()
    }
}

#[tokio::test]
#[expect(
    clippy::print_stderr,
    reason = "the harness shows it with a failed test: the way to repeat it"
)]
async fn churn_leaves_nothing_behind() {
    let number = |name: &str| env::var(name).ok().map(|value| value.parse().expect("a number"));
    let seconds = number("HOLDFAST_CHURN_SECONDS").unwrap_or(600);
    let seed = number("HOLDFAST_CHURN_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    eprintln!("HOLDFAST_CHURN_SECONDS={seconds} HOLDFAST_CHURN_SEED={seed}");

    let cluster = Cluster::start(3, 2, options()).await.unwrap();
    let (baseline, memory) = idle::baseline(&cluster).await.unwrap();
    assert_eq!(baseline.odd(), "", "before anybody came");

    let replicas = [0, 1].map(|index: usize| cluster.replicas[index].grpc_address());
    let scene = Arc::new(Scene::new(replicas, Instant::now() + Duration::from_secs(seconds)));
    let faults = tokio::spawn(faults::befall(Arc::clone(&scene), seed, cluster));
    let mut clients = JoinSet::new();
    for index in 0..CLIENTS {
        clients.spawn(client(Arc::clone(&scene), seed, index));
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let cluster = faults.await.unwrap().unwrap();

    let gone = idle::wait_for(&cluster, &baseline).await;
    let grown = idle::growth(&cluster, &memory);
    eprintln!("{:#?}\nidle after {gone:?}; {grown:?}", scene.counts());
    let violations = std::mem::take(&mut scene.oracle().violations);
    assert!(violations.is_empty(), "{}\n{}", violations.len(), violations.join("\n"));
    gone.unwrap();
    grown.unwrap();
    let missing: Vec<_> =
        EXERCISED.iter().filter(|what| !scene.counts().contains_key(**what)).collect();
    assert!(missing.is_empty(), "never happened in {seconds} s: {missing:?}");
}

/// One client after another in the same place: each begins, does one thing, and is gone.
async fn client(scene: Arc<Scene>, seed: u64, index: u64) {
    let mut networks = [start_network(&scene, 0), start_network(&scene, 1)];
    for episode in 0.. {
        let mut dice = Dice::new(seed, index, episode);
        let (plan, pause) = (Plan::draw(&mut dice), dice.millis(20, 400));
        sleep(pause).await;
        if Instant::now() >= scene.until {
            break;
        }
        let lease_id = format!("client {index}, episode {episode}, of {seed}");
        let act = Box::pin(act(&scene, &mut networks, &lease_id, &plan));
        if timeout(EPISODE, act).await.is_err() {
            scene.oracle().blame(format!("{lease_id} hangs: {plan:?}"));
        }
    }
}

fn start_network(scene: &Scene, replica: usize) -> Proxy {
    Proxy::start(scene.replicas[replica]).expect("a proxy")
}

/// `None`: it ended early, by an error, a loss, or because somebody else holds the lock.
async fn act(scene: &Scene, networks: &mut [Proxy; 2], lease_id: &str, plan: &Plan) -> Option<()> {
    match plan {
        Plan::Hold(plan) => holding::hold(scene, networks, lease_id, plan).await,
        Plan::Vanish(plan) => holding::vanish(scene, networks, lease_id, plan).await,
        Plan::Watch(plan) => watching::watch(scene, plan).await,
        Plan::KeepAlive(plan) => calling::keep_alive(scene, lease_id, plan).await,
        Plan::Acquire(plan) => calling::acquire_and_extend(scene, lease_id, plan).await,
        Plan::Force(plan) => calling::force(scene, lease_id, plan).await,
        Plan::Connect { replica, count } => calling::connect(scene, *replica, *count).await,
    }
}
