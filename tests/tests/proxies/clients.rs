//! Clients that die, freeze or are cut off before the proxy, which goes on speaking for them as long as it likes.

use holdfast_client::ReleaseOutcome;
use holdfast_proto::v1::HoldStart;
use holdfast_tests::calls::reason;
use holdfast_tests::cli::Cli;
use holdfast_tests::edge::Kind;
use holdfast_tests::process::Process;
use holdfast_tests::proxy::Proxy;
use holdfast_tests::streams::{HoldStream, by_connection, hold_with, start};
use tokio::time::Instant;
use tonic::transport::Endpoint;

use super::*;

with_both! {
    a_client_that_dies_gives_its_lock_back_at_once
    a_client_that_freezes_loses_its_lock_at_the_end_of_its_ttl
    a_client_that_is_cut_off_loses_its_lock_at_the_end_of_its_ttl
    by_connection_alone_it_is_held_for_as_long_as_the_proxy_likes
}

/// How much later than at the end of its ttl a lease may be somebody else's, on a slow machine.
const SLACK: Duration = Duration::from_secs(20);

/// A process that holds a lock by heartbeats on a stream.
async fn holder(edge: &Edge, ttl: &str) -> Process {
    let ca = edge.certificates.ca();
    let ca = ca.to_str().expect("text");
    let args = ["elect", "r", "--ttl", ttl, "--holder", "victim", "--ca", ca];
    let holder = Cli::at([edge.url()]).start(args);
    holder.wait_for_line("elected", BOUND).await.expect("it holds");
    holder
}

/// The next one that holds it, waiting for it through a replica itself.
async fn next(cluster: &Cluster, wait: Duration) -> Instant {
    cluster.acquire(0, "r", "next", SHORT, wait).await.expect("an answer").lease();
    Instant::now()
}

async fn a_client_that_dies_gives_its_lock_back_at_once(kind: Kind) {
    let cluster = cluster(1).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let mut victim = holder(&edge, "60s").await;
    victim.kill().expect("a signal");
    // Its lease has a minute.
    next(&cluster, LONG / 2).await;
}

async fn a_client_that_freezes_loses_its_lock_at_the_end_of_its_ttl(kind: Kind) {
    let cluster = cluster(1).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let victim = holder(&edge, "3s").await;
    victim.freeze().expect("a signal");
    let frozen = Instant::now();
    let taken = next(&cluster, LONG).await;
    assert!(taken < frozen + SHORT + SLACK, "{:?}", taken - frozen);
    victim.thaw().expect("a signal");
    victim.wait_for_line("lost", BOUND).await.expect("a line");
}

/// A Hold over a network that can be cut off.
async fn over(edge: &Edge, network: &Proxy, start: HoldStart) -> HoldStream {
    let channel = edge.channel_via(network.address()).expect("a channel");
    let mut hold = hold_with(channel, start).await.expect("a stream");
    hold.granted().await;
    hold
}

async fn a_client_that_is_cut_off_loses_its_lock_at_the_end_of_its_ttl(kind: Kind) {
    let cluster = cluster(1).await;
    let edge = edge!(Edge::start_with(kind, &addresses(&cluster), for_ever(kind)));
    let network = Proxy::start(edge.address()).expect("a network");
    let _hold = over(&edge, &network, start("r", "a", SHORT)).await;
    network.hang();
    let cut = Instant::now();
    let taken = next(&cluster, LONG).await;
    assert!(taken < cut + SHORT + SLACK, "{:?}", taken - cut);
}

/// Without the pings of Envoy; nginx has none.
fn for_ever(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Envoy => &[(PINGS, "")],
        Kind::Nginx => &[],
    }
}

/// To clients.
const PINGS: &str = "\
# Whoever does not answer is gone, and so are its streams: the bound of LIVENESS_CONNECTION.
                  connection_keepalive: { interval: 10s, timeout: 10s }";

/// The control to the next one: that a proxy tells nothing is why heartbeats are the default.
async fn by_connection_alone_it_is_held_for_as_long_as_the_proxy_likes(kind: Kind) {
    let cluster = cluster(1).await;
    let edge = edge!(Edge::start_with(kind, &addresses(&cluster), for_ever(kind)));
    let network = Proxy::start(edge.address()).expect("a network");
    let hold = over(&edge, &network, by_connection(start("r", "a", KEPT))).await;
    network.hang();
    let other = cluster.acquire(0, "r", "next", SHORT, 2 * KEPT).await.expect("an answer");
    assert_eq!(other.held().holder, "holder of a");
    drop(hold);
}

/// The bound of docs/operations/proxies.md, with shorter numbers.
#[tokio::test]
async fn pings_of_envoy_end_what_is_held_by_connection() {
    let cluster = cluster(1).await;
    let pings = "connection_keepalive: { interval: 1s, timeout: 1s }";
    let edge = edge!(Edge::start_with(Kind::Envoy, &addresses(&cluster), &[(PINGS, pings)]));
    let network = Proxy::start(edge.address()).expect("a network");
    let hold = over(&edge, &network, by_connection(start("r", "a", LONG))).await;
    network.hang();
    // Given back, and not run out: its lease has a minute.
    next(&cluster, LONG / 2).await;
    drop(hold);
}

/// The same without a proxy, by the pings of the server: 20 s, and as long again as 10 s and the longest ttl.
#[tokio::test]
async fn pings_of_the_server_end_what_is_held_by_connection() {
    let args = ["--max-ttl", "9s", "--clock-skew", "5s"].map(str::to_owned).to_vec();
    let cluster = cluster_with(1, ClusterOptions { args, ..options() }).await;
    let network = Proxy::start(cluster.replicas[0].grpc_address()).expect("a network");
    let endpoint = Endpoint::from_shared(format!("http://{}", network.address())).unwrap();
    let request = by_connection(start("r", "a", KEPT));
    let mut hold = hold_with(endpoint.connect_lazy(), request).await.expect("a stream");
    hold.granted().await;
    network.hang();
    let cut = Instant::now();
    let taken = next(&cluster, LONG).await;
    assert!(taken - cut > Duration::from_secs(20), "its ttl is no bound: {:?}", taken - cut);
    drop(hold);
}

/// The control: why a short `client_body_timeout` is no way to notice clients that are gone.
#[tokio::test]
async fn nginx_by_itself_ends_what_a_client_says_nothing_on() {
    let cluster = cluster(1).await;
    let changes = [("client_body_timeout 1d", "client_body_timeout 1s")];
    let edge = edge!(Edge::start_with(Kind::Nginx, &addresses(&cluster), &changes));
    let request = by_connection(start("r", "a", LONG));
    let mut hold = hold_with(edge.channel().expect("a channel"), request).await.expect("a stream");
    hold.granted().await;
    let cut = async {
        loop {
            if let Err(status) = hold.message().await {
                return status;
            }
        }
    };
    let cut = timeout(BOUND, cut).await.unwrap();
    assert_eq!(reason(&cut), None, "{cut:?}");
}

/// A client that answers pings and is well is not taken for one that is gone.
#[tokio::test]
async fn pings_of_envoy_leave_those_alone_that_answer() {
    let cluster = cluster(1).await;
    let pings = "connection_keepalive: { interval: 0.1s, timeout: 20s }";
    let edge = edge!(Edge::start_with(Kind::Envoy, &addresses(&cluster), &[(PINGS, pings)]));
    let guard = client(&edge, "one").lock("r").ttl(KEPT).hold().await.expect("a lock");
    renewed(&guard, 2).await;
    assert_eq!(guard.release().await.expect("it is still there"), ReleaseOutcome::Released);
}
