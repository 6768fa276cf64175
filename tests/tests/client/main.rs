//! The Rust client, as a service uses it, on real masters and replicas.
//!
//! Deliberately absent: what the server does (`locks`, `outages`, `streams`), and the command line (`cli`).

mod elections;
mod holds;
mod locks;
mod retries;
mod sessions;
mod tokens;

mod examples;

use std::net::SocketAddr;
use std::time::Duration;

use holdfast_client::{Client, Error, Guard, Lock};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use tokio::time::{Instant, sleep, timeout};

/// Longer than any test takes: what comes does not come because a lease ran out.
const LONG: Duration = Duration::from_secs(60);
/// Of leases that run out.
const SHORT: Duration = Duration::from_secs(3);
/// Of leases that are kept by renewals, on a machine that stands still for seconds.
const KEPT: Duration = Duration::from_secs(12);
/// Longer than anything takes, so that nothing hangs.
const BOUND: Duration = Duration::from_secs(40);
/// How often something is looked at that tells nobody of its changes.
const LOOK: Duration = Duration::from_millis(20);

async fn cluster(masters: usize, replicas: usize) -> Cluster {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        // Higher than the default, for machines that are slow.
        master_settings: vec!["command_timeout = \"300ms\"".to_owned()],
        ..ClusterOptions::default()
    };
    Cluster::start(masters, replicas, options).await.expect("a cluster")
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A client that knows these replicas, the first one first.
fn client(cluster: &Cluster, replicas: impl IntoIterator<Item = usize>, holder: &str) -> Client {
    let addresses = replicas.into_iter().map(|index| url(cluster.replicas[index].grpc_address()));
    Client::builder().addresses(addresses).holder(holder).build().expect("a client")
}

/// Somebody else's view of a lock that is held.
async fn expect_busy(lock: Lock, holder: &str) {
    match lock.ttl(SHORT).acquire().await {
        Err(Error::Busy(held)) => assert_eq!(held.holder, holder),
        other => panic!("expected {holder} to hold it, was told {other:?}"),
    }
}

/// Waits until no master has a lease of it.
async fn wait_vacant(cluster: &Cluster, resource: &str) {
    let deadline = Instant::now() + BOUND;
    loop {
        let described = cluster.replicas[0].describe(resource).await.expect("a description");
        if described.masters.iter().all(|master| master.fencing_token == 0) {
            return;
        }
        assert!(Instant::now() < deadline, "{described:#?}");
        sleep(LOOK).await;
    }
}

/// Waits until the lease has been renewed.
async fn renewed(guard: &Guard) {
    let renewed = timeout(BOUND, guard.renewed()).await.expect("a renewal or a loss");
    if let Err(reason) = renewed {
        panic!("lost: {reason}");
    }
}
