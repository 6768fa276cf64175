//! Clients of HTTP/1.1 that mean harm: what they take is bounded in time, size and number, and the others are
//! served all the same.

use std::time::Duration;

use holdfast_proto::v1::AcquireRequest;
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::streams::wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::scene::{Client, dev};

/// Longer than the slowest machine needs for what takes a second.
const BOUND: Duration = Duration::from_secs(60);
/// Less than the 30 s that hyper gives to a head by itself.
const SOON: Duration = Duration::from_secs(25);
const SHORT: &str = "[limits]\nhandshake_timeout = \"1s\"\n";
const BYTE: Duration = Duration::from_millis(50);
/// A call with nothing in it: its answer is about the resource.
const CALL: &str = "POST /holdfast.v1.LockService/Acquire HTTP/1.1\r\nHost: x\r\n\
                    Content-Type: application/grpc-web\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0";

async fn connect(replica: &Holdfastd) -> TcpStream {
    TcpStream::connect(replica.grpc_address()).await.expect("a connection")
}

/// All that is said until the connection ends. A reset is an end.
async fn rest(connection: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let read = timeout(BOUND, connection.read_to_end(&mut said)).await;
    let _ = read.expect("whoever does harm is hung up on");
    String::from_utf8_lossy(&said).into_owned()
}

async fn others_are_served(replica: &Holdfastd) {
    let other = Client::anonymous(replica.channel());
    let lease = other.acquire("others").await.expect("served").expect("nobody else's");
    other.release(&lease).await.expect("served");
}

/// A call of LockService, with this message.
fn call(method: &str, message: &str) -> String {
    let length = u8::try_from(message.len()).expect("it is short");
    let call = CALL.replace("Acquire", method);
    let call = call.replace("Length: 5", &format!("Length: {}", 5 + length));
    call.replace("\0\0\0\0\0", &format!("\0\0\0\0{}{message}", char::from(length)))
}

async fn refused(replica: &Holdfastd) -> f64 {
    metric(replica, "holdfast_connections_refused_total{reason=\"handshake\"} ").await
}

/// It is hung up on first, and counted then.
async fn wait_refused(replica: &Holdfastd) {
    let counted = async {
        while refused(replica).await == 0.0 {
            sleep(BYTE).await;
        }
    };
    timeout(BOUND, counted).await.expect("it counts as a handshake that failed");
}

async fn streams(replica: &Holdfastd) -> f64 {
    metric(replica, "holdfast_streams{method=\"WatchLeader\"} ").await
}

async fn metric(replica: &Holdfastd, line: &str) -> f64 {
    let metrics = replica.http_get("/metrics").await.expect("metrics").body;
    let count = metrics.lines().find_map(|text| text.strip_prefix(line));
    count.expect("it is there from the start").parse().expect("a number")
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let replica = dev(SHORT).await;
    let (mut connection, head) = (connect(&replica).await, CALL.split("Content").next());
    let (mut read, mut write) = connection.split();
    let said = timeout(SOON, async {
        let mut said = Vec::new();
        tokio::select! {
            _ = read.read_to_end(&mut said) => {}
            () = async {
                for byte in head.expect("a head").bytes().chain(std::iter::repeat(b'a')) {
                    // Once it is hung up on it is only waited for.
                    let _ = write.write_all(&[byte]).await;
                    sleep(BYTE).await;
                }
            } => {}
        }
        said
    });
    said.await.expect("it is hung up on");
    wait_refused(&replica).await;
    others_are_served(&replica).await;
}

#[tokio::test]
async fn a_head_without_end_is_not_read_to_its_end() {
    // It is not time that ends it.
    let replica = dev("[limits]\nhandshake_timeout = \"2m\"\n").await;
    let mut connection = connect(&replica).await;
    let mut head = CALL.split("Content").next().expect("a head").to_owned();
    // Few headers: there is a bound on their number as well.
    head += &format!("x-a: {}", "a".repeat(200_000));
    let _ = connection.write_all(head.as_bytes()).await;
    let said = rest(&mut connection).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    others_are_served(&replica).await;
}

#[tokio::test]
async fn a_body_without_end_is_refused_by_its_first_bytes() {
    let replica = dev("").await;
    let mut connection = connect(&replica).await;
    let head = CALL.replace("Content-Length: 5", "Content-Length: 1000000000");
    // A message of a thousand million bytes.
    let head = head.replace("\0\0\0\0\0", "\0\x3b\x1a\x1a\x1a");
    connection.write_all(head.as_bytes()).await.expect("they are few");
    let mut said = vec![0; 4_096];
    let read = timeout(BOUND, connection.read(&mut said)).await.expect("an answer");
    let said = String::from_utf8_lossy(&said[..read.expect("an answer")]).into_owned();
    assert!(said.contains("holdfast-reason: MALFORMED_MESSAGE"), "{said}");
    others_are_served(&replica).await;
}

