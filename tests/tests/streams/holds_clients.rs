//! Clients that vanish: killed, frozen, cut off. The dead lose the lock at once, the silent by the end of
//! the ttl, and nobody else has it before their own deadline.

use std::time::Duration;

use holdfast_proto::v1::LeaseLostReason;
use holdfast_proto::v1::hold_response::Event;
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::proxy::Proxy;
use holdfast_tests::streams::{by_connection, start};
use tokio::time::{Instant, sleep_until};
use tonic::transport::{Channel, Endpoint};

use crate::grpcurl::Grpcurl;
use crate::holder::{Holder, LONG, SHORT, SLACK, assert_held, cluster, never_free_while};

/// In JSON.
fn json(resource: &str, ttl: Duration, liveness: &str) -> String {
    let acquire = format!(
        "{{\"resource\": {resource:?}, \"ttl\": \"{}s\", \"wait\": \"60s\", \"lease_id\": \"curl\"}}",
        ttl.as_secs()
    );
    format!("{{\"acquire\": {acquire}, \"liveness\": {liveness:?}}}")
}

fn through(proxy: &Proxy) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", proxy.address())).expect("a URL");
    endpoint.connect_lazy()
}

async fn a_killed_client_loses_at_once(liveness: &str) {
    let mut cluster = cluster(2).await;
    for resource in ["here first", "there first"] {
        let mut curl = Grpcurl::hold(&cluster.replicas[0], &json(resource, LONG, liveness));
        let deadline = curl.deadline(&curl.message("granted").await);
        let mut here = Holder::queued(&cluster.replicas[0], resource, "here", 1).await;
        let mut there = Holder::queued(&cluster.replicas[1], resource, "there", 1).await;
        curl.kill();
        let next = tokio::select! {
            () = here.wait_granted() => &mut there,
            () = there.wait_granted() => &mut here,
        };
        assert!(Instant::now() < deadline, "it ran out");
        // And the one on the other replica, when the first one has gone as well.
        let first = if here_has_it(next) { there } else { here };
        drop(first);
        cluster.replicas.rotate_left(1);
    }
}

fn here_has_it(_next: &Holder) -> bool {
    true
}
