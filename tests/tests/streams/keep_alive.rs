//! KeepAlive: thousands of leases over one stream, each renewal with an answer of its own, and a stream
//! that only its client, a drain, or bytes that are no message end.
//!
//! Deliberately absent: what a renewal is; it is the unary Extend of `locks`, `outages` and `restarts`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use holdfast_proto::v1::keep_alive_response::Result as Outcome;
use holdfast_proto::v1::{
    ExtendRequest, KeepAliveRequest, KeepAliveResponse, LeaseError, LeaseLostReason, TokenStanding,
};
use holdfast_tests::calls::{Lease, Raw, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::streams::{KeepAliveStream, SOON, wire};
use tokio::time::{sleep, timeout};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

/// Longer than any test here takes.
const LONG: Duration = Duration::from_secs(60);
const ONCE: Duration = Duration::ZERO;
/// How many locks are taken at the same time.
const AT_ONCE: usize = 64;

async fn cluster(replicas: usize, config: &str) -> Cluster {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        config: config.to_owned(),
        ..ClusterOptions::default()
    };
    Cluster::start(3, replicas, options).await.expect("a cluster")
}

async fn acquire_many(replica: &Holdfastd, count: usize) -> Vec<Lease> {
    let taking = (0..count).map(async |number| {
        let (resource, lease_id) = (format!("r{number}"), format!("lease {number}"));
        replica.acquire(&resource, &lease_id, LONG, SOON).await.expect("an answer").lease()
    });
    stream::iter(taking).buffered(AT_ONCE).collect().await
}

fn renewal(lease: &Lease, sequence: u64) -> KeepAliveRequest {
    let extend = ExtendRequest {
        resource: lease.resource.clone(),
        lease_id: lease.lease_id.clone(),
        fencing_token: lease.fencing_token,
        ttl: Some(wire(LONG)),
        ..ExtendRequest::default()
    };
    KeepAliveRequest { extend: Some(extend), sequence }
}

/// The next answer; panics at the end of the stream.
async fn answer(stream: &mut KeepAliveStream) -> KeepAliveResponse {
    stream.message().await.expect("an answer").expect("an answer, not the end")
}

/// As many answers as are expected, by their sequence; none may come twice.
async fn answers(stream: &mut KeepAliveStream, count: usize) -> BTreeMap<u64, KeepAliveResponse> {
    let mut answers = BTreeMap::new();
    while answers.len() < count {
        let answer = answer(stream).await;
        let twice = answers.insert(answer.sequence, answer);
        assert!(twice.is_none(), "{twice:?}");
    }
    answers
}

fn renewed(answer: &KeepAliveResponse) -> Lease {
    match &answer.result {
        Some(Outcome::Lease(lease)) => lease.clone().into(),
        other => panic!("expected a renewal, was told {other:?}"),
    }
}

/// Renews as a client does, again and again until each is renewed: a machine that is too slow for so many
/// at once says NO_QUORUM of some. Returns the last answer for each, in their order.
async fn renew_all(stream: &mut KeepAliveStream, leases: &[Lease]) -> Vec<KeepAliveResponse> {
    let mut last = vec![KeepAliveResponse::default(); leases.len()];
    let mut open: Vec<usize> = (0..leases.len()).collect();
    while !open.is_empty() {
        for index in &open {
            stream.send(renewal(&leases[*index], *index as u64));
        }
        for (sequence, answer) in answers(stream, open.len()).await {
            last[sequence as usize] = answer;
        }
        open.retain(|index| match &last[*index].result {
            Some(Outcome::Error(error)) => error.reason == "NO_QUORUM",
            _ => false,
        });
    }
    last
}

fn lost(answer: &KeepAliveResponse) -> LeaseLostReason {
    match &answer.result {
        Some(Outcome::Lost(lost)) => lost.reason(),
        other => panic!("expected a loss, was told {other:?}"),
    }
}

fn refused(answer: &KeepAliveResponse) -> &LeaseError {
    match &answer.result {
        Some(Outcome::Error(error)) => error,
        other => panic!("expected an error, was told {other:?}"),
    }
}