#[tokio::test]
async fn what_comes_behind_a_call_is_a_call_or_the_end() {
    let replica = dev("").await;
    let mut connection = connect(&replica).await;
    let two_and_garbage = format!("{CALL}{CALL}\0\u{1}\u{2} rubbish\r\n\r\n");
    connection.write_all(two_and_garbage.as_bytes()).await.expect("it is little");
    let said = rest(&mut connection).await;
    assert_eq!(said.matches("holdfast-reason: INVALID_ARGUMENT").count(), 2, "{said}");
    assert_eq!(said.matches("HTTP/1.1 400 Bad Request").count(), 1, "{said}");

    for rubbish in ["SSH-2.0-x\r\n", "\u{16}\u{3}\u{1}\0\0", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"] {
        let mut connection = connect(&replica).await;
        connection.write_all(rubbish.as_bytes()).await.expect("it is little");
        connection.shutdown().await.expect("it says no more");
        let said = rest(&mut connection).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{rubbish:?}: {said}");
    }
    others_are_served(&replica).await;
}

#[tokio::test]
async fn who_said_more_than_one_call_and_went_away_does_not_stay() {
    let replica = dev("").await;
    let other = Client::anonymous(replica.channel());
    // Nothing is said to them meanwhile: that would show that nobody is there.
    let (resource, ttl) = ("r".to_owned(), Some(wire(BOUND)));
    let taken = AcquireRequest { resource, ttl, ..AcquireRequest::default() };
    other.acquire_as(taken).await.expect("served").expect("nobody else's");
    // For `r`, a wait of 60 s.
    let wait = call("Acquire", "\n\u{1}r\u{22}\u{2}\u{8}<");
    let watch = call("WatchLeader", "\n\u{1}r");
    let (mut waits, mut watches) = (connect(&replica).await, connect(&replica).await);
    waits.write_all(format!("{wait}\r\n").as_bytes()).await.expect("it is little");
    watches.write_all(format!("{watch}{watch}").as_bytes()).await.expect("it is little");
    let there = async || (other.queued("r").await, streams(&replica).await);
    let until = async |expected| {
        while there().await != expected {
            sleep(BYTE).await;
        }
    };
    timeout(BOUND, until((true, 1.0))).await.expect("both are served");
    drop((waits, watches));
    timeout(BOUND / 2, until((false, 0.0))).await.expect("both have gone");
}

#[tokio::test]
async fn who_is_idle_after_a_call_does_not_stay() {
    let replica = dev(SHORT).await;
    let before = refused(&replica).await;
    let mut connection = connect(&replica).await;
    connection.write_all(CALL.as_bytes()).await.expect("it is little");
    let said = timeout(SOON, rest(&mut connection)).await.expect("it is hung up on");
    assert_eq!(said.matches("holdfast-reason: INVALID_ARGUMENT").count(), 1, "{said}");
    assert_eq!(refused(&replica).await, before, "it was a client");
}

#[tokio::test]
async fn connections_of_one_address_are_bounded_whatever_they_speak() {
    let replica = dev("[limits]\nmax_connections_per_address = 2\n").await;
    let (mut first, mut second) = (connect(&replica).await, connect(&replica).await);
    for connection in [&mut first, &mut second] {
        connection.write_all(CALL.as_bytes()).await.expect("it is little");
        let read = timeout(BOUND, connection.read(&mut [0; 64])).await.expect("an answer");
        assert!(read.expect("an answer") > 0);
    }
    let mut third = connect(&replica).await;
    let _ = third.write_all(CALL.as_bytes()).await;
    assert_eq!(rest(&mut third).await, "");
    drop(first);
    // There is a place again.
    timeout(BOUND, async {
        loop {
            let mut another = connect(&replica).await;
            let _ = another.write_all(CALL.as_bytes()).await;
            if matches!(another.read(&mut [0; 64]).await, Ok(1..)) {
                return;
            }
            sleep(BYTE).await;
        }
    })
    .await
    .expect("there is a place again");
}

#[tokio::test]
async fn a_watch_is_told_when_the_replica_goes() {
    let mut replica = dev("").await;
    let mut connection = connect(&replica).await;
    let watch = call("WatchLeader", "\n\u{1}r");
    connection.write_all(watch.as_bytes()).await.expect("it is little");
    let read = timeout(BOUND, connection.read(&mut [0; 64])).await.expect("an answer");
    assert!(read.expect("an answer") > 0);
    assert!(replica.terminate().await.expect("an end").success());
    let said = rest(&mut connection).await;
    assert!(said.contains("grpc-status:14") && said.contains("SERVER_DRAINING"), "{said}");
}
