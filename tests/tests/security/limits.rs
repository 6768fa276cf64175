//! How much callers may use: whoever has too much is told when to come again, and the others are served.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use holdfast_proto::errors::reason as reasons;
use holdfast_proto::v1::{AcquireRequest, KeepAliveRequest, ReleaseOutcome, keep_alive_response};
use holdfast_tests::calls::reason;
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::streams::wire;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::scene::{Client, Files, auth, dev, new_token};

const TTL: Duration = Duration::from_secs(10);

/// Two callers of a replica with these limits.
async fn two(limits: &str) -> (Files, Holdfastd, Client, Client) {
    let files = Files::new();
    let ((a, entry), (b, other)) = (new_token("a").await, new_token("b").await);
    let tokens = files.write("tokens.toml", format!("{entry}{other}"));
    let replica =
        dev(&format!("{}\n[limits]\n{limits}\n", auth(&[("tokens_file", &tokens)]))).await;
    let (a, b) =
        (Client::with_token(replica.channel(), &a), Client::with_token(replica.channel(), &b));
    (files, replica, a, b)
}

/// Refused for what there is too much of; when to come again.
fn exhausted<T>(outcome: Result<T, Status>, why: &str) -> Duration {
    let Err(status) = outcome else { panic!("not refused: {why}") };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason(&status).as_deref(), Some(why));
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let retry = retry.expect("when to come again");
    let trailer = status
        .metadata()
        .get("holdfast-retry-after-ms")
        .expect("in a test")
        .to_str()
        .expect("in a test");
    assert_eq!(trailer.parse::<u128>().expect("in a test"), retry.as_millis());
    retry
}

fn waiting(resource: &str, lease_id: &str) -> AcquireRequest {
    AcquireRequest {
        resource: resource.to_owned(),
        lease_id: lease_id.to_owned(),
        wait: Some(wire(TTL)),
        ttl: Some(wire(TTL)),
        ..AcquireRequest::default()
    }
}

#[tokio::test]
async fn so_many_calls_a_second_of_one_caller_and_of_all() {
    let (_files, replica, a, b) =
        two("requests_per_second = 1000000\nper_identity = { requests_per_second = 5 }").await;
    let refused = async || {
        for _ in 0..1_000 {
            a.status().await?;
        }
        Ok::<(), Status>(())
    };
    let retry = exhausted(refused().await, reasons::RATE_LIMITED);
    assert!(retry <= Duration::from_secs(1), "{retry:?}");
    b.status().await.expect("another caller is not concerned");
    tokio::time::sleep(retry).await;
    a.status().await.expect("when it was told to come again");
    let metrics = replica.http_get("/metrics").await.unwrap().body;
    let counted = "holdfast_limited_total{limit=\"requests\",scope=\"identity\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn so_many_leases_waiters_and_streams() {
    let (_files, _replica, a, b) =
        two("max_streams = 3\nper_identity = { max_leases = 2, max_waiters = 1, max_streams = 2 }")
            .await;
    // Leases.
    let one = a.acquire("one").await.unwrap().unwrap();
    a.acquire("two").await.unwrap().unwrap();
    exhausted(a.acquire("three").await, reasons::TOO_MANY_LEASES);
    assert!(b.acquire("one").await.unwrap().is_none(), "what is not granted is not counted");
    b.acquire("three").await.unwrap().unwrap();
    b.acquire("four").await.unwrap().unwrap();
    exhausted(b.acquire("five").await, reasons::TOO_MANY_LEASES);
    let again = AcquireRequest {
        resource: "one".to_owned(),
        lease_id: one.lease_id.clone(),
        ..AcquireRequest::default()
    };
    let stale = one;
    let one = a.acquire_as(again).await.unwrap().expect("a retry is not one more");
    let outcome = a.release(&stale).await.unwrap();
    assert_eq!(outcome, ReleaseOutcome::HeldByAnother, "a stale token releases nothing");
    exhausted(a.acquire("three").await, reasons::TOO_MANY_LEASES);
    a.release(&one).await.unwrap();

    // Waiters: the place is free again when the wait ends.
    let waits = tokio::spawn({
        let a = a.clone();
        async move { a.acquire_as(waiting("three", "w1")).await }
    });
    for _ in 0..1_000 {
        if b.describe("three").await.unwrap().waiter_count == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    exhausted(a.acquire_as(waiting("four", "w2")).await, reasons::QUEUE_FULL);
    waits.abort();

    // Streams: two of one caller, three of all.
    let (_first, _second) = (a.watch("x").await.unwrap(), a.watch("y").await.unwrap());
    exhausted(a.watch("z").await, reasons::TOO_MANY_STREAMS);
    let third = b.watch("x").await.unwrap();
    exhausted(b.watch("z").await, reasons::TOO_MANY_STREAMS);
    drop(third);
}

#[tokio::test]
async fn so_many_connections_and_whoever_says_nothing_does_not_stay() {
    let (_files, replica, a, _) = two("max_connections = 2\nhandshake_timeout = \"1s\"").await;
    a.status().await.unwrap();
    let address = replica.grpc_address();
    let mut silent = TcpStream::connect(address).unwrap();
    silent.write_all(b"PRI * HTTP/2.0").unwrap();
    // The one place that is left is taken until the time for the handshake is over.
    let refused = async |reason: &str| {
        let metrics = replica.http_get("/metrics").await.unwrap().body;
        let line = format!("holdfast_connections_refused_total{{reason=\"{reason}\"}} ");
        let count = metrics.lines().find_map(|text| text.strip_prefix(&line).map(str::to_owned));
        count.expect("it is there from the start").parse::<f64>().unwrap()
    };
    let mut over = false;
    for _ in 0..1_000 {
        let mut more = TcpStream::connect(address).unwrap();
        let _ = more.write_all(b"x");
        if refused("too_many").await > 0.0 {
            over = true;
            break;
        }
    }
    assert!(over, "a third connection is refused");
    for _ in 0..1_000 {
        if refused("handshake").await > 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refused("handshake").await > 0.0);
    a.status().await.expect("who was there is served");
    let other = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    for _ in 0..1_000 {
        if other.connect().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there is a place again");
}

#[tokio::test]
async fn a_stream_that_says_too_much_is_not_read_for_a_while() {
    let replica = dev("[limits]\nrequests_per_second = 100").await;
    let began = tokio::time::Instant::now();
    let mut stream = replica.keep_alive().await.unwrap();
    for sequence in 1..=20_000 {
        stream.send(KeepAliveRequest { sequence, extend: None });
    }
    let mut refused = 0;
    while refused < 100 {
        let answer = stream.message().await.unwrap().expect("an answer to each");
        let Some(keep_alive_response::Result::Error(error)) = answer.result else {
            panic!("{answer:?}")
        };
        refused += u32::from(error.reason == reasons::RATE_LIMITED);
    }
    // Read without a pause they come in a few milliseconds. A slow machine only takes longer.
    let least = (refused - 1) * Duration::from_millis(20);
    assert!(began.elapsed() >= least, "{refused} in {:?}", began.elapsed());
}
