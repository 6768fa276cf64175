//! Envoy and nginx between clients and replicas, as docs/operations/proxies.md has them: what passes, what survives, and
//! what is said of the rest. With the Rust client, and with generated stubs as any language has them.

mod ages;
mod clients;
mod names;
mod passage;
mod quiet;
mod replicas;

use std::net::SocketAddr;
use std::time::Duration;

use holdfast_client::{Client, Error, Guard, LeaderState, Lock, Observation, UnknownReason, Watch};
use holdfast_proto::v1::{AcquireRequest, WatchLeaderRequest};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::edge::Edge;
use holdfast_tests::streams::start;
use tokio::time::timeout;

/// Longer than any test takes: what comes does not come because a lease ran out.
const LONG: Duration = Duration::from_secs(60);
/// Of leases that run out.
const SHORT: Duration = Duration::from_secs(3);
/// Of leases that are renewed often, and outlast the stalls of a slow machine.
const KEPT: Duration = Duration::from_secs(9);
/// Longer than anything takes, so that nothing hangs.
const BOUND: Duration = Duration::from_secs(60);

/// A test of each proxy. The one that is not installed ends there.
macro_rules! with_both {
    ($($case:ident)+) => {
        mod envoy {
            use holdfast_tests::edge::Kind::Envoy;
            $(#[tokio::test] async fn $case() { super::$case(Envoy).await; })+
        }
        mod nginx {
            use holdfast_tests::edge::Kind::Nginx;
            $(#[tokio::test] async fn $case() { super::$case(Nginx).await; })+
        }
    };
}
use with_both;

/// The proxy of a test; the test of one that is not installed ends there.
macro_rules! edge {
    ($edge:expr) => {
        match $edge.await.expect("a proxy") {
            Some(edge) => edge,
            None => return,
        }
    };
}
use edge;

/// Masters that may take their time: nothing is about timeouts.
fn options() -> ClusterOptions {
    ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    }
}

/// Three masters, and replicas that are ready.
async fn cluster(replicas: usize) -> Cluster {
    cluster_with(replicas, options()).await
}

async fn cluster_with(replicas: usize, options: ClusterOptions) -> Cluster {
    let cluster = Cluster::start(3, replicas, options).await.expect("a cluster");
    for replica in &cluster.replicas {
        replica.wait_readyz(200, "").await.expect("ready");
    }
    cluster
}

/// Where its replicas are.
fn addresses(cluster: &Cluster) -> Vec<SocketAddr> {
    cluster.replicas.iter().map(|replica| replica.grpc_address()).collect()
}

/// A Rust client that knows the proxy alone.
fn client(edge: &Edge, holder: &str) -> Client {
    client_via(edge, edge.address(), holder)
}

/// The same over a network that can be broken.
fn client_via(edge: &Edge, address: SocketAddr, holder: &str) -> Client {
    let tls = edge.certificates.grpc_client_anonymous().expect("an authority");
    let client = Client::builder().address(format!("https://{address}"));
    client.tls(tls).holder(holder).build().expect("a client")
}

/// Somebody else's view of a lock that is held.
async fn expect_busy(lock: Lock, holder: &str) {
    match lock.ttl(SHORT).acquire().await {
        Err(Error::Busy(held)) => assert_eq!(held.holder, holder),
        other => panic!("expected {holder} to hold it, was told {other:?}"),
    }
}

/// Waits until the lease has been renewed so often.
async fn renewed(guard: &Guard, times: usize) {
    for _ in 0..times {
        let renewed = timeout(BOUND, guard.renewed()).await.expect("a renewal or a loss");
        if let Err(reason) = renewed {
            panic!("lost: {reason}");
        }
    }
}

/// What a Rust client says of a leader next.
async fn observed(watch: &mut Watch) -> Observation {
    timeout(BOUND, watch.next()).await.expect("a state").expect("no error")
}

/// Reads until this term leads. Returns how often the stream was cut meanwhile; no other term is shown.
async fn led(watch: &mut Watch, term: u64) -> usize {
    let mut cut = 0;
    loop {
        match observed(watch).await.state {
            LeaderState::Led(leader) if leader.term == term => return cut,
            LeaderState::Unknown(UnknownReason::Unreachable) => cut += 1,
            LeaderState::Unknown(_) => {}
            other => panic!("expected term {term}, was shown {other:?}"),
        }
    }
}

/// An acquire that tries once.
fn once(resource: &str, lease_id: &str) -> AcquireRequest {
    let acquire = start(resource, lease_id, LONG).acquire.expect("an acquire");
    AcquireRequest { wait: None, ..acquire }
}

/// A watch without bookmarks.
fn watch_of(resource: &str) -> WatchLeaderRequest {
    WatchLeaderRequest { resource: resource.to_owned(), ..WatchLeaderRequest::default() }
}