async fn is_held(replica: &Holdfastd, lease: &Lease) -> bool {
    let standing = replica.check_token(&lease.resource, lease.fencing_token).await;
    standing.expect("an answer").standing() == TokenStanding::Current
}

#[tokio::test]
async fn two_thousand_leases_are_renewed_over_one_stream() {
    const LEASES: usize = 2_000;
    let cluster = cluster(2, "").await;
    let leases = acquire_many(&cluster.replicas[0], LEASES).await;
    // Through another replica than the one that granted them.
    let mut stream = cluster.replicas[1].keep_alive().await.unwrap();
    for (answer, lease) in renew_all(&mut stream, &leases).await.iter().zip(&leases) {
        assert_eq!(answer.resource, lease.resource);
        let renewed = renewed(answer);
        assert_eq!((&renewed.resource, &renewed.lease_id), (&lease.resource, &lease.lease_id));
        assert_eq!((renewed.fencing_token, renewed.ttl), (lease.fencing_token, LONG));
        assert!(renewed.votes >= 2 && renewed.valid_for > LONG / 2, "{renewed:?}");
    }
    stream.close();
    assert_eq!(stream.message().await.unwrap(), None, "nothing is answered twice");
    // The end of the stream gives nothing back.
    for lease in [&leases[0], &leases[LEASES / 2], &leases[LEASES - 1]] {
        assert!(is_held(&cluster.replicas[0], lease).await, "{lease:?}");
    }
}

#[tokio::test]
async fn what_befalls_one_lease_is_told_of_that_lease() {
    let cluster = cluster(2, "").await;
    let replica = &cluster.replicas[0];
    let good = replica.acquire("good", "a", LONG, ONCE).await.unwrap().lease();
    let over =
        replica.acquire("over", "a", Duration::from_millis(500), ONCE).await.unwrap().lease();
    let taken = replica.acquire("taken", "a", LONG, ONCE).await.unwrap().lease();
    let other = Lease { lease_id: "b".to_owned(), ..taken.clone() };
    // The time it takes to expire.
    sleep(over.ttl).await;

    let mut stream = cluster.replicas[1].keep_alive().await.unwrap();
    stream.send(renewal(&good, 1));
    stream.send(renewal(&over, 2));
    stream.send(renewal(&other, 3));
    stream.send(KeepAliveRequest { extend: None, sequence: 4 });
    let mut no_token = renewal(&good, 5);
    no_token.extend.as_mut().unwrap().fencing_token = 0;
    stream.send(no_token);
    let mut published = renewal(&good, u64::MAX);
    let value = BTreeMap::from([("address".to_owned(), "10.0.0.1".to_owned())]);
    published.extend.as_mut().unwrap().metadata = value.clone();
    stream.send(published);

    let told = answers(&mut stream, 6).await;
    assert_eq!(renewed(&told[&1]).fencing_token, good.fencing_token);
    assert_eq!(lost(&told[&2]), LeaseLostReason::Expired);
    assert_eq!(lost(&told[&3]), LeaseLostReason::Taken);
    for (sequence, resource) in [(4, ""), (5, "good")] {
        let error = refused(&told[&sequence]);
        assert_eq!((error.code, error.reason.as_str()), (3, "INVALID_ARGUMENT"), "{error:?}");
        assert!(!error.message.is_empty() && error.retry_after.is_none(), "{error:?}");
        assert_eq!(told[&sequence].resource, resource);
    }
    assert_eq!(renewed(&told[&u64::MAX]).fencing_token, good.fencing_token);
    let held = replica.acquire("good", "b", LONG, ONCE).await.unwrap().held();
    assert_eq!(held.metadata, value);

    // Without a quorum the others wait for nobody: what needs no master is answered first.
    cluster.masters[0].freeze().unwrap();
    cluster.masters[1].freeze().unwrap();
    stream.send(renewal(&good, 7));
    stream.send(renewal(&taken, 8));
    stream.send(KeepAliveRequest { extend: None, sequence: 9 });
    let first = answer(&mut stream).await;
    assert_eq!((first.sequence, refused(&first).code), (9, 3), "{first:?}");
    for (_, answer) in answers(&mut stream, 2).await {
        let error = refused(&answer);
        assert_eq!((error.code, error.reason.as_str()), (14, "NO_QUORUM"), "{error:?}");
        assert!(error.message.contains("m0") && !error.message.contains("127.0.0.1"), "{error:?}");
        let retry_after = error.retry_after.and_then(|after| Duration::try_from(after).ok());
        assert!(retry_after.is_some_and(|after| after > Duration::ZERO), "{error:?}");
    }

    // It was said to be no loss, and the same stream goes on.
    cluster.masters[0].thaw().unwrap();
    cluster.masters[1].thaw().unwrap();
    cluster.wait_voting(3).await.unwrap();
    stream.send(renewal(&good, 10));
    stream.send(renewal(&taken, 11));
    let told = answers(&mut stream, 2).await;
    assert_eq!(renewed(&told[&10]).fencing_token, good.fencing_token);
    assert_eq!(renewed(&told[&11]).fencing_token, taken.fencing_token);
}

