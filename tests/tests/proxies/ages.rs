//! Connections and streams that a proxy ends because they are old, and clients that ask often whether theirs still lives.

use holdfast_tests::edge::Kind;
use holdfast_tests::proxy::Proxy;
use holdfast_tests::streams::{by_connection, hold_with, start};
use tonic::transport::Endpoint;

use super::*;

with_both! {
    a_connection_that_has_to_go_keeps_its_streams
    a_stream_that_is_cut_is_taken_up_again
    clients_may_ping_often
}

async fn a_connection_that_has_to_go_keeps_its_streams(kind: Kind) {
    let cluster = cluster(2).await;
    let changes = match kind {
        Kind::Envoy => [(
            "codec_type: HTTP2",
            "codec_type: HTTP2\n                drain_timeout: 1s\n                \
             common_http_protocol_options: { max_connection_duration: 1s }",
        )],
        Kind::Nginx => [("keepalive_requests 1000000", "keepalive_requests 4")],
    };
    let edge = edge!(Edge::start_with(kind, &addresses(&cluster), &changes));
    let network = Proxy::start(edge.address()).expect("a network");
    let one = client_via(&edge, network.address(), "one");
    // Without a grace: a stream that ended would cost it.
    let guard = one.lock("r").ttl(KEPT).hold().await.expect("a lock");
    let mut watch = one.watch("r");
    led(&mut watch, guard.fencing_token()).await;
    for turn in 0..4 {
        renewed(&guard, 1).await;
        let other = one.lock(turn.to_string()).ttl(LONG).acquire().await.expect("a lock");
        one.check_fencing_token("r", guard.fencing_token()).await.expect("an answer");
        other.release().await.expect("it is still there");
    }
    assert!(network.accepted() > 1, "it had to connect again");
    guard.publish([("at", "10.0.0.1")]).await.expect("it is still there");
    // On the stream it has had from the beginning.
    assert_eq!(led(&mut watch, guard.fencing_token()).await, 0);
}

async fn a_stream_that_is_cut_is_taken_up_again(kind: Kind) {
    let cluster = cluster(2).await;
    let changes = match kind {
        Kind::Envoy => [(
            "codec_type: HTTP2",
            "codec_type: HTTP2\n                \
             common_http_protocol_options: { max_stream_duration: 2s }",
        )],
        // Less than between two heartbeats.
        Kind::Nginx => [("grpc_read_timeout 1d", "grpc_read_timeout 2s")],
    };
    let edge = edge!(Edge::start_with(kind, &addresses(&cluster), &changes));
    let one = client(&edge, "one");
    let guard = one.lock("r").ttl(LONG).grace(LONG).hold().await.expect("a lock");
    let by_calls = one.lock("calls").ttl(KEPT).acquire().await.expect("a lock");
    tokio::join!(renewed(&guard, 4), renewed(&by_calls, 1));
    expect_busy(client(&edge, "two").lock("r"), "one").await;
    expect_busy(client(&edge, "two").lock("calls"), "one").await;
}

/// No GOAWAY with too_many_pings, which other servers send to who pings every 10 s.
async fn clients_may_ping_often(kind: Kind) {
    let cluster = cluster(1).await;
    let edge = edge!(Edge::start(kind, &addresses(&cluster)));
    let tls = edge.certificates.grpc_client_anonymous().expect("an authority");
    let behind = Proxy::start(edge.address()).expect("a network");
    let direct = Proxy::start(cluster.replicas[0].grpc_address()).expect("a network");
    let behind_url = format!("https://{}", behind.address());
    let endpoints = [
        Endpoint::from_shared(behind_url).expect("a URL").tls_config(tls).expect("TLS"),
        Endpoint::from_shared(format!("http://{}", direct.address())).expect("a URL"),
    ];
    for (turn, endpoint) in endpoints.into_iter().enumerate() {
        let often = endpoint.http2_keep_alive_interval(Duration::from_millis(10));
        let often = often.keep_alive_timeout(BOUND).connect_lazy();
        let request = by_connection(start(&turn.to_string(), "a", KEPT));
        let mut hold = hold_with(often, request).await.expect("a stream");
        hold.granted().await;
        // Three seconds each: hundreds of pings.
        for _ in 0..2 {
            hold.event().await;
        }
    }
    assert_eq!([behind.accepted(), direct.accepted()], [1, 1]);
}