/// How often a master has read from its connections, and how many scripts it was sent.
async fn reads_and_scripts(cluster: &Cluster, master: usize) -> (u64, u64) {
    let number = async |section: &str, prefix: &str| -> u64 {
        let info: String = cluster.masters[master].command(&["INFO", section]).await.expect("INFO");
        let rest = info.lines().find_map(|line| line.strip_prefix(prefix)).expect("a number");
        rest.split(',').next().and_then(|number| number.trim().parse().ok()).expect("a number")
    };
    let reads = number("stats", "total_reads_processed:").await;
    (reads, number("commandstats", "cmdstat_evalsha:calls=").await)
}

#[tokio::test]
async fn renewals_of_many_streams_share_the_pipelines_to_the_masters() {
    const STREAMS: usize = 50;
    const EACH: usize = 40;
    let cluster = cluster(1, "").await;
    let replica = &cluster.replicas[0];
    let leases = acquire_many(replica, STREAMS).await;
    let streams = leases.iter().map(|_| async { replica.keep_alive().await.expect("a stream") });
    let mut streams = join_all(streams).await;

    let before = reads_and_scripts(&cluster, 0).await;
    for (stream, lease) in streams.iter().zip(&leases) {
        for sequence in 0..EACH {
            stream.send(renewal(lease, sequence as u64));
        }
    }
    // What each came to does not matter here: a machine that is too slow for so many at once gives some up
    // before the master has come to them.
    join_all(streams.iter_mut().map(|stream| answers(stream, EACH))).await;
    let after = reads_and_scripts(&cluster, 0).await;
    let (reads, scripts) = (after.0 - before.0, after.1 - before.1);
    assert!(scripts >= (STREAMS * EACH / 4) as u64, "{scripts}");
    assert!(reads < scripts / 3, "{reads} reads for {scripts} scripts");
}

#[tokio::test]
async fn what_is_outstanding_at_the_half_close_is_answered() {
    const LEASES: usize = 20;
    let cluster = cluster(1, "").await;
    let replica = &cluster.replicas[0];
    let leases = acquire_many(replica, LEASES).await;
    let mut stream = replica.keep_alive().await.unwrap();
    // No answer can come before the client has closed its side.
    cluster.masters[0].freeze().unwrap();
    cluster.masters[1].freeze().unwrap();
    for (sequence, lease) in leases.iter().enumerate() {
        stream.send(renewal(lease, sequence as u64));
    }
    stream.close();
    for (_, answer) in answers(&mut stream, LEASES).await {
        assert_eq!(refused(&answer).reason, "NO_QUORUM", "{answer:?}");
    }
    assert_eq!(stream.message().await.unwrap(), None);

    cluster.masters[0].thaw().unwrap();
    cluster.masters[1].thaw().unwrap();
    cluster.wait_voting(3).await.unwrap();
    let mut stream = replica.keep_alive().await.unwrap();
    stream.send(renewal(&leases[0], 0));
    stream.close();
    renewed(&answer(&mut stream).await);
    assert_eq!(stream.message().await.unwrap(), None);

    // A client that is gone without a word, amid its renewals, loses nothing by it either.
    let mut stream = replica.keep_alive().await.unwrap();
    for (sequence, lease) in leases.iter().enumerate() {
        stream.send(renewal(lease, sequence as u64));
    }
    answer(&mut stream).await;
    drop(stream);
    replica.wait_status(SOON, |status| status.streams == 0).await.unwrap();
    for lease in &leases {
        assert!(is_held(replica, lease).await, "{lease:?}");
    }
}

/// Sends messages as bytes; what is answered until the stream ends, and how it ends.
async fn send_raw(replica: &Holdfastd, messages: Vec<Vec<u8>>) -> (usize, Result<(), Status>) {
    let mut client = tonic::client::Grpc::new(replica.channel());
    client.ready().await.expect("a connection");
    let path = PathAndQuery::from_static("/holdfast.v1.LockService/KeepAlive");
    // The client's side stays open: it is the server that ends this.
    let messages = stream::iter(messages).chain(stream::pending());
    let opened = client.streaming(Request::new(messages), path, Raw).await;
    let mut answers = opened.expect("a stream").into_inner();
    let mut answered = 0;
    loop {
        match timeout(SOON, answers.message()).await.expect("an end") {
            Ok(Some(_)) => answered += 1,
            Ok(None) => return (answered, Ok(())),
            Err(status) => return (answered, Err(status)),
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_end_their_stream_and_no_other() {
    let cluster = cluster(1, "").await;
    let replica = &cluster.replicas[0];
    let lease = replica.acquire("r", "a", LONG, ONCE).await.unwrap().lease();
    let mut other = replica.keep_alive().await.unwrap();
    other.send(renewal(&lease, 1));
    renewed(&answer(&mut other).await);

    // `sequence` 7 and nothing else: a message, if not a good one.
    let message = || vec![0x10, 7];
    for bad in [
        vec![0xff; 16],
        // A wrong wire type, a text that is not UTF-8 inside `extend`, a length beyond the end.
        vec![0x08, 1],
        vec![0x0a, 4, 0x0a, 2, 0xc3, 0x28],
        vec![0x0a, 9, 1],
        // 65 KiB of a field nobody knows.
        [vec![0xfa, 0x07, 0x80, 0x88, 0x04], vec![0; 65 * 1_024]].concat(),
    ] {
        let (answered, end) = send_raw(replica, vec![message(), message(), bad.clone()]).await;
        let error = end.expect_err("not OK");
        let shown = &bad[..bad.len().min(16)];
        assert_eq!(error.code(), Code::InvalidArgument, "{shown:?}: {error:?}");
        assert_eq!(reason(&error).as_deref(), Some("MALFORMED_MESSAGE"), "{shown:?}");
        assert_eq!(answered, 2, "{shown:?}: what came before it");
    }
    other.send(renewal(&lease, 2));
    renewed(&answer(&mut other).await);
}

#[tokio::test]
async fn a_replica_that_drains_ends_the_stream_and_keeps_the_leases() {
    let mut cluster = cluster(2, "[grpc]\ndrain_timeout = \"1s\"\n").await;
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    let mut stream = cluster.replicas[0].keep_alive().await.unwrap();
    stream.send(renewal(&lease, 1));
    renewed(&answer(&mut stream).await);
    let (drained, end) = tokio::join!(cluster.replicas[0].terminate(), stream.message());
    assert!(drained.unwrap().success());
    let error = end.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    assert_eq!(reason(&error).as_deref(), Some("SERVER_DRAINING"));

    let mut stream = cluster.replicas[1].keep_alive().await.unwrap();
    stream.send(renewal(&lease, 2));
    assert_eq!(renewed(&answer(&mut stream).await).fencing_token, lease.fencing_token);
}
